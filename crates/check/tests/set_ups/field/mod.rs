//! Set-ups as sites have them.

mod distributions;
mod files;

const SSHD: &str = "/etc/pam.d/sshd";
const ACCOUNT: &str = "account    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny\n";
