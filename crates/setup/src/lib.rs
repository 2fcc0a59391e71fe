//! Sets a node up for pam_slurm_adopt.so, and takes that back.
//!
//! [`plan`](plan::plan) reads a [`Host`](check::Host) and returns a [`Plan`](plan::Plan): the files as they are and as
//! they are to be, the commands that make them count, and what the admin does elsewhere. It changes nothing.
//! The plan is then shown, carried out and recorded, and undone, all of it in a running host or in a tree that does
//! not run.
#![forbid(unsafe_code)]

pub mod change;
pub mod plan;
