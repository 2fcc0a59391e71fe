//! sshd's configuration.

mod files;
mod good;
mod lines;
mod methods;
mod others;
mod penalties;
mod usepam;

use crate::tree::Tree;

const MAIN: &str = "/etc/ssh/sshd_config";
const DROP_INS: &str = "/etc/ssh/sshd_config.d";

/// Debian's base with lines at the end of sshd_config, which has 7 lines of its own.
fn debian_and(lines: &str) -> Tree {
    let tree = Tree::debian();
    tree.append(MAIN, lines);
    tree
}

/// RHEL's base with a file in sshd_config.d.
fn redhat_with(file: &str, lines: &str) -> Tree {
    let tree = Tree::redhat();
    tree.write(&format!("{DROP_INS}/{file}"), lines);
    tree
}

/// Debian's base with the account line alone.
fn debian_without_session() -> Tree {
    let tree = Tree::debian();
    let line = "pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny\n@include common-password";
    tree.replace(
        "/etc/pam.d/sshd",
        &format!("session    required     {line}"),
        "@include common-password",
    );
    tree
}
