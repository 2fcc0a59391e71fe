//! The names of this node, and its spool directory.

use std::path::{Path, PathBuf};

use proto::conf::{Conf, Query};

use crate::access;
use crate::log::Log;
use crate::node::NodeError;
use crate::node::reading::{Sources, read};

/// Names that the node may have, each with its NodeHostname, and whether slurm.conf has them.
pub(super) type Names = (Vec<(String, Option<String>)>, bool);

/// NodeName with its NodeHostname, in the order of `stepd_api.c:_guess_nodename`, and whether slurm.conf has it.
pub(super) fn names_of_host(
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
    // A dynamic node is named after its host: in full since 25.11.2, short before.
    let mut names = vec![(full.to_owned(), None)];
    if short != full {
        names.push((short.to_owned(), None));
    }
    Ok((names, false))
}

/// The host's other names in /etc/hosts. Slurm asks the resolver, but nothing limits how long DNS queries take.
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

/// Finds the aliases in the text of /etc/hosts, hosts(5).
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

/// Expands a path as `read_config.c:slurm_conf_expand_slurmd_path` does: the first of each, `%h` before
/// `%n`; a `%h` without a value in slurm.conf is removed.
pub(crate) fn expand(template: &str, node: &str, host: Option<&str>) -> PathBuf {
    let with_host = template.replacen("%h", host.unwrap_or_default(), 1);
    with_host.replacen("%n", node, 1).into()
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
}
