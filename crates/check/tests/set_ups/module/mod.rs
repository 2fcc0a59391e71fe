//! The module's file.

mod found;
mod loaded;
mod whose;

use crate::elf::{Elf, GLIBC_2_36, PLAIN, SCHEDMDS};
use crate::tree::Tree;

const DEBIAN: &str = "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so";
const REDHAT: &str = "/usr/lib64/security/pam_slurm_adopt.so";
/// In a prefix of Slurm's own.
const OPT: &str = "/opt/slurm/lib/security/pam_slurm_adopt.so";
const ACCOUNT: &str = "account    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny";
const SESSION: &str = "session    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny";

/// Debian with this module.
fn with(module: Elf) -> Tree {
    let tree = Tree::debian();
    tree.write_bytes(DEBIAN, &module.bytes());
    tree
}

/// The same with the C library and libpam of Debian 12.
fn with_libraries(module: Elf) -> Tree {
    let tree = with(module);
    let dir = "/usr/lib/x86_64-linux-gnu";
    tree.write_bytes(&format!("{dir}/libc.so.6"), &GLIBC_2_36.bytes());
    let libpam = Elf {
        text: "\0/lib/x86_64-linux-gnu/security/\0/lib/security\0",
        ..PLAIN
    };
    tree.write_bytes(&format!("{dir}/libpam.so.0"), &libpam.bytes());
    tree.link("/lib", "usr/lib");
    tree.write_bytes("/usr/sbin/sshd", &PLAIN.bytes());
    tree
}

/// SchedMD's module with its library; the line for the session, which it lacks, is gone.
fn schedmds() -> Tree {
    let tree = with_libraries(SCHEDMDS);
    let library = "/usr/lib/x86_64-linux-gnu/libslurm.so.42";
    tree.write_bytes(library, &PLAIN.bytes());
    tree.replace("/etc/pam.d/sshd", &format!("{SESSION}\n"), "");
    tree
}
