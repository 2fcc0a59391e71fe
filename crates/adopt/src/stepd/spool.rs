//! The spool directory: where the stepds' sockets are, and whether it can be trusted.
//!
//! Sockets, and the processes that listen on them, must be root's or SlurmdUser's. The directory
//! and all above it must be theirs or SlurmUser's, and not writable by anyone else: slurmd leaves a
//! directory that exists to its owner, and packages make it SlurmUser's. SlurmUser, whom stepds obey
//! anyway, can so rename or remove sockets but not make one that passes for root's.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use proto::socket_name;
use sys::{FileStatus, Listing};

use crate::access;
use crate::decide::OwnJob;
use crate::log::Log;
use crate::node::slurmd;
use crate::node::{self, Node};
use crate::options::shown;
use crate::stepd::owners::Identity;

/// Who is trusted besides root.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// SlurmdUser, as whom stepds listen.
    pub slurmd_uid: Option<u32>,
    /// SlurmUser, a name or number, for directories alone. Looked up only when one is not root's:
    /// at many sites the user database is another host's.
    pub slurm_user: Option<String>,
}

impl Trusted {
    /// Whether that uid may own a socket or listen on it.
    #[must_use]
    pub fn serves(&self, uid: u32) -> bool {
        uid == 0 || Some(uid) == self.slurmd_uid
    }

    /// Logs that SlurmUser could not be looked up, where that may be why a directory is not trusted.
    fn warn_of(&self, problem: &SpoolProblem, log: Log<'_>) {
        let SpoolProblem::Untrusted { .. } = problem else {
            return;
        };
        if let Some((user, Err(error))) = self.slurm_user.as_ref().map(|it| (it, node::uid_of(it)))
        {
            log.error(|| format!("SlurmUser \"{}\": {error}; not trusted", shown(user)));
        }
    }

    /// Whether that uid may own a directory that sockets are in.
    #[must_use]
    pub fn owns(&self, uid: u32) -> bool {
        self.serves(uid)
            || self
                .slurm_user
                .as_deref()
                .is_some_and(|user| node::uid_of(user).ok() == Some(uid))
    }
}

/// Why the spool directory can't be looked at. To the decision that is as if there were no steps.
#[derive(Debug)]
pub enum SpoolProblem {
    /// The system does not let us.
    System {
        /// What was tried.
        operation: &'static str,
        /// With which path.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// Somebody else may put sockets there.
    Untrusted {
        /// The directory that is at fault: the spool directory or one above it.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
        /// Whether it may be that owner's.
        is_owner_trusted: bool,
        /// Whether others than the owner may write to it.
        is_writable: bool,
    },
}

impl SpoolProblem {
    /// Whether there is no such directory at all, as before slurmd's first start.
    #[must_use]
    pub fn means_no_slurm(&self) -> bool {
        matches!(self, Self::System { cause, .. } if access::is_absent(cause))
    }

    /// Whether the user and root's program lack a permission, of a file's mode or of a policy.
    #[must_use]
    pub fn means_denied(&self) -> bool {
        matches!(self, Self::System { cause, .. } if access::is_denied(cause))
    }
}

impl fmt::Display for SpoolProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System {
                operation,
                path,
                cause,
            } => write!(f, "{operation} {}: {cause}", shown(&path.to_string_lossy())),
            Self::Untrusted {
                path,
                uid,
                mode,
                is_owner_trusted,
                is_writable,
            } => {
                let name = shown(&path.to_string_lossy());
                let mode = mode & 0o7777;
                write!(f, "{name} is not safe: owner uid {uid}, mode {mode:o}")?;
                if !is_plain_word(&name) {
                    return Ok(());
                }
                f.write_str("; run: ")?;
                match (is_owner_trusted, is_writable) {
                    (true, _) => write!(f, "chmod go-w {name}"),
                    (false, false) => write!(f, "chown root {name}"),
                    (false, true) => write!(f, "chown root {name} && chmod go-w {name}"),
                }
            }
        }
    }
}

/// Whether a path can be pasted into a shell as it is.
fn is_plain_word(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,".contains(&byte);
    path.bytes().all(is_plain)
}

/// An extern step's socket file that may be asked.
#[derive(Debug, Clone)]
pub struct Socket {
    /// The file, links resolved.
    pub path: PathBuf,
    /// Its job.
    pub job: OwnJob,
    /// What tells it from others that were or will be there.
    pub identity: Identity,
}

/// How many jobs or nodes a remark names.
const TOLD: usize = 4;

/// What is in the spool directories.
#[derive(Debug, Default)]
pub struct Found {
    /// The extern steps' sockets, of the first of the node's names that has any.
    pub sockets: Vec<Socket>,
    /// Extern steps whose sockets can't be looked at, and why.
    pub unreachable: Vec<(u32, SpoolProblem)>,
    /// Why nothing was found.
    pub problem: Option<SpoolProblem>,
    /// A socket of each job of this node that has other steps here; the first ones.
    other_steps: Vec<(u32, PathBuf)>,
    /// A socket of each other node that has some here; the first ones.
    other_nodes: Vec<(String, PathBuf)>,
}

/// What is seen where a user has no job: it may be why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// These jobs have steps here, but no extern step.
    NoExternStep(Vec<u32>),
    /// The sockets that are here are those of other nodes.
    OtherNodes(Vec<String>),
    /// No NodeName line has the node, or the host.
    NotNamed {
        /// Its name.
        name: String,
        /// Whether that is the host's name, not a node's that was given.
        is_host: bool,
    },
    /// slurmd was started with `-N` and another name.
    SlurmdIs(String),
    /// No slurmd was found.
    NoSlurmd,
    /// Something could not be looked at.
    Unseen(String),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoExternStep(jobs) => {
                let (jobs, have) = match &jobs[..] {
                    [job] => (format!("job {job}"), "has"),
                    _ => (format!("jobs {}", list(jobs)), "have"),
                };
                write!(
                    f,
                    "{jobs} {have} no extern step (started without PrologFlags=contain)"
                )
            }
            Self::OtherNodes(names) => {
                let nodes = if names.len() == 1 { "node" } else { "nodes" };
                let names: Vec<_> = names.iter().map(|name| shown(name)).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "the spool directory has sockets of {nodes} {names} alone; see nodename="
                )
            }
            Self::NotNamed { name, is_host } => {
                let kind = if *is_host { "host" } else { "node" };
                write!(f, "{kind} {} is in no NodeName line", shown(name))
            }
            Self::SlurmdIs(name) => write!(f, "slurmd runs as node {}", shown(name)),
            Self::NoSlurmd => f.write_str("no slurmd runs here"),
            Self::Unseen(what) => f.write_str(what),
        }
    }
}

fn list(jobs: &[u32]) -> String {
    let jobs: Vec<_> = jobs.iter().map(u32::to_string).collect();
    jobs.join(", ")
}

/// The node's names and where its stepds listen, for the log.
#[must_use]
pub fn place(node: &Node) -> String {
    let mut dirs: Vec<_> = node.spool_dirs.iter().collect();
    dirs.dedup();
    let dirs: Vec<_> = dirs
        .iter()
        .map(|dir| shown(&dir.to_string_lossy()))
        .collect();
    let names: Vec<_> = node.names.iter().map(|name| shown(name)).collect();
    let (names, dirs) = (names.join(" or "), dirs.join(" or "));
    format!("node {names}, spool directory {dirs}")
}

/// The extern sockets of the first of the node's names that has any.
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

/// Whether a slurmstepd of an extern step of the node's listens.
#[must_use]
pub fn has_stepds(node: &Node) -> bool {
    let found = find_sockets(node, Log::silent());
    found.sockets.iter().any(|socket| listens(&socket.path))
}

/// Whether somebody listens at a socket, as far as can be known.
fn listens(path: &Path) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match sys::connect_unix(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ConnectionRefused | NotFound),
    }
}

/// What may be why a user has no job here.
#[inline(never)]
#[must_use]
pub fn remarks(node: &Node, found: &Found) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let steps = found.other_steps.iter().filter(|(job, path)| {
        let has_extern = found.sockets.iter().any(|it| it.job.job == *job)
            || found.unreachable.iter().any(|(it, _)| it == job);
        !has_extern && listens(path)
    });
    let jobs: Vec<_> = steps.map(|(job, _)| *job).take(TOLD).collect();
    let has_steps = !jobs.is_empty();
    if has_steps {
        remarks.push(Remark::NoExternStep(jobs));
    }
    if has_steps || !found.sockets.is_empty() || !found.unreachable.is_empty() {
        remarks.extend(node.unseen.clone().map(Remark::Unseen));
        return remarks;
    }
    let others = found.other_nodes.iter();
    let others = others.filter(|(name, path)| !node.names.contains(name) && listens(path));
    let names: Vec<_> = others.map(|(name, _)| name.clone()).collect();
    if !names.is_empty() {
        remarks.push(Remark::OtherNodes(names));
    }
    let (slurmds, unseen) = slurmd::all();
    let given: Vec<_> = slurmds
        .iter()
        .filter_map(|it| it.node_name.clone())
        .collect();
    let name = node.names.first();
    // A dynamic node is in no line.
    if let Some(name) = name.filter(|name| !node.is_named && !given.contains(name)) {
        remarks.push(Remark::NotNamed {
            name: name.clone(),
            is_host: sys::hostname().is_ok_and(|host| host == *name),
        });
    }
    let mut others = given.into_iter().filter(|it| !node.names.contains(it));
    remarks.extend(others.next().map(Remark::SlurmdIs));
    match unseen {
        Some(unseen) => remarks.push(Remark::Unseen(unseen)),
        None if slurmds.is_empty() => remarks.push(Remark::NoSlurmd),
        None => {}
    }
    remarks
}

/// Files that are called like an extern step's socket and are none.
#[derive(Default)]
struct Junk {
    count: usize,
    first: Option<String>,
}

#[inline(never)]
fn sockets_in(
    dir: &Path,
    node: &str,
    trusted: &Trusted,
    found: &mut Found,
    log: Log<'_>,
) -> Result<(), SpoolProblem> {
    let safe = safe_directory(dir, &|uid| trusted.owns(uid));
    let dir = safe.inspect_err(|problem| trusted.warn_of(problem, log))?;
    let failed = |cause| system("read", &dir)(cause);
    let mut listing = Listing::open(&dir).map_err(failed)?;
    let mut junk = Junk::default();
    while let Some(name) = listing.next().map_err(failed)? {
        let Some(step) = socket_name::step_socket(name.to_bytes()) else {
            continue;
        };
        let path = || dir.join(OsStr::from_bytes(name.to_bytes()));
        if step.node != node.as_bytes() {
            found.add_other_node(step.node, path);
            continue;
        }
        if !step.is_extern {
            found.add_other_step(step.job, path);
            continue;
        }
        let (job, path, name) = (step.job, path(), name.to_owned());
        // Not following links: a link is no socket.
        let file = match listing.status(&name) {
            Ok(file) => file,
            // The step has just ended.
            Err(error) if access::is_absent(&error) => continue,
            Err(error) => {
                let problem = system("stat", &path)(error);
                found.unreachable.push((job, problem));
                continue;
            }
        };
        if !file.is_socket || !trusted.serves(file.uid) {
            junk.add(&path, &file);
            continue;
        }
        found.sockets.push(Socket {
            path,
            job: OwnJob {
                job,
                started: file.changed.0,
            },
            identity: Identity::new(name.to_bytes(), &file),
        });
    }
    junk.told(&dir, log);
    if let Some((_, problem)) = found.unreachable.first() {
        let count = found.unreachable.len();
        log.error(|| format!("{count} slurmstepds can't be reached: {problem}"));
    }
    Ok(())
}

impl Junk {
    fn add(&mut self, path: &Path, file: &FileStatus) {
        self.count += 1;
        if self.first.is_none() {
            let path = shown(&path.to_string_lossy());
            self.first = Some(match file.is_socket {
                true => format!("{path}: not a socket of root (owner uid {})", file.uid),
                false => format!("{path}: not a socket"),
            });
        }
    }

    fn told(&self, dir: &Path, log: Log<'_>) {
        match (self.count, &self.first) {
            (0, _) | (_, None) => {}
            (1, Some(first)) => log.error(|| format!("ignoring {first}")),
            (count, Some(first)) => log.error(|| {
                let dir = shown(&dir.to_string_lossy());
                format!("ignoring {count} files in {dir} named like extern steps, first {first}")
            }),
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

/// The directory with its links resolved, if it and all above it are a trusted owner's and
/// writable by nobody else; a sticky directory above (such as /tmp) does no harm to what is
/// root's in it.
///
/// # Errors
/// [`SpoolProblem`].
pub fn safe_directory(dir: &Path, trusted: &dyn Fn(u32) -> bool) -> Result<PathBuf, SpoolProblem> {
    if !dir.is_absolute() {
        // The host's current directory may be a user's.
        return Err(system("find", dir)(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not an absolute path",
        )));
    }
    // As a rule it is without links: then there is nothing to resolve.
    if is_plain(dir) {
        if let Some(real) = all_safe(dir, trusted)? {
            return Ok(real);
        }
    }
    let real = fs::canonicalize(dir).map_err(system("find", dir))?;
    all_safe(&real, trusted)?.ok_or_else(|| {
        // Somebody has put a link there meanwhile.
        system("find", dir)(io::ErrorKind::NotADirectory.into())
    })
}

/// Whether an absolute path has nothing but names: a slash or a dot at its end would have the system follow
/// a link that is there, and `..` leads back behind one.
fn is_plain(path: &Path) -> bool {
    let names = path.as_os_str().as_bytes().strip_prefix(b"/");
    let is_name = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    names.is_some_and(|names| names.split(|byte| *byte == b'/').all(is_name))
}

/// The path and all above it, as [`Path::ancestors`] has them, of an absolute one without empty parts.
fn upwards(path: &Path) -> impl Iterator<Item = &Path> {
    let bytes = path.as_os_str().as_bytes();
    let above = |end: &usize| match end {
        0 | 1 => None,
        end => bytes[..*end].iter().rposition(|byte| *byte == b'/'),
    };
    let ends = std::iter::successors(Some(bytes.len()), above);
    ends.map(|end| Path::new(OsStr::from_bytes(&bytes[..end.max(1)])))
}

fn system<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> SpoolProblem + 'a {
    move |cause| SpoolProblem::System {
        operation,
        path: path.to_owned(),
        cause: access::named(cause),
    }
}

/// The directory, of whose absolute path no part is empty; none if it or one above it is a link.
fn all_safe(dir: &Path, trusted: &dyn Fn(u32) -> bool) -> Result<Option<PathBuf>, SpoolProblem> {
    if !dir.is_absolute() {
        // The way up would end before the root.
        return Err(system("find", dir)(io::ErrorKind::InvalidInput.into()));
    }
    let mut unsafe_one = None;
    for (steps, path) in upwards(dir).enumerate() {
        let found = fs::symlink_metadata(path).map_err(system("find", path))?;
        if found.is_symlink() {
            return Ok(None);
        }
        if steps == 0 && !found.is_dir() {
            return Err(system("read", path)(io::ErrorKind::NotADirectory.into()));
        }
        let (uid, mode) = (found.uid(), found.mode());
        let sticky = steps != 0 && mode & 0o1000 != 0;
        let group_writes = mode & 0o020 != 0 && found.gid() != 0;
        let others_write = mode & 0o002 != 0 || group_writes;
        if !trusted(uid) || (others_write && !sticky) {
            unsafe_one.get_or_insert_with(|| SpoolProblem::Untrusted {
                path: path.to_owned(),
                uid,
                mode,
                is_owner_trusted: trusted(uid),
                is_writable: others_write && !sticky,
            });
        }
    }
    match unsafe_one {
        Some(problem) => Err(problem),
        None => Ok(Some(dir.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_names_make_a_plain_path() {
        for path in ["/a", "/a/b.c/..d", "/..a/. /..."] {
            let path = Path::new(path);
            assert!(is_plain(path), "{}", path.display());
            assert!(upwards(path).eq(path.ancestors()), "{}", path.display());
        }
        assert!(upwards(Path::new("/")).eq([Path::new("/")]));
        for path in [
            "", "/", "a/b", "//a", "/a/", "/a//b", "/./a", "/a/.", "/../a", "/a/..", "/a/../b",
        ] {
            assert!(!is_plain(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn what_a_link_leads_to_is_looked_at_and_the_way_there() {
        let scratch = std::env::temp_dir().join(format!("spool-{}-links", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        for dir in ["a/spool", "b/spool", "links"] {
            fs::create_dir_all(scratch.join(dir)).expect("make it");
        }
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(scratch.join("b"), open).expect("let all write there");
        let links = scratch.join("links");
        for (name, target) in [
            ("a", "../a"),
            ("b", "../b"),
            ("spool", "../a/spool"),
            ("open", "../b/spool"),
        ] {
            symlink(target, links.join(name)).expect("link");
        }
        let me = sys::effective_uid();
        let look = |path: &Path| safe_directory(path, &|uid| uid == 0 || uid == me);
        let safe = |path: PathBuf| look(&path).expect("it is safe");
        let real = scratch.join("a/spool");
        for path in [
            "a/spool",
            "a/spool/",
            "links/a/spool",
            "links/spool",
            "links/spool/",
            "links/spool/.",
            "b/../a//spool/.",
        ] {
            assert_eq!(safe(scratch.join(path)), real, "{path}");
        }
        for path in [
            "b/spool",
            "links/b/spool",
            "links/b/spool/",
            "links/open",
            "links/open/",
            "links/open/.",
            "a/../b/spool",
        ] {
            match look(&scratch.join(path)) {
                Err(SpoolProblem::Untrusted { path: at, .. }) => assert_eq!(at, scratch.join("b")),
                other => panic!("{path}: {other:?}"),
            }
        }
        symlink("nowhere", links.join("dead")).expect("link");
        fs::write(scratch.join("a/file"), "").expect("write");
        for path in [
            "links/dead",
            "links/dead/",
            "a/none/",
            "a/file",
            "a/file/",
            "a/file/.",
        ] {
            let gone = look(&scratch.join(path)).expect_err(path);
            assert!(gone.means_no_slurm(), "{gone}");
        }
        let strange = scratch.join(OsStr::from_bytes(b"a/\xff"));
        fs::create_dir(&strange).expect("make it");
        assert_eq!(safe(strange.join(".")), strange);
        assert_eq!(safe(strange.clone()), strange);
        assert_eq!(safe("/".into()), Path::new("/"));
        assert!(look(Path::new("spool")).is_err(), "a relative path");
        let cut = all_safe(Path::new("src"), &|_| true);
        assert!(cut.is_err(), "what is above was not looked at: {cut:?}");
        fs::remove_dir_all(&scratch).expect("clean up");
    }
}
