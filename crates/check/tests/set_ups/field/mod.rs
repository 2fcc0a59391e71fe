//! Set-ups as sites have them.

mod files;

const SSHD: &str = "/etc/pam.d/sshd";
