//! The sshds of a host: how each is started, and its configuration as sshd reads it.

pub mod config;
pub mod daemon;
pub mod keywords;
mod matching;
pub mod servers;
mod values;
pub mod version;
mod words;

pub use values::{seconds, startups};
