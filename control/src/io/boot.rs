//! How often the program has started: what makes `session-id` unique across starts.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

/// The file in the state folder.
const FILE: &str = "boot-count";

/// Counts this start, and returns the count's lowest bits. A file that is not there or not a
/// number counts as the first start.
pub(super) fn count(state_dir: &Path) -> anyhow::Result<u8> {
    let path = state_dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) if error.kind() == ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let count: u8 = text.trim().parse().unwrap_or(0);
    let new = state_dir.join(format!("{FILE}.new"));
    fs::write(&new, format!("{}\n", count.wrapping_add(1)))
        .and_then(|()| fs::rename(&new, &path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_its_number_and_nonsense_begins_anew() {
        let name = format!("greyhound-boot-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(count(&folder).unwrap(), 0);
        assert_eq!(count(&folder).unwrap(), 1);
        fs::write(folder.join(FILE), "255\n").unwrap();
        assert_eq!(count(&folder).unwrap(), 255);
        assert_eq!(count(&folder).unwrap(), 0);
        fs::write(folder.join(FILE), b"\xff\xfe").unwrap();
        assert_eq!(count(&folder).unwrap(), 0);
        assert_eq!(count(&folder).unwrap(), 1);
        fs::remove_dir_all(&folder).unwrap();
        assert!(count(&folder).is_err());
    }
}
