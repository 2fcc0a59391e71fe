//! Bytes by way of `slurm-adopt proxy`, from node1 to a job on node2, beside a plain nc and ssh's own connection.

use std::time::Duration;

use ::tests::{CLI, bring};
use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster};

use crate::measure::Effort;
use crate::results::Speed;

/// A way of bytes, in one direction.
#[derive(Debug, Clone, Copy)]
struct Route {
    load: Load,
    by: By,
    id: &'static str,
    name: &'static str,
    mib: u64,
}

/// What moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// A pipe, to the node.
    Send,
    /// A pipe, from the node.
    Receive,
    /// `ssh node2 'cat >/dev/null'`, from its start to its end.
    Ssh,
}

/// What connects to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// ssh itself.
    Itself,
    Nc,
    Proxy,
    Srun,
}

/// IDs of the rows of nc, of the relay, and of the relay by srun.
pub const SEND: [&str; 3] = ["send-nc", "send-proxy", "send-srun"];
/// The same for bytes from the node.
pub const RECEIVE: [&str; 3] = ["receive-nc", "receive-proxy", "receive-srun"];

/// Measures all ways in turns on a cluster of two nodes, which have slurm-adopt.
pub fn rows(cluster: &Cluster, effort: Effort) -> Result<Vec<Speed>> {
    let mut ways = Ways::start(cluster)?;
    let mut rows: Vec<Speed> = ROUTES.iter().map(Route::row).collect();
    for turn in 0..effort.logins.div_ceil(LOGINS) {
        for (route, row) in ROUTES.iter().zip(&mut rows) {
            let is_rare = route.load == Load::Ssh && turn % 2 == 1;
            if row.failed.is_some() || is_rare {
                continue;
            }
            match ways.turn(route) {
                Ok(speed) => row.mb_per_s.push(speed),
                Err(error) => row.failed = Some(format!("{error:#}")),
            }
        }
    }
    Ok(rows)
}

/// The ends of the ways.
struct Ways<'a> {
    cluster: &'a Cluster,
    nc: String,
    job: u32,
    sink: Background,
    _source: Vec<Background>,
}

impl<'a> Ways<'a> {
    fn start(cluster: &'a Cluster) -> Result<Self> {
        for node in cluster.nodes() {
            node.write(PUMP, include_str!("pump.pl"), 0o755)?;
        }
        // The relay's is nc's.
        let has_source = |it: &&Route| it.load == Load::Receive && it.by != By::Proxy;
        let sources = ROUTES.iter().filter(has_source);
        let sources = sources.map(|it| serve(cluster, &["source", it.port(), &it.bytes()]));
        Ok(Self {
            cluster,
            nc: bring(cluster.node(1), "nc.openbsd")?,
            job: cluster.submit("alice", &["--nodelist=node2"])?,
            sink: serve(cluster, &["sink", SINK])?,
            _source: sources.collect::<Result<_>>()?,
        })
    }

    /// Moves the bytes once: megabytes a second.
    fn turn(&mut self, route: &Route) -> Result<f64> {
        let counted = self.sink.stdout()?.lines().count();
        let script = self.script(route);
        let argv = ["bash", "-o", "pipefail", "-ec", &script];
        let command = self
            .cluster
            .node(1)
            .command(&argv)
            .user("alice")
            .dir("/tmp");
        let printed = command.time_limit(LIMIT).output()?.ok()?;
        if route.load != Load::Send {
            return speed(&printed, route);
        }
        let mut line = None;
        lab::poll::until_true("the sink's count", LIMIT, || {
            line = self.sink.stdout()?.lines().nth(counted).map(str::to_owned);
            Ok(line.is_some())
        })?;
        speed(&line.unwrap_or_default(), route)
    }

    /// Pipes at both ends, as those of ssh.
    fn script(&self, route: &Route) -> String {
        let (bytes, relay) = (route.bytes(), self.relay(route));
        match route.load {
            Load::Send => format!("perl {PUMP} pour {bytes} | {relay} | cat"),
            Load::Receive => format!("{relay} </dev/null | perl {PUMP} count"),
            Load::Ssh => {
                let proxy = match route.by {
                    By::Itself => String::new(),
                    _ => format!("-o 'ProxyCommand={relay}'"),
                };
                format!(
                    "a=$EPOCHREALTIME
                     perl {PUMP} pour {bytes} | ssh -o BatchMode=yes {proxy} node2 'cat >/dev/null'
                     b=$EPOCHREALTIME; echo {bytes} $((${{b/./}} - ${{a/./}}))"
                )
            }
        }
    }

    fn relay(&self, route: &Route) -> String {
        let (job, port) = (self.job, route.port());
        match route.by {
            By::Itself => String::new(),
            By::Nc => format!("{} -N node2 {port}", self.nc),
            By::Proxy => format!("{CLI} proxy --via direct --port {port} job-{job}"),
            By::Srun => format!("{CLI} proxy --via srun --port {port} job-{job}"),
        }
    }
}

/// Starts an end on node2.
fn serve(cluster: &Cluster, arguments: &[&str]) -> Result<Background> {
    let argv = [&["perl", PUMP], arguments].concat();
    let server = cluster.node(2).command(&argv).spawn()?;
    lab::poll::until_true("an end", LIMIT, || Ok(server.stdout()? == "listens\n"))?;
    Ok(server)
}

/// Reads bytes and microseconds.
fn speed(line: &str, route: &Route) -> Result<f64> {
    let (bytes, micros) = line.trim().split_once(' ').context("no count")?;
    ensure!(bytes == route.bytes(), "{bytes} bytes of {}", route.bytes());
    let (bytes, micros): (f64, f64) = (bytes.parse()?, micros.parse()?);
    Ok(bytes / micros)
}

impl Route {
    fn row(&self) -> Speed {
        Speed {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            mib: self.mib,
            mb_per_s: Vec::new(),
            failed: None,
        }
    }

    fn bytes(&self) -> String {
        (self.mib << 20).to_string()
    }

    fn port(&self) -> &'static str {
        match (self.load, self.by) {
            (Load::Send, _) => SINK,
            (Load::Receive, By::Srun) => "2013",
            (Load::Receive, _) => "2012",
            (Load::Ssh, _) => "22",
        }
    }
}

/// All rows; what is first of its kind is what the others are compared with.
const ROUTES: [Route; 10] = [
    route(Load::Send, By::Nc, SEND[0], "to the node: nc", MANY),
    route(Load::Send, By::Proxy, SEND[1], "to the node: proxy", MANY),
    route(
        Load::Send,
        By::Srun,
        SEND[2],
        "to the node: proxy by srun",
        MANY,
    ),
    route(Load::Receive, By::Nc, RECEIVE[0], "from the node: nc", MANY),
    route(
        Load::Receive,
        By::Proxy,
        RECEIVE[1],
        "from the node: proxy",
        MANY,
    ),
    route(
        Load::Receive,
        By::Srun,
        RECEIVE[2],
        "from the node: proxy by srun",
        MANY,
    ),
    route(Load::Ssh, By::Itself, "ssh-itself", "ssh", OF_SSH),
    route(Load::Ssh, By::Nc, "ssh-nc", "ssh by nc", OF_SSH),
    route(Load::Ssh, By::Proxy, "ssh-proxy", "ssh by proxy", OF_SSH),
    route(
        Load::Ssh,
        By::Srun,
        "ssh-srun",
        "ssh by proxy, by srun",
        OF_SSH,
    ),
];

const fn route(load: Load, by: By, id: &'static str, name: &'static str, mib: u64) -> Route {
    Route {
        load,
        by,
        id,
        name,
        mib,
    }
}

/// MiB of a turn.
const MANY: u64 = 256;
/// Those of a turn of ssh.
const OF_SSH: u64 = 128;
/// As many logins of other axes make a turn.
const LOGINS: u32 = 10;
/// Path of the ends' program.
const PUMP: &str = "/usr/local/lib/pump.pl";
const SINK: &str = "2011";
/// Time limit of a turn.
const LIMIT: Duration = Duration::from_secs(60);
