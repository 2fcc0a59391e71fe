//! What one login costs with SchedMD's module and with ours, in one run on the same live cluster:
//! a fresh process, pam_start, pam_acct_mgmt, pam_end, less the same with pam_permit alone.
//!
//! `cargo run --release -p bench [SUITE]`, as root, after `cargo xtask dist`. Prints a Markdown table.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its answer")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster, Node, Suite};
use serde_json::Value;
use tests::{Call, End, Module, PAMCALL};

/// Fresh processes a turn; the modules take turns, so that a slow moment hits both.
const LOGINS: &str = "20";
const TURNS: usize = 5;

fn main() -> Result<()> {
    let suite = std::env::args()
        .nth(1)
        .map_or(Ok(Suite::Bookworm), |name| name.parse())?;
    let cluster = tests::cluster(suite)?.start()?;
    let node = cluster.node(1);
    permit(node)?;
    println!(
        "Slurm {}, median of {} logins each\n",
        suite.slurm(),
        LOGINS.parse::<usize>()? * TURNS
    );
    println!("| situation | pam_permit ms | SchedMD ms | ours ms | net ratio |");
    println!("|---|---|---|---|---|");
    let local = |user, code| Logins {
        node,
        user,
        code,
        from: None,
    };
    row("no job on the node", &local("alice", 6))?;
    cluster.submit("alice", &[])?;
    row("one job, the user's", &local("alice", 0))?;
    row("one job, another's", &local("bob", 6))?;
    many(&cluster, "bob", 99)?;
    row("100 jobs, one of them the user's", &local("alice", 0))?;
    row("100 jobs of others", &local("carol", 6))?;
    drop(cluster);
    caller_id(suite)
}

/// The stack that the floor is measured with.
fn permit(node: &Node) -> Result<()> {
    let stack = "account required pam_permit.so\n";
    node.write("/run/permit/sshd", stack, 0o644)
}

fn many(cluster: &Cluster, user: &str, count: usize) -> Result<()> {
    let jobs: Result<Vec<_>> = (0..count).map(|_| cluster.submit_only(user, &[])).collect();
    jobs?
        .into_iter()
        .try_for_each(|job| cluster.wait_running(job))
}

/// Logins to node2 from a job on node1, with two jobs to choose from: the slurmd there is asked.
///
/// It searches node1's table of connections in turn, and the nodes of the lab share one kernel,
/// which goes through all of its connections to show those of one node: with many of them both
/// modules wait longer for the answer than they would between two hosts.
fn caller_id(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?.nodes(3).start()?;
    let node = cluster.node(2);
    permit(node)?;
    let job = cluster.submit("alice", &["--nodes=2", "--nodelist=node1,node2"])?;
    cluster.submit("alice", &["--nodelist=node2"])?;
    let logins = Logins {
        node,
        user: "alice",
        code: 0,
        from: Some((cluster.node(1), job)),
    };
    for (count, shown) in [(10, "10"), (20_000, "20,000")] {
        let _connections = connections(&cluster, count)?;
        let situation = format!("two jobs, caller ID, {shown} other TCP connections");
        row(&situation, &logins)?;
    }
    Ok(())
}

/// That many connections from node3 to node2, held by processes that may have as many open files.
fn connections(cluster: &Cluster, count: usize) -> Result<Vec<Background>> {
    const ACCEPT: &str = "use Socket; $| = 1; socket(L, PF_INET, SOCK_STREAM, 0) or die $!;
        setsockopt(L, SOL_SOCKET, SO_REUSEADDR, 1);
        bind(L, sockaddr_in($ARGV[0], INADDR_ANY)) or die $!; listen(L, 4096) or die $!;
        print \"listens\\n\";
        for (1 .. $ARGV[1]) { accept($c[$_], L) or die $! } print \"all\\n\"; sleep";
    const CONNECT: &str = "use Socket; $| = 1; for (1 .. $ARGV[1]) {
        socket($c[$_], PF_INET, SOCK_STREAM, 0) or die $!;
        connect($c[$_], sockaddr_in($ARGV[0], inet_aton('10.88.0.2'))) or die $! }
        print \"all\\n\"; sleep";
    const EACH: usize = 900;
    let mut ends = Vec::new();
    for (at, port) in (0..count).step_by(EACH).zip(2100..) {
        let (port, count) = (port.to_string(), EACH.min(count - at).to_string());
        let end = |number: usize, program: &str| {
            let argv = ["perl", "-e", program, &port, &count];
            cluster.node(number).command(&argv).spawn()
        };
        let mut accepting = end(2, ACCEPT)?;
        said(&mut accepting, "listens")?;
        let mut connecting = end(3, CONNECT)?;
        said(&mut connecting, "all")?;
        said(&mut accepting, "all")?;
        ends.extend([accepting, connecting]);
    }
    Ok(ends)
}

fn said(program: &mut Background, word: &str) -> Result<()> {
    lab::poll::until_true(word, Duration::from_secs(60), || {
        ensure!(program.is_running()?, "it ended: {}", program.stderr()?);
        Ok(program.stdout()?.contains(word))
    })
}

/// The logins of a row.
struct Logins<'a> {
    node: &'a Node,
    user: &'a str,
    /// PAM's code.
    code: i64,
    /// The node and the job that they come from over TCP, and that they are put into.
    from: Option<(&'a Node, u32)>,
}

fn row(situation: &str, logins: &Logins<'_>) -> Result<()> {
    let mut call = Call::new(logins.user, "");
    call.accept = logins.from.map(|_| ADDRESS.to_owned());
    let mut micros = [const { Vec::new() }; 3];
    for module in [Module::SchedMd, Module::Ours] {
        let _client = logins.client()?;
        let outcome = call.make(logins.node, module)?;
        let job = outcome.job(logins.node)?;
        let expected = logins.from.map_or(job, |(_, job)| Some(job));
        ensure!(
            outcome.end == End::Code(logins.code) && job == expected,
            "{situation}, {module:?}: {outcome}"
        );
    }
    for _ in 0..TURNS {
        micros[0].extend(times(logins, "/run/permit")?);
        micros[1].extend(times(logins, "/run/pamcall/SchedMd")?);
        micros[2].extend(times(logins, "/run/pamcall/Ours")?);
    }
    let [floor, theirs, ours] = micros.map(median);
    let net = (theirs - floor) / (ours - floor);
    println!("| {situation} | {floor:.2} | {theirs:.2} | {ours:.2} | {net:.1} |");
    Ok(())
}

/// Where the logins over TCP arrive.
const ADDRESS: &str = "10.88.0.2:2001";

impl Logins<'_> {
    /// A process of the job that connects and stays until the other end closes.
    fn client(&self) -> Result<Option<Background>> {
        const CONNECT: &str = "until exec 3<>/dev/tcp/${0/:/\\/}; do sleep 0.02; done 2>/dev/null; \
                               exec cat <&3";
        let Some((node, job)) = self.from else {
            return Ok(None);
        };
        let (job, place) = (
            format!("--jobid={job}"),
            format!("--nodelist={}", node.name()),
        );
        let step = ["srun", "--quiet", "--overlap", "-N1", "-n1", &job, &place];
        let argv = [&step[..], &["bash", "-c", CONNECT, ADDRESS]].concat();
        Ok(Some(
            node.command(&argv).user(self.user).dir("/tmp").spawn()?,
        ))
    }
}

/// Milliseconds of [`LOGINS`] fresh processes with the stack in that directory.
fn times(logins: &Logins<'_>, confdir: &str) -> Result<Vec<f64>> {
    let _client = logins.client()?;
    let mut argv = vec![
        PAMCALL,
        "--confdir",
        confdir,
        "--service",
        "sshd",
        "--user",
        logins.user,
        "--repeat",
        LOGINS,
    ];
    if logins.from.is_some() {
        argv.extend(["--accept", ADDRESS]);
    }
    let output = logins.node.run(&argv)?.ok()?;
    let value: Value = serde_json::from_str(&output).context("pamcall's answer")?;
    let micros = value["micros"].as_array().context("pamcall: no micros")?;
    micros
        .iter()
        .map(|it| Ok(it.as_f64().context("pamcall: no number")? / 1000.0))
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
