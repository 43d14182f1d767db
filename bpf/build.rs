//! Compiles the XDP program and generates its skeleton.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "src/pptp.bpf.c";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let output = PathBuf::from(env::var("OUT_DIR")?).join("pptp.skel.rs");
    // The headers of the libbpf that is linked, so that no libbpf-dev needs to be installed.
    let libbpf = env::var("DEP_BPF_INCLUDE")?;
    // Where Debian keeps <asm/types.h>, which clang does not look for when the target is bpf.
    let asm = format!(
        "/usr/include/{}-linux-gnu",
        env::var("CARGO_CFG_TARGET_ARCH")?
    );
    SkeletonBuilder::new()
        .source(SOURCE)
        .clang_args([
            format!("-I{libbpf}"),
            format!("-I{asm}"),
            "-O2".into(),
            "-Wall".into(),
            "-Wextra".into(),
            "-Werror".into(),
        ])
        .build_and_generate(&output)
        .map_err(|error| format!("{SOURCE} (clang is needed): {error:#}"))?;
    for file in [SOURCE, "src/abi.h", "src/parse.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    Ok(())
}
