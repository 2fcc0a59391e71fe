//! Caches the node's configuration between logins, as long as every file that was read for it is
//! unchanged. In doubt nothing is cached, and slurm.conf is read again. The reasons and the limits:
//! docs/adr/0008-remembered-node.md.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::conf::Conf;
use sys::FileStatus;

use crate::log::Log;
use crate::node::Node;
use crate::node::reading::{NodeKey, Sources};
use crate::state_dir::{Content, StateDir, checksum};

/// The file's name.
const FILE: &CStr = c"node";
/// Version of the file's format; increase it with every change.
const FORMAT: u64 = 5;
/// The longest file that is read, in bytes.
const MOST_READ: u64 = 1 << 16;
/// A file changed more recently than this could change again without a new ctime.
const SETTLED: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2000 });

/// The cached node, and what this login finds out about it.
#[derive(Debug, Default)]
pub(crate) struct NodeCache {
    /// The file there is somebody else's: leave it alone.
    is_not_ours: bool,
    reading: Option<Reading>,
    /// Whether the reading's files are unchanged, once that was checked.
    is_same: Option<bool>,
}

/// The node that was read, its key and its files.
#[derive(Debug, Default)]
struct Reading {
    host: String,
    node: Option<String>,
    files: Vec<(PathBuf, Mark)>,
    found: Node,
}

/// Identifies a file's content: device, inode, size and ctime.
type Mark = [u8; 40];

fn mark(status: &FileStatus) -> Mark {
    let (seconds, nanos) = status.changed;
    let (seconds, nanos) = (seconds as u64, nanos as u64);
    let mut mark = [0; 40];
    let words = [status.device, status.inode, status.size, seconds, nanos];
    for (place, word) in mark.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    mark
}

impl NodeCache {
    /// Loads the file. If nothing may be written (a dry run) the cache is empty, so that the log shows how the node
    /// is found.
    pub(crate) fn load(state_dir: &StateDir, log: Log<'_>) -> Self {
        if !state_dir.is_to_write() {
            return Self::default();
        }
        match state_dir.read(FILE, MOST_READ, log) {
            Content::Bytes(bytes) => parse(&bytes).unwrap_or_default(),
            Content::TooLong | Content::Missing => Self::default(),
            Content::Bad => Self {
                is_not_ours: true,
                ..Self::default()
            },
        }
    }

    /// Whether this slurm.conf was read, and every file that was read for it is unchanged.
    pub(crate) fn knows(&mut self, path: &Path) -> bool {
        let Some(reading) = self.reading.as_ref().filter(|it| it.found.path == path) else {
            return false;
        };
        let is_same = |(path, was): &(PathBuf, Mark)| {
            sys::identify(path).is_ok_and(|found| mark(&found) == *was)
        };
        *self
            .is_same
            .get_or_insert_with(|| reading.files.iter().all(is_same))
    }

    /// Takes the node out of the cache if it was found with the same key and its files are unchanged.
    /// The caller must look up the users whom the node trusts.
    pub(crate) fn take_node(&mut self, key: NodeKey<'_>) -> Option<Node> {
        let is_known = self.knows(key.path);
        let reading = self.reading.take()?;
        let is_it = reading.host == key.host && reading.node.as_deref() == key.node;
        (is_known && is_it).then_some(reading.found)
    }

    /// Caches a node.
    pub(crate) fn keep_node(
        &self,
        key: NodeKey<'_>,
        sources: Sources,
        node: &mut Node,
        state_dir: &StateDir,
        log: Log<'_>,
    ) {
        let files = sources.files.unwrap_or_default();
        let settled = |(_, status): &(PathBuf, FileStatus)| is_settled(status, sources.when);
        // An empty text ends a list.
        let can_be_written = !key.host.is_empty() && !node.names.iter().any(String::is_empty);
        let is_to_keep = !files.is_empty() && files.iter().all(settled) && can_be_written;
        if !is_to_keep || self.is_not_ours || !state_dir.is_to_write() {
            return;
        }
        let marked = files.into_iter().map(|(path, it)| (path, mark(&it)));
        let files: Vec<_> = marked.collect();
        let bytes = written(key, &files, node);
        // A longer file would not be read.
        if bytes.len() as u64 <= MOST_READ {
            state_dir.replace(FILE, &bytes, log);
        }
    }
}

/// Serializes the cache: texts after a checksum. An empty text ends a list.
fn written(key: NodeKey<'_>, files: &[(PathBuf, Mark)], node: &mut Node) -> Vec<u8> {
    let mut texts = Vec::new();
    add(&mut texts, key.path.as_os_str().as_bytes());
    add(&mut texts, key.host.as_bytes());
    add_optional(&mut texts, key.node.map(str::as_bytes));
    for (path, mark) in files {
        add(&mut texts, path.as_os_str().as_bytes());
        add(&mut texts, mark);
    }
    add(&mut texts, b"");
    for (name, dir) in node.names.iter().zip(&node.spool_dirs) {
        add(&mut texts, name.as_bytes());
        add(&mut texts, dir.as_os_str().as_bytes());
    }
    add(&mut texts, b"");
    let is_named: &[u8] = if node.is_named { b"1" } else { b"0" };
    add(&mut texts, is_named);
    for value in kept_values(&mut node.conf) {
        add_optional(&mut texts, value.as_deref().map(str::as_bytes));
    }
    add_optional(&mut texts, node.of_host.as_deref().map(str::as_bytes));
    let mut bytes = seal(&texts).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&texts);
    bytes
}

fn add(texts: &mut Vec<u8>, text: &[u8]) {
    // No text comes near 4 GiB.
    texts.extend_from_slice(&(text.len() as u32).to_ne_bytes());
    texts.extend_from_slice(text);
}

fn add_optional(texts: &mut Vec<u8>, text: Option<&[u8]>) {
    add(texts, if text.is_some() { b"1" } else { b"0" });
    add(texts, text.unwrap_or_default());
}

/// The values that are used after the node is named.
fn kept_values(conf: &mut Conf) -> [&mut Option<String>; 8] {
    // Each field is named, so that a new one cannot be forgotten here.
    let Conf {
        slurmd_user,
        slurm_user,
        cluster_name,
        auth_type,
        auth_info,
        tls_type,
        proctrack_type,
        slurmd_port,
        // The node's names and directories were made from these.
        spool_dir: _,
        nodes: _,
        host: _,
        // Logged at each login, so such a reading is not cached.
        passed_over: _,
        // Used only by Node::slurmd_ports, which reads the file itself.
        node_ports: _,
        uses_slurmd_port: _,
        settings: _,
    } = conf;
    [
        slurmd_user,
        slurm_user,
        cluster_name,
        auth_type,
        auth_info,
        tls_type,
        proctrack_type,
        slurmd_port,
    ]
}

/// Whether the file had been unchanged for a while at that time.
fn is_settled(status: &FileStatus, when: SystemTime) -> bool {
    let (seconds, nanos) = status.changed;
    let changed = u64::try_from(seconds)
        .ok()
        .zip(u32::try_from(nanos).ok())
        .map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos));
    let age = changed.and_then(|changed| when.duration_since(changed).ok());
    age.is_some_and(|age| age >= SETTLED)
}

/// The checksum, valid for this release alone: another one may read slurm.conf better.
fn seal(texts: &[u8]) -> u64 {
    let release = checksum(FORMAT, env!("CARGO_PKG_VERSION").as_bytes());
    checksum(release, texts)
}

fn parse(bytes: &[u8]) -> Option<NodeCache> {
    let (sum, bytes) = bytes.split_first_chunk()?;
    if seal(bytes).to_ne_bytes() != *sum {
        return None;
    }
    let mut texts = Texts(bytes);
    let reading = texts.reading()?;
    texts.0.is_empty().then_some(NodeCache {
        reading: Some(reading),
        ..NodeCache::default()
    })
}

/// The bytes left to parse. None: this module did not write them.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
        self.0 = rest;
        Some(text)
    }

    fn string(&mut self) -> Option<String> {
        self.next().and_then(string)
    }

    fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        match (self.next()?, self.next()?) {
            (b"0", b"") => Some(None),
            (b"1", text) => Some(Some(text)),
            _ => None,
        }
    }

    fn optional_string(&mut self) -> Option<Option<String>> {
        match self.optional()? {
            Some(text) => string(text).map(Some),
            None => Some(None),
        }
    }

    fn mark(&mut self) -> Option<Mark> {
        self.next()?.try_into().ok()
    }

    fn reading(&mut self) -> Option<Reading> {
        let mut reading = Reading::default();
        let found = &mut reading.found;
        found.path = path(self.next()?);
        reading.host = self.string()?;
        reading.node = self.optional_string()?;
        loop {
            match self.next()? {
                b"" => break,
                file => reading.files.push((path(file), self.mark()?)),
            }
        }
        loop {
            match self.next()? {
                b"" => break,
                name => found.names.push(string(name)?),
            }
            found.spool_dirs.push(path(self.next()?));
        }
        found.is_named = match self.next()? {
            b"0" => false,
            b"1" => true,
            _ => return None,
        };
        for value in kept_values(&mut found.conf) {
            *value = self.optional_string()?;
        }
        found.of_host = self.optional_string()?;
        Some(reading)
    }
}

fn path(text: &[u8]) -> PathBuf {
    OsString::from_vec(text.to_vec()).into()
}

fn string(text: &[u8]) -> Option<String> {
    String::from_utf8(text.to_vec()).ok()
}

/// The file's bytes for these texts, for the fuzz targets.
#[cfg(fuzzing)]
pub fn sealed(texts: &[u8]) -> Vec<u8> {
    [&seal(texts).to_ne_bytes(), texts].concat()
}

/// Parses the file and serializes it again, for the fuzz targets.
#[cfg(fuzzing)]
pub fn read_and_write(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reading = parse(bytes)?.reading?;
    let path = reading.found.path.clone();
    let key = NodeKey {
        path: &path,
        host: &reading.host,
        node: reading.node.as_deref(),
    };
    Some(written(key, &reading.files, &mut reading.found))
}

#[cfg(test)]
mod tests;
