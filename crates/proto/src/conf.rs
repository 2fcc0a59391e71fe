//! The few keys of slurm.conf that a login needs, read as Slurm's own parser reads them.
//!
//! One pass that keeps nothing of other lines: a file may have 10,000 NodeName lines.
//! Source: Slurm 19.05 to 26.05, `src/common/parse_config.c`, `read_config.c`; docs/protocol.md.

mod error;
mod lines;
mod pairs;
mod parser;

use std::io;

use parser::Parser;

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

/// Ports in total: only test setups run more slurmds on one host.
pub const MAX_PORTS: usize = 16;

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

#[cfg(test)]
mod tests;
