//! What else sshd does for a login, with both lines: copies, a terminal, and nothing but forwarding.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Node, Status};
use tests::session::{Lines, Method};
use tests::{Module, job_of_cgroup};

use crate::Test;
use crate::site::{NO_JOBS, STRICT, Site, cgroup_of, wait_for};

pub const TESTS: &[(&str, Test)] = &[
    ("scp and sftp, both lines", copies),
    ("a terminal, both lines", terminal),
    ("forwarding alone, both lines", forwarding),
];

/// One method of each kind.
const METHODS: [Method; 2] = [Method::PublicKey, Method::KeyboardInteractive];
/// More than a client can send in a test's time at [`SLOWLY`] Kbit/s.
const LARGE: &str = "/usr/sbin/sshd";
const SLOWLY: &str = "80";

fn copies(site: &Site) -> Result<()> {
    let node = site.node();
    site.use_stack(Module::Ours, Lines::Both, STRICT, "")?;
    let job = site.cluster().submit("alice", &[])?;
    let mut slow = Vec::new();
    for method in METHODS {
        site.client(
            "alice",
            method,
            &["scp", "-q", "/etc/hostname", "node1:/tmp/copied"],
        )
        .output()?
        .ok()?;
        let sftp = site.client("alice", method, &["sftp", "-q", "-b", "-", "node1"]);
        sftp.stdin("get /etc/hostname /tmp/got\n").output()?.ok()?;
        for path in ["/tmp/copied", "/tmp/got"] {
            let same = node.read(path)? == node.read("/etc/hostname")?;
            ensure!(same, "{method}: {path} differs");
            node.remove(path)?;
        }
        let argv = ["scp", "-q", "-l", SLOWLY, LARGE, "node1:/tmp/slow"];
        slow.push(site.client("alice", method, &argv).spawn()?);
        let sftp = site.client(
            "alice",
            method,
            &["sftp", "-q", "-l", SLOWLY, "-b", "-", "node1"],
        );
        slow.push(sftp.stdin(format!("put {LARGE} /tmp/slower\n")).spawn()?);
    }
    // scp is its own server before OpenSSH 9.0.
    let servers = || {
        let mut all = node.processes("sftp-server")?;
        let scp = node.processes("scp")?;
        all.extend(
            scp.into_iter()
                .filter(|(_, line)| line.starts_with("scp -t ")),
        );
        anyhow::Ok(all)
    };
    wait_for("a server for each copy", || {
        Ok(servers()?.len() == slow.len())
    })?;
    let all = servers()?.into_iter().chain(sshds_of_alice(site)?);
    all_in(node, all, job)?;
    site.cluster().cancel(job)?;
    // The clients themselves may sleep for a while.
    wait_for("the copies to end with the job", || {
        Ok(servers()?.is_empty() && sshds_of_alice(site)?.is_empty())
    })?;
    drop(slow);
    for method in METHODS {
        let scp = ["scp", "/etc/hostname", "node1:/tmp/copied"];
        let scp = site.client("alice", method, &scp).output()?;
        ensure!(
            !scp.success() && scp.stderr.contains(NO_JOBS),
            "{method}: {scp}"
        );
    }
    Ok(())
}

fn terminal(site: &Site) -> Result<()> {
    let node = site.node();
    site.use_stack(Module::Ours, Lines::Both, STRICT, "")?;
    let job = site.cluster().submit("alice", &[])?;
    for method in METHODS {
        let typed = "tty; cat /proc/self/cgroup; exit 7\n";
        let login = site.client("alice", method, &["ssh", "-tt", "node1"]);
        let login = login.stdin(typed).output()?;
        ensure!(login.status == Status::Exited(7), "{method}: {login}");
        ensure!(login.stdout.contains("/dev/pts/"), "{method}: {login}");
        let lines = login.stdout.lines().filter(|line| line.contains(":/"));
        let cgroup = lines.collect::<Vec<_>>().join("\n");
        ensure!(
            job_of_cgroup(node, &cgroup)? == Some(job),
            "{method}: {login}"
        );

        let mut login = site.client(
            "alice",
            method,
            &["ssh", "-tt", "node1", "echo in; sleep 1000"],
        );
        login = login.time_limit(Duration::from_secs(60));
        let mut login = login.spawn()?;
        wait_for("the terminal", || Ok(login.stdout()?.contains("in")))?;
        ensure!(login.is_running()?, "{method}: {}", login.stderr()?);
        all_in(node, sshds_of_alice(site)?, job)?;
        drop(login);
        wait_for("the login's end", || Ok(sshds_of_alice(site)?.is_empty()))?;
    }
    // Logins end, the job does not.
    let state = node.run(&["squeue", "-h", "--format=%A %T"])?.ok()?;
    ensure!(state.trim() == format!("{job} RUNNING"), "{state}");
    Ok(())
}

/// Without a shell or command there is nobody but sshd itself in the job.
fn forwarding(site: &Site) -> Result<()> {
    let node = site.node();
    site.use_stack(Module::Ours, Lines::Both, STRICT, "")?;
    let job = site.cluster().submit("alice", &[])?;
    for method in METHODS {
        let argv = ["ssh", "-N", "-L", "9001:localhost:22", "node1"];
        let mut client = site.client("alice", method, &argv).spawn()?;
        wait_for("the forwarding", || {
            Ok(!banner(site)?.is_empty() || !client.is_running()?)
        })?;
        ensure!(
            banner(site)?.starts_with("SSH-"),
            "{method}: {}",
            client.stderr()?
        );
        let mut sshds = Vec::new();
        wait_for("two sshds", || {
            sshds = sshds_of_alice(site)?;
            Ok(sshds.len() == 2)
        })?;
        all_in(node, sshds, job).with_context(|| method.to_string())?;
        drop(client);
        wait_for("the login's end", || Ok(sshds_of_alice(site)?.is_empty()))?;
    }
    let argv = ["ssh", "-N", "-L", "9001:localhost:22", "node1"];
    let mut client = site
        .client("alice", Method::KeyboardInteractive, &argv)
        .spawn()?;
    wait_for("the forwarding", || Ok(!banner(site)?.is_empty()))?;
    site.cluster().cancel(job)?;
    let end = client.wait(Duration::from_secs(20))?;
    ensure!(end.is_some(), "forwarding outlives the job");

    for method in METHODS {
        let bob = site.client("bob", method, &argv).output()?;
        ensure!(bob.status == Status::Exited(255), "{method}: {bob}");
        ensure!(bob.stderr.contains(NO_JOBS), "{method}: {bob}");
    }
    Ok(())
}

/// Checks that these are in that job, as far as they are still there: an sshd outlives its client by a moment.
fn all_in(node: &Node, all: impl IntoIterator<Item = (u32, String)>, job: u32) -> Result<()> {
    for (pid, line) in all {
        let cgroup = match cgroup_of(node, pid) {
            Err(_) if node.list(&format!("/proc/{pid}"))?.is_empty() => continue,
            cgroup => cgroup?,
        };
        let found = job_of_cgroup(node, &cgroup)?;
        ensure!(found == Some(job), "{line}: {cgroup}");
    }
    Ok(())
}

/// What an sshd says behind the forwarded port, if anything.
pub fn banner(site: &Site) -> Result<String> {
    let script = "exec 3<>/dev/tcp/127.0.0.1/9001 && timeout 5 head -c 4 <&3";
    let output = site.node().run(&["bash", "-c", script])?;
    Ok(output.stdout)
}

/// The sshds of alice's logins, by their titles.
pub fn sshds_of_alice(site: &Site) -> Result<Vec<(u32, String)>> {
    let mut all = site.node().processes(": alice")?;
    all.retain(|(_, title)| title.starts_with("sshd"));
    Ok(all)
}
