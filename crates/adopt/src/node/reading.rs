//! Reads slurm.conf, and remembers which files that rests on.

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

/// Where Slurm looks for SlurmdSpoolDir if slurm.conf does not say, `read_config.h`.
const DEFAULT_SPOOL_DIR: &str = "/var/spool/slurmd";
/// The largest file that is read as a part of slurm.conf, in bytes.
const MAX_CONF: u64 = 256 << 20;

/// What a reading of slurm.conf rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeKey<'a> {
    /// The file.
    pub path: &'a Path,
    /// The host's name.
    pub host: &'a str,
    /// The node's name, where it is given.
    pub node: Option<&'a str>,
}

/// The files that a reading rests on, as they were when they were read.
#[derive(Debug)]
pub(crate) struct Sources {
    /// None: what was found rests on more.
    pub(super) files: Option<Vec<(PathBuf, FileStatus)>>,
    /// When the reading began.
    pub(super) when: SystemTime,
}

impl Sources {
    /// Nothing is read yet.
    pub(crate) fn new() -> Self {
        Self {
            files: Some(Vec::new()),
            when: SystemTime::now(),
        }
    }

    /// One more file.
    pub(crate) fn add(&mut self, path: &Path, status: FileStatus) {
        if let Some(files) = &mut self.files {
            // Paths are slow to compare, and there may be a thousand.
            if !files.iter().any(|it| it.1 == status && it.0 == path) {
                files.push((path.to_owned(), status));
            }
        }
    }

    /// What was found rests on more than files that are there: it is not to be kept.
    pub(crate) fn give_up(&mut self) {
        self.files = None;
    }
}

impl Node {
    /// Reads slurm.conf and names the node by it. Whom the node trusts is to be looked up.
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
            slurmds: None,
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

/// An Include's file: from 23.02 on it is beside slurm.conf, up to 22.05 beside the including file. `from` is
/// that, where it was found: a path that is not absolute never gets through [`sys::read_identified`].
fn included(main: &Path, name: &str, from: &Path, sources: &mut Sources) -> io::Result<Included> {
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
    let failed = access::during(path.display());
    let (status, bytes) = read.map_err(|error| failed(access::named(error)))?;
    sources.add(path, status);
    let file = path.to_string_lossy().into_owned();
    Ok(Included { file, bytes })
}
