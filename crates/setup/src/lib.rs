//! Sets a node up for pam_slurm_adopt.so, and takes that back.
//!
//! [`plan`](plan::plan) reads a [`Host`](check::Host) and returns a [`Plan`](plan::Plan): the files as they are and as
//! they are to be, the commands that make them count, and what the admin does elsewhere. It changes nothing.
//! The plan is then shown, carried out and recorded, and undone, all of it in a running host or in a tree that does
//! not run.
#![forbid(unsafe_code)]

mod apply;
mod back;
pub mod change;
pub mod difference;
mod failure;
mod fault;
mod files;
mod judge;
pub mod plan;
mod record;
mod store;
mod work;

pub use back::{Fate, Place, Way};
pub use failure::Failure;
pub use files::Files;
pub use record::Fault;
pub use store::{DIR, Store};
pub use work::{End, Site, Undone, words};
