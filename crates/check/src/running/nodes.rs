//! Nodes of slurm.conf whose slurmds to ask: this one, and a few others.

use proto::conf::Setting;
use proto::hostlist;

/// A node and where its slurmd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub name: String,
    /// NodeAddr, or what stands for it: an address or a name.
    pub address: String,
    pub port: u16,
}

/// This node, and at most `most` others: the next ones on its own line first, then one of each other line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Peers {
    pub own: Option<Peer>,
    pub others: Vec<Peer>,
}

/// The nodes that these are, by their lines in slurm.conf.
pub(super) fn peers(settings: &[Setting], own: &str, slurmd_port: u16, most: usize) -> Peers {
    let lines = lines(settings);
    let place = lines.iter().find_map(|line| {
        let at = hostlist::position(line.names, own).ok()??;
        Some((line, at))
    });
    let Some((own_line, at)) = place else {
        return Peers::default();
    };
    let own_peer = own_line.peer(at, slurmd_port);
    let count = own_line.count();
    // From the next one on, round to the one before.
    let beside = (1..count).map(|step| (own_line, (at + step) % count));
    let rest = lines.iter().filter(|it| it.names != own_line.names);
    let candidates = beside.chain(rest.map(|it| (it, 0)));
    let is_elsewhere = |it: &Peer| {
        let is_own = |own: &Peer| own.address == it.address;
        !own_peer.as_ref().is_some_and(is_own)
    };
    let others = candidates
        .filter(|(line, _)| line.is_to_be_up())
        .filter_map(|(line, at)| line.peer(at, slurmd_port))
        .filter(is_elsewhere)
        .take(most)
        .collect();
    Peers {
        own: own_peer,
        others,
    }
}

/// A NodeName line, with what lines for DEFAULT before it say.
#[derive(Debug, Clone)]
struct Line<'a> {
    names: &'a str,
    setting: &'a Setting,
    port: Option<&'a str>,
    state: Option<&'a str>,
}

fn lines(settings: &[Setting]) -> Vec<Line<'_>> {
    let (mut port, mut state) = (None, None);
    let mut lines = Vec::new();
    let nodes = settings
        .iter()
        .filter(|it| it.key().eq_ignore_ascii_case("NodeName"));
    for setting in nodes {
        let names = setting.value("NodeName").unwrap_or_default();
        let own = |key: &str, default| setting.value(key).or(default);
        let (its_port, its_state) = (own("Port", port), own("State", state));
        if names.eq_ignore_ascii_case("DEFAULT") {
            (port, state) = (its_port, its_state);
            continue;
        }
        lines.push(Line {
            names,
            setting,
            port: its_port,
            state: its_state,
        });
    }
    lines
}

impl Line<'_> {
    fn count(&self) -> u64 {
        hostlist::count(self.names).unwrap_or_default()
    }

    /// Whether its nodes are meant to run: not powered down, not for later, not out of order.
    fn is_to_be_up(&self) -> bool {
        const NOT: [&str; 5] = ["CLOUD", "FUTURE", "DOWN", "FAIL", "POWER"];
        let state = self.state.unwrap_or_default().to_ascii_uppercase();
        !NOT.iter().any(|it| state.starts_with(it))
    }

    fn peer(&self, at: u64, slurmd_port: u16) -> Option<Peer> {
        let nth = |list: &str| hostlist::nth_or_last(list, at).ok().flatten();
        let name = nth(self.names)?;
        let given = self
            .setting
            .value("NodeAddr")
            .or(self.setting.value("NodeHostname"));
        let port = match self.port {
            None => slurmd_port,
            Some(list) if list.contains('[') => nth(list)?.parse().ok()?,
            Some(list) => nth(&format!("[{list}]"))?.parse().ok()?,
        };
        Some(Peer {
            address: given.map_or_else(|| Some(name.clone()), nth)?,
            name,
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use proto::conf;

    use super::*;

    fn of(text: &str, own: &str) -> (Option<String>, Vec<String>) {
        let mut no_include = |_: &str, _: &str| Err(std::io::ErrorKind::NotFound.into());
        let (settings, fault) = conf::settings("slurm.conf", text.as_bytes(), &mut no_include);
        assert!(fault.is_none(), "{text}: {fault:?}");
        let found = peers(&settings, own, 6818, 3);
        let shown = |it: Peer| format!("{} {}:{}", it.name, it.address, it.port);
        let others = found.others.into_iter().map(shown).collect();
        (found.own.map(shown), others)
    }

    #[test]
    fn the_next_nodes_are_asked_first() {
        for (text, own, others) in [
            (
                "NodeName=n[1-5]\n",
                "n4",
                &["n5 n5:6818", "n1 n1:6818", "n2 n2:6818"][..],
            ),
            ("NodeName=n1\n", "n1", &[]),
            ("NodeName=n[1-2]\n", "x", &[]),
            (
                "NodeName=n[1-2] NodeAddr=10.0.0.[1-2] Port=7000\nnodename=g[1-9] State=idle\n",
                "n1",
                &["n2 10.0.0.2:7000", "g1 g1:6818"],
            ),
            (
                "NodeName=DEFAULT Port=[7001-7003]\nNodeName=n[1-3] NodeHostname=h[1-3]\n",
                "n3",
                &["n1 h1:7001", "n2 h2:7002"],
            ),
            // Several slurmds of one host.
            (
                "NodeName=n[1-3] NodeHostname=h Port=[7001-7003]\n",
                "n1",
                &[],
            ),
            // What is not up is no sign of a firewall.
            (
                "NodeName=n1\nNodeName=c[1-9] State=CLOUD\nNodeName=f1 State=future\nNodeName=d State=DOWN\n",
                "n1",
                &[],
            ),
            ("NodeName=n1\nNodeName=n2 Port=x\n", "n1", &[]),
            ("NodeName=n1\nNodeName=a[1\n", "n1", &[]),
        ] {
            let (_, found) = of(text, own);
            assert_eq!(found, others, "{own} in {text}");
        }
    }

    #[test]
    fn this_node_is_found_with_its_address() {
        let text = "NodeName=n[1-3] NodeAddr=10.0.0.[1-3] Port=7001,7002,7003\n";
        assert_eq!(of(text, "n2").0.as_deref(), Some("n2 10.0.0.2:7002"));
        assert_eq!(of("", "n2").0, None);
    }
}
