//! packaging/selinux, compiled with the names of EL's policy. With Debian's it is compiled and enforced in the machine
//! of `cargo test -p tests --test machine`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Optional blocks for names that only Debian's policy has.
const DEBIANS: [&str; 4] = [
    "slurm_adopt_callerid_munge",
    "slurm_adopt_runtime_dir_debian",
    "slurm_adopt_runtime_dir_logind",
    "slurm_adopt_systemd",
];
/// The block for sshd-session's own domain, which Fedora 43 and EL 10.2 have.
const SSHD_SESSION: &str = "slurm_adopt_sshd_session";

#[test]
fn each_block_but_debians_holds_with_the_names_of_el() {
    let expected = DEBIANS.into_iter().chain([SSHD_SESSION]);
    assert_eq!(disabled("el", ""), names(expected));
}

#[test]
fn sshd_session_has_its_block_where_the_policy_knows_it() {
    let with = "(type sshd_session_t)";
    assert_eq!(disabled("el-session", with), names(DEBIANS.into_iter()));
}

/// Compiles the modules with the stand-in and more statements; returns the optional blocks that fall away.
fn disabled(name: &str, more: &str) -> BTreeSet<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = std::env::temp_dir().join(format!("slurm-adopt-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("make a directory");
    let base = fs::read_to_string(here.join("tests/el.cil")).expect("read the stand-in");
    let [policy, contexts, base_file] =
        ["policy", "file_contexts", "base.cil"].map(|it| dir.join(it));
    fs::write(&base_file, base + more).expect("write the stand-in");
    let output = Command::new("secilc")
        // The policy version is one that EL 8 takes.
        .args(["-v", "-v", "-v", "-c", "31", "-o"])
        .args([policy.as_path(), Path::new("-f"), &contexts, &base_file])
        .args(modules(&here.join("../packaging/selinux")))
        .output()
        .expect("run secilc");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{told}");
    let contexts = fs::read_to_string(contexts).expect("read the file contexts");
    assert!(contexts.contains("/run/slurm-adopt"), "{contexts}");
    fs::remove_dir_all(&dir).expect("clean up");
    let found = told.lines().filter_map(|it| {
        let (_, rest) = it.split_once("Disabling optional '")?;
        rest.split('\'').next()
    });
    names(found)
}

/// The modules; slurm_adopt.cil, which the others need, is among them.
fn modules(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("read packaging/selinux");
    let files = entries.map(|it| it.expect("read packaging/selinux").path());
    let modules: Vec<PathBuf> = files
        .filter(|it| it.extension().is_some_and(|it| it == "cil"))
        .collect();
    assert_eq!(modules.len(), 3, "{modules:?}");
    modules
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.map(str::to_owned).collect()
}
