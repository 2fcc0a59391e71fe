//! SHA-256 sums: the list beside the packages, and those in the bill of materials.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// Writes the sums of files beside them, in the format of sha256sum(1), and returns the list's path.
///
/// # Errors
/// Those of the file system.
pub fn write(dir: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let mut lines = Vec::new();
    for file in files {
        let content = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let name = file.file_name().context("a file with a name")?;
        lines.push(format!("{}  {}\n", hex(&content), name.to_string_lossy()));
    }
    lines.sort_by(|a, b| a[HEX_LEN..].cmp(&b[HEX_LEN..]));
    let list = dir.join("SHA256SUMS");
    fs::write(&list, lines.concat()).with_context(|| format!("write {}", list.display()))?;
    Ok(list)
}

/// Returns the SHA-256 sum of bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    digits.iter().map(|it| format!("{it:02x}")).collect()
}

/// Digits of a sum.
const HEX_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_sha256sum() {
        assert_eq!(
            hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(hex(b"").len(), HEX_LEN);
    }
}
