//! Set-ups as sites have them.

mod distributions;
mod edits;
mod files;
mod recipes;
mod sites;
mod stacks;

const SSHD: &str = "/etc/pam.d/sshd";
const ACCOUNT: &str = "account    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny\n";
