//! Reasons why a host cannot be set up: then nothing is changed.

mod file;
mod pam;
mod setting;

use std::fmt;

pub use file::FileRefusal;
pub use pam::PamRefusal;
pub use setting::SettingRefusal;

/// Reason why a host cannot be set up.
#[derive(Debug)]
pub enum Refusal {
    /// A file cannot be read, or must not be changed.
    File(FileRefusal),
    /// A setting of a configuration file cannot be made to count.
    Setting(SettingRefusal),
    /// The module's lines would not do their work in a PAM stack.
    Pam(PamRefusal),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) => refusal.fmt(f),
            Self::Setting(refusal) => refusal.fmt(f),
            Self::Pam(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<FileRefusal> for Refusal {
    fn from(refusal: FileRefusal) -> Self {
        Self::File(refusal)
    }
}

impl From<SettingRefusal> for Refusal {
    fn from(refusal: SettingRefusal) -> Self {
        Self::Setting(refusal)
    }
}

impl From<PamRefusal> for Refusal {
    fn from(refusal: PamRefusal) -> Self {
        Self::Pam(refusal)
    }
}
