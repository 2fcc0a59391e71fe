//! The extern steps of this node: asks stepds in parallel for their owners.
//!
//! A job counts only if its stepd confirms that it is this user's. The stepd is asked to adopt over
//! the same connection (`adoption`), so that no other process can take its place in between.

mod census;
pub(crate) mod heard;
mod inquiry;
pub mod owners;
mod remarks;
pub mod spool;

pub use census::{Census, CensusRequest, ConverseError, OwnStepd, census, look};
pub use inquiry::Conversation;

#[cfg(test)]
mod tests;
