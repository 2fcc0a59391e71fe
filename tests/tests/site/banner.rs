//! What tells of a login's job: the line that the login reads (`banner=1`), and `slurm-adopt explain`.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Output, Suite};
use serde_json::Value;
use tests::CLI;

use crate::environment::{login, names, with};
use crate::{FILE, Test};

/// A default run has them on one release; a long one on all.
pub const TESTS: &[(&str, Test)] = &[
    ("a banner on a terminal alone", banner),
    ("explain tells what a login gets", explanation),
];

/// A login with a terminal, and what it shows.
pub fn terminal(node: &Node, command: &[&str]) -> Result<Output> {
    let argv = [&["ssh", "-tt", node.name()], command].concat();
    node.command(&argv).user("alice").stdin("exit\n").output()
}

fn banner(cluster: &Cluster) -> Result<()> {
    const TOLD: &str = "This login is in job";
    let node = cluster.node(1);
    let first = cluster.submit("alice", &["--time=90"])?;
    let job = cluster.submit("alice", &["--time=90"])?;
    cluster.wait_script(first)?;
    cluster.wait_script(job)?;
    let has_end = cluster.suite() >= Suite::Trixie;
    let lines = [30, 29].map(|minutes| {
        let left = match has_end {
            true => format!(", 1 h {minutes} min left"),
            false => String::new(),
        };
        format!("{TOLD} {job}{left}. Your other jobs here: {first} (ssh job-{first})\r\n")
    });
    with(node, "banner=1", || {
        let told = terminal(node, &[])?;
        let is_told = lines.iter().any(|it| told.stdout.contains(it));
        ensure!(is_told, "none of {lines:?}: {told}");
        let others: [&[&str]; 4] = [
            &["ssh", node.name(), "echo here"],
            &["ssh", "-tt", node.name(), "echo here"],
            &["scp", "node1:/etc/hostname", "/tmp/here"],
            &[
                "sh",
                "-c",
                "echo get /etc/hostname /tmp/here | sftp -b - node1",
            ],
        ];
        for argv in others {
            let silent = node.command(argv).user("alice").output()?;
            let text = format!("{silent}");
            ensure!(silent.success() && !text.contains(TOLD), "{argv:?}: {text}");
        }
        node.sh("touch /home/alice/.hushlogin")?;
        let hushed = terminal(node, &[]);
        node.sh("rm /home/alice/.hushlogin")?;
        let hushed = hushed?;
        ensure!(!hushed.stdout.contains(TOLD), "{hushed}");
        Ok(())
    })?;
    with(node, "banner=0", || {
        let told = terminal(node, &[])?;
        ensure!(!told.stdout.contains(TOLD), "{told}");
        Ok(())
    })
}

const SCHEMA: &str = include_str!("../../../docs/explain.schema.json");

/// What `slurm-adopt explain` says, as text and as JSON.
fn explained(node: &Node) -> Result<(String, Value)> {
    let text = node.run(&[CLI, "explain", "alice"])?.ok()?;
    let json = node.run(&[CLI, "explain", "alice", "--json"])?.ok()?;
    let json: Value = serde_json::from_str(&json)?;
    let schema: Value = serde_json::from_str(SCHEMA)?;
    let required = schema["required"].as_array().context("names")?;
    let mut required: Vec<_> = required.iter().filter_map(Value::as_str).collect();
    required.sort_unstable();
    let mut found: Vec<_> = json.as_object().context("an object")?.keys().collect();
    found.sort_unstable();
    ensure!(found == required, "{found:?}, not {required:?}");
    Ok((text, json))
}

fn explanation(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let first = cluster.submit("alice", &["--time=90"])?;
    let job = cluster.submit("alice", &["--time=90"])?;
    cluster.wait_script(first)?;
    cluster.wait_script(job)?;
    for level in ["none", "jobid", "allocation", "full"] {
        with(node, &format!("environment={level} banner=1"), || {
            let found = login(node)?;
            let (text, json) = explained(node)?;
            let told = json["environment"].as_array().context("names")?;
            let mut told: Vec<_> = told.iter().filter_map(Value::as_str).collect();
            told.sort_unstable();
            ensure!(told == names(&found), "{text}\n{json}, not {found:?}");
            let pid = json["environment_pid"].as_u64();
            let is_read = ["allocation", "full"].contains(&level);
            ensure!(pid.is_some() == is_read, "{json}");
            if let Some(pid) = pid {
                let line = node.read_text(&format!("/proc/{pid}/cgroup"))?;
                let is_script = line.contains(&format!("/job_{job}/step_batch"));
                ensure!(is_script, "{pid}: {line}");
                ensure!(
                    text.contains(&format!(
                        "; from process {pid} of its script  environment={level} ("
                    )),
                    "{text}"
                );
            }
            let banner = json["banner"].as_str().context("a banner")?;
            let others = format!(". Your other jobs here: {first} (ssh job-{first})");
            ensure!(
                banner.starts_with(&format!("This login is in job {job}")),
                "{banner}"
            );
            ensure!(banner.ends_with(&others) && text.contains(banner), "{text}");
            Ok(())
        })?;
    }
    // The account line alone greets nobody.
    node.write(FILE, "banner = 1\n", 0o644)?;
    let (text, json) = explained(node)?;
    ensure!(
        json["banner"].is_null() && text.contains("no session line"),
        "{text}"
    );
    node.remove(FILE)
}
