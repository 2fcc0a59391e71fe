//! Slurm's wire formats and configuration as pure functions over bytes: no I/O, no `unsafe`, no
//! dependency on the other crates. Every decoder has a fuzz target.
#![forbid(unsafe_code)]

pub mod conf;
pub mod hash;
pub mod hostlist;
pub mod json;
pub mod jwt;
pub mod munge;
mod reader;
pub mod rpc;
pub mod sack;
pub mod socket_name;
pub mod stepd;
pub mod version;
mod writer;

pub use reader::{DecodeError, Reader};
pub use version::Version;

/// The user id that leaves a credential unrestricted (`MUNGE_UID_ANY`, `SLURM_AUTH_UID_ANY`).
pub const ANYONE: u32 = u32::MAX;
