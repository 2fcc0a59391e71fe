//! Logins to node2 from a job on node1, with two jobs to choose from: the slurmd there is asked.
//!
//! That slurmd searches node1's table of connections. The lab's nodes share one kernel, which goes through
//! all of its connections to show those of one node: with many of them, both modules wait longer for the
//! answer than they would between two hosts.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Background, Cluster};

use crate::measure::{Before, Effort, Logins};
use crate::results::{Axis, Row};

/// ID of the row with the most connections.
pub const MOST_ID: &str = "tcp-20000";

/// Measures logins on a cluster of three nodes: they come from node 1 and arrive at node 2; node 3 is the
/// other end of the other connections.
pub fn rows(
    cluster: &Cluster,
    stacks: &str,
    effort: Effort,
    mut done: impl FnMut(Row),
) -> Result<()> {
    let node = cluster.node(2);
    let job = cluster.submit("alice", &["--nodes=2", "--nodelist=node1,node2"])?;
    cluster.submit("alice", &["--nodelist=node2"])?;
    let logins = Logins {
        node,
        stacks,
        user: "alice",
        adopted: true,
        env: Vec::new(),
        from: Some((cluster.node(1), job)),
        socket: Some(node.extern_socket(job)),
        before: Before::Nothing,
    };
    for (count, shown) in [(10, "10"), (20_000, "20,000")] {
        let _connections = connections(cluster, count)?;
        let name = format!("2 jobs of the user, caller ID, {shown} other TCP connections");
        done(logins.row(Axis::Tcp, &format!("tcp-{count}"), &name, effort));
    }
    Ok(())
}

/// Opens that many connections from node3 to node2, spread over processes because of their limit on open files.
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
