//! Which node this is and where its stepds listen: slurm.conf found and read as slurmd does.
//!
//! Order of places and of names: docs/protocol.md. The environment counts for sshd alone, and not
//! where the process got privileges from its file: with any other service it is the user's.

pub(crate) mod cache;
pub(crate) mod slurmd;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::conf::{self, Conf, ConfError, Included, Query};
use sys::Deadline;

use crate::access;
use crate::log::Log;
use crate::node::cache::{Key, NodeCache, Sources};
use crate::node::slurmd::{ConfHint, Slurmd, Told};
use crate::options::Options;
use crate::state_dir::StateDir;
use crate::text::said;
use crate::text::shown;
use crate::trust::{Trusted, uid_of};

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
    /// Whether a NodeName line has it.
    pub is_named: bool,
    /// The node that slurm.conf has for this host's name, whatever name slurmd was given.
    pub of_host: Option<String>,
    /// What could not be looked at on the way.
    pub unseen: Option<String>,
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
            Self::Broken(error) => write!(f, "parse slurm.conf: {error}"),
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
        if service != "sshd" || sys::is_set_user_id() {
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
/// To look at each process for a slurmd: 7 ms for a thousand of them, and 30 ms on a busy host.
const LONGEST_SCAN: Duration = Duration::from_secs(1);
/// The largest file that is read as a part of slurm.conf, in bytes.
const MAX_CONF: u64 = 256 << 20;

impl Node {
    /// Finds and reads slurm.conf and names the node, or takes both from the cache while the files are the
    /// same. `has_stepds` says whether a node that a slurm.conf describes has running steps.
    ///
    /// # Errors
    /// [`NodeError`]: action_generic_failure applies.
    pub fn find(
        options: &Options,
        environment: &Environment,
        state_dir: &StateDir,
        has_stepds: &dyn Fn(&Self) -> bool,
        log: Log<'_>,
    ) -> Result<Self, NodeError> {
        let mut cache = NodeCache::load(state_dir, log);
        let full = sys::hostname().map_err(NodeError::HostName)?;
        let given = options.node_name.as_deref();
        let given = given.or(environment.node_name.as_deref());
        let conf = options.slurm_conf.as_ref().map(PathBuf::from);
        let conf = conf.or_else(|| environment.slurm_conf.clone());
        let (mut slurmds, mut unseen) = match (&conf, given) {
            (Some(_), Some(_)) => (Vec::new(), None),
            _ => running_slurmds(options.timeout, log),
        };
        let mut find = |slurmds: &[Told]| {
            Self::of_slurmds(
                slurmds,
                (&full, given),
                conf.as_ref(),
                &mut cache,
                state_dir,
                has_stepds,
                log,
            )
        };
        let mut node = find(&slurmds)?;
        if given.is_none() && node.may_be_one_of_several(&slurmds) {
            let others = scan(options.timeout, &mut unseen, log);
            let is_new = |it: &Told| !slurmds.contains(it);
            let others: Vec<_> = others.into_iter().filter(is_new).collect();
            if !others.is_empty() {
                slurmds.extend(others);
                node = find(&slurmds)?;
            }
        }
        node.trusted = trusted(&node.conf, log);
        node.unseen = unseen;
        log.debug(|| {
            let (path, names) = (node.path.display(), node.names.join(" or "));
            format!("{path}: node name {names}")
        });
        Ok(node)
    }

    /// Finds the node by what these slurmds say.
    fn of_slurmds(
        slurmds: &[Told],
        (full, given): (&str, Option<&str>),
        conf: Option<&PathBuf>,
        cache: &mut NodeCache,
        state_dir: &StateDir,
        has_stepds: &dyn Fn(&Self) -> bool,
        log: Log<'_>,
    ) -> Result<Self, NodeError> {
        let path = match conf {
            Some(path) => path.clone(),
            None => find_conf(slurmds, (full, given), cache, has_stepds, log)?,
        };
        let told = || name_of(slurmds, conf.is_some().then_some(&path), log);
        let node = given.or_else(told);
        let key = Key {
            path: &path,
            host: full,
            node,
        };
        if let Some(node) = cache.take_node(key) {
            log.debug(|| format!("{}: cached by an earlier login", path.display()));
            return Ok(node);
        }
        let mut sources = Sources::new();
        let mut node = Self::read(key, &mut sources, log)?;
        cache.keep_node(key, sources, &mut node, state_dir, log);
        Ok(node)
    }

    /// Whether a second slurmd may run here as another node: slurm.conf has another one for this host's name
    /// than the one slurmd that left a trace was given (`-N`).
    fn may_be_one_of_several(&self, slurmds: &[Told]) -> bool {
        let [told] = slurmds else { return false };
        let given = told.node_name.as_ref();
        given.is_some_and(|given| self.of_host.as_ref().is_some_and(|it| it != given))
    }

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
        let (names, is_named) = match given {
            Some(name) => {
                let name = (name.to_owned(), conf.host.clone());
                (vec![name], conf.host.is_some())
            }
            None => names_of_host(path, &conf, (full, short), sources, log)?,
        };
        if let Some(error) = &conf.passed_over {
            sources.give_up();
            log.error(|| format!("ignoring a line of slurm.conf: {error}"));
        }
        let of_host = conf.nodes.iter().take(2).flatten().next().cloned();
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
            is_named,
            of_host,
            unseen: None,
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
fn trusted(conf: &Conf, log: Log<'_>) -> Trusted {
    let slurmd_uid = conf
        .slurmd_user
        .as_deref()
        .and_then(|user| match uid_of(user) {
            Ok(uid) => Some(uid),
            Err(error) => {
                log.error(|| format!("SlurmdUser \"{}\": {error}; not trusted", shown(user)));
                None
            }
        });
    Trusted {
        slurmd_uid,
        slurm_user: conf.slurm_user.clone(),
    }
}

/// Names that a node may have, each with its NodeHostname, and whether slurm.conf has them.
type Names = (Vec<(String, Option<String>)>, bool);

/// NodeName with its NodeHostname, in the order of `stepd_api.c:_guess_nodename`, and whether slurm.conf has it.
fn names_of_host(
    path: &Path,
    conf: &Conf,
    (full, short): (&str, &str),
    sources: &mut Sources,
    log: Log<'_>,
) -> Result<Names, NodeError> {
    let known = |index: usize, host: &str| {
        let name = conf.nodes[index].as_ref()?;
        Some((vec![(name.clone(), Some(host.to_owned()))], true))
    };
    if let Some(names) = known(0, short).or_else(|| known(1, full)) {
        return Ok(names);
    }
    let aliases = aliases(full, short, sources, log);
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
            .filter_map(|(name, host)| Some((vec![(name?, Some((*host).to_owned()))], true)))
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
    Ok((names, false))
}

/// What /etc/hosts calls this host. Slurm asks the resolver, whose DNS queries nothing can bound.
fn aliases(full: &str, short: &str, sources: &mut Sources, log: Log<'_>) -> Vec<String> {
    const MAX_HOSTS: u64 = 16 << 20;
    let path = Path::new("/etc/hosts");
    let (status, bytes) = match sys::read_identified(path, MAX_HOSTS) {
        Ok(read) => read,
        Err(error) => {
            sources.give_up();
            if !access::is_absent(&error) {
                let error = access::named(error);
                log.error(|| format!("read {}: {error}", path.display()));
            }
            return Vec::new();
        }
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

/// slurm.conf where nobody names one: that of the running slurmds, or what is in the usual places.
fn find_conf(
    slurmds: &[Told],
    (host, node): (&str, Option<&str>),
    cache: &mut NodeCache,
    has_stepds: &dyn Fn(&Node) -> bool,
    log: Log<'_>,
) -> Result<PathBuf, NodeError> {
    let run = Path::new(RUN_DIR).join("slurm.conf");
    let etc = || ETC_DIRS.iter().map(|dir| Path::new(dir).join("slurm.conf"));
    let mut exists = |path: &PathBuf| cache.knows(path) || may_exist(path);
    let hint = conf_of(slurmds);
    log.debug(|| match hint {
        Some(ConfHint::File(path)) => format!("the running slurmd reads {}", path.display()),
        Some(_) => "a slurmd runs".to_owned(),
        None => "no running slurmd found".to_owned(),
    });
    let found = match hint {
        Some(ConfHint::File(path)) if exists(path) => Some(path.clone()),
        // The slurmd is in a world of its own, or its file was moved: look where others do.
        Some(ConfHint::File(path)) => {
            log.error(|| format!("slurmd's slurm.conf {}: not there", path.display()));
            etc().chain([run]).find(exists)
        }
        Some(ConfHint::Configless) => [run].into_iter().chain(etc()).find(exists),
        // A slurmd without -f looks at its compiled-in place first, then at the cache.
        Some(ConfHint::Default { prefix }) => in_prefix(prefix.as_deref())
            .into_iter()
            .chain(etc())
            .chain([run])
            .find(exists),
        None => {
            let found: Vec<_> = [run].into_iter().chain(etc()).filter(exists).collect();
            with_stepds(&found, (host, node), has_stepds, log).or_else(|| found.into_iter().next())
        }
    };
    found.ok_or(NodeError::NotFound)
}

fn in_prefix(prefix: Option<&Path>) -> Option<PathBuf> {
    Some(prefix?.join("etc/slurm.conf"))
}

/// Whether there is such a file, as far as can be known: one that can't be looked at is read, and that tells why
/// it can't.
fn may_exist(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !access::is_absent(&error),
    }
}

/// Of several slurm.confs, none of which a running slurmd vouches for, the first whose spool directory has a
/// slurmstepd that listens: jobs run on without slurmd, and a cache may be an old one.
fn with_stepds(
    paths: &[PathBuf],
    (host, node): (&str, Option<&str>),
    has_stepds: &dyn Fn(&Node) -> bool,
    log: Log<'_>,
) -> Option<PathBuf> {
    let [_, _, ..] = paths else { return None };
    let is_used = |path: &&PathBuf| {
        let key = Key { path, host, node };
        match Node::read(key, &mut Sources::new(), log) {
            Ok(mut node) => {
                node.trusted = trusted(&node.conf, log);
                has_stepds(&node)
            }
            Err(error) => {
                log.debug(|| error.to_string());
                false
            }
        }
    };
    let found = paths.iter().find(is_used)?;
    log.debug(|| {
        format!(
            "{}: slurmstepds listen in its spool directory",
            found.display()
        )
    });
    Some(found.clone())
}

/// What the running slurmd says, by its pid file or service, else what all say that are found among the
/// processes; and what could not be looked at.
fn running_slurmds(timeout: Duration, log: Log<'_>) -> (Vec<Told>, Option<String>) {
    let mut unseen = Default::default();
    let running = Slurmd::running(&mut unseen);
    let mut unseen = unseen.first();
    if let Some(unseen) = &unseen {
        log.error(|| format!("find the running slurmd: {unseen}"));
    }
    match running {
        Some(slurmd) => (vec![slurmd.told()], unseen),
        None => {
            let found = scan(timeout, &mut unseen, log);
            (found, unseen)
        }
    }
}

/// What all slurmds say that are found among the processes.
fn scan(timeout: Duration, unseen: &mut Option<String>, log: Log<'_>) -> Vec<Told> {
    let mut unseen_here = Default::default();
    let deadline = Deadline::after(timeout.min(LONGEST_SCAN));
    let found = Slurmd::scan(&deadline, &mut unseen_here);
    if deadline.has_passed() {
        log.error(|| {
            "find the running slurmd: too many processes to look at each in time".to_owned()
        });
    }
    *unseen = unseen.take().or_else(|| unseen_here.first());
    found
}

/// Where the slurmds take their slurm.conf from. Of several that differ: the usual place, where SchedMD's module
/// looks too.
fn conf_of(slurmds: &[Told]) -> Option<&ConfHint> {
    let is_usual = |told: &&Told| matches!(told.conf, ConfHint::Default { .. });
    let (first, others) = slurmds.split_first()?;
    match others.iter().all(|other| other.conf == first.conf) {
        true => Some(&first.conf),
        false => Some(&slurmds.iter().find(is_usual).unwrap_or(first).conf),
    }
}

/// The node's name that slurmd was started with, `-N`; only where all slurmds of that slurm.conf say the same.
/// With several nodes on one host no slurmd speaks for all. `given` is a slurm.conf that others than slurmd name.
fn name_of<'a>(slurmds: &'a [Told], given: Option<&PathBuf>, log: Log<'_>) -> Option<&'a str> {
    let chosen = conf_of(slurmds)?;
    let is_about = |told: &&Told| match given {
        Some(path) => reads(&told.conf, path),
        None => told.conf == *chosen,
    };
    let mut names = slurmds.iter().filter(is_about).map(|told| &told.node_name);
    let first = names.next()?;
    if names.any(|name| name != first) {
        log.debug(|| "several slurmds run here, as different nodes".to_owned());
        return None;
    }
    first.as_deref()
}

/// Whether a slurmd reads that slurm.conf.
fn reads(conf: &ConfHint, path: &Path) -> bool {
    let run = || Path::new(RUN_DIR).join("slurm.conf");
    let etc = ETC_DIRS.iter().map(|dir| Path::new(dir).join("slurm.conf"));
    match conf {
        ConfHint::File(file) => is_same(file, path),
        ConfHint::Configless => is_same(&run(), path),
        ConfHint::Default { prefix } => in_prefix(prefix.as_deref())
            .into_iter()
            .chain(etc)
            .chain([run()])
            .any(|file| is_same(&file, path)),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| sys::identify(path).map(|it| (it.device, it.inode));
    match (file(one), file(other)) {
        (Ok(one), Ok(other)) => one == other,
        // By its name: an error is for who reads it.
        _ => one == other,
    }
}

fn read(path: &Path, query: Query<'_>, sources: &mut Sources) -> Result<Conf, NodeError> {
    let read = sys::read_identified(path, MAX_CONF);
    let (status, bytes) = read.map_err(|cause| NodeError::Unreadable {
        path: path.to_owned(),
        cause: access::named(cause),
    })?;
    sources.add(path, status);
    let mut include = |name: &str, from: &str| included(path, name, Path::new(from), sources);
    conf::parse(&path.to_string_lossy(), &bytes, query, &mut include).map_err(NodeError::Broken)
}

/// An Include's file: from 23.02 on it is beside slurm.conf, up to 22.05 beside the including file. `from` is
/// that, where it was found: a path that is not absolute never gets through [`sys::read_identified`].
fn included(
    main: &Path,
    name: &str,
    from: &Path,
    sources: &mut Sources,
) -> Result<Included, String> {
    let beside = |file: &Path| file.parent().unwrap_or(Path::new("/")).join(name);
    let (beside_main, beside_from) = (beside(main), beside(from));
    let mut path = &beside_main;
    let mut read = sys::read_identified(path, MAX_CONF);
    if let Err(error) = &read {
        if access::is_absent(error) && beside_from != beside_main {
            // That there is no file at the first place can't be told by a file.
            sources.give_up();
            path = &beside_from;
            read = sys::read_identified(path, MAX_CONF);
        }
    }
    let failed = |error| said(format_args!("{}: {}", path.display(), access::named(error)));
    let (status, bytes) = read.map_err(failed)?;
    sources.add(path, status);
    let file = path.to_string_lossy().into_owned();
    Ok(Included { file, bytes })
}

/// `read_config.c:slurm_conf_expand_slurmd_path`: the first of each, `%h` before `%n`; a `%h`
/// that slurm.conf can't fill goes away.
pub(crate) fn expand(template: &str, node: &str, host: Option<&str>) -> PathBuf {
    let with_host = template.replacen("%h", host.unwrap_or_default(), 1);
    with_host.replacen("%n", node, 1).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_slurmd_may_run_where_slurm_conf_has_another_node() {
        let slurmd = |name: Option<&str>| Told {
            conf: ConfHint::Configless,
            node_name: name.map(str::to_owned),
        };
        for (of_host, slurmds, may_be) in [
            (Some("b"), &[slurmd(Some("c"))][..], true),
            (Some("c"), &[slurmd(Some("c"))], false),
            // A node in a cloud: no line has its host.
            (None, &[slurmd(Some("c"))], false),
            (Some("b"), &[slurmd(None)], false),
            (Some("b"), &[slurmd(Some("b")), slurmd(Some("c"))], false),
            (Some("b"), &[], false),
        ] {
            let node = Node {
                of_host: of_host.map(str::to_owned),
                ..Node::default()
            };
            let found = node.may_be_one_of_several(slurmds);
            assert_eq!(found, may_be, "{of_host:?} {slurmds:?}");
        }
    }

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
        // Cargo sets neither variable; PATH stands for "there is an environment".
        assert!(std::env::var_os("PATH").is_some());
        for service in ["su", "login", "sshd2", ""] {
            let environment = Environment::of_service(service);
            assert!(environment.slurm_conf.is_none() && environment.node_name.is_none());
        }
    }
}
