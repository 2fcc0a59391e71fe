//! The extern steps of this node: asks stepds side by side whose they are.
//!
//! A job counts only when its stepd says that it is this user's; the stepd is asked to adopt over
//! the same connection (`adoption`), so that nobody can slip in between.

mod census;
mod inquiry;
pub mod owners;
mod remarks;
pub mod spool;

pub use census::{Census, CensusRequest, ConverseError, OwnStepd, census};
pub use inquiry::Conversation;

#[cfg(test)]
mod tests;
