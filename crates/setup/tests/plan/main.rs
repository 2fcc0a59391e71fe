//! Plans for trees of hosts, and what check says of the trees once they are carried out.

// Part of it is for check's own tests.
#[allow(dead_code)]
#[path = "../../../check/tests/set_ups/tree.rs"]
mod tree;

mod broken;
mod files;
mod options;
mod pam;
mod planned;
mod services;
mod session;
mod slurm;
mod sshd;
mod stock;
mod systemd;
