//! Finds this node: its slurm.conf, and the name that slurmd was given.
//!
//! PAM options and sshd's environment come first, then the arguments of the running slurmds, then the
//! usual places.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::conf::Conf;
use sys::Deadline;

use crate::access::{self, Unseen};
use crate::log::Log;
use crate::node::cache::NodeCache;
use crate::node::reading::{NodeKey, Sources};
use crate::node::slurmd::{ConfHint, Slurmd, Slurmds};
use crate::node::{ETC_DIRS, Environment, Node, NodeError, RUN_DIR};
use crate::options::Options;
use crate::state_dir::StateDir;
use crate::text::shown;
use crate::trust::{Trusted, uid_of};

/// Limit for scanning all processes for a slurmd: it takes 7 ms for a thousand, and 30 ms on a busy host.
const LONGEST_SCAN: Duration = Duration::from_secs(1);

/// The input of a search for the node.
pub struct Search<'a> {
    /// `slurm_conf=`, `nodename=` and the time limit.
    pub options: &'a Options,
    /// sshd's environment.
    pub environment: &'a Environment,
    /// The directory where an earlier login may have cached the node.
    pub state_dir: &'a StateDir,
    /// Whether a node described by a slurm.conf has running steps.
    pub has_stepds: &'a dyn Fn(&Node) -> bool,
    /// The log.
    pub log: Log<'a>,
}

impl Search<'_> {
    /// Finds and reads slurm.conf and names the node, or takes both from the cache while the files are
    /// unchanged.
    ///
    /// # Errors
    /// [`NodeError`]; action_generic_failure applies.
    pub fn run(&self) -> Result<Node, NodeError> {
        let mut cache = NodeCache::load(self.state_dir, self.log);
        let host = sys::hostname().map_err(NodeError::HostName)?;
        let mut slurmds = match (self.conf(), self.node_name()) {
            (Some(_), Some(_)) => None,
            _ => Some(running_slurmds(self.options.timeout, self.log)),
        };
        let found = slurmds.as_ref().map_or(&[][..], |it| &it.found);
        let mut node = self.node(&host, found, &mut cache)?;
        if let Some(slurmds) = &mut slurmds {
            if self.node_name().is_none() && may_be_one_of_several(&node, &slurmds.found) {
                let met = slurmds.found.len();
                scan(slurmds, self.options.timeout, self.log);
                if slurmds.found.len() > met {
                    node = self.node(&host, &slurmds.found, &mut cache)?;
                }
            }
        }
        node.trusted = trusted(&node.conf, self.log);
        node.slurmds = slurmds;
        self.log.debug(|| {
            let (path, names) = (node.path.display(), node.names.join(" or "));
            format!("{path}: node name {names}")
        });
        Ok(node)
    }

    /// The slurm.conf that the admin names.
    fn conf(&self) -> Option<PathBuf> {
        let option = self.options.slurm_conf.as_ref().map(PathBuf::from);
        option.or_else(|| self.environment.slurm_conf.clone())
    }

    /// The NodeName that the admin gives.
    fn node_name(&self) -> Option<&str> {
        let option = self.options.node_name.as_deref();
        option.or(self.environment.node_name.as_deref())
    }

    /// The node, given the arguments of these slurmds.
    fn node(
        &self,
        host: &str,
        slurmds: &[Slurmd],
        cache: &mut NodeCache,
    ) -> Result<Node, NodeError> {
        let conf = self.conf();
        let path = match &conf {
            Some(path) => path.clone(),
            None => self.find_conf(host, slurmds, cache)?,
        };
        let of_slurmds = || name_of(slurmds, conf.as_deref(), self.log);
        let key = NodeKey {
            path: &path,
            host,
            node: self.node_name().or_else(of_slurmds),
        };
        if let Some(node) = cache.take_node(key) {
            let line = || format!("{}: cached by an earlier login", path.display());
            self.log.debug(line);
            return Ok(node);
        }
        let mut sources = Sources::new();
        let mut node = Node::read(key, &mut sources, self.log)?;
        cache.keep_node(key, sources, &mut node, self.state_dir, self.log);
        Ok(node)
    }

    /// Finds slurm.conf if the admin names none: that of the running slurmds, or one in the usual places.
    fn find_conf(
        &self,
        host: &str,
        slurmds: &[Slurmd],
        cache: &mut NodeCache,
    ) -> Result<PathBuf, NodeError> {
        let run = Path::new(RUN_DIR).join("slurm.conf");
        let etc = || ETC_DIRS.iter().map(|dir| Path::new(dir).join("slurm.conf"));
        let mut exists = |path: &PathBuf| cache.knows(path) || may_exist(path);
        let hint = conf_of(slurmds);
        self.log.debug(|| match hint {
            Some(ConfHint::File(path)) => format!("the running slurmd reads {}", path.display()),
            Some(_) => "a slurmd runs".to_owned(),
            None => "no running slurmd found".to_owned(),
        });
        let found = match hint {
            Some(ConfHint::File(path)) if exists(path) => Some(path.clone()),
            // slurmd runs in a mount namespace of its own, or its file was moved: look where others do.
            Some(ConfHint::File(path)) => {
                self.log
                    .error(|| format!("slurmd's slurm.conf {}: not there", path.display()));
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
                let used = self.with_stepds(&found, host);
                used.or_else(|| found.into_iter().next())
            }
        };
        found.ok_or(NodeError::NotFound)
    }

    /// Returns, of several slurm.confs that no running slurmd uses, the first one whose spool directory has a
    /// listening slurmstepd: jobs outlive slurmd, and a cached slurm.conf may be stale.
    fn with_stepds(&self, paths: &[PathBuf], host: &str) -> Option<PathBuf> {
        let [_, _, ..] = paths else { return None };
        let is_used = |path: &&PathBuf| {
            let key = NodeKey {
                path,
                host,
                node: self.node_name(),
            };
            match Node::read(key, &mut Sources::new(), self.log) {
                Ok(mut node) => {
                    node.trusted = trusted(&node.conf, self.log);
                    (self.has_stepds)(&node)
                }
                Err(error) => {
                    self.log.debug(|| error.to_string());
                    false
                }
            }
        };
        let found = paths.iter().find(is_used)?;
        let path = found.display();
        let line = || format!("{path}: slurmstepds listen in its spool directory");
        self.log.debug(line);
        Some(found.clone())
    }
}

/// Whether a second slurmd may run here as another node: the one slurmd found was given a name (`-N`), and
/// slurm.conf has another node for this host's name.
fn may_be_one_of_several(node: &Node, slurmds: &[Slurmd]) -> bool {
    let [slurmd] = slurmds else { return false };
    let given = slurmd.node_name.as_ref();
    given.is_some_and(|given| node.of_host.as_ref().is_some_and(|it| it != given))
}

/// The users whom a node trusts besides root.
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

fn in_prefix(prefix: Option<&Path>) -> Option<PathBuf> {
    Some(prefix?.join("etc/slurm.conf"))
}

/// Whether the file may exist. One that cannot be checked counts as existing: reading it then reports
/// the error.
fn may_exist(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !access::is_absent(&error),
    }
}

/// The running slurmd by its pid file or service, or else every slurmd among the processes.
pub(crate) fn running_slurmds(timeout: Duration, log: Log<'_>) -> Slurmds {
    let mut unseen = Unseen::default();
    let running = Slurmd::running(&mut unseen);
    let mut slurmds = Slurmds {
        unseen: unseen.first(),
        found: running.into_iter().collect(),
    };
    if let Some(unseen) = &slurmds.unseen {
        log.error(|| format!("find the running slurmd: {unseen}"));
    }
    if slurmds.found.is_empty() {
        scan(&mut slurmds, timeout, log);
    }
    slurmds
}

/// Adds the slurmds found among the processes.
fn scan(slurmds: &mut Slurmds, timeout: Duration, log: Log<'_>) {
    let mut unseen = Unseen::default();
    let deadline = Deadline::after(timeout.min(LONGEST_SCAN));
    for slurmd in Slurmd::scan(&deadline, &mut unseen) {
        if !slurmds.found.contains(&slurmd) {
            slurmds.found.push(slurmd);
        }
    }
    if deadline.has_passed() {
        log.error(|| {
            "find the running slurmd: too many processes to look at each in time".to_owned()
        });
    }
    slurmds.unseen = slurmds.unseen.take().or_else(|| unseen.first());
}

/// The slurm.conf of the slurmds. If they differ, the one in the usual place, where SchedMD's module looks
/// too.
fn conf_of(slurmds: &[Slurmd]) -> Option<&ConfHint> {
    let is_usual = |told: &&Slurmd| matches!(told.conf, ConfHint::Default { .. });
    let (first, others) = slurmds.split_first()?;
    match others.iter().all(|other| other.conf == first.conf) {
        true => Some(&first.conf),
        false => Some(&slurmds.iter().find(is_usual).unwrap_or(first).conf),
    }
}

/// The node name that slurmd was given with `-N`, if all slurmds with that slurm.conf agree: with several
/// nodes on one host no slurmd speaks for all. `given` is a slurm.conf that the admin names.
fn name_of<'a>(slurmds: &'a [Slurmd], given: Option<&Path>, log: Log<'_>) -> Option<&'a str> {
    let chosen = conf_of(slurmds)?;
    let is_about = |told: &&Slurmd| match given {
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

/// Whether a slurmd reads this slurm.conf.
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
        // Compare the names; reading the file reports the error.
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_slurmd_may_run_where_slurm_conf_has_another_node() {
        let slurmd = |name: Option<&str>| Slurmd {
            conf: ConfHint::Configless,
            node_name: name.map(str::to_owned),
        };
        for (of_host, slurmds, may_be) in [
            (Some("b"), &[slurmd(Some("c"))][..], true),
            (Some("c"), &[slurmd(Some("c"))], false),
            // A cloud node: no line has its host.
            (None, &[slurmd(Some("c"))], false),
            (Some("b"), &[slurmd(None)], false),
            (Some("b"), &[slurmd(Some("b")), slurmd(Some("c"))], false),
            (Some("b"), &[], false),
        ] {
            let node = Node {
                of_host: of_host.map(str::to_owned),
                ..Node::default()
            };
            let found = may_be_one_of_several(&node, slurmds);
            assert_eq!(found, may_be, "{of_host:?} {slurmds:?}");
        }
    }
}
