//! Slurm's daemons restarted, reconfigured, stopped and killed while logins come in. No job starts
//! or ends, so each login has one right answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::Node;
use tests::{Module, is_long, record};

use crate::crowd::Crowd;
use crate::storm::{self, Tally};

const CONF: &str = "/etc/slurm/slurm.conf";

type Outage = fn(&Crowd) -> Result<()>;

/// What is done to the node, and undone.
const OUTAGES: &[(&str, Outage)] = &[
    ("node drained and resumed", drain),
    ("scontrol reconfigure", reconfigure),
    ("slurm.conf replaced 20 times a second", replace),
    ("slurm.conf changed and reconfigured", change),
    ("slurmd restarted", restart),
    ("slurmd killed and started", kill_slurmd),
    ("slurmctld killed and started", kill_slurmctld),
    ("munged ended and started", without_munged),
];

/// Each outage by itself, under a storm of logins.
pub fn all(crowd: &mut Crowd) -> Result<()> {
    crowd.cancel_all()?;
    crowd.settle().context("start the jobs that stay")?;
    storm::stack(crowd, Module::Ours)?;
    let rounds = if is_long() { 5 } else { 1 };
    for (seed, (what, outage)) in (100..).zip(OUTAGES) {
        let logins = storm::during(crowd, 10, seed, || {
            for _ in 0..rounds {
                outage(crowd)?;
            }
            Ok(())
        })
        .context(*what)?;
        let mut tally = Tally::default();
        tally.add(crowd, &logins);
        tally.check(what)?;
        ensure!(
            tally.adopted >= storm::ENOUGH && tally.kept_out >= storm::ENOUGH && tally.either == 0,
            "{what}: too few: {tally}"
        );
        record(
            &format!("{what}, {rounds} times during logins"),
            &crowd.versions()?,
            &tally.to_string(),
        )?;
    }
    Ok(())
}

fn pid(node: &Node, file: &str) -> Result<u32> {
    let text = node.read_text(file)?;
    text.trim()
        .parse()
        .with_context(|| format!("{file}: {text}"))
}

/// Long enough for logins to begin and end in it.
fn a_while() {
    std::thread::sleep(Duration::from_secs(2));
}

fn drain(crowd: &Crowd) -> Result<()> {
    let node = crowd.target();
    let state = || {
        node.run(&["sinfo", "-h", "-N", "--nodes=node1", "--format=%T"])?
            .ok()
    };
    node.sh("scontrol update nodename=node1 state=drain reason=test")?;
    a_while();
    let drained = state()?;
    node.sh("scontrol update nodename=node1 state=resume")?;
    ensure!(drained.contains("drain"), "not drained: {drained}");
    Ok(())
}

fn reconfigure(crowd: &Crowd) -> Result<()> {
    crowd.target().sh("scontrol reconfigure")?;
    a_while();
    slurmd_answers(crowd)
}

/// In one step, as configuration management does.
fn replace(crowd: &Crowd) -> Result<()> {
    let node = crowd.target();
    let text = node.read_text(CONF)?;
    let end = Instant::now() + Duration::from_secs(3);
    for turn in 0.. {
        if Instant::now() > end {
            break;
        }
        node.write(CONF, format!("{text}# turn {turn}\n"), 0o644)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    node.write(CONF, text, 0o644)
}

fn change(crowd: &Crowd) -> Result<()> {
    let text = crowd.target().read_text(CONF)?;
    let with = |line: &str| -> Result<()> {
        for node in crowd.cluster.nodes() {
            node.write(CONF, format!("{text}{line}\n"), 0o644)?;
        }
        crowd.target().sh("scontrol reconfigure")?;
        a_while();
        slurmd_answers(crowd)
    };
    with("SlurmdDebug=debug2")?;
    let shown = crowd.target().sh("scontrol show config")?;
    with("")?;
    let debug = shown.lines().find(|it| it.starts_with("SlurmdDebug "));
    ensure!(debug.is_some_and(|it| it.ends_with("debug2")), "{debug:?}");
    Ok(())
}

fn restart(crowd: &Crowd) -> Result<()> {
    end_slurmd(crowd, "TERM")?;
    crowd.target().start_slurmd()?;
    a_while();
    slurmd_answers(crowd)
}

fn kill_slurmd(crowd: &Crowd) -> Result<()> {
    end_slurmd(crowd, "KILL")?;
    a_while();
    crowd.target().start_slurmd()?;
    slurmd_answers(crowd)
}

/// Not by its pid file: for a moment after it was reconfigured slurmd has none.
fn end_slurmd(crowd: &Crowd, signal: &str) -> Result<()> {
    let node = crowd.target();
    let pid = node.sh("pidof slurmd")?;
    let pid: u32 = pid
        .trim()
        .parse()
        .with_context(|| format!("not one slurmd: {pid}"))?;
    node.signal(pid, signal)?;
    lab::poll::until_true("slurmd to end", Duration::from_secs(20), || {
        Ok(!node.run(&["pidof", "slurmd"])?.success())
    })
}

fn kill_slurmctld(crowd: &Crowd) -> Result<()> {
    let node = crowd.target();
    let pid = pid(node, "/run/slurmctld.pid")?;
    node.signal(pid, "KILL")?;
    a_while();
    let ping = node.run(&["scontrol", "ping"])?;
    // With its state: the jobs stay.
    node.run(&["slurmctld", "-i"])?.ok()?;
    ensure!(
        ping.stdout.contains("DOWN"),
        "slurmctld is not down: {ping}"
    );
    lab::poll::until_true("slurmctld", Duration::from_secs(30), || {
        Ok(node.run(&["scontrol", "ping"])?.stdout.contains("UP"))
    })?;
    crowd.target().run(&["squeue"])?.ok().map(drop)
}

fn without_munged(crowd: &Crowd) -> Result<()> {
    let node = crowd.target();
    node.sh("kill $(pidof munged)")?;
    a_while();
    let munge = node.run(&["munge", "-n"])?;
    node.sh("rm -f /run/munge/munge.socket.2*
             setpriv --reuid=munge --regid=munge --clear-groups munged --num-threads=2")?;
    ensure!(!munge.success(), "munged is not down: {munge}");
    node.run(&["munge", "-n"])?.ok().map(drop)
}

/// slurmd is there again.
fn slurmd_answers(crowd: &Crowd) -> Result<()> {
    lab::poll::until_true("slurmd to answer", Duration::from_secs(30), || {
        let told = crowd.target().run(&["scontrol", "show", "slurmd"])?;
        Ok(told.stdout.contains("Active Steps"))
    })
}
