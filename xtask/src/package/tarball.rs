//! The tarball with a script that installs it, for every other host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::dist::Dist;
use crate::package::script;
use crate::package::staging;
use crate::package::tree::{self, Family, File};
use crate::package::{Source, VERSION};
use crate::run;

/// Writes slurm-adopt-VERSION-ARCH.tar.gz into `dir`, and returns its path.
///
/// # Errors
/// Those of reading the content, of writing, and of tar.
pub fn pack(source: &Source<'_>, arch: Arch, dir: &Path) -> Result<PathBuf> {
    let name = format!("slurm-adopt-{VERSION}-{arch}");
    let place = dir.join(format!("tar-{arch}"));
    staging::remove(&place)?;
    staging::write_all(&place.join(&name), &files(source, arch)?)?;
    let tar = place.join(format!("{name}.tar"));
    // The order, owners and times do not depend on the host.
    let mut pack = Command::new("tar");
    pack.args(["--create", "--format=gnu", "--sort=name", "--owner=root:0"])
        .arg("--group=root:0")
        .arg(format!("--mtime=@{}", source.date))
        .arg("--file")
        .arg(&tar)
        .arg("--directory")
        .args([place.as_path(), Path::new(&name)]);
    run::check(&mut pack)?;
    let packed = fs::read(&tar).with_context(|| format!("read {}", tar.display()))?;
    let compressed = place.join(format!("{name}.tar.gz"));
    fs::write(&compressed, tree::gzip(&packed)?)
        .with_context(|| format!("write {}", compressed.display()))?;
    let published = staging::publish(&compressed, dir)?;
    staging::remove(&place)?;
    Ok(published)
}

/// The script, the module, and below `files` what belongs below a prefix like /usr/local.
fn files(source: &Source<'_>, arch: Arch) -> Result<Vec<File>> {
    let script = script::read(source.workspace, "tar/install.sh")?;
    let dist = Dist::place(source.workspace, arch);
    let module = dist.module();
    let mut files = vec![
        File {
            path: "install.sh".to_owned(),
            mode: 0o755,
            content: script.replace("@ARCH@", &arch.to_string()).into_bytes(),
        },
        File {
            path: "pam_slurm_adopt.so".to_owned(),
            mode: 0o644,
            content: fs::read(&module).with_context(|| format!("read {}", module.display()))?,
        },
    ];
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let path = source.workspace.path(name);
        files.push(File {
            path: name.to_owned(),
            mode: 0o644,
            content: fs::read(&path).with_context(|| format!("read {}", path.display()))?,
        });
    }
    for mut file in tree::files(source.workspace, &dist, Family::RedHat)? {
        // The script puts the module into libpam's directory, and whatever else is not below /usr stays out.
        if let Some(path) = file.path.strip_prefix("usr/") {
            if !path.ends_with("/pam_slurm_adopt.so") {
                file.path = format!("files/{path}");
                files.push(file);
            }
        }
    }
    Ok(files)
}
