//! What an ELF file says of itself: for which machine it is, what it needs and what it offers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use goblin::elf::Elf;
use goblin::elf::header::{EM_386, EM_AARCH64, EM_PPC64, EM_RISCV, EM_X86_64, ET_DYN};

/// The fault in a file that is no usable ELF file.
#[derive(Debug)]
pub enum ElfError {
    /// It has no bytes.
    Empty,
    /// It is of another kind.
    OtherKind,
    /// It cannot be parsed.
    Parse(goblin::error::Error),
    /// The parser gives up on its numbers.
    Nonsense,
    /// A part of it is missing.
    Cut,
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::OtherKind => f.write_str("it does not begin as an ELF file does"),
            Self::Parse(error) => error.fmt(f),
            Self::Nonsense => f.write_str("its numbers make no sense"),
            Self::Cut => f.write_str("it is cut off: a segment goes on behind its end"),
        }
    }
}

/// Facts about an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its class and machine.
    pub target: Target,
    /// Whether it can be loaded: a shared object.
    pub is_shared_object: bool,
    /// DT_NEEDED.
    pub needed: Vec<String>,
    /// DT_RUNPATH, or DT_RPATH if there is none.
    pub search_dirs: Vec<String>,
    /// The functions and variables that it offers.
    pub exports: Vec<String>,
    /// The functions and variables that it takes from others.
    pub imports: Vec<String>,
    /// The highest version GLIBC_x.y of a symbol that it needs.
    pub needed_glibc: Option<Glibc>,
    /// The highest version GLIBC_x.y of a symbol that it offers.
    pub offered_glibc: Option<Glibc>,
}

/// The kind of program that can load a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target {
    /// Whether it has 64-bit addresses.
    pub is_64: bool,
    /// e_machine.
    pub machine: u16,
}

/// A version of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// The number before the dot.
    pub major: u32,
    /// The number after it.
    pub minor: u32,
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.machine, self.is_64) {
            (EM_X86_64, true) => f.write_str("x86-64"),
            (EM_AARCH64, true) => f.write_str("aarch64"),
            (EM_386, _) => f.write_str("32-bit x86"),
            (EM_PPC64, _) => f.write_str("ppc64"),
            (EM_RISCV, true) => f.write_str("riscv64"),
            (machine, is_64) => {
                let bits = if is_64 { 64 } else { 32 };
                write!(f, "machine {machine}, {bits} bits")
            }
        }
    }
}

impl Facts {
    /// Reads the facts.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ElfError> {
        if bytes.is_empty() {
            return Err(ElfError::Empty);
        }
        if !bytes.starts_with(b"\x7fELF") {
            return Err(ElfError::OtherKind);
        }
        // The parser's arithmetic on made-up numbers may overflow.
        let read = catch_unwind(AssertUnwindSafe(|| Self::of(bytes)));
        read.unwrap_or(Err(ElfError::Nonsense))
    }

    fn of(bytes: &[u8]) -> Result<Self, ElfError> {
        let elf = Elf::parse(bytes).map_err(ElfError::Parse)?;
        let is_cut = elf.program_headers.iter().any(|it| {
            let end = it.p_offset.checked_add(it.p_filesz);
            it.p_type == goblin::elf::program_header::PT_LOAD
                && end.is_none_or(|end| end > bytes.len() as u64)
        });
        if is_cut {
            return Err(ElfError::Cut);
        }
        let search = match elf.runpaths.is_empty() {
            true => &elf.rpaths,
            false => &elf.runpaths,
        };
        let search = search.iter().flat_map(|it| it.split(':'));
        let symbols = |is_import: bool| {
            let all = elf.dynsyms.iter();
            let wanted = all.filter(move |it| (it.st_shndx == 0) == is_import);
            let names = wanted.filter_map(|it| elf.dynstrtab.get_at(it.st_name));
            let names = names.filter(|it| !it.is_empty()).map(str::to_owned);
            names.collect()
        };
        Ok(Self {
            target: Target {
                is_64: elf.is_64,
                machine: elf.header.e_machine,
            },
            is_shared_object: elf.header.e_type == ET_DYN,
            needed: elf.libraries.iter().map(|it| (*it).to_owned()).collect(),
            search_dirs: search.map(str::to_owned).collect(),
            exports: symbols(false),
            imports: symbols(true),
            needed_glibc: needed_glibc(&elf),
            offered_glibc: offered_glibc(&elf),
        })
    }
}

fn needed_glibc(elf: &Elf<'_>) -> Option<Glibc> {
    let libraries = elf.verneed.iter().flat_map(|it| it.iter());
    let names = libraries.flat_map(|it| it.iter().map(|node| node.vna_name).collect::<Vec<_>>());
    let versions = names.filter_map(|it| glibc(elf.dynstrtab.get_at(it)?));
    versions.max()
}

fn offered_glibc(elf: &Elf<'_>) -> Option<Glibc> {
    let nodes = elf.verdef.iter().flat_map(|it| it.iter());
    let names = nodes.filter_map(|it| Some(it.iter().next()?.vda_name));
    let versions = names.filter_map(|it| glibc(elf.dynstrtab.get_at(it)?));
    versions.max()
}

/// Parses `GLIBC_2.17` and `GLIBC_2.2.5`; None for GLIBC_PRIVATE and GLIBC_ABI_DT_RELR.
fn glibc(name: &str) -> Option<Glibc> {
    let (major, rest) = name.strip_prefix("GLIBC_")?.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some(Glibc {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_glibc() {
        let version = |major, minor| Some(Glibc { major, minor });
        assert_eq!(glibc("GLIBC_2.17"), version(2, 17));
        assert_eq!(glibc("GLIBC_2.2.5"), version(2, 2));
        for name in ["GLIBC_PRIVATE", "GLIBC_ABI_DT_RELR", "LIBPAM_1.0", ""] {
            assert_eq!(glibc(name), None, "{name}");
        }
        assert!(version(2, 4) < version(2, 17));
    }

    #[test]
    fn files_of_other_kinds() {
        for bytes in [
            &b""[..],
            b"version https://git-lfs.github.com/spec/v1\n",
            b"\x7fELF",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0",
        ] {
            assert!(Facts::read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn this_very_program() {
        let path = std::env::current_exe().expect("its path");
        let facts = Facts::read(&std::fs::read(path).expect("read")).expect("an ELF file");
        assert_eq!(facts.target.is_64, cfg!(target_pointer_width = "64"));
        assert!(facts.needed.iter().any(|it| it.starts_with("libc.so")));
        assert!(facts.needed_glibc >= Some(Glibc { major: 2, minor: 2 }));
        assert_eq!(facts.offered_glibc, None);
    }
}
