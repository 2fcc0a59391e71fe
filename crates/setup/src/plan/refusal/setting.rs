//! Settings of sshd_config, slurm.conf and slurm_adopt.conf that cannot be made to count.

use std::fmt;
use std::io;
use std::path::PathBuf;

use adopt::options;
use check::host::sshd::config;
use pamconf::Place;

/// Reason why a setting cannot be made.
#[derive(Debug)]
pub enum SettingRefusal {
    /// sshd does not start with its configuration as it is.
    Faulty(config::Place),
    /// A line of sshd_config cannot be changed.
    Line(config::Place),
    /// A line would have no effect on sshd.
    Sshd {
        /// The file.
        file: String,
        /// The line.
        line: &'static str,
    },
    /// A line of slurm.conf sets several keys.
    SeveralKeys {
        /// FILE:LINE.
        place: String,
        /// The setting that is wanted.
        setting: String,
    },
    /// A line of slurm.conf is not as Slurm's parser reads it.
    Odd {
        /// FILE:LINE.
        place: String,
        /// The setting that is wanted.
        setting: String,
    },
    /// A setting would have no effect on Slurm.
    Slurm {
        /// The file.
        file: PathBuf,
        /// The setting.
        setting: String,
    },
    /// No group has such a name.
    Group(String),
    /// A group cannot be written beside those that are exempt by now.
    Groups(String),
    /// An argument of this line of the PAM stack overrides the options file.
    Overridden(Place),
    /// The options file does not count as it is.
    Options(io::Error),
}

impl fmt::Display for SettingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faulty(config::Place { file, line, text }) => write!(
                f,
                "{file}:{line}: sshd does not take \"{}\", and does not start with it; correct it first",
                text.trim()
            ),
            Self::Line(config::Place { file, line, text }) => {
                write!(f, "{file}:{line}: cannot change \"{text}\"")
            }
            Self::Sshd { file, line } => write!(
                f,
                "{file}: cannot set {line} so that it counts; set it by hand"
            ),
            Self::SeveralKeys { place, setting } => {
                write!(f, "{place} sets several keys: write {setting} by hand")
            }
            Self::Odd { place, setting } => write!(f, "{place}: cannot write {setting} there"),
            Self::Slurm { file, setting } => {
                let file = file.display();
                write!(f, "{file}: cannot set {setting} so that it counts")
            }
            Self::Group(name) => {
                write!(f, "\"{}\" is no name of a group", name.escape_default())
            }
            Self::Groups(name) => {
                write!(f, "{FILE}: cannot add \"{name}\" to exempt_groups")
            }
            Self::Overridden(place) => write!(
                f,
                "{place}: an argument of this line overrides what --strict or --admins would write to {FILE}; change it \
                 there first, or remove it"
            ),
            Self::Options(fault) => write!(f, "{FILE}: {fault}; correct that first"),
        }
    }
}

const FILE: &str = options::FILE;
