//! The package for Debian and Ubuntu, made by dpkg-deb.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use crate::arch::Arch;
use crate::package::script;
use crate::package::staging;
use crate::package::tree::{self, Family, File};
use crate::package::{Build, MAINTAINER, Source, VERSION};
use crate::run;

/// Writes slurm-adopt_VERSION_ARCH.deb into `dir`, and returns its path.
///
/// # Errors
/// Those of reading the content, of writing, and of dpkg-deb.
pub fn pack(source: &Source<'_>, build: &Build, dir: &Path) -> Result<PathBuf> {
    let arch = build.arch;
    let mut files = tree::files(source.workspace, &build.dist, Family::Debian)?;
    files.extend(own_docs(source)?);
    let staging = dir.join(format!("deb-{arch}"));
    staging::remove(&staging)?;
    staging::write_all(&staging, &files)?;
    staging::write_all(&staging, &control(source, build, &files)?)?;
    staging::write_all(&staging, &[sums(&staging, &files)?])?;
    let name = format!("slurm-adopt_{VERSION}_{}.deb", debian_name(arch));
    let (fresh, package) = (dir.join(format!("{name}.new")), dir.join(name));
    // The compression is named because hosts differ in it and in their number of processors, and the date
    // stands in for the times of the staged files.
    let build = ["-Zxz", "--threads-max=1", "--root-owner-group", "--build"];
    run::check(
        Command::new("dpkg-deb")
            .args(build)
            .args([&staging, &fresh])
            .env("SOURCE_DATE_EPOCH", source.date.to_string())
            .stdout(std::process::Stdio::null()),
    )?;
    staging::remove(&staging)?;
    fs::rename(&fresh, &package).with_context(|| format!("write {}", package.display()))?;
    Ok(package)
}

/// Debian's name of the architecture.
fn debian_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::Aarch64 => "arm64",
    }
}

/// The documents that Debian's policy asks for.
fn own_docs(source: &Source<'_>) -> Result<Vec<File>> {
    let plain = |name: &str, content: Vec<u8>| File {
        path: format!("{}/{name}", tree::DOC),
        mode: 0o644,
        content,
    };
    let date = Timestamp::from_second(source.date)?.to_zoned_datetime(TimeZone::UTC);
    let changelog = template(source, "changelog")?
        .replace("@VERSION@", VERSION)
        .replace("@MAINTAINER@", MAINTAINER)
        .replace("@DATE@", &rfc2822::to_string(&date)?);
    Ok(vec![
        plain("changelog.gz", tree::gzip(changelog.as_bytes())?),
        plain("copyright", template(source, "copyright")?.into_bytes()),
    ])
}

/// The files that dpkg reads.
fn control(source: &Source<'_>, build: &Build, files: &[File]) -> Result<Vec<File>> {
    let arch = build.arch;
    let bytes: usize = files.iter().map(|it| it.content.len()).sum();
    let fields = template(source, "control")?
        .replace("@VERSION@", VERSION)
        .replace("@ARCH@", debian_name(arch))
        .replace("@MAINTAINER@", MAINTAINER)
        .replace("@GLIBC@", &build.glibc)
        .replace("@SIZE@", &bytes.div_ceil(1024).to_string());
    let common =
        script::read(source.workspace, "deb/common.sh")?.replace("@MULTIARCH@", &arch.debian_dir());
    let mut written = vec![meta("control", 0o644, fields)];
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let text = template(source, script)?.replace("@COMMON@\n", &common);
        written.push(meta(script, 0o755, text));
    }
    Ok(written)
}

/// Lists the MD5 sums of the staged files, with which `dpkg --verify` finds damage.
fn sums(staging: &Path, files: &[File]) -> Result<File> {
    let mut md5sum = Command::new("md5sum");
    md5sum.args(files.iter().map(|it| &it.path));
    let text = run::output(md5sum.current_dir(staging))?;
    Ok(meta("md5sums", 0o644, text))
}

fn meta(name: &str, mode: u32, text: String) -> File {
    File {
        path: format!("DEBIAN/{name}"),
        mode,
        content: text.into_bytes(),
    }
}

fn template(source: &Source<'_>, name: &str) -> Result<String> {
    let path = source.workspace.path("packaging/deb").join(name);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}
