//! Whose jobs stepds have said they are, kept between logins.
//!
//! A stepd's owner never changes while its socket lives. So a login asks only the stepds that no login has
//! met, and of those of its own user what the decision depends on: what a file says never admits anyone.
//!
//! The file is only ever appended to, by one write a login; who finds it too long puts a short one in
//! its place ([`crate::state_dir`]). Each record carries a checksum over itself and the kernel's boot id: one that is
//! torn, damaged, foreign or of an older boot is as if it were not there, and its stepd is asked.

use std::ffi::CStr;
use std::path::Path;

use proto::Version;
use sys::FileStatus;

use crate::log::Log;
use crate::state_dir::{Content, StateDir, checksum};

/// The file's name.
const FILE: &CStr = c"owners";
/// What a record means; another number with each change of that.
const FORMAT: u64 = 2;
/// Bytes of one record: eight words, the checksum last.
const RECORD: usize = 64;
/// Records that a file may always have, and for each socket that there is now. One with more is
/// replaced by what is about those.
const ALWAYS: usize = 256;
const PER_SOCKET: usize = 4;
/// The longest file that is read, in bytes: many logins may add at once.
const MOST_READ: u64 = 1 << 20;

/// What one stepd has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Whose job it is.
    pub uid: u32,
    /// The protocol version that it speaks.
    pub version: Version,
}

/// What identifies a socket: its name, device, inode and ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity([u64; 5]);

impl Identity {
    /// Of the socket file of that name.
    #[must_use]
    pub fn new(name: &[u8], file: &FileStatus) -> Self {
        let name = checksum(FORMAT, name);
        let (seconds, nanos) = file.changed;
        Self([name, file.device, file.inode, seconds as u64, nanos as u64])
    }
}

/// What is known, and what this login adds to it.
#[derive(Debug, Default)]
pub struct Owners<'a> {
    /// The file's directory; none: nothing is kept.
    dir: Option<&'a StateDir>,
    /// What checksums begin with.
    boot: u64,
    /// The records that are good.
    records: Vec<(Identity, Owner)>,
    /// Places in `records` plus one, found by the identity; 0 is free. As long as a power of two.
    index: Vec<u32>,
    /// Records in the file, good or not.
    length: usize,
    /// Whether the file is out of step, or too long to be read: nothing can be added to it.
    broken: bool,
    /// Records to be added.
    fresh: Vec<u8>,
}

impl<'a> Owners<'a> {
    /// Reads the file there. Where it can't be used nothing is known.
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
            // Of the same socket the last record counts.
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
        if self.dir.is_some() && self.owner(socket) != Some(owner) {
            let record = encode(self.boot, socket, owner);
            self.fresh.extend_from_slice(&record);
        }
    }

    /// Adds what is new to the file; of a file that is too long or out of step only what is about
    /// `sockets`, all that there are now, is kept.
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

/// What checksums begin with: another number after each boot, unless nothing survives one there.
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

/// A record with the checksum that it needs, for the fuzz targets.
#[cfg(fuzzing)]
pub fn sealed(record: &[u8]) -> Vec<u8> {
    let places = record.get(..RECORD - 8).unwrap_or(record);
    [places, &checksum(FORMAT, places).to_ne_bytes()].concat()
}

/// Reads the file, and writes its good records that count; for the fuzz targets.
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
