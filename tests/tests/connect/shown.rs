//! The session of docs/connect.txt, and its recording. With UPDATE_EXPECT=1 both files are written again.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node};
use tests::cast::{self, Event};

/// The files that users see.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/connect.txt");
const CAST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/connect.cast");
const TITLE: &str = "ssh to your job with slurm-adopt";
/// Seconds for which alice types.
const TYPING: f64 = 1.5;
const LIMIT: Duration = Duration::from_secs(60);
/// Part of a line that tells that a job is waited for.
const NEWS: &str = ": waiting: ";
/// Number of the first job, as it is shown.
const FIRST: u32 = 4711;
/// What alice types; `{0}` is her first job.
const TYPED: [&str; 11] = [
    "sbatch -J train -w node2 --wrap 'sleep 1h'",
    "sbatch -J eval -w node2 --wrap 'sleep 1h'",
    "squeue --me -S i -o '%i %j %T %N'",
    "ssh job-{0} 'hostname; echo job $SLURM_JOB_ID'",
    "ssh job-eval 'hostname; echo job $SLURM_JOB_ID'",
    "echo hello >note; scp -q note job-train:/tmp/",
    "slurm-adopt connect train cat /tmp/note",
    "sbatch -J next -w node2 --hold --wrap 'sleep 1h'",
    "(sleep 2; scontrol release {2}) & ssh job-next 'echo job $SLURM_JOB_ID'",
    "scancel {0}; sleep 3; ssh job-{0} true",
    "ssh job-trian true",
];

/// What alice's pauses are for, on a host of whatever speed.
const UNTIL: [(&str, &str); 2] = [
    (
        "sleep 2;",
        "sleep 2; until test -e /tmp/waits; do sleep 0.1; done;",
    ),
    (
        "sleep 3;",
        "sleep 2; while squeue -h -o %T -j {0} | grep -q COMPLETING; do sleep 0.1; done;",
    ),
];
/// A file that is there once a line tells that a job is waited for.
const WAITS: &str = "/tmp/waits";

/// Runs it, and compares.
pub fn shown(cluster: &Cluster) -> Result<()> {
    let events = recorded(cluster)?;
    let text: String = events.iter().map(|it| it.text.as_str()).collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let cast = cast::write(TITLE, &events);
        fs::write(CAST, cast).with_context(|| format!("write {CAST}"))?;
        return fs::write(FILE, text).with_context(|| format!("write {FILE}"));
    }
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("read {path}"));
    let told = cast::text(&read(CAST)?).context(CAST)?;
    for (path, kept) in [(FILE, read(FILE)?), (CAST, told)] {
        ensure!(
            kept == text,
            "{path} differs; UPDATE_EXPECT=1 writes it:\n{text}"
        );
    }
    Ok(())
}

/// All that the terminal shows, with the times at which it came.
fn recorded(cluster: &Cluster) -> Result<Vec<Event>> {
    let mut jobs: Vec<String> = Vec::new();
    let mut events = Vec::new();
    let mut now = 0.0;
    for typed in TYPED {
        let (mut real, mut show) = (typed.to_owned(), typed.to_owned());
        for (pause, until) in UNTIL {
            real = real.replace(pause, until);
        }
        for (number, job) in (0..).zip(&jobs) {
            real = real.replace(&format!("{{{number}}}"), job);
            show = show.replace(&format!("{{{number}}}"), &(FIRST + number).to_string());
        }
        let at = |at, text| Event { at, text };
        events.push(at(now, "alice@login:~$ ".to_owned()));
        now += TYPING;
        events.push(at(now, format!("{show}\n")));
        let start = Instant::now();
        let lines = run(cluster.node(1), &real)?;
        let took = start.elapsed().as_secs_f64();
        if let Some(job) = submitted(&lines) {
            jobs.push(job.to_owned());
            if !typed.contains("--hold") {
                cluster.wait_running(job.parse().context("a job's number")?)?;
            }
        }
        let lines = without_news(lines);
        let shown = lines
            .into_iter()
            .map(|it| at(now + it.at, renumbered(&it.text, &jobs)));
        events.extend(shown);
        now += took;
    }
    Ok(events)
}

/// Runs what alice types: each line that it prints, with the seconds until then.
fn run(node: &Node, typed: &str) -> Result<Vec<Event>> {
    let script = format!("cd /tmp; exec 2>&1; {typed}");
    let mut shell = node
        .command(&["bash", "-c", &script])
        .user("alice")
        .spawn()?;
    let start = Instant::now();
    let mut lines: Vec<Event> = Vec::new();
    loop {
        let has_ended = shell.wait(Duration::from_millis(10))?.is_some();
        ensure!(start.elapsed() < LIMIT, "{typed}: no end");
        let text = shell.stdout()?.replace('\r', "");
        let whole = text.split_inclusive('\n').filter(|it| it.ends_with('\n'));
        let at = start.elapsed().as_secs_f64();
        let new = whole.skip(lines.len()).map(str::to_owned);
        lines.extend(new.map(|text| Event { at, text }).collect::<Vec<_>>());
        if lines.last().is_some_and(|it| it.text.contains(NEWS)) {
            node.write(WAITS, "", 0o644)?;
        }
        if has_ended {
            return Ok(lines);
        }
    }
}

/// The number of the job that was submitted.
fn submitted(lines: &[Event]) -> Option<&str> {
    let text = lines.first()?.text.strip_prefix("Submitted batch job ")?;
    Some(text.trim())
}

/// The lines with the first one about a job that waits: whether others follow is chance.
fn without_news(mut lines: Vec<Event>) -> Vec<Event> {
    let mut waited = false;
    lines.retain(|line| {
        let waits = line.text.contains(NEWS);
        let is_repeated = waits && waited;
        waited = waits;
        !is_repeated
    });
    lines
}

/// The text with the numbers that are shown, and without times.
fn renumbered(text: &str, jobs: &[String]) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_digit = |it: char| it.is_ascii_digit();
        let digits = rest.find(|it| !is_digit(it)).unwrap_or(rest.len());
        let word = &rest[..digits];
        // "node2" has no job's number.
        let is_part = shown.ends_with(char::is_alphabetic);
        let job = (0..).zip(jobs).find(|(_, it)| *it == word && !is_part);
        match job {
            Some((number, _)) => shown += &(FIRST + number).to_string(),
            None => shown += word,
        }
        rest = &rest[digits..];
        let other = rest.find(is_digit).unwrap_or(rest.len());
        shown += &rest[..other];
        rest = &rest[other..];
    }
    // A time of the year in which this is tested.
    match shown.split_once("(CANCELLED, ") {
        Some((before, after)) => {
            let after = after.split_once(')').map_or("", |(_, after)| after);
            format!("{before}(CANCELLED, 2026-11-30T12:00:00){after}")
        }
        None => shown,
    }
}
