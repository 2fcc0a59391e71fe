//! Set-ups, good and broken, and all that `slurm-adopt check --root` finds in each.

mod elf;
mod field;
mod good;
mod ids;
mod module;
mod options;
mod pam;
mod security;
mod slurm;
mod sshd;
mod systemd;
mod tree;
