//! Reads slurm.conf, and records the files that were read for it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proto::conf::{self, Conf, Included, Query};
use sys::FileStatus;

use crate::access;
use crate::log::Log;
use crate::node::names::{expand, names_of_host};
use crate::node::{Node, NodeError};
use crate::trust::Trusted;

/// SlurmdSpoolDir if slurm.conf does not set it, `read_config.h`.
const DEFAULT_SPOOL_DIR: &str = "/var/spool/slurmd";
/// The largest file that is read as part of slurm.conf, in bytes.
const MAX_CONF: u64 = 256 << 20;

/// The key of a reading of slurm.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeKey<'a> {
    /// The file.
    pub path: &'a Path,
    /// The host's name.
    pub host: &'a str,
    /// The node's name, if given.
    pub node: Option<&'a str>,
}

/// The files that a reading depends on, with their status when they were read.
#[derive(Debug)]
pub(crate) struct Sources {
    /// None: the result depends on more than files.
    pub(super) files: Option<Vec<(PathBuf, FileStatus)>>,
    /// When the reading began.
    pub(super) when: SystemTime,
}

impl Sources {
    /// Starts a reading.
    pub(crate) fn new() -> Self {
        Self {
            files: Some(Vec::new()),
            when: SystemTime::now(),
        }
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, path: &Path, status: FileStatus) {
        if let Some(files) = &mut self.files {
            // Comparing paths is slow, and there may be a thousand.
            if !files.iter().any(|it| it.1 == status && it.0 == path) {
                files.push((path.to_owned(), status));
            }
        }
    }

    /// Notes that the result depends on more than existing files, so that it is not cached.
    pub(crate) fn give_up(&mut self) {
        self.files = None;
    }
}

impl Node {
    /// Reads slurm.conf and names the node. The caller must look up the users whom the node trusts.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(super) fn read(
        key: NodeKey<'_>,
        sources: &mut Sources,
        log: Log<'_>,
    ) -> Result<Self, NodeError> {
        let NodeKey {
            path,
            host: full,
            node: given,
        } = key;
        let short = full.split('.').next().unwrap_or_default();
        let query = Query {
            hosts: &[short, full, "localhost"],
            node: given,
            ..Query::default()
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
            slurmds: None,
            trusted: Trusted::default(),
        })
    }

    /// The ports on which a host's slurmds may listen. Reads the file again, because few logins need them.
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

/// Reads slurm.conf with its Includes.
pub(super) fn read(
    path: &Path,
    query: Query<'_>,
    sources: &mut Sources,
) -> Result<Conf, NodeError> {
    let read = sys::read_identified(path, MAX_CONF);
    let (status, bytes) = read.map_err(|cause| NodeError::Unreadable {
        path: path.to_owned(),
        cause: access::named(cause),
    })?;
    sources.add(path, status);
    let mut include = |name: &str, from: &str| included(path, name, Path::new(from), sources);
    conf::parse(&path.to_string_lossy(), &bytes, query, &mut include).map_err(NodeError::Broken)
}

/// Reads an Include's file: beside slurm.conf since 23.02, beside the including file up to 22.05. `from` is the
/// including file's path as it was found, and absolute: [`sys::read_identified`] accepts no other.
fn included(main: &Path, name: &str, from: &Path, sources: &mut Sources) -> io::Result<Included> {
    let beside = |file: &Path| file.parent().unwrap_or(Path::new("/")).join(name);
    let (beside_main, beside_from) = (beside(main), beside(from));
    let mut path = &beside_main;
    let mut read = sys::read_identified(path, MAX_CONF);
    if let Err(error) = &read {
        if access::is_absent(error) && beside_from != beside_main {
            // No file records that the first place has none.
            sources.give_up();
            path = &beside_from;
            read = sys::read_identified(path, MAX_CONF);
        }
    }
    let failed = access::during(path.display());
    let (status, bytes) = read.map_err(|error| failed(access::named(error)))?;
    sources.add(path, status);
    let file = path.to_string_lossy().into_owned();
    Ok(Included { file, bytes })
}
