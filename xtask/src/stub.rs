//! A stub of libpam to link with. Its functions do nothing, but carry the version nodes of Linux-PAM, so
//! that the built program asks the host's libpam for the right ones. The build needs no PAM headers and no
//! library of the right age.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::arch::Arch;
use crate::elf::Facts;
use crate::run;
use crate::tools::Zig;
use crate::workspace::Workspace;

/// Functions that the module and the test driver may call, by version node.
const NODES: [(&str, &[&str]); 3] = [
    (
        "LIBPAM_1.0",
        &[
            "pam_acct_mgmt",
            "pam_close_session",
            "pam_end",
            "pam_get_data",
            "pam_get_item",
            "pam_get_user",
            "pam_getenv",
            "pam_getenvlist",
            "pam_open_session",
            "pam_putenv",
            "pam_set_data",
            "pam_set_item",
            "pam_setcred",
            "pam_start",
            "pam_strerror",
        ],
    ),
    (
        "LIBPAM_EXTENSION_1.0",
        &["pam_prompt", "pam_syslog", "pam_vprompt", "pam_vsyslog"],
    ),
    ("LIBPAM_1.4", &["pam_start_confdir"]),
];

const SONAME: &str = "libpam.so.0";

/// Path of the real one for the host on Debian and Ubuntu.
pub const REAL: &str = "/lib/x86_64-linux-gnu/libpam.so.0";

/// Makes the stub unless it exists; returns its directory.
pub fn build(workspace: &Workspace, zig: &Zig, arch: Arch) -> Result<PathBuf> {
    let dir = workspace.target("tools/libpam-stub").join(arch.target());
    let (source, map) = (dir.join("stub.c"), dir.join("stub.map"));
    let library = dir.join("libpam.so");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let fresh = write_if_changed(&source, &source_text())? | write_if_changed(&map, &map_text())?;
    if fresh || !library.exists() {
        run::check(
            zig.compiler()?
                .args(["-target", &arch.zig_target(), "-shared", "-nostdlib"])
                .arg(format!("-Wl,-soname,{SONAME}"))
                .arg(format!("-Wl,--version-script={}", map.display()))
                .arg("-o")
                .args([&library, &source]),
        )?;
    }
    Ok(dir)
}

/// Checks that each function has the same version node in this real libpam.
pub fn compare_with_real(real: &Path) -> Result<String> {
    compare(&Facts::read(real)?)
}

fn compare(real: &Facts) -> Result<String> {
    ensure!(
        real.soname.as_deref() == Some(SONAME),
        "{}: its name is {:?}, the stub's {SONAME}",
        real.path,
        real.soname
    );
    let mut count = 0;
    for (node, functions) in NODES {
        for function in functions {
            let found = real.exports.iter().find(|it| it.name == **function);
            let version = found.and_then(|it| it.version.as_deref());
            ensure!(
                version == Some(node),
                "{}: {function} has version {version:?}, the stub's has {node}",
                real.path
            );
            count += 1;
        }
    }
    Ok(format!(
        "{count} functions have the versions that {} gives them",
        real.path
    ))
}

fn source_text() -> String {
    let functions = NODES.iter().flat_map(|(_, functions)| *functions);
    functions
        .map(|name| format!("void {name}(void) {{}}\n"))
        .collect()
}

fn map_text() -> String {
    let mut text = String::new();
    for (index, (node, functions)) in NODES.iter().enumerate() {
        let hide = if index == 0 { " local: *;" } else { "" };
        let list = functions.join("; ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{node} {{ global: {list};{hide} }};");
    }
    text
}

/// Writes a file unless it already has this text; returns whether it did.
fn write_if_changed(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_libpam_agrees() {
        compare_with_real(Path::new(REAL)).expect("the stub has the real one's versions");
    }

    #[test]
    fn another_version_is_noticed() {
        let mut real = Facts::read(Path::new(REAL)).expect("read libpam");
        let syslog = real
            .exports
            .iter_mut()
            .find(|it| it.name == "pam_syslog")
            .expect("there");
        syslog.version = Some(String::from("LIBPAM_1.0"));
        let error = compare(&real).expect_err("a wrong version").to_string();
        assert!(error.contains("pam_syslog has version"), "{error}");
    }

    #[test]
    fn another_library_is_noticed() {
        let libc = Facts::read(Path::new("/lib/x86_64-linux-gnu/libc.so.6")).expect("read libc");
        assert!(compare(&libc).is_err());
    }
}
