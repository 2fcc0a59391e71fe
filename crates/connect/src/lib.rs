//! The user's side: finds a job, waits until it runs, and connects to the sshd of one of its nodes so that the login lands
//! in that job.
//!
//! Runs as the user, asks Slurm by its own commands alone, and leaves nothing behind but a job that it was to submit.

#![forbid(unsafe_code)]

mod allocate;
mod callback;
mod choose;
mod client;
mod error;
mod find;
mod holder;
mod keys;
mod queue;
mod reach;
mod relay;
mod slurm;
mod step;
mod target;
mod waiters;

pub use allocate::{Allocation, AllocationError, Held, allocate};
pub use client::Client;
pub use error::Error;
pub use find::{Found, find};
pub use keys::host_keys;
pub use reach::{Way, reach};
pub use slurm::Slurm;
pub use step::{connect_here, relay_in_job};
pub use target::{PREFIX, Target, TargetError, Which};
