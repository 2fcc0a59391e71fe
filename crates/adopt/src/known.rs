//! Whose jobs stepds have said they are, kept between logins.
//!
//! A stepd's owner never changes while its socket lives. So a login asks only the stepds that none
//! has met before, and those of its own user: what a file says never admits anyone.
//!
//! The file is root's alone and only ever appended to, by one write a login; who finds it too long
//! puts a short one in its place. Each record carries a checksum over itself and the kernel's boot id: one that is
//! torn, damaged, foreign or of an older boot is as if it were not there, and its stepd is asked.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::log::Log;

/// Where the file is: a tmpfs, root's.
pub const DIR: &str = "/run/slurm-adopt";
/// Its name there.
const FILE: &str = "owners";
/// Bytes of one record: eight words, the checksum last.
const RECORD: usize = 64;
/// The longest file that is added to, in bytes.
const LONGEST: usize = 4096 * RECORD;
/// The longest that is read: many may add at once.
const MOST_READ: u64 = 4 * LONGEST as u64;

/// What one stepd has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Whose job it is.
    pub uid: u32,
    /// The protocol version that it speaks.
    pub version: i32,
}

/// What identifies a socket: its name, device, inode and ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity([u64; 5]);

impl Identity {
    /// Of the socket file of that name.
    #[must_use]
    pub fn new(name: &[u8], file: &fs::Metadata) -> Self {
        let name = checksum(SEED, name);
        let (seconds, nanos) = (file.ctime() as u64, file.ctime_nsec() as u64);
        Self([name, file.dev(), file.ino(), seconds, nanos])
    }
}

/// What is known, and what this login adds to it.
#[derive(Debug, Default)]
pub struct Known {
    /// The file's directory; none: nothing is kept.
    dir: Option<PathBuf>,
    /// For checksums: different after each boot.
    boot: u64,
    /// The records that are good.
    records: Vec<(Identity, Owner)>,
    /// Places in `records` plus one, found by the identity; 0 is free. As long as a power of two.
    index: Vec<u32>,
    /// Bytes of the file.
    length: usize,
    /// Records to be added.
    fresh: Vec<u8>,
}

impl Known {
    /// Reads the file in that directory. Where it can't be used nothing is known.
    #[must_use]
    pub fn load(dir: &Path, log: Log<'_>) -> Self {
        let Ok(boot) = sys::read_regular(Path::new("/proc/sys/kernel/random/boot_id"), 64) else {
            return Self::default();
        };
        let mut known = Self {
            dir: Some(dir.to_owned()),
            boot: checksum(SEED, &boot),
            ..Self::default()
        };
        match read(dir) {
            Ok(bytes) => known.parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                log.debug(|| format!("{}: {error}; not used", dir.display()));
                known.dir = None;
            }
        }
        known
    }

    fn parse(&mut self, bytes: &[u8]) {
        self.length = bytes.len();
        for record in bytes.chunks_exact(RECORD) {
            if let Some(record) = decode(self.boot, record) {
                self.records.push(record);
            }
        }
        self.index = vec![0; (self.records.len() * 2).next_power_of_two()];
        for number in 0..self.records.len() {
            let (identity, _) = self.records[number];
            let place = self.place(&identity);
            // Of the same socket the last record counts; they don't differ.
            self.index[place] = u32::try_from(number + 1).unwrap_or(0);
        }
    }

    /// Where in the index the identity is, or would be. At least half of it is free.
    fn place(&self, identity: &Identity) -> usize {
        let mask = self.index.len() - 1;
        let mut place = identity.0[0] as usize ^ identity.0[2] as usize;
        loop {
            place &= mask;
            match self.at(place) {
                Some((found, _)) if found != identity => place += 1,
                _ => return place,
            }
        }
    }

    fn at(&self, place: usize) -> Option<&(Identity, Owner)> {
        let number = *self.index.get(place)? as usize;
        self.records.get(number.checked_sub(1)?)
    }

    /// The same, but nothing is added to the file.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { dir: None, ..self }
    }

    /// Whose job the socket's is, if a stepd has said so before.
    #[must_use]
    pub fn owner(&self, socket: &Identity) -> Option<Owner> {
        if self.index.is_empty() {
            return None;
        }
        let (_, owner) = self.at(self.place(socket))?;
        Some(*owner)
    }

    /// Notes what the stepd behind the socket has just said.
    pub fn note(&mut self, socket: &Identity, owner: Owner) {
        if self.dir.is_some() && self.owner(socket).is_none() {
            let record = encode(self.boot, socket, owner);
            self.fresh.extend_from_slice(&record);
        }
    }

    /// Adds what is new to the file; of a file that is too long only what is about `sockets`, all that
    /// there are now, is kept.
    pub fn save(&self, sockets: &[Identity], log: Log<'_>) {
        let Some(dir) = &self.dir else { return };
        if self.fresh.is_empty() {
            return;
        }
        let saved = match self.length + self.fresh.len() > LONGEST {
            false => append(dir, &self.fresh),
            true => {
                let mut bytes = Vec::new();
                for socket in sockets {
                    if let Some(owner) = self.owner(socket) {
                        bytes.extend_from_slice(&encode(self.boot, socket, owner));
                    }
                }
                bytes.extend_from_slice(&self.fresh);
                replace(dir, &bytes)
            }
        };
        if let Err(error) = saved {
            log.debug(|| format!("write {}/{FILE}: {error}", dir.display()));
        }
    }
}

/// The file's bytes, if nobody but this user, root, can have written them.
fn read(dir: &Path) -> io::Result<Vec<u8>> {
    own(&fs::symlink_metadata(dir)?, true)?;
    let path = dir.join(FILE);
    own(&fs::symlink_metadata(&path)?, false)?;
    sys::read_regular(&path, MOST_READ)
}

fn own(found: &fs::Metadata, is_dir: bool) -> io::Result<()> {
    let is_kind = found.is_dir() == is_dir && (found.is_dir() || found.is_file());
    let is_ours = found.uid() == sys::effective_uid() && found.mode() & 0o077 == 0;
    match is_kind && is_ours {
        true => Ok(()),
        false => Err(io::Error::other("not root's alone")),
    }
}

fn append(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => own(&fs::symlink_metadata(dir)?, true)?,
    }
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(sys::NO_FOLLOW)
        .open(dir.join(FILE))?;
    // In one piece: write(2) of O_APPEND does not mix with others'.
    match file.write(bytes)? {
        count if count == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn replace(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{FILE}.{}", std::process::id()));
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let renamed = file
        .write_all(bytes)
        .and_then(|()| fs::rename(&new, dir.join(FILE)));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed
}

fn encode(boot: u64, identity: &Identity, owner: Owner) -> [u8; RECORD] {
    let [name, device, inode, seconds, nanos] = identity.0;
    let (uid, version) = (u64::from(owner.uid), owner.version as u64);
    let words = [name, device, inode, seconds, nanos, uid, version];
    let mut bytes = [0; RECORD];
    let (places, end) = bytes.split_at_mut(RECORD - 8);
    for (place, word) in places.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    end.copy_from_slice(&checksum(boot, places).to_ne_bytes());
    bytes
}

fn decode(boot: u64, bytes: &[u8]) -> Option<(Identity, Owner)> {
    let (places, end) = bytes.split_at_checked(RECORD - 8)?;
    if checksum(boot, places).to_ne_bytes() != end {
        return None;
    }
    let mut words = [0; 7];
    for (word, place) in words.iter_mut().zip(places.chunks_exact(8)) {
        *word = u64::from_ne_bytes(place.try_into().ok()?);
    }
    let [name, device, inode, seconds, nanos, uid, version] = words;
    let owner = Owner {
        uid: u32::try_from(uid).ok()?,
        version: i32::try_from(version).ok()?,
    };
    Some((Identity([name, device, inode, seconds, nanos]), owner))
}

const SEED: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a: against accidents, not against root.
fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use pam::Severity;

    use super::*;
    use crate::log::Sink;
    use crate::options::LogLevel;

    struct Silent;

    impl Sink for Silent {
        fn line(&self, _: Severity, _: &str) {}
    }

    fn log() -> Log<'static> {
        Log::new(&Silent, LogLevel::Debug)
    }

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("known-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).expect("directory");
            Self(dir)
        }

        fn dir(&self) -> PathBuf {
            self.0.join("slurm-adopt")
        }

        fn file(&self) -> PathBuf {
            self.dir().join(FILE)
        }

        fn socket(&self, job: u32) -> Identity {
            self.bind(job).1
        }

        fn bind(&self, job: u32) -> (PathBuf, Identity) {
            let name = format!("n1_{job}.4294967292");
            let path = self.0.join(&name);
            let _ = fs::remove_file(&path);
            drop(UnixListener::bind(&path).expect("bind"));
            let found = fs::symlink_metadata(&path).expect("there");
            let identity = Identity::new(name.as_bytes(), &found);
            (path, identity)
        }

        fn load(&self) -> Known {
            Known::load(&self.dir(), log())
        }

        fn keep(&self, sockets: &[Identity], uid: u32) {
            let mut known = self.load();
            for socket in sockets {
                known.note(socket, owner(uid));
            }
            known.save(sockets, log());
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn owner(uid: u32) -> Owner {
        Owner {
            uid,
            version: 0x2D00,
        }
    }

    #[test]
    fn what_was_said_is_known_until_the_socket_changes() {
        let scratch = Scratch::new("said");
        let sockets: Vec<_> = (1..100).map(|job| scratch.socket(job)).collect();
        assert_eq!(scratch.load().owner(&sockets[0]), None);
        scratch.keep(&sockets[..50], 2001);
        scratch.keep(&sockets, 2002);
        let known = scratch.load();
        for (index, socket) in sockets.iter().enumerate() {
            let uid = if index < 50 { 2001 } else { 2002 };
            assert_eq!(known.owner(socket), Some(owner(uid)), "{index}");
        }
        assert_eq!(known.length, 99 * RECORD);
        // Another socket of that name; the same file by another name.
        assert_eq!(known.owner(&scratch.socket(7)), None);
        let (path, _) = scratch.bind(8);
        let found = fs::symlink_metadata(&path).expect("there");
        scratch.keep(&[Identity::new(b"n1_8.4294967292", &found)], 2003);
        let renamed = Identity::new(b"n1_1000.4294967292", &found);
        let known = scratch.load();
        assert_eq!(known.owner(&renamed), None);
        assert_eq!(
            fs::metadata(scratch.dir()).expect("dir").mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::metadata(scratch.file()).expect("file").mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn what_is_damaged_foreign_or_old_is_not_there() {
        let scratch = Scratch::new("damaged");
        let sockets: Vec<_> = (1..4).map(|job| scratch.socket(job)).collect();
        scratch.keep(&sockets, 2001);
        let good = fs::read(scratch.file()).expect("read");
        let count = |bytes: &[u8]| {
            fs::write(scratch.file(), bytes).expect("write");
            let known = scratch.load();
            sockets
                .iter()
                .filter(|it| known.owner(it).is_some())
                .count()
        };
        assert_eq!(count(&good), 3);
        assert_eq!(count(&good[..good.len() - 1]), 2, "torn");
        assert_eq!(
            count(&[&[7; RECORD], &good[..]].concat()),
            3,
            "a foreign record first"
        );
        assert_eq!(count(&[&[7], &good[..]].concat()), 0, "out of step");
        assert_eq!(count(&[0; 640]), 0);
        for byte in 0..RECORD {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            assert_eq!(count(&bad), 2, "byte {byte}");
        }
        // Of an older boot.
        let old = encode(1, &sockets[0], owner(5));
        assert_eq!(count(&old), 0);
        assert_eq!(count(&good), 3);
    }

    #[test]
    fn only_roots_own_file_counts() {
        let scratch = Scratch::new("trust");
        let socket = scratch.socket(1);
        scratch.keep(std::slice::from_ref(&socket), 2001);
        let known = || scratch.load().owner(&socket).is_some();
        assert!(known());
        for (path, modes) in [
            (scratch.file(), [0o606, 0o660, 0o604, 0o666]),
            (scratch.dir(), [0o707, 0o770, 0o755, 0o777]),
        ] {
            let right = fs::metadata(&path).expect("there").mode();
            for mode in modes {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
                assert!(!known(), "{} {mode:o}", path.display());
                let before = fs::read(scratch.file()).expect("read");
                scratch.keep(&[scratch.socket(2)], 2002);
                assert_eq!(
                    fs::read(scratch.file()).expect("read"),
                    before,
                    "nor added to"
                );
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(right)).expect("mode");
        }
        assert!(known());
        // Links and what is no file.
        let aside = scratch.0.join("aside");
        fs::rename(scratch.file(), &aside).expect("rename");
        std::os::unix::fs::symlink(&aside, scratch.file()).expect("link");
        assert!(!known());
        let before = fs::read(&aside).expect("read");
        scratch.keep(&[scratch.socket(3)], 2002);
        assert_eq!(fs::read(&aside).expect("read"), before);
        fs::remove_file(scratch.file()).expect("remove");
        fs::create_dir(scratch.file()).expect("directory");
        assert!(!known());
        if sys::effective_uid() == 0 {
            fs::remove_dir(scratch.file()).expect("remove");
            fs::rename(&aside, scratch.file()).expect("back");
            assert!(known());
            std::os::unix::fs::chown(scratch.file(), Some(2001), None).expect("chown");
            assert!(!known());
        }
    }

    #[test]
    fn a_long_file_makes_place() {
        let scratch = Scratch::new("long");
        let socket = scratch.socket(1);
        scratch.keep(std::slice::from_ref(&socket), 2001);
        let stale = vec![9; LONGEST];
        let mut bytes = fs::read(scratch.file()).expect("read");
        bytes.extend(&stale);
        fs::write(scratch.file(), bytes).expect("write");
        let new = scratch.socket(2);
        scratch.keep(&[socket, new], 2002);
        let known = scratch.load();
        assert_eq!(known.length, 2 * RECORD);
        assert_eq!(known.owner(&socket), Some(owner(2001)));
        assert_eq!(known.owner(&new), Some(owner(2002)));
        assert_eq!(
            fs::read_dir(scratch.dir()).expect("list").count(),
            1,
            "nothing left behind"
        );
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let scratch = Scratch::new("many");
        let sockets: Vec<_> = (1..=200).map(|job| scratch.socket(job)).collect();
        scratch.keep(&sockets[..1], 1);
        std::thread::scope(|scope| {
            for part in sockets.chunks(10) {
                let scratch = &scratch;
                scope.spawn(move || {
                    for socket in part {
                        scratch.keep(std::slice::from_ref(socket), 7);
                    }
                });
            }
        });
        let known = scratch.load();
        assert!(sockets.iter().all(|it| known.owner(it).is_some()));
    }
}
