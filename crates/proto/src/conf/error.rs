//! Faults in a slurm.conf.

use std::fmt;

use crate::hostlist::HostListError;

/// Reason why a slurm.conf cannot be used. Slurm's own programs exit on each of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfError {
    /// The file's name.
    pub file: String,
    /// Line number, from 1; 0 if no line is at fault.
    pub line: usize,
    /// The fault.
    pub problem: Problem,
}

/// The fault in a slurm.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A line is not of the form `key=value`.
    Syntax,
    /// The value of a key that is needed is not UTF-8.
    NotText,
    /// A host list on a NodeName line is invalid.
    HostList(HostListError),
    /// An included file cannot be read.
    Include {
        /// The file.
        name: String,
        /// The system's error.
        cause: String,
    },
    /// Includes are nested too deep, or too many.
    TooManyIncludes,
    /// An Include has `%c` but no ClusterName precedes it.
    ClusterNameNotYetKnown,
    /// There is no ClusterName.
    NoClusterName,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.escape_default())?;
        if self.line > 0 {
            write!(f, " line {}", self.line)?;
        }
        match &self.problem {
            Problem::Syntax => f.write_str(": not a key=value line"),
            Problem::NotText => f.write_str(": the value is not UTF-8"),
            Problem::HostList(cause) => write!(f, ": host list: {cause}"),
            Problem::Include { name, cause } => {
                write!(f, ": Include {}: {cause}", name.escape_default())
            }
            Problem::TooManyIncludes => f.write_str(": too many or too deep Includes"),
            Problem::ClusterNameNotYetKnown => f.write_str(": Include with %c before ClusterName"),
            Problem::NoClusterName => f.write_str(": no ClusterName"),
        }
    }
}
