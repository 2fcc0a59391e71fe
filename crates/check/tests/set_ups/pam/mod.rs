//! PAM stacks.

mod account;
mod bypass;
mod edits;
mod files;
mod good;
mod kept_out;
mod other;
mod session;

use crate::tree::Tree;

const SSHD: &str = "/etc/pam.d/sshd";

/// The lines that the bases have.
const ACCOUNT: &str = concat!(
    "account    required     pam_slurm_adopt.so ",
    "action_adopt_failure=deny action_generic_failure=deny\n"
);
const SESSION: &str = concat!(
    "session    required     pam_slurm_adopt.so ",
    "action_adopt_failure=deny action_generic_failure=deny\n"
);

/// A line of ours with this type and control, and the options of the bases.
fn ours(begin: &str) -> String {
    format!("{begin} pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny")
}

/// A base with other lines in the place of its account line in sshd's file.
fn account(tree: Tree, lines: &str) -> Tree {
    instead(tree, ACCOUNT, lines)
}

/// A base with other lines in the place of its session line in sshd's file.
fn session(tree: Tree, lines: &str) -> Tree {
    instead(tree, SESSION, lines)
}

fn instead(tree: Tree, old: &str, lines: &str) -> Tree {
    tree.replace(SSHD, old, &format!("{lines}\n"));
    add_modules(&tree, lines);
    tree
}

/// Makes the modules' files that lines name.
fn add_modules(tree: &Tree, lines: &str) {
    let is_relative = |it: &&str| it.ends_with(".so") && !it.starts_with('/');
    let is_other = |it: &&str| !it.starts_with("pam_slurm_adopt") && !it.starts_with("pam_slurm-");
    let names = lines.split_whitespace().filter(is_relative);
    for name in names.filter(is_other) {
        for dir in ["/usr/lib/x86_64-linux-gnu/security", "/usr/lib64/security"] {
            if tree.has(dir) {
                tree.write(&format!("{dir}/{name}"), "");
            }
        }
    }
}
