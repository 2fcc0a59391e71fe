//! The PAM files that distributions bring.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use setup::plan::{Plan, Wish};

use crate::planned::{difference, set_up};
use crate::tree::Tree;

/// The tree of a distribution, with an sshd that asks PAM. Comments of the originals are left out.
fn stock(name: &str) -> Tree {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/stock")
        .join(name);
    let text = fs::read_to_string(file).expect("the stock files");
    let tree = Tree::empty();
    for part in text.split("==> ").skip(1) {
        let (head, text) = part.split_once('\n').expect("a text");
        match head.split_once(" -> ") {
            Some((path, target)) => tree.link(path, target),
            None => tree.write(head, text),
        }
    }
    let words = text.split_whitespace().filter(|it| it.ends_with(".so"));
    let mut modules: BTreeSet<&str> = words.collect();
    modules.insert("pam_slurm_adopt.so");
    let dir = match name.starts_with("debian") || name.starts_with("ubuntu") {
        true => "/usr/lib/x86_64-linux-gnu/security",
        false => "/usr/lib64/security",
    };
    for module in modules {
        tree.write_module(&format!("{dir}/{module}"));
    }
    tree.write(
        "/etc/ssh/sshd_config",
        "UsePAM yes\nKbdInteractiveAuthentication yes\n",
    );
    tree.write("/etc/group", "root:x:0:\n");
    tree
}

/// What check finds in the parts that the plan is about, notes left out.
fn faults(tree: &Tree) -> Vec<String> {
    let mut found = tree.found();
    let parts = ["SA0", "SA1", "SA2", "SA3"];
    found.retain(|it| !it.contains(" note") && parts.iter().any(|part| it.starts_with(part)));
    found
}

/// The rows of a difference with lines of the module.
fn lines(plan: &Plan, path: &str) -> Vec<String> {
    let mut rows = difference(plan, path);
    rows.retain(|it| !it.starts_with("+#"));
    rows
}

const ACCOUNT: &str = "+account    required     pam_slurm_adopt.so";
const SESSION: &str = "+session    required     pam_slurm_adopt.so";
const SU: &str = "+session    required     pam_slurm_adopt.so service=su,su-l";

#[test]
fn stock_files_get_both_lines_and_nothing_else() {
    for (name, su, su_l) in [
        ("debian-12", &[SU][..], &[][..]),
        ("debian-13", &[SU], &[]),
        ("debian-14", &[SU], &[SU]),
        ("ubuntu-24.04", &[SU], &[]),
        ("rhel-8", &[SU], &[]),
        ("rhel-9", &[SU], &[]),
        ("rhel-10", &[SU], &[]),
        ("amazon-2", &[SU], &[]),
        ("amazon-2023", &[SU], &[]),
        ("opensuse-leap-15.6", &[SU], &[SU]),
    ] {
        let tree = stock(name);
        let plan = set_up(&tree, &Wish::default());
        assert_eq!(
            lines(&plan, "/etc/pam.d/sshd"),
            [ACCOUNT, SESSION],
            "{name}"
        );
        assert_eq!(lines(&plan, "/etc/pam.d/su"), su, "{name}");
        assert_eq!(lines(&plan, "/etc/pam.d/su-l"), su_l, "{name}");
        assert_eq!(faults(&tree), [""; 0], "{name}");
    }
}

#[test]
fn a_vendors_file_is_copied_and_not_changed() {
    let tree = stock("opensuse-tumbleweed");
    let vendor = fs::read_to_string(tree.path("/usr/lib/pam.d/sshd")).expect("the file");
    let plan = set_up(&tree, &Wish::default());
    let added = difference(&plan, "/etc/pam.d/sshd");
    assert!(added.iter().all(|it| it.starts_with('+')), "{added:?}");
    for line in vendor.lines() {
        assert!(added.contains(&format!("+{line}")), "{line}");
    }
    let now = fs::read_to_string(tree.path("/usr/lib/pam.d/sshd")).expect("the file");
    assert_eq!(now, vendor);
    assert_eq!(faults(&tree), [""; 0]);
}

#[test]
fn new_lines_stand_where_they_are_reached() {
    for (name, before, after) in [
        (
            "debian-13",
            "account    required     pam_nologin.so",
            "@include common-account",
        ),
        (
            "rhel-9",
            "account    required     pam_nologin.so",
            "account    include      password-auth",
        ),
        (
            "opensuse-leap-15.6",
            "account     requisite   pam_nologin.so",
            "account     include     common-account",
        ),
    ] {
        let tree = stock(name);
        set_up(&tree, &Wish::default());
        let text = fs::read_to_string(tree.path("/etc/pam.d/sshd")).expect("the file");
        let place = |line: &str| text.lines().position(|it| it == line).expect("the line");
        let own = place(ACCOUNT.trim_start_matches('+'));
        assert!(place(before) < own && own < place(after), "{text}");
        let sessions = text
            .lines()
            .rfind(|it| it.contains("session") && !it.starts_with('#'));
        assert_eq!(sessions, Some(SESSION.trim_start_matches('+')), "{text}");
    }
}
