//! Caches the owners that stepds have named, between logins.
//!
//! A stepd's owner never changes while its socket exists. So a login asks only stepds that no login has
//! asked, and those of its own user that the decision depends on: the file alone never admits anyone.
//!
//! The file is only ever appended to, with one write per login; a login that finds it too long replaces it
//! with a short one ([`crate::state_dir`]). Each record has a checksum over itself and the kernel's boot id:
//! a record that is torn, damaged, foreign or from an older boot counts as absent, and its stepd is asked.

use std::ffi::CStr;
use std::path::Path;

use proto::Version;
use sys::FileStatus;

use crate::log::Log;
use crate::state_dir::{Content, StateDir, checksum};

/// The file's name.
const FILE: &CStr = c"owners";
/// Version of the record's format; increase it with every change.
const FORMAT: u64 = 2;
/// Size of a record in bytes: eight words, the checksum last.
const RECORD: usize = 64;
/// Number of records that a file may always have, and number per existing socket. A file with more is
/// replaced by the records of those sockets.
const ALWAYS: usize = 256;
const PER_SOCKET: usize = 4;
/// The longest file that is read, in bytes: many logins may append at once.
const MOST_READ: u64 = 1 << 20;

/// The answer of one stepd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The owner of its job.
    pub uid: u32,
    /// Its protocol version.
    pub version: Version,
}

/// Identifies a socket: its name, device, inode and ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity([u64; 5]);

impl Identity {
    /// The identity of the socket file with this name.
    #[must_use]
    pub fn new(name: &[u8], file: &FileStatus) -> Self {
        let name = checksum(FORMAT, name);
        let (seconds, nanos) = file.changed;
        Self([name, file.device, file.inode, seconds as u64, nanos as u64])
    }
}

/// The cached owners, and those that this login adds.
#[derive(Debug, Default)]
pub struct Owners<'a> {
    /// The file's directory. None: nothing is kept.
    dir: Option<&'a StateDir>,
    /// The seed of the checksums.
    boot: u64,
    /// The valid records.
    records: Vec<(Identity, Owner)>,
    /// Hash index: positions in `records` plus one, 0 if free. Its length is a power of two.
    index: Vec<u32>,
    /// Number of records in the file, valid or not.
    length: usize,
    /// Whether the file has a torn record, or is too long to be read: nothing can be appended.
    broken: bool,
    /// The records to append.
    fresh: Vec<u8>,
}

impl<'a> Owners<'a> {
    /// Loads the file. If it cannot be used, no owner is known.
    #[must_use]
    pub fn load(state_dir: &'a StateDir, log: Log<'_>) -> Self {
        let Some(boot) = boot(state_dir) else {
            return Self::default();
        };
        let mut known = Self {
            boot,
            ..Self::default()
        };
        match state_dir.read(FILE, MOST_READ, log) {
            Content::Bytes(bytes) => known.parse(&bytes),
            Content::TooLong => known.broken = true,
            Content::Missing => {}
            Content::Bad => return Self::default(),
        }
        known.dir = state_dir.is_to_write().then_some(state_dir);
        known
    }

    fn parse(&mut self, bytes: &[u8]) {
        self.broken = bytes.len() % RECORD != 0;
        self.length = bytes.len() / RECORD;
        for record in bytes.chunks_exact(RECORD) {
            if let Some(record) = decode(self.boot, record) {
                self.records.push(record);
            }
        }
        self.index = vec![0; (self.records.len() * 2).next_power_of_two()];
        for number in 0..self.records.len() {
            let (identity, _) = self.records[number];
            let place = self.place(&identity);
            // The last record of a socket counts.
            self.index[place] = u32::try_from(number + 1).unwrap_or(0);
        }
    }

    /// The position of an identity in the index, or its free place. At least half of the index is free.
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

    /// The owner of the socket's job, if its stepd was asked before.
    #[must_use]
    pub fn owner(&self, socket: &Identity) -> Option<Owner> {
        if self.index.is_empty() {
            return None;
        }
        let (_, owner) = self.at(self.place(socket))?;
        Some(*owner)
    }

    /// Notes the answer of the stepd behind the socket.
    pub fn note(&mut self, socket: &Identity, owner: Owner) {
        if self.dir.is_some() && self.owner(socket) != Some(owner) {
            let record = encode(self.boot, socket, owner);
            self.fresh.extend_from_slice(&record);
        }
    }

    /// Appends the new records to the file. A file that is too long or torn is replaced: it keeps only the records
    /// of `sockets`, all that exist now.
    pub fn save(&self, sockets: &[Identity], log: Log<'_>) {
        let Some(dir) = self.dir else { return };
        if self.fresh.is_empty() {
            return;
        }
        let most = ALWAYS.max(sockets.len().saturating_mul(PER_SOCKET));
        if !self.broken && self.length <= most {
            return dir.append(FILE, &self.fresh, log);
        }
        let mut bytes = Vec::new();
        for socket in sockets {
            if let Some(owner) = self.owner(socket) {
                bytes.extend_from_slice(&encode(self.boot, socket, owner));
            }
        }
        bytes.extend_from_slice(&self.fresh);
        dir.replace(FILE, &bytes, log);
    }
}

/// The seed of the checksums: different after each boot, unless the directory does not survive one.
fn boot(state_dir: &StateDir) -> Option<u64> {
    if state_dir.is_in_memory() {
        return Some(FORMAT);
    }
    let id = sys::read_regular(Path::new("/proc/sys/kernel/random/boot_id"), 64).ok()?;
    Some(checksum(FORMAT, &id))
}

fn encode(boot: u64, identity: &Identity, owner: Owner) -> [u8; RECORD] {
    let [name, device, inode, seconds, nanos] = identity.0;
    let (uid, version) = (u64::from(owner.uid), u64::from(owner.version.number()));
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
        version: Version::from_stepd(u16::try_from(version).ok()?.into())?,
    };
    Some((Identity([name, device, inode, seconds, nanos]), owner))
}

/// Appends the right checksum to a record, for the fuzz targets.
#[cfg(fuzzing)]
pub fn sealed(record: &[u8]) -> Vec<u8> {
    let places = record.get(..RECORD - 8).unwrap_or(record);
    [places, &checksum(FORMAT, places).to_ne_bytes()].concat()
}

/// Parses the file and serializes its valid records, for the fuzz targets.
#[cfg(fuzzing)]
pub fn read_and_write(bytes: &[u8]) -> Vec<u8> {
    let mut known = Owners {
        boot: FORMAT,
        ..Owners::default()
    };
    known.parse(bytes);
    let written = known.records.iter().map(|(socket, _)| {
        let owner = known.owner(socket).expect("each record's socket is known");
        encode(FORMAT, socket, owner)
    });
    written.flatten().collect()
}

#[cfg(test)]
mod tests;
