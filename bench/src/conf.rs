//! slurm.conf files of large clusters, beside the real one: SLURM_CONF points both modules at them, and the
//! daemons keep their own.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab::Node;

use crate::measure::{Before, Effort, Logins};
use crate::results::{Axis, Row};

/// Directory of the files on the node.
const DIR: &str = "/etc/slurm-bench";
const COUNT: u32 = 10_000;
const MANY: u32 = 100_000;

/// A file that changed more recently is read again at each login (adopt's node/cache.rs).
const SETTLED: Duration = Duration::from_millis(2500);

/// A slurm.conf: its row, and the text that replaces the real one's NodeName lines.
struct Conf {
    id: &'static str,
    name: &'static str,
    /// The file's lines about nodes.
    nodes: String,
    /// Other files that it includes.
    includes: Vec<(String, String)>,
}

/// ID of the row of a login that reads the file; the logins of row `id` use what an earlier one has read.
pub fn first_id(id: &str) -> String {
    format!("{id}-first")
}

/// Measures the rows, small ones first. Nobody has a job, so reading the file is what is measured.
pub fn rows(node: &Node, stacks: &str, effort: Effort, mut done: impl FnMut(Row)) -> Result<()> {
    let real = node.read_text("/etc/slurm/slurm.conf")?;
    let confs = confs(&real);
    for conf in &confs {
        node.write(&path(conf), with_nodes(&real, &conf.nodes), 0o644)?;
        for (path, text) in &conf.includes {
            node.write(path, text, 0o644)?;
        }
    }
    thread::sleep(SETTLED);
    for conf in &confs {
        let logins = |before| Logins {
            node,
            stacks,
            user: "alice",
            adopted: false,
            env: vec![("SLURM_CONF".into(), path(conf))],
            from: None,
            socket: None,
            before,
        };
        let first = format!("{}, first login", conf.name);
        done(logins(Before::Forget).row(Axis::Conf, &first_id(conf.id), &first, effort));
        done(logins(Before::Nothing).row(Axis::Conf, conf.id, conf.name, effort));
    }
    Ok(())
}

fn path(conf: &Conf) -> String {
    format!("{DIR}/{}.conf", conf.id)
}

fn confs(real: &str) -> Vec<Conf> {
    let own = real.lines().filter(|line| is_node_line(line));
    let plain = |id, name, nodes| Conf {
        id,
        name,
        nodes,
        includes: Vec::new(),
    };
    let (mut included, mut includes) = (Vec::new(), String::new());
    let each = COUNT / 100;
    for number in 0..100 {
        let path = format!("{DIR}/nodes/{number:02}.conf");
        let _ = writeln!(includes, "Include {path}");
        included.push((path, lines(number * each + 1..=(number + 1) * each)));
    }
    vec![
        plain("conf-one", "1 node", own.collect::<Vec<_>>().join("\n")),
        plain(
            "conf-range-10000",
            "10,000 nodes in one line",
            ranges(&[1..=COUNT]),
        ),
        plain(
            "conf-range-100000",
            "100,000 nodes in two lines",
            // Slurm accepts at most 65,536 names in one range.
            ranges(&[1..=MANY / 2, MANY / 2 + 1..=MANY]),
        ),
        plain(
            "conf-lines-10000",
            "10,000 lines of nodes",
            lines(1..=COUNT),
        ),
        Conf {
            includes: included,
            ..plain(
                "conf-includes-10000",
                "10,000 lines in 100 included files",
                includes,
            )
        },
        plain(
            "conf-lines-100000",
            "100,000 lines of nodes",
            lines(1..=MANY),
        ),
    ]
}

fn is_node_line(line: &str) -> bool {
    line.starts_with("NodeName=")
}

/// The real file, with other lines about nodes.
fn with_nodes(real: &str, nodes: &str) -> String {
    let mut conf: String = real
        .lines()
        .filter(|line| !is_node_line(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    conf.push_str(nodes);
    conf.push('\n');
    conf
}

/// Hardware of a node of a large cluster.
const HARDWARE: &str = "Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 RealMemory=512000";

fn ranges(ranges: &[RangeInclusive<u32>]) -> String {
    let line = |range: &RangeInclusive<u32>| {
        let names = format!("node[{}-{}]", range.start(), range.end());
        format!("NodeName={names} NodeAddr={names} {HARDWARE} State=UNKNOWN\n")
    };
    ranges.iter().map(line).collect()
}

/// One line per node; node1 is in the middle of the first ten thousand, not first.
fn lines(range: RangeInclusive<u32>) -> String {
    let mut lines = String::new();
    for number in range {
        let node = match number {
            1 => COUNT / 2,
            number if number == COUNT / 2 => 1,
            number => number,
        };
        let [_, high, middle, low] = node.to_be_bytes();
        let address = format!("10.{high}.{middle}.{low}");
        let _ = writeln!(
            lines,
            "NodeName=node{node} NodeAddr={address} {HARDWARE} State=UNKNOWN"
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const REAL: &str = "ClusterName=lab\nNodeName=node1 CPUs=2\nPartitionName=debug Nodes=ALL\n";

    /// Names in the NodeName lines; a range is one name.
    fn names(text: &str) -> Vec<&str> {
        let words = text.split_whitespace();
        words
            .filter_map(|it| it.strip_prefix("NodeName="))
            .collect()
    }

    #[test]
    fn each_has_its_nodes_once() {
        for conf in confs(REAL) {
            let all: Vec<&str> = conf
                .includes
                .iter()
                .map(|(_, text)| text.as_str())
                .chain([conf.nodes.as_str()])
                .flat_map(names)
                .collect();
            let count = match conf.id {
                "conf-one" => 1,
                "conf-range-10000" => {
                    assert_eq!(all, ["node[1-10000]"]);
                    continue;
                }
                "conf-range-100000" => {
                    assert_eq!(all, ["node[1-50000]", "node[50001-100000]"]);
                    continue;
                }
                "conf-lines-100000" => 100_000,
                _ => 10_000,
            };
            let different: BTreeSet<_> = all.iter().collect();
            assert_eq!((all.len(), different.len()), (count, count), "{}", conf.id);
            assert!(different.contains(&"node1"), "{}", conf.id);
        }
    }

    #[test]
    fn only_lines_about_nodes_are_replaced() {
        assert_eq!(
            with_nodes(REAL, "NodeName=a"),
            "ClusterName=lab\nPartitionName=debug Nodes=ALL\nNodeName=a\n"
        );
    }
}
