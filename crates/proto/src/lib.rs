//! Slurm's wire formats and configuration as pure functions over bytes: no I/O, no `unsafe`, no
//! dependency on the rest. Every decoder here has a fuzz target.
#![forbid(unsafe_code)]

pub mod conf;
pub mod hostlist;
mod reader;
pub mod socket_name;
pub mod stepd;

pub use reader::{DecodeError, Reader};
