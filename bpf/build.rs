//! Compiles the XDP programs and generates their skeletons.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    compile("pptp")?;
    if env::var_os("CARGO_FEATURE_GENERATOR").is_some() {
        compile("generator")?;
    }
    for file in ["src/abi.h", "src/parse.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    Ok(())
}

fn compile(name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let source = format!("src/{name}.bpf.c");
    let output = PathBuf::from(env::var("OUT_DIR")?).join(format!("{name}.skel.rs"));
    // The headers of the libbpf that is linked, so that no libbpf-dev needs to be installed.
    let libbpf = env::var("DEP_BPF_INCLUDE")?;
    // Where Debian keeps <asm/types.h>, which clang does not look for when the target is bpf.
    let asm = format!(
        "/usr/include/{}-linux-gnu",
        env::var("CARGO_CFG_TARGET_ARCH")?
    );
    SkeletonBuilder::new()
        .source(&source)
        .clang_args([
            format!("-I{libbpf}"),
            format!("-I{asm}"),
            "-O2".into(),
            "-Wall".into(),
            "-Wextra".into(),
            "-Werror".into(),
        ])
        .build_and_generate(&output)
        .map_err(|error| format!("{source} (clang is needed): {error:#}"))?;
    println!("cargo:rerun-if-changed={source}");
    Ok(())
}
