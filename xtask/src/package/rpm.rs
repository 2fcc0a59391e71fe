//! The package for RHEL and its kin, Amazon Linux and openSUSE, made by rpmbuild.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::arch::Arch;
use crate::dist::Dist;
use crate::package::script;
use crate::package::staging;
use crate::package::tree::{self, Family, File};
use crate::package::{MAINTAINER, Source, VERSION};
use crate::run;

/// Writes slurm-adopt-VERSION-1.ARCH.rpm into `dir`, and returns its path.
///
/// # Errors
/// Those of reading the content, of writing, and of rpmbuild.
pub fn pack(source: &Source<'_>, arch: Arch, dir: &Path) -> Result<PathBuf> {
    let dist = Dist::place(source.workspace, arch);
    let mut files = tree::files(source.workspace, &dist, Family::RedHat)?;
    files.extend(own_files(source)?);
    // rpmbuild takes no path with a blank.
    let place = tempfile::tempdir().context("make a directory for rpmbuild")?;
    staging::publish(&build(source, arch, &files, place.path())?, dir)
}

/// The files that the other packages do not have.
fn own_files(source: &Source<'_>) -> Result<Vec<File>> {
    let mut files = vec![File {
        path: format!("{MODULE_DIR}/place"),
        mode: 0o755,
        content: script::read(source.workspace, "rpm/place")?.into_bytes(),
    }];
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let path = source.workspace.path(name);
        files.push(File {
            path: format!("usr/share/licenses/slurm-adopt/{name}"),
            mode: 0o644,
            content: fs::read(&path).with_context(|| format!("read {}", path.display()))?,
        });
    }
    Ok(files)
}

/// Builds the package below `place`, and returns its path.
fn build(source: &Source<'_>, arch: Arch, files: &[File], place: &Path) -> Result<PathBuf> {
    let (staged, contents, spec) = (
        place.join("files"),
        place.join("contents"),
        place.join("slurm-adopt.spec"),
    );
    staging::write_all(&staged, files)?;
    let text = |path: &Path| path.display().to_string();
    let template = source.workspace.path("packaging/rpm/slurm-adopt.spec");
    let filled = fs::read_to_string(&template)
        .with_context(|| format!("read {}", template.display()))?
        .replace("@VERSION@", VERSION)
        .replace("@PACKAGER@", MAINTAINER)
        .replace("@STAGED@", &text(&staged))
        .replace("@CONTENTS@", &text(&contents))
        .replace("@CHANGES@", &changes(source)?);
    for (path, content) in [(&contents, listed(files)), (&spec, filled)] {
        fs::write(path, content).with_context(|| format!("write {}", path.display()))?;
    }
    let target = format!("--target={arch}-linux-gnu");
    let define = |name: &str, value: &str| format!("--define={name} {value}");
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild
        .args(["-bb", "--quiet", &target, &define("_topdir", &text(place))])
        .arg(define("_rpmdir", &text(place)))
        .arg(define("_rpmfilename", NAME))
        .arg(&spec)
        .env("SOURCE_DATE_EPOCH", source.date.to_string())
        // Macros of the user's own must not change the package.
        .env("HOME", place);
    run::output(&mut rpmbuild).context("Debian's package rpm has rpmbuild")?;
    Ok(place.join(format!("slurm-adopt-{VERSION}-1.{arch}.rpm")))
}

/// Lists files for %files, and the directories that no other package has.
fn listed(files: &[File]) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|it| format!("%attr(0{:o},root,root) \"/{}\"", it.mode, it.path))
        .collect();
    for file in files {
        let above = Path::new(&file.path).ancestors().skip(1);
        let own = above.filter(|it| it.components().any(|it| it.as_os_str() == "slurm-adopt"));
        lines.extend(own.map(|it| format!("%dir %attr(0755,root,root) \"/{}\"", it.display())));
    }
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

/// An entry of %changelog, which names the file with all changes.
fn changes(source: &Source<'_>) -> Result<String> {
    let date = Timestamp::from_second(source.date)?.to_zoned_datetime(TimeZone::UTC);
    Ok(format!(
        "* {} {MAINTAINER} - {VERSION}-1\n- /{}/CHANGELOG.md has the changes.",
        date.strftime("%a %b %d %Y"),
        tree::DOC
    ))
}

/// The directory of the module, which a script links from libpam's.
const MODULE_DIR: &str = "usr/lib64/slurm-adopt";
/// The file name that rpmbuild gives a package.
const NAME: &str = "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_ours_are_listed_and_no_others() {
        let file = |path: &str| File {
            path: path.to_owned(),
            mode: 0o644,
            content: Vec::new(),
        };
        let files = [
            file("usr/share/slurm-adopt/systemd/a"),
            file("usr/share/fish/b"),
        ];
        assert_eq!(
            listed(&files),
            "%attr(0644,root,root) \"/usr/share/fish/b\"\n\
             %attr(0644,root,root) \"/usr/share/slurm-adopt/systemd/a\"\n\
             %dir %attr(0755,root,root) \"/usr/share/slurm-adopt\"\n\
             %dir %attr(0755,root,root) \"/usr/share/slurm-adopt/systemd\"\n"
        );
    }
}
