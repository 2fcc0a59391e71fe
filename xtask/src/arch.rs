//! The architectures to build for.

use std::fmt;

use clap::ValueEnum;
use goblin::elf::header::{EM_AARCH64, EM_X86_64};

/// The oldest glibc that the built files run with.
pub const GLIBC: (u32, u32) = (2, 17);

/// An architecture, as `uname -m` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// AMD and Intel
    #[value(name = "x86_64")]
    X86_64,
    /// Arm, 64 bits
    Aarch64,
}

impl Arch {
    /// All architectures; first the one of the tests' clusters.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// Rust's target triple.
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Target of cargo-zigbuild, with the oldest glibc in its name.
    pub fn zigbuild_target(self) -> String {
        let (major, minor) = GLIBC;
        format!("{}.{major}.{minor}", self.target())
    }

    /// Target of zig, with the oldest glibc in its name.
    pub fn zig_target(self) -> String {
        let (major, minor) = GLIBC;
        format!("{self}-linux-gnu.{major}.{minor}")
    }

    /// Debian's directory for libraries, below /usr/lib.
    pub fn debian_dir(self) -> String {
        format!("{self}-linux-gnu")
    }

    /// The file name of glibc's dynamic loader.
    pub const fn loader(self) -> &'static str {
        match self {
            Self::X86_64 => "ld-linux-x86-64.so.2",
            Self::Aarch64 => "ld-linux-aarch64.so.1",
        }
    }

    /// e_machine in its ELF files.
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::X86_64 => EM_X86_64,
            Self::Aarch64 => EM_AARCH64,
        }
    }

    /// Largest page that a kernel may use, in bytes: RHEL for Arm has a kernel with 64 KiB. The loader
    /// refuses a file whose segments are aligned to less than a page.
    pub const fn largest_page(self) -> u64 {
        match self {
            Self::X86_64 => 4 << 10,
            Self::Aarch64 => 64 << 10,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}
