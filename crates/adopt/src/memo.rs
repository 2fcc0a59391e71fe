//! What finding the node has brought, kept between logins: most find what the one before found.
//!
//! Of two things: where the running slurmd takes its slurm.conf from, as long as its pid file (or its
//! service's cgroup) is the same file; and what slurm.conf says of this node, as long as each file that
//! was read for it is. In doubt nothing is remembered, and the node is found as ever.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::conf::Conf;
use sys::FileStatus;

use crate::log::Log;
use crate::node::Node;
use crate::run_dir::{Content, RunDir, checksum};
use crate::slurmd::{ConfHint, Trace};

/// The file's name.
const FILE: &CStr = c"node";
/// What the file means; another number with each change of that.
const FORMAT: u64 = 1;
/// The longest file that is read, in bytes.
const MOST_READ: u64 = 1 << 16;
/// A file that was changed so recently could be changed once more without its ctime telling.
const SETTLED: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2000 });

/// What a reading of slurm.conf rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    /// The file.
    pub path: &'a Path,
    /// The host's name.
    pub host: &'a str,
    /// The node's name, where it is given.
    pub node: Option<&'a str>,
}

/// The files that a reading rests on, as they were when they were read.
#[derive(Debug)]
pub(crate) struct Sources(Option<Vec<(PathBuf, FileStatus)>>);

impl Default for Sources {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Sources {
    /// One more file.
    pub(crate) fn add(&mut self, path: &Path, status: FileStatus) {
        if let Some(files) = &mut self.0 {
            files.push((path.to_owned(), status));
        }
    }

    /// What was found rests on more than files that are there: it is not to be kept.
    pub(crate) fn give_up(&mut self) {
        self.0 = None;
    }
}

/// What is remembered, and what this login adds to it.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Somebody else's file is there: it is left alone.
    is_not_ours: bool,
    hint: Option<(Trace, ConfHint)>,
    reading: Option<Reading>,
    /// Whether the reading's files are as they were, once that was looked at.
    is_same: Option<bool>,
    is_new: bool,
}

#[derive(Debug)]
struct Reading {
    path: PathBuf,
    host: String,
    node: Option<String>,
    files: Vec<(PathBuf, FileStatus)>,
    found: Node,
}

impl Memo {
    /// Reads the file there. Who only reads finds the node afresh, to tell how.
    pub(crate) fn load(run_dir: &RunDir, log: Log<'_>) -> Self {
        if !run_dir.is_to_write() {
            return Self::default();
        }
        match run_dir.read(FILE, MOST_READ, log) {
            Content::Bytes(bytes) => parse(&bytes).unwrap_or_default(),
            Content::TooLong | Content::Missing => Self::default(),
            Content::Bad => Self {
                is_not_ours: true,
                ..Self::default()
            },
        }
    }

    /// Where the slurmd that left this trace takes its slurm.conf from.
    pub(crate) fn hint(&self, trace: &Trace) -> Option<&ConfHint> {
        let (known, hint) = self.hint.as_ref()?;
        (known == trace).then_some(hint)
    }

    /// Remembers that.
    pub(crate) fn keep_hint(&mut self, trace: Trace, hint: ConfHint) {
        if is_settled(&trace.status) {
            self.hint = Some((trace, hint));
            self.is_new = true;
        }
    }

    /// Whether that slurm.conf was read, and all that was read for it is as it was.
    pub(crate) fn knows(&mut self, path: &Path) -> bool {
        let Some(reading) = self.reading.as_ref().filter(|it| it.path == path) else {
            return false;
        };
        let is_same = |(path, status): &(PathBuf, FileStatus)| {
            sys::identify(path).is_ok_and(|found| found == *status)
        };
        *self
            .is_same
            .get_or_insert_with(|| reading.files.iter().all(is_same))
    }

    /// The node as it was found with the same key in the same files. Whom it trusts is to be looked up.
    pub(crate) fn node(&mut self, key: Key<'_>) -> Option<Node> {
        if !self.knows(key.path) {
            return None;
        }
        let reading = self.reading.as_ref().filter(|it| it.key() == key)?;
        Some(reading.found.clone())
    }

    /// Remembers that it was found so.
    pub(crate) fn keep_node(&mut self, key: Key<'_>, sources: Sources, node: &Node) {
        let Some(files) = sources.0 else { return };
        if !files.iter().all(|(_, status)| is_settled(status)) {
            return;
        }
        self.is_new = true;
        self.reading = Some(Reading {
            path: key.path.to_owned(),
            host: key.host.to_owned(),
            node: key.node.map(str::to_owned),
            files,
            found: node.clone(),
        });
    }

    /// Writes the file, if there is anything new.
    pub(crate) fn save(&self, run_dir: &RunDir, log: Log<'_>) {
        if !self.is_new || self.is_not_ours || !run_dir.is_to_write() {
            return;
        }
        // A reading that names a byte 0 can't be written and is read again.
        if let Some(bytes) = self.write() {
            run_dir.replace(FILE, &bytes, log);
        }
    }

    fn write(&self) -> Option<Vec<u8>> {
        let mut fields = Fields::default();
        fields.flag(self.hint.is_some());
        if let Some((trace, hint)) = &self.hint {
            fields.text(trace.path.as_bytes());
            fields.status(&trace.status);
            let (kind, path) = match hint {
                ConfHint::File(path) => ("file", Some(path)),
                ConfHint::Configless => ("configless", None),
                ConfHint::Default { prefix } => ("default", prefix.as_ref()),
            };
            fields.text(kind.as_bytes());
            fields.optional(path.map(|path| path.as_os_str().as_bytes()));
        }
        fields.flag(self.reading.is_some());
        if let Some(reading) = &self.reading {
            fields.path(&reading.path);
            fields.text(reading.host.as_bytes());
            fields.optional(reading.node.as_deref().map(str::as_bytes));
            fields.number(reading.files.len() as u64);
            for (path, status) in &reading.files {
                fields.path(path);
                fields.status(status);
            }
            let node = &reading.found;
            fields.number(node.names.len() as u64);
            for (name, dir) in node.names.iter().zip(&node.spool_dirs) {
                fields.text(name.as_bytes());
                fields.path(dir);
            }
            let mut conf = node.conf.clone();
            for value in kept_values(&mut conf) {
                fields.optional(value.as_deref().map(str::as_bytes));
            }
        }
        fields.finish()
    }
}

impl Reading {
    fn key(&self) -> Key<'_> {
        Key {
            path: &self.path,
            host: &self.host,
            node: self.node.as_deref(),
        }
    }
}

/// The values that are looked at after the node is named.
fn kept_values(conf: &mut Conf) -> [&mut Option<String>; 7] {
    // Each field is named, so that a new one is not forgotten here.
    let Conf {
        slurmd_user,
        slurm_user,
        cluster_name,
        auth_type,
        auth_info,
        tls_type,
        slurmd_port,
        // Of these the node's names and directories were made.
        spool_dir: _,
        nodes: _,
        host: _,
        // Told in each login's log: such a reading is not kept.
        passed_over: _,
        // Asked for by Node::slurmd_ports, which reads the file.
        node_ports: _,
        uses_slurmd_port: _,
    } = conf;
    [
        slurmd_user,
        slurm_user,
        cluster_name,
        auth_type,
        auth_info,
        tls_type,
        slurmd_port,
    ]
}

fn is_settled(status: &FileStatus) -> bool {
    let (seconds, nanos) = status.changed;
    let changed = u64::try_from(seconds)
        .ok()
        .zip(u32::try_from(nanos).ok())
        .map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos));
    let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
    age.is_some_and(|age| age >= SETTLED)
}

/// What is written: texts, each with a byte 0 at its end, behind a checksum.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    is_bad: bool,
}

impl Fields {
    fn text(&mut self, text: &[u8]) {
        self.is_bad |= text.contains(&0);
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
    }

    fn path(&mut self, path: &Path) {
        self.text(path.as_os_str().as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.text(number.to_string().as_bytes());
    }

    fn flag(&mut self, is: bool) {
        self.number(is.into());
    }

    fn optional(&mut self, text: Option<&[u8]>) {
        self.flag(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn status(&mut self, status: &FileStatus) {
        let (seconds, nanos) = status.changed;
        let FileStatus {
            uid,
            is_socket,
            size,
            device,
            inode,
            ..
        } = *status;
        for number in [
            device,
            inode,
            size,
            seconds as u64,
            nanos as u64,
            uid.into(),
        ] {
            self.number(number);
        }
        self.flag(is_socket);
    }

    fn finish(self) -> Option<Vec<u8>> {
        if self.is_bad {
            return None;
        }
        let mut bytes = checksum(FORMAT, &self.bytes).to_ne_bytes().to_vec();
        bytes.extend(self.bytes);
        Some(bytes)
    }
}

fn parse(bytes: &[u8]) -> Option<Memo> {
    let (sum, bytes) = bytes.split_first_chunk()?;
    if checksum(FORMAT, bytes).to_ne_bytes() != *sum {
        return None;
    }
    let mut texts = Texts(bytes);
    let mut memo = Memo::default();
    if texts.flag()? {
        let trace = Trace {
            path: texts.string()?,
            status: texts.status()?,
        };
        let (kind, path) = (texts.next()?, texts.optional()?);
        let path = path.map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        let hint = match (kind, path) {
            (b"file", Some(path)) => ConfHint::File(path),
            (b"configless", None) => ConfHint::Configless,
            (b"default", prefix) => ConfHint::Default { prefix },
            _ => return None,
        };
        memo.hint = Some((trace, hint));
    }
    if texts.flag()? {
        memo.reading = Some(texts.reading()?);
    }
    texts.0.is_empty().then_some(memo)
}

/// What is left to be read.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(text)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.next()?.to_vec()).ok()
    }

    fn path(&mut self) -> Option<PathBuf> {
        Some(OsString::from_vec(self.next()?.to_vec()).into())
    }

    fn number(&mut self) -> Option<u64> {
        std::str::from_utf8(self.next()?).ok()?.parse().ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        match self.flag()? {
            true => self.next().map(Some),
            false => Some(None),
        }
    }

    fn optional_string(&mut self) -> Option<Option<String>> {
        let text = self.optional()?;
        match text.map(|text| String::from_utf8(text.to_vec())) {
            None => Some(None),
            Some(text) => text.ok().map(Some),
        }
    }

    fn status(&mut self) -> Option<FileStatus> {
        Some(FileStatus {
            device: self.number()?,
            inode: self.number()?,
            size: self.number()?,
            changed: (self.number()? as i64, self.number()? as i64),
            uid: u32::try_from(self.number()?).ok()?,
            is_socket: self.flag()?,
        })
    }

    fn reading(&mut self) -> Option<Reading> {
        let path = self.path()?;
        let (host, node) = (self.string()?, self.optional_string()?);
        let mut files = Vec::new();
        for _ in 0..self.number()? {
            files.push((self.path()?, self.status()?));
        }
        let mut found = Node {
            path: path.clone(),
            ..Node::default()
        };
        for _ in 0..self.number()? {
            found.names.push(self.string()?);
            found.spool_dirs.push(self.path()?);
        }
        for value in kept_values(&mut found.conf) {
            *value = self.optional_string()?;
        }
        Some(Reading {
            path,
            host,
            node,
            files,
            found,
        })
    }
}

#[cfg(test)]
mod tests;
