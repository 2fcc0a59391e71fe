//! The session of docs/connect.txt. With UPDATE_EXPECT=1 the file is written anew.

use std::fs;

use anyhow::{Context, Result, ensure};
use lab::Cluster;

/// The file that users see.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/connect.txt");
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

/// Runs it, and compares.
pub fn shown(cluster: &Cluster) -> Result<()> {
    let mut jobs: Vec<String> = Vec::new();
    let mut text = String::new();
    for typed in TYPED {
        let (mut real, mut show) = (typed.to_owned(), typed.to_owned());
        for (number, job) in (0..).zip(&jobs) {
            real = real.replace(&format!("{{{number}}}"), job);
            show = show.replace(&format!("{{{number}}}"), &(FIRST + number).to_string());
        }
        let script = format!("cd /tmp; exec 2>&1; {real}");
        let output = cluster.node(1).run_as("alice", &["bash", "-c", &script])?;
        if let Some(job) = output.stdout.strip_prefix("Submitted batch job ") {
            let job = job.trim();
            jobs.push(job.to_owned());
            if !typed.contains("--hold") {
                cluster.wait_running(job.parse().context("a job's number")?)?;
            }
        }
        text += &format!(
            "alice@login:~$ {show}\n{}",
            renumbered(&without_news(&output.stdout.replace('\r', "")), &jobs)
        );
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(FILE, text).with_context(|| format!("write {FILE}"));
    }
    let kept = fs::read_to_string(FILE).with_context(|| format!("read {FILE}"))?;
    ensure!(
        kept == text,
        "{FILE} differs; UPDATE_EXPECT=1 writes it:\n{text}"
    );
    Ok(())
}

/// The text with the first line about a job that waits: whether others follow is chance.
fn without_news(text: &str) -> String {
    let mut waited = false;
    let is_kept = |line: &&str| {
        let waits = line.contains(": waiting: ");
        let is_repeated = waits && waited;
        waited = waits;
        !is_repeated
    };
    text.split_inclusive('\n').filter(is_kept).collect()
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
