//! Faulty arguments of a PAM line.

use std::fmt;

use crate::text::shown;

/// An argument that was ignored, or that does not mean what it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadArgument {
    /// No option has this name.
    UnknownOption(String),
    /// The option does not accept this value and keeps the one it had.
    BadValue {
        /// The option's name.
        name: &'static str,
        /// The value given.
        value: String,
        /// The accepted values, for people.
        takes: String,
        /// The value that the option keeps.
        kept: String,
    },
    /// The value contains another option, after a comma or the like. That option does not count.
    Glued {
        /// The option's name.
        name: &'static str,
        /// The value given.
        value: String,
        /// The word that was taken, if the option takes words.
        taken: Option<&'static str>,
        /// The options as they should be written.
        line: String,
    },
    /// The value continues after the word that was taken.
    Rest {
        /// The option's name.
        name: &'static str,
        /// The word.
        taken: &'static str,
        /// The value given.
        value: String,
    },
    /// A setting in the options file, or the whole file.
    File {
        /// FILE:LINE, or the file.
        place: String,
        /// The fault.
        cause: String,
    },
    /// The name was taken, but no such name can exist.
    OddName {
        /// The option's name.
        option: &'static str,
        /// The name.
        name: String,
        /// The fault in the name.
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
