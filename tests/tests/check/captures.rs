//! The captures of docs/tool.md, and what explain says of several logins, as a cluster of its own shows them. With
//! UPDATE_EXPECT=1 the test writes both files again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use expect_test::expect_file;
use lab::{Background, Cluster, Node, Suite};
use tests::CLI;

const STACK: &str = "/etc/pam.d/sshd";
/// What stands for the release of Debian's package.
const RELEASE: &str = "26.05.5";

/// Compares docs/tool.md and expected/explain.txt with what the tool prints.
pub fn compare(suite: Suite) -> Result<()> {
    let program = tests::dist("slurm-adopt")?;
    let cluster = tests::cluster(suite)?.copy(program, CLI).start()?;
    let node = cluster.node(1);
    let sound = node.sh(&format!("cat {STACK}"))?;
    let broken = sound.replacen('\n', "\naccount  sufficient  pam_localuser.so\n", 1);
    node.write(STACK, broken, 0o644)?;
    let check = capture(node, &["check"])?;
    node.write(STACK, sound, 0o644)?;
    let nobody = explained(node, &[&["explain", "alice"]])?;

    let alices = cluster.submit("alice", &["--time=60"])?;
    let bobs = cluster.submit("bob", &["--time=1-02:30"])?;
    ensure!((alices, bobs) == (1, 2), "the cluster's first jobs");
    let trial = capture(node, &["check", "--as", "alice"])?;
    let trial = section(&trial, "containment")?;
    let explain = capture(node, &["explain", "alice"])?;
    let status = status(&cluster)?;
    let sweep = sweep(node)?;
    compare_document(&[check, trial, explain, status, sweep])?;

    let one_job = explained(node, ONE_JOB)?;
    cluster.submit("alice", &[])?;
    let two_jobs = explained(node, &[&["explain", "alice"]])?;
    expect_file!["expected/explain.txt"].assert_eq(&[nobody, one_job, two_jobs].concat());
    cluster.stop()
}

/// What is asked while alice has one job.
const ONE_JOB: &[&[&str]] = &[
    &["explain", "alice"],
    &["explain", "alice", "--json"],
    &["explain", "alice", "--from", "127.0.0.1"],
    &["explain", "alice", "--service", "su"],
    &["explain", "carol", "--options", "exempt_users=carol"],
    &["explain", "carol", "--options", "mode=audit"],
    &["explain", "carol", "--options", "strict message_no_jobs="],
    &["explain", "root"],
    &["explain", "no-such-user"],
    &["explain", "\u{1b}[2J"],
];

/// A command and what it prints, as in a terminal.
fn capture(node: &Node, arguments: &[&str]) -> Result<String> {
    let run = node.run(&[&[CLI], arguments].concat())?;
    ensure!(run.stderr.is_empty(), "{run}");
    let line = arguments.join(" ");
    Ok(plain(&format!("# slurm-adopt {line}\n{}", run.stdout)))
}

/// Commands, what they print, and their exit status.
fn explained(node: &Node, commands: &[&[&str]]) -> Result<String> {
    let mut text = String::new();
    for arguments in commands {
        let run = node.run(&[&[CLI], *arguments].concat())?;
        let line = arguments.join(" ").replace('\u{1b}', "ESC");
        let (out, errors, status) = (&run.stdout, &run.stderr, run.status);
        let shown = format!("# slurm-adopt {line}\n{out}{errors}[{status:?}]\n");
        text += &(plain(&shown) + "\n");
    }
    Ok(text)
}

/// The lines of a room.
fn section(text: &str, room: &str) -> Result<String> {
    let at = text.find(&format!("\n{room} ")).context(room.to_owned())?;
    let rest = text[at + 1..].split("\n\n").next().unwrap_or_default();
    Ok(format!("{rest}\n"))
}

/// The table with a login of alice's and of bob's, and one of carol's denied.
fn status(cluster: &Cluster) -> Result<String> {
    let node = cluster.node(1);
    let to = node.name();
    let _of_alice: Background = node
        .command(&["ssh", "-tt", "-o", "BatchMode=yes", to])
        .user("alice")
        .stdin("sleep 1000\n")
        .spawn()?;
    let _of_bob = node.ssh_command("bob", to, &["sleep 1000; true"]).spawn()?;
    ensure!(!node.ssh("carol", to, &["true"])?.success(), "carol got in");
    let mut seen = String::new();
    let what = "the logins in the table";
    let is_complete = || {
        seen = capture(node, &["status"])?;
        let has = |it: &str| seen.contains(it);
        // A job's end is known once its script runs.
        let mut left = seen.lines().filter_map(|it| it.split_whitespace().nth(2));
        let has_ends = !left.any(|it| it == "-");
        Ok(has_ends && has(" pts/0 ") && has(" command ") && has("(carol)") && has("since"))
    };
    let waited = lab::poll::until_true(what, Duration::from_secs(20), is_complete);
    waited.with_context(|| seen.clone())?;
    Ok(seen)
}

/// A process of carol's that sweep would end.
fn sweep(node: &Node) -> Result<String> {
    const PID: u32 = 812;
    let _stray: Background = node.command(&["sleep", "1000"]).user("carol").spawn()?;
    let mut seen = String::new();
    lab::poll::until_true("carol's process", Duration::from_secs(20), || {
        seen = capture(node, &["sweep", "--dry-run", "carol"])?;
        Ok(seen.contains("sleep["))
    })?;
    let (_, rest) = seen.split_once("sleep[").context("its pid")?;
    let pid = rest.split(']').next().unwrap_or_default();
    let of_row = seen.replace(&format!("{pid:>8}  "), &format!("{PID:>8}  "));
    Ok(of_row.replace(&format!("[{pid}]"), &format!("[{PID}]")))
}

/// Compares the first fenced blocks of the page, one after the other. `ending` has the others.
fn compare_document(captures: &[String]) -> Result<()> {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tool.md");
    const FENCE: &str = "```\n";
    let page = std::fs::read_to_string(PAGE).context(PAGE)?;
    let count = 2 * captures.len() + 1;
    let mut parts: Vec<&str> = page.splitn(count, FENCE).collect();
    ensure!(parts.len() == count, "{PAGE}: blocks");
    for (part, text) in parts.iter_mut().skip(1).step_by(2).zip(captures) {
        *part = text;
    }
    expect_file![PAGE].assert_eq(&parts.join(FENCE));
    Ok(())
}

/// A text without what differs from run to run: times, and the number of checks.
fn plain(text: &str) -> String {
    let line = |line: &str| {
        let line = match line.split_once(" checked in ") {
            Some((sum, _)) => format!("{}, ...", sum.rsplit_once(", ").map_or(sum, |it| it.0)),
            None => line.to_owned(),
        };
        let line = numbers_after(&line, "(", " ms)", "0.1");
        let line = numbers_after(&line, "\"ms\":", ",", "0.1");
        let line = numbers_after(&line, "\"ms\":", "}", "0.1");
        let line = numbers_after(&line, " ", "s", "3");
        let (release, _) = RELEASE.rsplit_once('.').unwrap_or_default();
        let line = numbers_after(&line, &format!("{release}."), ";", "5");
        line + "\n"
    };
    text.split('\n')
        .map(line)
        .collect::<String>()
        .trim_end_matches('\n')
        .to_owned()
        + "\n"
}

/// Replaces each number that stands between two texts.
fn numbers_after(line: &str, before: &str, after: &str, new: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        text += head;
        let is_of_number = |it: char| it.is_ascii_digit() || it == '.';
        let digits = tail.find(|it| !is_of_number(it)).unwrap_or(tail.len());
        let is_whole = digits > 0 && tail[digits..].starts_with(after);
        rest = &tail[if is_whole { digits } else { 0 }..];
        if is_whole {
            text += new;
        }
    }
    text + rest
}
