//! The PAM stacks that users log in through.
//!
//! A [`stack::Stack`] is what libpam reads, with what is known of each module. Whether a line is passed over is
//! followed for each [`person::Person`]: an ordinary user, one of /etc/passwd, one whom a line names, a system
//! account, root.

mod access;
pub(crate) mod account;
mod broken;
mod bypass;
mod edits;
mod elsewhere;
pub(crate) mod files;
mod listfile;
mod modules;
pub(crate) mod other;
mod outcome;
mod pair;
mod person;
pub(crate) mod session;
mod stack;
mod succeed_if;
mod way_in;
mod ways_out;

pub(crate) use elsewhere::has_sshd;
pub use way_in::shut_for_root;
pub use ways_out::moves_session;

/// Whether a line or file speaks of this module or SchedMD's.
fn names_us(text: &[u8]) -> bool {
    const NAME: &[u8] = b"pam_slurm_adopt";
    text.windows(NAME.len()).any(|it| it == NAME)
}
