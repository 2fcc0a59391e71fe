//! `slurm-adopt proxy` beside a Slurm of shell scripts, for what a real one does seldom.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Commands of Slurm's: `queue` is what squeue prints, scancel notes its arguments in `cancelled`.
const COMMANDS: [(&str, &str); 5] = [
    (
        "squeue",
        r#"case "$*" in *--jobs=*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1 ;; esac
        if test -e queue; then cat queue; fi"#,
    ),
    ("sbatch", "cp submitted queue; echo 77"),
    ("scancel", r#"echo "$*" >>cancelled; rm -f queue"#),
    ("scontrol", "echo 'ClusterName             = lab'"),
    (
        "ssh-keygen",
        r#"case $1 in -F*node1*) echo "${1#-F} ssh-ed25519 AAAA" ;; esac"#,
    ),
];

/// A directory with the commands, where a job of this name appears in the queue once one is submitted.
fn slurm(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (command, script) in COMMANDS {
        let (path, at) = (dir.path().join(command), dir.path().display());
        fs::write(&path, format!("#!/bin/sh\ncd {at}\n{script}\n")).expect("a script");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let line = format!("77|77|PENDING|Priority|N/A|N/A||0|root|{name}\n");
    fs::write(dir.path().join("submitted"), line).expect("a queue");
    dir
}

fn proxy(dir: &TempDir, arguments: &[&str]) -> Command {
    let mut proxy = Command::new(env!("CARGO_BIN_EXE_slurm-adopt"));
    proxy.arg("proxy").args(arguments).stdin(Stdio::null());
    proxy.env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()));
    proxy
}

fn cancelled(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("cancelled")).unwrap_or_default()
}

/// A name that no other run of these tests has.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn a_job_that_slurm_names_otherwise_is_cancelled() {
    let dir = slurm("site-dev");
    let name = unique("renamed");
    let output = proxy(&dir, &["--name", &name, "--alloc", ""]).output();
    let output = output.expect("slurm-adopt");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("has named it \"site-dev\""), "{told}");
    assert_eq!(cancelled(&dir), "--quiet 77\n", "{told}");
}

#[test]
fn a_job_is_cancelled_though_nobody_reads_what_is_told() {
    let name = unique("untold");
    let dir = slurm(&name);
    let (reader, unread) = io::pipe().expect("a pipe");
    drop(reader);
    let mut proxy = proxy(&dir, &["--name", &name, "--alloc", ""]);
    let mut proxy = proxy
        .stdout(Stdio::piped())
        .stderr(unread)
        .spawn()
        .expect("slurm-adopt");
    // It has submitted the job and tells that it waits.
    std::thread::sleep(Duration::from_secs(3));
    drop(proxy.stdout.take());
    let status = proxy.wait().expect("its end");
    assert_eq!(status.code(), Some(1));
    let cancelled = cancelled(&dir);
    assert!(
        cancelled.starts_with("--quiet --state=PENDING 77\n"),
        "{cancelled}"
    );
}

/// Its own number is what sbatch has told; another's may have got another name since it was noted.
#[test]
fn a_renamed_job_is_cancelled_also_beside_one_of_the_name() {
    let dir = slurm("site-dev");
    let name = unique("beside");
    let queue = format!("78|78|PENDING|Priority|N/A|N/A||0|root|{name}\n");
    let sbatch = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\ncat other submitted >queue; echo 77\n";
    fs::write(dir.path().join("other"), queue).expect("a queue");
    fs::write(dir.path().join("sbatch"), sbatch).expect("a script");
    let mut proxy = proxy(&dir, &["--name", &name, "--alloc", ""]);
    let mut proxy = proxy
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("slurm-adopt");
    std::thread::sleep(Duration::from_secs(3));
    drop(proxy.stdout.take());
    proxy.wait().expect("its end");
    assert!(
        cancelled(&dir).starts_with("--quiet 77\n"),
        "{}",
        cancelled(&dir)
    );
}

#[test]
fn a_job_of_another_cluster_is_unknown_to_this_one() {
    let dir = slurm("other");
    let output = proxy(&dir, &["job-99"]).output().expect("slurm-adopt");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("job 99 is unknown to Slurm on cluster lab: "),
        "{told}"
    );
}

/// ssh looks names up in small letters, and with the port if it is not 22.
#[test]
fn a_key_is_found_for_a_job_with_capitals_and_for_another_port() {
    let dir = slurm("other");
    let job = "9|9|RUNNING|None|2026-11-30T12:00:00|N/A|node1|0|root|Train\n";
    fs::write(dir.path().join("queue"), job).expect("a queue");
    fs::create_dir(dir.path().join(".ssh")).expect("a directory");
    fs::write(dir.path().join(".ssh/known_hosts"), "").expect("a file");
    for host in ["job-train", "[job-train]:2222"] {
        let mut keys = Command::new(env!("CARGO_BIN_EXE_slurm-adopt"));
        keys.args(["host-keys", host, "job-Train"])
            .env("HOME", dir.path());
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let output = keys.env("PATH", path).output().expect("slurm-adopt");
        let printed = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        let line = format!("{host} ssh-ed25519 AAAA\n");
        assert!(printed.contains(&line), "{host}: {printed}{told}");
    }
}
