//! The spool directory: finds the sockets of extern steps.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use proto::socket_name;
use sys::FileStatus;

use crate::access;
use crate::facts::OwnJob;
use crate::log::Log;
use crate::node::Node;
use crate::stepd::owners::Identity;
use crate::text::shown;
use crate::trust::{DirectoryError, Trusted, safe_directory, system};

/// An extern step's socket file that may be asked.
#[derive(Debug, Clone)]
pub struct Socket {
    /// The path, with links resolved.
    pub path: PathBuf,
    /// Its job.
    pub job: OwnJob,
    /// Tells the socket from earlier and later ones.
    pub identity: Identity,
}

/// The number of jobs or nodes that a remark names at most.
pub(crate) const TOLD: usize = 4;

/// The contents of the spool directories.
#[derive(Debug, Default)]
pub struct Found {
    /// The extern steps' sockets, for the first of the node's names that has any.
    pub sockets: Vec<Socket>,
    /// Extern steps whose sockets cannot be checked, and the causes.
    pub unreachable: Vec<(u32, DirectoryError)>,
    /// The reason why nothing was found.
    pub problem: Option<DirectoryError>,
    /// One socket for each job of this node that has other steps here.
    pub(crate) other_steps: Vec<(u32, PathBuf)>,
    /// One socket for each of the first [`TOLD`] other nodes that have sockets here.
    pub(crate) other_nodes: Vec<(String, PathBuf)>,
    /// Files that are named like an extern step's socket but are not one.
    pub(crate) junk: Junk,
}

/// Finds the extern sockets for the first of the node's names that has any.
#[must_use]
pub fn find_sockets(node: &Node, log: Log<'_>) -> Found {
    let mut found = Found::default();
    let mut first_problem = None;
    for (name, dir) in node.names.iter().zip(&node.spool_dirs) {
        if let Err(problem) = sockets_in(dir, name, &node.trusted, &mut found, log) {
            first_problem = first_problem.or(Some(problem));
        }
        if !found.sockets.is_empty() || !found.unreachable.is_empty() {
            break;
        }
    }
    found.problem = first_problem;
    found
}

/// The sockets of all steps of this node, of any kind.
#[derive(Debug, Default)]
pub(crate) struct EveryStep {
    pub sockets: Vec<Socket>,
    /// Steps whose sockets cannot be checked or are not root's, and the causes.
    pub unreachable: Vec<(u32, DirectoryError)>,
}

/// Finds the sockets of all steps, under each of the node's names.
///
/// # Errors
/// [`DirectoryError`] if no spool directory can be read.
pub(crate) fn every_step(node: &Node) -> Result<EveryStep, DirectoryError> {
    let mut all = EveryStep::default();
    let mut problem = None;
    let mut is_read = false;
    for (name, dir) in node.names.iter().zip(&node.spool_dirs) {
        match all.add(dir, name, &node.trusted) {
            Ok(()) => is_read = true,
            // Of a host with two names the directory of one is absent.
            Err(error) if error.means_no_slurm() => problem = problem.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match problem.filter(|_| !is_read) {
        Some(problem) => Err(problem),
        None => Ok(all),
    }
}

impl EveryStep {
    fn add(&mut self, dir: &Path, node: &str, trusted: &Trusted) -> Result<(), DirectoryError> {
        let dir = safe_directory(dir, &|uid| trusted.owns(uid))?;
        let failed = |cause| system("read", &dir)(cause);
        for entry in read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let step = socket_name::step_socket(name.as_bytes());
            let Some(step) = step.filter(|it| it.node == node.as_bytes()) else {
                continue;
            };
            match entry.metadata() {
                Ok(file) => {
                    let file = FileStatus::from(&file);
                    // Nobody but a stepd can put another file there, and what is no socket belongs to none.
                    if file.is_socket && trusted.serves(file.uid) {
                        let socket = Socket::new(entry.path(), step.job, name.as_bytes(), &file);
                        self.sockets.push(socket);
                    }
                }
                Err(error) if access::is_absent(&error) => {}
                Err(error) => {
                    let problem = system("stat", &entry.path())(error);
                    self.unreachable.push((step.job, problem));
                }
            }
        }
        Ok(())
    }
}

/// Whether a slurmstepd listens for an extern step of this node.
#[must_use]
pub fn has_stepds(node: &Node) -> bool {
    let found = find_sockets(node, Log::silent());
    found.sockets.iter().any(|socket| listens(&socket.path))
}

/// Whether a process listens on a socket, as far as can be known.
pub(crate) fn listens(path: &Path) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match sys::connect_unix(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ConnectionRefused | NotFound),
    }
}

/// Files that are named like an extern step's socket but are not one.
#[derive(Debug, Default)]
pub(crate) struct Junk {
    pub count: usize,
    pub first: Option<JunkFile>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct JunkFile {
    pub path: PathBuf,
    pub owner: u32,
    pub is_socket: bool,
}

fn sockets_in(
    dir: &Path,
    node: &str,
    trusted: &Trusted,
    found: &mut Found,
    log: Log<'_>,
) -> Result<(), DirectoryError> {
    let safe = safe_directory(dir, &|uid| trusted.owns(uid));
    let dir = safe.inspect_err(|problem| trusted.warn_of(problem, log))?;
    let failed = |cause| system("read", &dir)(cause);
    let mut junk = Junk::default();
    for entry in read_dir(&dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(step) = socket_name::step_socket(name.as_bytes()) else {
            continue;
        };
        if step.node != node.as_bytes() {
            found.add_other_node(step.node, || entry.path());
            continue;
        }
        if !step.is_extern {
            found.add_other_step(step.job, || entry.path());
            continue;
        }
        let (job, path) = (step.job, entry.path());
        // metadata() does not follow links: a link is no socket.
        let file = match entry.metadata() {
            Ok(file) => FileStatus::from(&file),
            // The step has just ended.
            Err(error) if access::is_absent(&error) => continue,
            Err(error) => {
                let problem = system("stat", &path)(error);
                found.unreachable.push((job, problem));
                continue;
            }
        };
        if !file.is_socket || !trusted.serves(file.uid) {
            junk.add(path, &file);
            continue;
        }
        found
            .sockets
            .push(Socket::new(path, job, name.as_bytes(), &file));
    }
    junk.told(&dir, log);
    found.junk.count += junk.count;
    found.junk.first = found.junk.first.take().or(junk.first);
    if let Some((_, problem)) = found.unreachable.first() {
        let count = found.unreachable.len();
        log.error(|| format!("{count} slurmstepds can't be reached: {problem}"));
    }
    Ok(())
}

/// Lists a directory, and tries again after a signal (FUSE, NFS).
fn read_dir(dir: &Path) -> io::Result<fs::ReadDir> {
    loop {
        match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Socket {
    fn new(path: PathBuf, job: u32, name: &[u8], file: &FileStatus) -> Self {
        Self {
            path,
            job: OwnJob {
                job,
                started: file.changed.0,
            },
            identity: Identity::new(name, file),
        }
    }

    /// The socket of a step of any kind; None if it is gone or may not be asked.
    pub(crate) fn of_step(job: u32, path: &Path, trusted: &Trusted) -> Option<Self> {
        let file = FileStatus::from(&fs::symlink_metadata(path).ok()?);
        let may_be_asked = file.is_socket && trusted.serves(file.uid);
        let name = path.file_name()?.as_bytes();
        may_be_asked.then(|| Self::new(path.to_owned(), job, name, &file))
    }
}

impl Junk {
    fn add(&mut self, path: PathBuf, file: &FileStatus) {
        self.count += 1;
        self.first.get_or_insert(JunkFile {
            path,
            owner: file.uid,
            is_socket: file.is_socket,
        });
    }

    fn told(&self, dir: &Path, log: Log<'_>) {
        let Some(first) = &self.first else { return };
        match self.count {
            1 => log.error(|| format!("ignoring {first}")),
            count => log.error(|| {
                let dir = shown(&dir.to_string_lossy());
                format!("ignoring {count} files in {dir} named like extern steps, first {first}")
            }),
        }
    }
}

impl fmt::Display for JunkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(&self.path.to_string_lossy());
        match self.is_socket {
            true => write!(f, "{path}: not a socket of root (owner uid {})", self.owner),
            false => write!(f, "{path}: not a socket"),
        }
    }
}

impl Found {
    fn add_other_step(&mut self, job: u32, path: impl FnOnce() -> PathBuf) {
        let steps = &mut self.other_steps;
        if steps.iter().all(|(it, _)| *it != job) {
            steps.push((job, path()));
        }
    }

    fn add_other_node(&mut self, node: &[u8], path: impl FnOnce() -> PathBuf) {
        let nodes = &mut self.other_nodes;
        if nodes.len() < TOLD && nodes.iter().all(|(it, _)| it.as_bytes() != node) {
            nodes.push((String::from_utf8_lossy(node).into_owned(), path()));
        }
    }
}
