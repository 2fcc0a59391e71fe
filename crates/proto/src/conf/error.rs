//! What is wrong with a slurm.conf.

use std::fmt;

use crate::hostlist::HostListError;

/// Why a slurm.conf can't be used. Slurm's own programs end at each of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfError {
    /// The file, as it was named.
    pub file: String,
    /// Line number, from 1; 0 where no line is to blame.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a slurm.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Not of the form `key=value`.
    Syntax,
    /// A value that is not UTF-8 for a key that is needed.
    NotText,
    /// A host list on a line that names this host.
    HostList(HostListError),
    /// An Include of a file that can't be read.
    Include {
        /// The file.
        name: String,
        /// What the system said.
        cause: String,
    },
    /// Includes within includes, or too many of them.
    TooManyIncludes,
    /// An Include with `%c` before ClusterName was given.
    ClusterNameNotYetKnown,
    /// No ClusterName anywhere.
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
