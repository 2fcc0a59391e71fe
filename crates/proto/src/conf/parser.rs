//! The parser: one pass over the lines of slurm.conf and of what it includes.

use crate::conf::lines::{Line, Lines, trim_start};
use crate::conf::pairs::{include_name, next_pair, text, value_of};
use crate::conf::{Conf, ConfError, Include, MAX_PORTS, Problem, Query, Setting};
use crate::hostlist::{self, HostListError};

/// Depth of nested Includes.
const MAX_DEPTH: usize = 10;
/// Includes in total.
const MAX_INCLUDES: usize = 1000;

/// Reads files into a [`Conf`].
pub(super) struct Parser<'a, 'i> {
    query: Query<'a>,
    include: &'a mut Include<'i>,
    includes: usize,
    pub conf: Conf,
    /// The `Port=` of a `NodeName=DEFAULT` line, for the lines after it.
    default_ports: Option<String>,
    pub names_a_node: bool,
}

impl<'a, 'i> Parser<'a, 'i> {
    pub fn new(query: Query<'a>, include: &'a mut Include<'i>) -> Self {
        Self {
            query,
            include,
            includes: 0,
            conf: Conf {
                nodes: vec![None; query.hosts.len()],
                ..Conf::default()
            },
            default_ports: None,
            names_a_node: false,
        }
    }

    pub fn file(&mut self, file: &str, bytes: &[u8], depth: usize) -> Result<(), ConfError> {
        let mut lines = Lines::new(bytes);
        loop {
            let first = lines.number + 1;
            let Some(line) = lines.next_logical() else {
                return Ok(());
            };
            let at = |problem| ConfError {
                file: file.into(),
                line: lines.number,
                problem,
            };
            if let Some(name) = include_name(&line.text).map_err(at)? {
                self.included(file, name, depth, lines.number)?;
                continue;
            }
            if self.query.settings {
                let pairs = pairs(&line.text).map_err(at)?;
                let file = file.to_owned();
                let line = first;
                let setting = Setting { file, line, pairs };
                self.conf
                    .settings
                    .extend((!setting.pairs.is_empty()).then_some(setting));
            }
            match self.line(&line).map_err(at) {
                Err(
                    error @ ConfError {
                        problem: Problem::HostList(_),
                        ..
                    },
                ) => {
                    self.conf.passed_over.get_or_insert(error);
                }
                result => result?,
            }
        }
    }

    fn included(
        &mut self,
        file: &str,
        name: &str,
        depth: usize,
        line: usize,
    ) -> Result<(), ConfError> {
        let at = |problem| ConfError {
            file: file.into(),
            line,
            problem,
        };
        self.includes += 1;
        if depth >= MAX_DEPTH || self.includes > MAX_INCLUDES {
            return Err(at(Problem::TooManyIncludes));
        }
        let name = match &self.conf.cluster_name {
            Some(cluster) => name.replacen("%c", &cluster.to_ascii_lowercase(), 1),
            None if name.contains("%c") => return Err(at(Problem::ClusterNameNotYetKnown)),
            None => name.to_owned(),
        };
        let found = (self.include)(&name, file).map_err(|cause| {
            at(Problem::Include {
                name: name.clone(),
                cause: cause.to_string(),
            })
        })?;
        self.file(&found.file, &found.bytes, depth + 1)
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let Some((pair, rest)) = next_pair(&line.text)? else {
            return Ok(());
        };
        // Most keys are not needed: compare the length first.
        let conf = &mut self.conf;
        match pair.key.len() {
            7 if pair.is(b"TLSType") => scalar(&mut conf.tls_type, pair.value, rest),
            8 if pair.is(b"AuthInfo") => scalar(&mut conf.auth_info, pair.value, rest),
            8 if pair.is(b"AuthType") => scalar(&mut conf.auth_type, pair.value, rest),
            10 if pair.is(b"SlurmdPort") => scalar(&mut conf.slurmd_port, pair.value, rest),
            9 if pair.is(b"SlurmUser") => scalar(&mut conf.slurm_user, pair.value, rest),
            8 if pair.is(b"NodeName") => self.node(text(pair.value)?, rest, line.may_name_host),
            10 if pair.is(b"SlurmdUser") => scalar(&mut conf.slurmd_user, pair.value, rest),
            11 if pair.is(b"ClusterName") => scalar(&mut conf.cluster_name, pair.value, rest),
            13 if pair.is(b"ProctrackType") => scalar(&mut conf.proctrack_type, pair.value, rest),
            14 if pair.is(b"SlurmdSpoolDir") => scalar(&mut conf.spool_dir, pair.value, rest),
            _ => Ok(()),
        }
    }

    fn node(&mut self, names: &str, rest: &[u8], may_name_host: bool) -> Result<(), Problem> {
        let ports = match self.query.ports {
            true => value_of(b"Port", rest)?,
            false => None,
        };
        if names.eq_ignore_ascii_case("DEFAULT") {
            if let Some(ports) = ports {
                self.default_ports = Some(ports.to_owned());
            }
            return Ok(());
        }
        self.names_a_node = true;
        if self.query.ports {
            self.ports(ports)?;
        }
        let hosts = match may_name_host {
            true => value_of(b"NodeHostname", rest)?.unwrap_or(names),
            false => names,
        };
        let hosts_list = is_list(hosts);
        for (wanted, found) in self.query.hosts.iter().zip(&mut self.conf.nodes) {
            if found.is_none() && (hosts_list || hosts == *wanted) {
                *found = node_of_host(names, hosts, wanted).map_err(Problem::HostList)?;
            }
        }
        if let (Some(node), None) = (self.query.node, &self.conf.host) {
            if is_list(names) || names == node {
                self.conf.host = host_of_node(names, hosts, node).map_err(Problem::HostList)?;
            }
        }
        Ok(())
    }

    /// Collects the ports of a NodeName line.
    fn ports(&mut self, given: Option<&str>) -> Result<(), Problem> {
        let Some(ports) = given.or(self.default_ports.as_deref()) else {
            self.conf.uses_slurmd_port = true;
            return Ok(());
        };
        // As Slurm does, put brackets around a bare range or list.
        let ports = match ports.contains('[') {
            true => ports.to_owned(),
            false => format!("[{ports}]"),
        };
        let most = hostlist::count(&ports).map_err(Problem::HostList)?;
        for position in 0..most.min(MAX_PORTS as u64) {
            let port = hostlist::nth_or_last(&ports, position).map_err(Problem::HostList)?;
            let port = port
                .and_then(|port| port.parse().ok())
                .filter(|port| *port > 0);
            let known = &mut self.conf.node_ports;
            if let Some(port) = port.filter(|port| !known.contains(port) && known.len() < MAX_PORTS)
            {
                known.push(port);
            }
        }
        Ok(())
    }
}

/// The node with that host name: NodeHostname and NodeName are paired by position, surplus host names
/// belong to no node.
fn node_of_host(names: &str, hosts: &str, host: &str) -> Result<Option<String>, HostListError> {
    let Some(position) = hostlist::position(hosts, host)? else {
        return Ok(None);
    };
    if position >= hostlist::count(names)? {
        return Ok(None);
    }
    hostlist::nth_or_last(names, position)
}

fn host_of_node(names: &str, hosts: &str, node: &str) -> Result<Option<String>, HostListError> {
    match hostlist::position(names, node)? {
        Some(position) => hostlist::nth_or_last(hosts, position),
        None => Ok(None),
    }
}

/// Whether this may be more than the single plain name that most lines have.
fn is_list(names: &str) -> bool {
    names
        .bytes()
        .any(|sign| matches!(sign, b'[' | b',' | b' ' | b'\t'))
}

/// All pairs of a line.
fn pairs(mut rest: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut pairs = Vec::new();
    while let Some((pair, tail)) = next_pair(rest)? {
        pairs.push((text(pair.key), text(pair.value)));
        rest = tail;
    }
    Ok(pairs)
}

fn scalar(place: &mut Option<String>, value: &[u8], rest: &[u8]) -> Result<(), Problem> {
    if !trim_start(rest).is_empty() {
        return Err(Problem::Syntax);
    }
    *place = Some(text(value)?.to_owned());
    Ok(())
}
