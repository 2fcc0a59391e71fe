//! What one login costs with SchedMD's module and with ours, in one run on the same live cluster:
//! a fresh process, pam_start, pam_acct_mgmt, pam_end, less the same with pam_permit alone.
//!
//! `cargo run --release -p bench [SUITE]`, as root, after `cargo xtask dist`. Prints a Markdown table.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its answer")]

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Suite};
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
    node.write(
        "/run/permit/sshd",
        "account required pam_permit.so\n",
        0o644,
    )?;
    println!(
        "Slurm {}, median of {} logins each\n",
        suite.slurm(),
        LOGINS.parse::<usize>()? * TURNS
    );
    println!("| situation | pam_permit ms | SchedMD ms | ours ms | net ratio |");
    println!("|---|---|---|---|---|");
    row(node, "no job on the node", "alice", 6)?;
    cluster.submit("alice", &[])?;
    row(node, "one job, the user's", "alice", 0)?;
    row(node, "one job, another's", "bob", 6)?;
    many(&cluster, "bob", 99)?;
    row(node, "100 jobs, one of them the user's", "alice", 0)?;
    row(node, "100 jobs of others", "carol", 6)?;
    Ok(())
}

fn many(cluster: &Cluster, user: &str, count: usize) -> Result<()> {
    let jobs: Result<Vec<_>> = (0..count).map(|_| cluster.submit_only(user, &[])).collect();
    jobs?
        .into_iter()
        .try_for_each(|job| cluster.wait_running(job))
}

fn row(node: &Node, situation: &str, user: &str, code: i64) -> Result<()> {
    let call = Call::new(user, "");
    let mut micros = [const { Vec::new() }; 3];
    for module in [Module::SchedMd, Module::Ours] {
        let outcome = call.make(node, module)?;
        ensure!(
            outcome.end == End::Code(code),
            "{situation}, {module:?}: {outcome}"
        );
    }
    for _ in 0..TURNS {
        micros[0].extend(times(node, user, "/run/permit")?);
        micros[1].extend(times(node, user, "/run/pamcall/SchedMd")?);
        micros[2].extend(times(node, user, "/run/pamcall/Ours")?);
    }
    let [floor, theirs, ours] = micros.map(median);
    let net = (theirs - floor) / (ours - floor);
    println!("| {situation} | {floor:.2} | {theirs:.2} | {ours:.2} | {net:.1} |");
    Ok(())
}

/// Milliseconds of [`LOGINS`] fresh processes with the stack in that directory.
fn times(node: &Node, user: &str, confdir: &str) -> Result<Vec<f64>> {
    let argv = [
        PAMCALL,
        "--confdir",
        confdir,
        "--service",
        "sshd",
        "--user",
        user,
    ];
    let output = node
        .run(&[&argv[..], &["--repeat", LOGINS]].concat())?
        .ok()?;
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
