//! Reads from an ELF file what the gates check.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use goblin::elf::Elf;
use goblin::elf::dynamic::{DF_BIND_NOW, DF_TEXTREL};
use goblin::elf::program_header::{PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD};

/// A function or variable that the file exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its version node, if it has one.
    pub version: Option<String>,
}

/// Facts about an ELF file that the gates check.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Path of the file.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// e_machine: the architecture.
    pub machine: u16,
    /// Smallest alignment of the loaded segments, in bytes.
    pub alignment: u64,
    /// DT_SONAME.
    pub soname: Option<String>,
    /// DT_NEEDED.
    pub needed: Vec<String>,
    /// Symbols that it exports.
    pub exports: Vec<Export>,
    /// Names of the symbols that it imports.
    pub imports: Vec<String>,
    /// Symbol versions that it needs: library and version node.
    pub versions: Vec<(String, String)>,
    /// DF_1_NODELETE: dlclose(3) leaves it in place.
    pub nodelete: bool,
    /// DF_BIND_NOW.
    pub bind_now: bool,
    /// PT_GNU_RELRO.
    pub relro: bool,
    /// Whether the stack may contain code or the loader must write into code.
    pub writable_code: bool,
    /// DT_RPATH and DT_RUNPATH: directories that the loader would search first.
    pub search_paths: Vec<String>,
    /// Number of relocations.
    pub relocations: u64,
    /// Number of relocations that look up a symbol.
    pub symbol_relocations: u64,
}

const DF_1_NODELETE: u64 = 0x8;

impl Facts {
    /// Reads the facts from a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let elf = Elf::parse(&bytes).with_context(|| format!("parse {}", path.display()))?;
        let dynamic = elf.dynamic.as_ref().map(|it| &it.info);
        let (flags, flags_1) = dynamic.map_or((0, 0), |it| (it.flags, it.flags_1));
        let stack = elf
            .program_headers
            .iter()
            .find(|it| it.p_type == PT_GNU_STACK);
        let strings = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let (relative, symbols) = relocations(&elf, &bytes);
        Ok(Self {
            relocations: relative + symbols,
            symbol_relocations: symbols,
            path: path.display().to_string(),
            size: bytes.len() as u64,
            machine: elf.header.e_machine,
            alignment: elf
                .program_headers
                .iter()
                .filter(|it| it.p_type == PT_LOAD)
                .map(|it| it.p_align)
                .min()
                .unwrap_or_default(),
            soname: elf.soname.map(str::to_owned),
            needed: strings(&elf.libraries),
            exports: exports(&elf),
            imports: imports(&elf),
            versions: versions(&elf),
            nodelete: flags_1 & DF_1_NODELETE != 0,
            bind_now: flags & DF_BIND_NOW != 0,
            relro: elf
                .program_headers
                .iter()
                .any(|it| it.p_type == PT_GNU_RELRO),
            // Without this header the kernel makes the stack executable.
            writable_code: stack.is_none_or(|it| it.p_flags & PF_X != 0)
                || flags & DF_TEXTREL != 0
                || dynamic.is_some_and(|it| it.textrel),
            search_paths: [strings(&elf.rpaths), strings(&elf.runpaths)].concat(),
        })
    }
}

/// Counts the relocations that only add the load address, and those that look up a symbol.
fn relocations(elf: &Elf<'_>, bytes: &[u8]) -> (u64, u64) {
    let all = elf.dynrelas.iter().chain(elf.dynrels.iter());
    let all = all.chain(elf.pltrelocs.iter());
    let (symbols, relative): (Vec<_>, Vec<_>) = all.partition(|it| it.r_sym != 0);
    let packed = packed(elf, bytes).map_or(0, |words| relr_count(&words));
    (relative.len() as u64 + packed, symbols.len() as u64)
}

/// The words of DT_RELR, a compact table of relative relocations.
fn packed(elf: &Elf<'_>, bytes: &[u8]) -> Option<Vec<u64>> {
    const DT_RELRSZ: u64 = 35;
    const DT_RELR: u64 = 36;
    let dynamic = elf.dynamic.as_ref()?;
    let value = |tag| dynamic.dyns.iter().find(|it| it.d_tag == tag);
    let (address, size) = (value(DT_RELR)?.d_val, value(DT_RELRSZ)?.d_val);
    let segment = elf.program_headers.iter().find(|it| {
        it.p_type == PT_LOAD && (it.p_vaddr..it.p_vaddr + it.p_filesz).contains(&address)
    })?;
    let start = usize::try_from(address - segment.p_vaddr + segment.p_offset).ok()?;
    let table = bytes.get(start..)?.get(..usize::try_from(size).ok()?)?;
    let words = table.chunks_exact(8);
    Some(
        words
            .filter_map(|it| it.try_into().ok())
            .map(u64::from_le_bytes)
            .collect(),
    )
}

/// Counts the places in the words of DT_RELR: an even word is one place; an odd word has a bit for each of
/// the 63 places after the last.
fn relr_count(words: &[u64]) -> u64 {
    let count = |word: &u64| match word & 1 {
        0 => 1,
        _ => u64::from((word >> 1).count_ones()),
    };
    words.iter().map(count).sum()
}

fn exports(elf: &Elf<'_>) -> Vec<Export> {
    const HIDDEN: u16 = 0x8000;
    let mut found = Vec::new();
    for (index, symbol) in elf.dynsyms.iter().enumerate() {
        let local = symbol.st_bind() == goblin::elf::sym::STB_LOCAL;
        if symbol.is_import() || symbol.st_shndx == 0 || local {
            continue;
        }
        let Some(name) = elf.dynstrtab.get_at(symbol.st_name) else {
            continue;
        };
        let number = elf
            .versym
            .as_ref()
            .and_then(|it| it.get_at(index))
            .map(|it| it.vs_val);
        let version = number.and_then(|number| {
            let defined = elf
                .verdef
                .as_ref()?
                .iter()
                .find(|it| it.vd_ndx == number & !HIDDEN)?;
            let first = defined.iter().next()?;
            elf.dynstrtab.get_at(first.vda_name).map(str::to_owned)
        });
        found.push(Export {
            name: name.to_owned(),
            version,
        });
    }
    found
}

fn imports(elf: &Elf<'_>) -> Vec<String> {
    let imports = elf.dynsyms.iter().filter(|it| it.is_import());
    let names = imports.filter_map(|it| elf.dynstrtab.get_at(it.st_name));
    names.map(str::to_owned).collect()
}

fn versions(elf: &Elf<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for library in elf.verneed.iter().flat_map(|it| it.iter()) {
        let Some(file) = elf.dynstrtab.get_at(library.vn_file) else {
            continue;
        };
        for node in library.iter() {
            if let Some(name) = elf.dynstrtab.get_at(node.vna_name) {
                found.push((file.to_owned(), name.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_hosts_libpam() {
        let facts = Facts::read(Path::new("/lib/x86_64-linux-gnu/libpam.so.0")).expect("read");
        assert_eq!(facts.soname.as_deref(), Some("libpam.so.0"));
        assert_eq!(facts.machine, goblin::elf::header::EM_X86_64);
        assert_eq!(facts.alignment, 4096);
        assert!(facts.needed.contains(&String::from("libc.so.6")));
        assert!(facts.versions.iter().any(|(file, _)| file == "libc.so.6"));
        let syslog = Export {
            name: String::from("pam_syslog"),
            version: Some(String::from("LIBPAM_EXTENSION_1.0")),
        };
        assert!(facts.exports.contains(&syslog));
        assert!(
            !facts.exports.iter().any(|it| it.name == "malloc"),
            "an import"
        );
        assert!(facts.imports.iter().any(|it| it == "malloc"));
        assert!(!facts.imports.iter().any(|it| it == "pam_syslog"));
    }

    #[test]
    fn relocations_packed_and_not() {
        // A place, a bitmap with three bits, an empty one, another place.
        assert_eq!(relr_count(&[0x1000, 0b1011_0001, 1, 0x2000]), 5);
        let facts = Facts::read(Path::new("/lib/x86_64-linux-gnu/libpam.so.0")).expect("read");
        assert!(facts.symbol_relocations > 0, "it calls libc");
        assert!(facts.relocations > facts.symbol_relocations);
    }

    #[test]
    fn a_text_is_no_elf_file() {
        let error = Facts::read(Path::new("/etc/passwd")).expect_err("no ELF file");
        assert!(error.to_string().contains("/etc/passwd"), "{error}");
    }
}
