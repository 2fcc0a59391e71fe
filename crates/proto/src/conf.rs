//! The few keys of slurm.conf that a login needs, read as Slurm's own parser reads them.
//!
//! One pass that keeps nothing of other lines: a file may have 10,000 NodeName lines.
//! Source: Slurm 19.05 to 26.05, `src/common/parse_config.c`, `read_config.c`; docs/protocol.md.

mod error;
mod lines;
mod pairs;

use std::io;

use crate::hostlist::{self, HostListError};

use lines::{Line, Lines, trim_start};
use pairs::{include_name, next_pair, text, value_of};

pub use error::{ConfError, Problem};

/// What to look for among the NodeName lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// Host names to find the NodeName of.
    pub hosts: &'a [&'a str],
    /// A node name to find the NodeHostname of.
    pub node: Option<&'a str>,
    /// Whether to collect [`Conf::ports`], for which every NodeName line is read to its end.
    pub ports: bool,
    /// Whether to collect [`Conf::settings`].
    pub settings: bool,
}

/// A line with its pairs, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The file.
    pub file: String,
    /// The line's number, from 1; for a continued line that of its first line.
    pub line: usize,
    /// The keys and values of the line, in order. What is not UTF-8 is replaced.
    pub pairs: Vec<(String, String)>,
}

impl Setting {
    /// The value of a key on this line, in any case; the last of several counts.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter().rev();
        let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    }

    /// The key that the line begins with.
    #[must_use]
    pub fn key(&self) -> &str {
        self.pairs.first().map_or("", |(key, _)| key.as_str())
    }
}

/// The values of a slurm.conf that concern this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// SlurmdSpoolDir as written, with its `%h` and `%n`.
    pub spool_dir: Option<String>,
    /// SlurmdUser, a name or number.
    pub slurmd_user: Option<String>,
    /// SlurmUser, a name or number.
    pub slurm_user: Option<String>,
    /// ClusterName.
    pub cluster_name: Option<String>,
    /// AuthType.
    pub auth_type: Option<String>,
    /// AuthInfo.
    pub auth_info: Option<String>,
    /// TLSType.
    pub tls_type: Option<String>,
    /// ProctrackType.
    pub proctrack_type: Option<String>,
    /// SlurmdPort as written; see [`Conf::slurmd_port`].
    pub slurmd_port: Option<String>,
    /// The ports on NodeName lines (`Port=`), each once and at most [`MAX_PORTS`]: several slurmds on one
    /// host have a port each.
    pub node_ports: Vec<u16>,
    /// Whether the slurmd of some node listens on SlurmdPort.
    pub uses_slurmd_port: bool,
    /// The first NodeName line with an invalid host list: it names no node.
    pub passed_over: Option<ConfError>,
    /// For each of [`Query::hosts`] the first NodeName that has it as its NodeHostname.
    pub nodes: Vec<Option<String>>,
    /// The NodeHostname of [`Query::node`].
    pub host: Option<String>,
    /// All lines ([`Query::settings`]).
    pub settings: Vec<Setting>,
}

/// Reads an included file, given its name as written (with `%c` replaced) and the name of the including
/// file; the error is the system's.
pub type Include<'a> = dyn FnMut(&str, &str) -> io::Result<Included> + 'a;

/// A file that another one includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Where it was found: its name in messages and for its own Includes.
    pub file: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads a slurm.conf. `file` is its name for messages and for `include`.
///
/// Other keys are ignored, even ones that no Slurm knows: a newer release may.
///
/// # Errors
/// [`ConfError`]. Slurm's own parser rejects such a file too, except for limits that no site reaches
/// (the number and depth of Includes) and values that are not UTF-8.
pub fn parse(
    file: &str,
    bytes: &[u8],
    query: Query<'_>,
    include: &mut Include<'_>,
) -> Result<Conf, ConfError> {
    let mut parser = Parser::new(query, include);
    parser.file(file, bytes, 0)?;
    // If no line names a node, all are dynamic.
    parser.conf.uses_slurmd_port |= !parser.names_a_node;
    match parser.conf.cluster_name {
        Some(_) => Ok(parser.conf),
        None => Err(ConfError {
            file: file.into(),
            line: 0,
            problem: Problem::NoClusterName,
        }),
    }
}

/// Reads all lines of a slurm.conf or of a file of the same form, such as cgroup.conf, up to its first fault.
pub fn settings(
    file: &str,
    bytes: &[u8],
    include: &mut Include<'_>,
) -> (Vec<Setting>, Option<ConfError>) {
    let query = Query {
        settings: true,
        ..Query::default()
    };
    let mut parser = Parser::new(query, include);
    let fault = parser.file(file, bytes, 0).err();
    (parser.conf.settings, fault)
}

/// Depth of nested Includes.
const MAX_DEPTH: usize = 10;
/// Includes in total.
const MAX_INCLUDES: usize = 1000;
/// Ports in total: only test setups run more slurmds on one host.
pub const MAX_PORTS: usize = 16;

struct Parser<'a, 'i> {
    query: Query<'a>,
    include: &'a mut Include<'i>,
    includes: usize,
    conf: Conf,
    /// The `Port=` of a `NodeName=DEFAULT` line, for the lines after it.
    default_ports: Option<String>,
    names_a_node: bool,
}

impl<'a, 'i> Parser<'a, 'i> {
    fn new(query: Query<'a>, include: &'a mut Include<'i>) -> Self {
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

    fn file(&mut self, file: &str, bytes: &[u8], depth: usize) -> Result<(), ConfError> {
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

impl Conf {
    /// The ports that slurmds of a host may listen on: those of the NodeName lines, and SlurmdPort if
    /// some node has no port of its own ([`Query::ports`]).
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports = self.node_ports.clone();
        let common = self.slurmd_port();
        if self.uses_slurmd_port && !ports.contains(&common) {
            ports.insert(0, common);
        }
        ports
    }

    /// ProctrackType, if processes are not tracked by cgroups, which is the default.
    #[must_use]
    pub fn other_tracking(&self) -> Option<&str> {
        let kind = self.proctrack_type.as_deref();
        kind.filter(|kind| !kind.rsplit('/').any(|it| it.eq_ignore_ascii_case("cgroup")))
    }

    /// SlurmdPort; Slurm's default 6818 if it is missing or not a port.
    #[must_use]
    pub fn slurmd_port(&self) -> u16 {
        const DEFAULT: u16 = 6818;
        self.slurmd_port
            .as_deref()
            .and_then(number)
            .unwrap_or(DEFAULT)
    }
}

/// Parses a number as strtoul(3) with base 0: `0x1aa2`, `015242`, `6818`.
fn number(text: &str) -> Option<u16> {
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => u16::from_str_radix(&text[2..], 16).ok(),
        [b'0', _, ..] => u16::from_str_radix(&text[1..], 8).ok(),
        _ => text.parse().ok(),
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

#[cfg(test)]
mod tests;
