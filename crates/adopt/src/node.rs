//! Which node this is and where its stepds listen: slurm.conf found and read as slurmd does.
//!
//! Order of places and of names: docs/protocol.md. The environment counts for sshd alone, and not
//! where the process got privileges from its file: with any other service it is the user's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use proto::conf::{self, Conf, ConfError, Query};
use sys::UserLookupError;

use crate::log::{Log, said};
use crate::memo::{Key, Memo, Sources};
use crate::options::{Options, shown};
use crate::run_dir::RunDir;
use crate::slurmd::{ConfHint, Slurmd, Trace};
use crate::spool::Trusted;

/// This node, as its slurm.conf describes it.
#[derive(Debug, Default)]
pub struct Node {
    /// The slurm.conf that was read.
    pub path: PathBuf,
    /// What is in it.
    pub conf: Conf,
    /// NodeName; for a host that slurm.conf does not know the host's name, in full and then short.
    pub names: Vec<String>,
    /// SlurmdSpoolDir for each of the names, `%h` and `%n` filled in.
    pub spool_dirs: Vec<PathBuf>,
    /// Whose files and processes are trusted besides root's.
    pub trusted: Trusted,
}

/// Why it can't be known which node this is.
#[derive(Debug)]
pub enum NodeError {
    /// No slurm.conf in any of the places.
    NotFound,
    /// slurm.conf can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// slurm.conf can't be understood.
    Broken(ConfError),
    /// The host has no usable name.
    HostName(io::Error),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(
                f,
                "no slurm.conf: none of slurm_conf=, a running slurmd, {RUN_DIR}, {}",
                ETC_DIRS.join(", ")
            ),
            Self::Unreadable { path, cause } => {
                write!(
                    f,
                    "read slurm.conf {}: {cause}",
                    shown(&path.to_string_lossy())
                )
            }
            Self::Broken(error) => write!(f, "understand slurm.conf: {error}"),
            Self::HostName(cause) => write!(f, "gethostname: {cause}"),
        }
    }
}

/// The two variables that count, and only where the environment is sshd's own.
#[derive(Debug, Default)]
pub struct Environment {
    slurm_conf: Option<PathBuf>,
    node_name: Option<String>,
}

impl Environment {
    /// Reads them if `service` is sshd and the process is not privileged by its file.
    #[must_use]
    pub fn of_service(service: &str) -> Self {
        if service != "sshd" || sys::is_secure_execution() {
            return Self::default();
        }
        let text = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            slurm_conf: text("SLURM_CONF").map(PathBuf::from),
            node_name: text("SLURMD_NODENAME").and_then(|name| name.into_string().ok()),
        }
    }
}

/// Where a configless slurmd and sackd keep their copy.
const RUN_DIR: &str = "/run/slurm/conf";
/// Compiled-in places of the usual builds: packages, Debian up to 10, /opt, `./configure`.
const ETC_DIRS: [&str; 4] = [
    "/etc/slurm",
    "/etc/slurm-llnl",
    "/opt/slurm/etc",
    "/usr/local/etc",
];
/// Where Slurm looks for SlurmdSpoolDir if slurm.conf does not say, `read_config.h`.
const DEFAULT_SPOOL_DIR: &str = "/var/spool/slurmd";
/// The largest file that is read as a part of slurm.conf, in bytes.
const MAX_CONF: u64 = 256 << 20;

impl Node {
    /// Finds and reads slurm.conf, names the node; or remembers what the login before found, as
    /// long as that rests on the same files.
    ///
    /// # Errors
    /// [`NodeError`]: action_generic_failure applies.
    #[inline(never)]
    pub fn find(
        options: &Options,
        environment: &Environment,
        run_dir: &RunDir,
        log: Log<'_>,
    ) -> Result<Self, NodeError> {
        let mut memo = Memo::load(run_dir, log);
        let path = find_conf(options, environment, &mut memo, log)?;
        let full = sys::hostname().map_err(NodeError::HostName)?;
        let given = options.node_name.as_deref();
        let key = Key {
            path: &path,
            host: &full,
            node: given.or(environment.node_name.as_deref()),
        };
        let mut node = match memo.take_node(key, run_dir, log) {
            Some(node) => {
                log.debug(|| format!("{}: as it was at an earlier login", path.display()));
                node
            }
            None => {
                let mut sources = Sources::new();
                let mut node = Self::read(key, &mut sources, log)?;
                memo.keep_node(key, sources, &mut node, run_dir, log);
                node
            }
        };
        node.trusted = trusted(&node.conf, log);
        log.debug(|| format!("{}: node name {}", path.display(), node.names.join(" or ")));
        Ok(node)
    }

    #[inline(never)]
    fn read(key: Key<'_>, sources: &mut Sources, log: Log<'_>) -> Result<Self, NodeError> {
        let Key {
            path,
            host: full,
            node: given,
        } = key;
        let short = full.split('.').next().unwrap_or_default();
        let query = Query {
            hosts: &[short, full, "localhost"],
            node: given,
            ports: false,
        };
        let conf = read(path, query, sources)?;
        let names = match given {
            Some(name) => vec![(name.to_owned(), conf.host.clone())],
            None => names_of_host(path, &conf, full, short, sources)?,
        };
        if let Some(error) = &conf.passed_over {
            sources.give_up();
            log.error(|| format!("passed over a line of slurm.conf: {error}"));
        }
        let template = conf.spool_dir.as_deref().unwrap_or(DEFAULT_SPOOL_DIR);
        let spool_dirs = names
            .iter()
            .map(|(name, host)| expand(template, name, host.as_deref()))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            names: names.into_iter().map(|(name, _)| name).collect(),
            conf,
            spool_dirs,
            trusted: Trusted::default(),
        })
    }

    /// The ports on which the slurmds of a host may listen. Reads the file again: few logins want it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn slurmd_ports(&self) -> Result<Vec<u16>, NodeError> {
        let query = Query {
            ports: true,
            ..Query::default()
        };
        Ok(read(&self.path, query, &mut Sources::new())?.ports())
    }
}

/// Whom a node trusts besides root.
#[inline(never)]
fn trusted(conf: &Conf, log: Log<'_>) -> Trusted {
    let slurmd_uid = conf
        .slurmd_user
        .as_deref()
        .and_then(|user| match uid_of(user) {
            Ok(uid) => Some(uid),
            Err(error) => {
                log.error(|| format!("SlurmdUser «{}»: {error}; not trusted", shown(user)));
                None
            }
        });
    Trusted {
        slurmd_uid,
        slurm_user: conf.slurm_user.clone(),
    }
}

/// NodeName with its NodeHostname, in the order of `stepd_api.c:_guess_nodename`.
#[inline(never)]
fn names_of_host(
    path: &Path,
    conf: &Conf,
    full: &str,
    short: &str,
    sources: &mut Sources,
) -> Result<Vec<(String, Option<String>)>, NodeError> {
    let known = |index: usize, host: &str| {
        conf.nodes[index]
            .as_ref()
            .map(|name| vec![(name.clone(), Some(host.to_owned()))])
    };
    if let Some(names) = known(0, short).or_else(|| known(1, full)) {
        return Ok(names);
    }
    let aliases = aliases(full, short, sources);
    let hosts: Vec<&str> = aliases.iter().map(String::as_str).collect();
    if !hosts.is_empty() {
        let conf = read(
            path,
            Query {
                hosts: &hosts,
                ..Query::default()
            },
            sources,
        )?;
        let found = conf.nodes.into_iter().zip(&hosts);
        if let Some(names) = found
            .filter_map(|(name, host)| name.map(|name| vec![(name, Some((*host).to_owned()))]))
            .next()
        {
            return Ok(names);
        }
    }
    if let Some(names) = known(2, "localhost") {
        return Ok(names);
    }
    // A dynamic node is named by its host: in full from 25.11.2 on, short before.
    let mut names = vec![(full.to_owned(), None)];
    if short != full {
        names.push((short.to_owned(), None));
    }
    Ok(names)
}

/// What /etc/hosts calls this host. Slurm asks the resolver, whose DNS queries nothing can bound.
#[inline(never)]
fn aliases(full: &str, short: &str, sources: &mut Sources) -> Vec<String> {
    const MAX_HOSTS: u64 = 16 << 20;
    let path = Path::new("/etc/hosts");
    let Ok((status, bytes)) = sys::read_identified(path, MAX_HOSTS) else {
        sources.give_up();
        return Vec::new();
    };
    sources.add(path, status);
    aliases_in(&String::from_utf8_lossy(&bytes), full, short)
}

/// The same, from the text of /etc/hosts: hosts(5).
pub(crate) fn aliases_in(text: &str, full: &str, short: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let mut found: Vec<String> = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(address) = words.next() else {
            continue;
        };
        let names: Vec<_> = words.collect();
        if names.contains(&full) || names.contains(&short) {
            let new = names.into_iter().chain([address]);
            found.extend(
                new.filter(|name| *name != full && *name != short)
                    .map(str::to_owned),
            );
        }
    }
    found
}

#[inline(never)]
fn find_conf(
    options: &Options,
    environment: &Environment,
    memo: &mut Memo,
    log: Log<'_>,
) -> Result<PathBuf, NodeError> {
    if let Some(path) = &options.slurm_conf {
        return Ok(PathBuf::from(path));
    }
    if let Some(path) = &environment.slurm_conf {
        return Ok(path.clone());
    }
    let run = Path::new(RUN_DIR).join("slurm.conf");
    let etc = || ETC_DIRS.iter().map(|dir| Path::new(dir).join("slurm.conf"));
    let hint = running_slurmd(memo);
    let mut exists = |path: &PathBuf| memo.knows(path) || path.try_exists().unwrap_or(false);
    log.debug(|| match &hint {
        Some(ConfHint::File(path)) => format!("the running slurmd reads {}", path.display()),
        Some(_) => "a slurmd runs".to_owned(),
        None => "no running slurmd found".to_owned(),
    });
    let found = match hint {
        Some(ConfHint::File(path)) if exists(&path) => Some(path),
        // The slurmd is in a world of its own, or its file was moved: look where others do.
        Some(ConfHint::File(path)) => {
            log.error(|| format!("slurmd's slurm.conf {}: not there", path.display()));
            etc().chain([run]).find(exists)
        }
        Some(ConfHint::Configless) | None => [run].into_iter().chain(etc()).find(exists),
        // A slurmd without -f looks at its compiled-in place first, then at the cache.
        Some(ConfHint::Default { prefix }) => prefix
            .map(|prefix| prefix.join("etc/slurm.conf"))
            .into_iter()
            .chain(etc())
            .chain([run])
            .find(exists),
    };
    let scanned = || match Slurmd::scan()?.conf_hint() {
        ConfHint::File(path) => Some(path),
        _ => None,
    };
    found.or_else(scanned).ok_or(NodeError::NotFound)
}

/// Where the running slurmd takes its slurm.conf from.
#[inline(never)]
fn running_slurmd(memo: &mut Memo) -> Option<ConfHint> {
    let trace = Trace::find();
    if let Some(hint) = trace.as_ref().and_then(|trace| memo.hint(trace)) {
        return Some(hint.clone());
    }
    let (slurmd, found_by) = Slurmd::running()?;
    let hint = slurmd.conf_hint();
    // What another one has left says nothing of this slurmd.
    if let Some(trace) = trace.filter(|trace| trace.first == found_by) {
        memo.keep_hint(&trace, &hint);
    }
    Some(hint)
}

fn read(path: &Path, query: Query<'_>, sources: &mut Sources) -> Result<Conf, NodeError> {
    let read = sys::read_identified(path, MAX_CONF);
    let (status, bytes) = read.map_err(|cause| NodeError::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    sources.add(path, status);
    let main_dir = path.parent().unwrap_or(Path::new("/"));
    let mut include = |name: &str, from: &str| {
        // From 23.02 on beside the main file, before that beside the including one.
        let beside_main = main_dir.join(name);
        let beside_from = Path::new(from).parent().unwrap_or(main_dir).join(name);
        match sys::read_identified(&beside_main, MAX_CONF) {
            Ok((status, bytes)) => {
                sources.add(&beside_main, status);
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && beside_from != beside_main => {
                // That there is no file at the first place can't be told by a file.
                sources.give_up();
                sys::read_regular(&beside_from, MAX_CONF).map_err(said)
            }
            Err(error) => Err(said(error)),
        }
    };
    conf::parse(&path.to_string_lossy(), &bytes, query, &mut include).map_err(NodeError::Broken)
}

/// `read_config.c:slurm_conf_expand_slurmd_path`: the first of each, `%h` before `%n`; a `%h`
/// that slurm.conf can't fill goes away.
pub(crate) fn expand(template: &str, node: &str, host: Option<&str>) -> PathBuf {
    let fill = |text: &str, sign, value| match conf::around_placeholder(text, sign) {
        Some((before, after)) => [before, value, after].concat(),
        None => text.to_owned(),
    };
    fill(&fill(template, b'h', host.unwrap_or_default()), b'n', node).into()
}

/// The uid of a user as slurm.conf names one: by name or number.
pub(crate) fn uid_of(user: &str) -> Result<u32, UserLookupError> {
    match (user, user.parse()) {
        ("root", _) => Ok(0),
        (_, Ok(uid)) => Ok(uid),
        (name, Err(_)) => sys::uid_of_user(name.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spool_directories() {
        for (template, host, path) in [
            ("/var/spool/slurmd", Some("h"), "/var/spool/slurmd"),
            ("/s/%n", Some("h"), "/s/n1"),
            ("/s/%h/%n/%n", Some("h"), "/s/h/n1/%n"),
            ("/s/%h-%n", None, "/s/-n1"),
            ("/s/%%n", None, "/s/%n1"),
        ] {
            assert_eq!(expand(template, "n1", host), Path::new(path), "{template}");
        }
    }

    #[test]
    fn the_environment_is_sshds_alone() {
        // Cargo sets neither variable; PATH stands for «there is an environment».
        assert!(std::env::var_os("PATH").is_some());
        for service in ["su", "login", "sshd2", ""] {
            let environment = Environment::of_service(service);
            assert!(environment.slurm_conf.is_none() && environment.node_name.is_none());
        }
    }
}
