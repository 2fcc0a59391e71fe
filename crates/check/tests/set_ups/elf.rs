//! ELF files with just what `check` reads of them.

/// A shared object for x86-64, or a variant of one.
#[derive(Debug, Clone, Copy)]
pub struct Elf {
    /// e_machine.
    pub machine: u16,
    /// DT_NEEDED.
    pub needed: &'static [&'static str],
    /// The functions that it has.
    pub exports: &'static [&'static str],
    /// A version of glibc that it needs.
    pub needs_glibc: Option<&'static str>,
    /// A version of glibc that it is.
    pub is_glibc: Option<&'static str>,
    /// A text in it.
    pub text: &'static str,
}

/// EM_X86_64
pub const X86_64: u16 = 62;
/// EM_AARCH64
pub const AARCH64: u16 = 183;

/// Nothing but its header.
pub const PLAIN: Elf = Elf {
    machine: X86_64,
    needed: &[],
    exports: &[],
    needs_glibc: None,
    is_glibc: None,
    text: "",
};

/// This project's module.
pub const OWN: Elf = Elf {
    needed: &["libpam.so.0", "libc.so.6"],
    exports: &[
        "pam_sm_acct_mgmt",
        "pam_sm_open_session",
        "pam_sm_close_session",
    ],
    needs_glibc: Some("GLIBC_2.17"),
    text: "/etc/security/slurm_adopt.conf",
    ..PLAIN
};

/// SchedMD's module.
pub const SCHEDMDS: Elf = Elf {
    needed: &["libslurm.so.42", "libc.so.6"],
    exports: &["pam_sm_acct_mgmt"],
    needs_glibc: Some("GLIBC_2.34"),
    ..PLAIN
};

/// A libc.so.6.
pub const GLIBC_2_36: Elf = Elf {
    is_glibc: Some("GLIBC_2.36"),
    ..PLAIN
};

/// Bytes with numbers of several sizes.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn half(&mut self, values: &[u16]) {
        values.iter().for_each(|it| self.0.extend(it.to_le_bytes()));
    }

    fn word(&mut self, values: &[u32]) {
        values.iter().for_each(|it| self.0.extend(it.to_le_bytes()));
    }

    fn long(&mut self, values: &[u64]) {
        values.iter().for_each(|it| self.0.extend(it.to_le_bytes()));
    }

    fn place(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The names of a string table.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, name: &str) -> u32 {
        let place = self.0.len() as u32;
        self.0.extend(name.as_bytes());
        self.0.push(0);
        place
    }
}

/// The places of what the dynamic section names.
struct Places {
    strings: u64,
    symbols: u64,
    hash: u64,
    versions: u64,
}

const HEADERS: usize = 64 + 2 * 56;

impl Elf {
    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut strings = Strings(vec![0]);
        let needed: Vec<u32> = self.needed.iter().map(|it| strings.add(it)).collect();
        let symbols: Vec<u32> = self.exports.iter().map(|it| strings.add(it)).collect();
        let version = self.needs_glibc.or(self.is_glibc).unwrap_or("GLIBC_2.0");
        let (libc, version) = (strings.add("libc.so.6"), strings.add(version));
        let mut file = Bytes(vec![0; HEADERS]);
        let mut places = Places {
            strings: file.place(),
            symbols: 0,
            hash: 0,
            versions: 0,
        };
        file.0.extend(&strings.0);
        file.0.resize(file.0.len().next_multiple_of(8), 0);
        places.symbols = file.place();
        self.symbols(&mut file, &symbols);
        places.hash = file.place();
        let count = symbols.len() as u32 + 1;
        file.word(&[1, count, 0]);
        file.word(&vec![0; count as usize]);
        places.versions = file.place();
        self.versions(&mut file, libc, version);
        let versions_size = file.place() - places.versions;
        file.0.resize(file.0.len().next_multiple_of(8), 0);
        let dynamic = file.place();
        Self::dynamic(&mut file, &needed, &places, strings.0.len() as u64);
        let dynamic_size = file.place() - dynamic;
        file.0.extend(self.text.as_bytes());
        file.0.resize(file.0.len().next_multiple_of(8), 0);
        let sections = file.place();
        self.sections(&mut file, places.versions, versions_size);
        let size = file.place();
        let mut head = Bytes::default();
        self.header(&mut head, sections);
        // PT_LOAD, PT_DYNAMIC
        head.word(&[1, 5]);
        head.long(&[0, 0, 0, size, size, 4096]);
        head.word(&[2, 4]);
        head.long(&[dynamic, dynamic, dynamic, dynamic_size, dynamic_size, 8]);
        file.0[..HEADERS].copy_from_slice(&head.0);
        file.0
    }

    fn header(&self, head: &mut Bytes, sections: u64) {
        head.0.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        head.half(&[3, self.machine]);
        head.word(&[1]);
        head.long(&[0, 64, sections]);
        head.word(&[0]);
        head.half(&[64, 56, 2, 64, 2, 0]);
    }

    fn symbols(&self, file: &mut Bytes, names: &[u32]) {
        file.long(&[0, 0, 0]);
        for name in names {
            file.word(&[*name]);
            // STB_GLOBAL, STT_FUNC, section 1
            file.half(&[0x12, 1]);
            file.long(&[0x100, 16]);
        }
    }

    fn versions(&self, file: &mut Bytes, libc: u32, version: u32) {
        if self.needs_glibc.is_some() {
            file.half(&[1, 1]);
            file.word(&[libc, 16, 0]);
            file.word(&[0]);
            file.half(&[0, 2]);
            file.word(&[version, 0]);
        } else if self.is_glibc.is_some() {
            file.half(&[1, 0, 2, 1]);
            file.word(&[0, 20, 0]);
            file.word(&[version, 0]);
        }
    }

    fn dynamic(file: &mut Bytes, needed: &[u32], places: &Places, strings_size: u64) {
        needed.iter().for_each(|it| file.long(&[1, u64::from(*it)]));
        file.long(&[5, places.strings, 10, strings_size]);
        file.long(&[6, places.symbols, 11, 24]);
        file.long(&[4, places.hash]);
        file.long(&[0, 0]);
    }

    /// A null section, and SHT_GNU_verneed or SHT_GNU_verdef.
    fn sections(&self, file: &mut Bytes, place: u64, size: u64) {
        file.0.resize(file.0.len() + 64, 0);
        let kind = match (self.needs_glibc, self.is_glibc) {
            (Some(_), _) => 0x6fff_fffe,
            (_, Some(_)) => 0x6fff_fffd,
            _ => 0,
        };
        file.word(&[0, kind]);
        file.long(&[2, place, place, size]);
        file.word(&[0, 1]);
        file.long(&[4, 0]);
    }
}
