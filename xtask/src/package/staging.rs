//! Directories with the files of a package, for the tools that pack.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::package::tree::File;

/// Writes files below a directory.
///
/// # Errors
/// Those of the file system.
pub fn write_all(dir: &Path, files: &[File]) -> Result<()> {
    files.iter().try_for_each(|it| write(dir, it))
}

/// Moves a finished package into a directory, by rename, and returns its path there.
///
/// # Errors
/// Those of the file system.
pub fn publish(built: &Path, dir: &Path) -> Result<PathBuf> {
    let name = built.file_name().context("a package with a name")?;
    let package = dir.join(name);
    let mut fresh = package.clone().into_os_string();
    fresh.push(".new");
    // The two may be on different file systems.
    fs::copy(built, &fresh)
        .and_then(|_| fs::rename(&fresh, &package))
        .with_context(|| format!("write {}", package.display()))?;
    Ok(package)
}

/// Removes a directory if it is there.
///
/// # Errors
/// Those of the file system.
pub fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    Ok(())
}

fn write(dir: &Path, file: &File) -> Result<()> {
    let path = dir.join(&file.path);
    make(path.parent().context("a path with a directory")?)?;
    fs::write(&path, &file.content).with_context(|| format!("write {}", path.display()))?;
    chmod(&path, file.mode)
}

/// Makes a directory and those above it; their modes do not depend on the umask.
fn make(dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make(above)?;
    }
    DirBuilder::new()
        .mode(0o755)
        .create(dir)
        .with_context(|| format!("make {}", dir.display()))?;
    chmod(dir, 0o755)
}

fn chmod(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("chmod {mode:o} {}", path.display()))
}
