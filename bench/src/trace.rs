//! Counts the system calls of one login and the bytes it reads, with the host's strace around nsenter(1).

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::Node;

/// Counts by strace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// System calls that began, in all processes.
    pub calls: u64,
    /// Sum of the results of read(2) and pread(2).
    pub read_bytes: u64,
}

/// Runs the program in the node, traced. The few calls of nsenter are counted too: they are the same for
/// all, and only differences matter.
pub fn count(node: &Node, argv: &[&str], env: &[(String, String)]) -> Result<Traced> {
    /// In seconds; strace makes a program many times slower.
    const LIMIT: &str = "120";
    let log = std::env::temp_dir().join(format!("slurm-adopt-bench-{}", std::process::id()));
    let pid = node.host_pid().to_string();
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", LIMIT, "strace", "-f", "-qq", "-s", "0"])
        .args(["-e", "signal=none", "-o"])
        .arg(&log)
        .args(["nsenter", "--target", &pid, "--mount", "--uts", "--ipc"])
        .args(["--net", "--cgroup", "--root", "--wd"])
        // The namespace of its children, which are in the node.
        .arg(format!("--pid=/proc/{pid}/ns/pid_for_children"))
        .arg("--")
        .args(argv)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(env.iter().map(|(name, value)| (name, value)));
    let output = command.stdin(Stdio::null()).output().context("run strace");
    let text = fs::read(&log);
    let _ = fs::remove_file(&log);
    let output = output?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "strace: {}: {}",
        output.status,
        errors.trim()
    );
    let text = text.with_context(|| format!("read {}", log.display()))?;
    let traced = parse(&String::from_utf8_lossy(&text));
    ensure!(traced.calls > 0, "strace has written nothing");
    Ok(traced)
}

/// Parses the output of `strace -f -o`.
fn parse(log: &str) -> Traced {
    let mut traced = Traced::default();
    for line in log.lines() {
        // Each line has the PID, then the call, or `+++ exited`, or `--- SIGCHLD`.
        let Some((_, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let resumed = call.strip_prefix("<... ");
        if call.starts_with("+++") || call.starts_with("---") {
            continue;
        }
        // A call that another process's interrupts has two lines.
        traced.calls += u64::from(resumed.is_none());
        let name = resumed.unwrap_or(call);
        let end = name.find(['(', ' ']).unwrap_or(name.len());
        if ["read", "pread64"].contains(&&name[..end]) {
            traced.read_bytes += returned(call).unwrap_or(0);
        }
    }
    traced
}

/// The number after the last `=`; `None` for an error or a call that has not ended.
fn returned(call: &str) -> Option<u64> {
    let (_, value) = call.rsplit_once(" = ")?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_bytes() {
        let log = "\
100 execve(\"/usr/bin/nsenter\", [\"nsenter\"...], 0x7ffd /* 1 var */) = 0
100 read(3, \"\"..., 832)              = 832
100 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID) = 101
101 read(3,  <unfinished ...>
100 wait4(101,  <unfinished ...>
101 <... read resumed>\"\"..., 4096)    = 400
101 pread64(3, \"\"..., 784, 64)        = 784
101 read(4, 0x7ffd, 10)               = -1 EAGAIN (Resource temporarily unavailable)
101 readlink(\"/proc/self/exe\", \"\"..., 4096) = 20
101 write(1, \"a = 5\"..., 17)          = 17
101 exit_group(0)                     = ?
101 +++ exited with 0 +++
100 <... wait4 resumed>NULL, 0, NULL) = 101
100 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
100 exit_group(0)                     = ?
";
        let traced = parse(log);
        assert_eq!(
            traced,
            Traced {
                calls: 11,
                read_bytes: 832 + 400 + 784
            }
        );
    }

    #[test]
    fn nothing_of_nothing() {
        assert_eq!(parse(""), Traced::default());
    }
}
