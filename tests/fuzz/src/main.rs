//! Writes what the fuzzers begin with: `greyhound-fuzz FOLDER` makes a folder for each target in it.

use std::io;
use std::path::PathBuf;

use greyhound_fuzz::seeds;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "usage: greyhound-fuzz FOLDER")
    })?;
    let folder = PathBuf::from(folder);
    for (number, seed) in seeds::seeds().iter().enumerate() {
        let folder = folder.join(seed.target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{number:04}")), &seed.input)?;
    }
    Ok(())
}
