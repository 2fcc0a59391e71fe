//! The end of jobs: [`sweep`] ends what is left of users who have no job on the node any more, [`notify`] tells the
//! terminals of logins when their job ends.
//!
//! Both act as root on what users own: each module says what it relies on.
#![forbid(unsafe_code)]

pub mod notify;
pub mod sweep;
pub mod syslog;
