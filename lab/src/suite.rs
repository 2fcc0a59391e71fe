//! The Debian releases whose Slurm packages the lab runs.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use serde::{Deserialize, Serialize};

/// A Debian suite, which determines the version of Slurm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Suite {
    /// Debian 11: Slurm 20.11, OpenSSH 8.4, glibc 2.31.
    Bullseye,
    /// Debian 12: Slurm 22.05, OpenSSH 9.2.
    Bookworm,
    /// Debian 13: Slurm 24.11, OpenSSH 10.0.
    Trixie,
    /// Debian 14: Slurm 26.05, OpenSSH 10.6.
    Forky,
}

impl Suite {
    /// All suites, the oldest first.
    pub const ALL: [Suite; 4] = [
        Suite::Bullseye,
        Suite::Bookworm,
        Suite::Trixie,
        Suite::Forky,
    ];

    /// Debian's name of the suite.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::Bullseye => "bullseye",
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
            Suite::Forky => "forky",
        }
    }

    /// The Slurm release in it.
    pub const fn slurm(self) -> &'static str {
        match self {
            Suite::Bullseye => "20.11",
            Suite::Bookworm => "22.05",
            Suite::Trixie => "24.11",
            Suite::Forky => "26.05",
        }
    }

    /// The protocol version of that release, as on the wire.
    pub const fn protocol(self) -> u16 {
        match self {
            Suite::Bullseye => 36 << 8,
            Suite::Bookworm => 38 << 8,
            Suite::Trixie => 42 << 8,
            Suite::Forky => 45 << 8,
        }
    }

    /// Path of SchedMD's module in the suite's own package libpam-slurm-adopt.
    pub const fn original_module(self) -> &'static str {
        match self {
            Suite::Bullseye => "/lib/security/pam_slurm_adopt.so",
            Suite::Bookworm => "/usr/lib/security/pam_slurm_adopt.so",
            Suite::Trixie | Suite::Forky => "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Suite {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match Self::ALL.into_iter().find(|suite| suite.name() == name) {
            Some(suite) => Ok(suite),
            None => bail!(
                "no suite '{name}': there are {}",
                Self::ALL.map(Suite::name).join(", ")
            ),
        }
    }
}
