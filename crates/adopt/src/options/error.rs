//! Arguments of a PAM line that are not as they should be.

use std::fmt;

use crate::text::shown;

/// An argument that was not taken, or not as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadArgument {
    /// No option has this name.
    UnknownOption(String),
    /// The option does not take this value, and keeps the one that it had.
    BadValue {
        /// The option's name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes, for people.
        takes: String,
        /// The value that it keeps.
        kept: String,
    },
    /// Another option stands in the value, behind a comma or the like. It does not count.
    Glued {
        /// The option's name.
        name: &'static str,
        /// What was given.
        value: String,
        /// The word that was taken, if the option takes words.
        taken: Option<&'static str>,
        /// The options as they should be written.
        line: String,
    },
    /// The value goes on after the word that was taken.
    Rest {
        /// The option's name.
        name: &'static str,
        /// The word.
        taken: &'static str,
        /// What was given.
        value: String,
    },
    /// A setting in the file of options, or the whole file.
    File {
        /// FILE:LINE, or the file.
        place: String,
        /// What is wrong.
        cause: String,
    },
    /// The name was taken, and is none that there can be.
    OddName {
        /// The option's name.
        option: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOption(arg) => {
                write!(f, "ignoring unknown option \"{}\"", shown(arg))
            }
            Self::BadValue {
                name,
                value,
                takes,
                kept,
            } => write!(
                f,
                "{name}: invalid value \"{}\" (expected {takes}); keeping {}",
                shown(value),
                shown(kept)
            ),
            Self::Glued {
                name,
                value,
                taken,
                line,
            } => {
                let (value, line) = (shown(value), shown(line));
                match taken {
                    Some(taken) => write!(f, "{name}: taking only \"{taken}\" of \"{value}\"")?,
                    None => write!(f, "{name}: another option in the value \"{value}\"")?,
                }
                write!(f, "; separate options with a space: {line}")
            }
            Self::Rest { name, taken, value } => {
                write!(f, "{name}: taking \"{taken}\" of \"{}\"", shown(value))
            }
            Self::File { place, cause } => write!(f, "{}: {cause}", shown(place)),
            Self::OddName { option, name, why } => {
                write!(f, "{option}: \"{}\" {why}", shown(name))
            }
        }
    }
}
