//! What editors do: a server in the job, and a connection to its port.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Cluster;

use crate::site::{LOOK, is_in, job_on, ssh};

/// Starts a server that outlives the login, prints its port, and answers each connection with where it is. As VS Code
/// does: the script comes by standard input, `ssh -T HOST bash`.
const SERVER: &str = r#"cat >/tmp/server.pl <<'END'
use IO::Socket::INET;
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die;
open(my $port, ">", "/tmp/server.port.new"); print $port $server->sockport; close($port);
rename("/tmp/server.port.new", "/tmp/server.port");
while (my $client = $server->accept) { print $client `cat /proc/self/cgroup; hostname`; close($client); }
END
rm -f /tmp/server.port
nohup perl /tmp/server.pl </dev/null >/dev/null 2>&1 &
until test -e /tmp/server.port; do sleep 0.05; done
echo "port==$(cat /tmp/server.port)=="
"#;

/// With another job of the user on the node.
pub fn editor(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = job_on(cluster, 2, &[])?;
    job_on(cluster, 2, &[])?;
    let host = format!("job-{job}");
    let argv = ["ssh", "-T", "-o", "BatchMode=yes", &host, "bash"];
    let started = node
        .command(&argv)
        .user("alice")
        .stdin(SERVER)
        .output()?
        .ok()?;
    let port = started.split("==").nth(1).context(started.clone())?;
    let forward = format!("9999:127.0.0.1:{port}");
    let argv = ["ssh", "-N", "-o", "BatchMode=yes", "-L", &forward, &host];
    let _forwarding = node.command(&argv).user("alice").spawn()?;
    let mut seen = String::new();
    lab::poll::until_true("the server's answer", Duration::from_secs(60), || {
        let script = "exec 3<>/dev/tcp/127.0.0.1/9999 && cat <&3";
        seen = node.run(&["bash", "-c", script])?.stdout;
        Ok(!seen.is_empty())
    })?;
    is_in(cluster.node(2), &seen, job, "the server")
}

/// ControlMaster: the second session needs no way of its own.
pub fn one_connection(cluster: &Cluster) -> Result<()> {
    let older = job_on(cluster, 2, &[])?;
    job_on(cluster, 2, &[])?;
    let host = format!("job-{older}");
    let control = ["-o", "ControlPath=/tmp/control-%C"];
    let master = [
        "-o",
        "ControlMaster=auto",
        "-o",
        "ControlPersist=yes",
        "true",
    ];
    ssh(cluster, &host, &[&control[..], &master].concat())?.ok()?;
    let seen = ssh(cluster, &host, &[control[0], control[1], LOOK])?.ok()?;
    is_in(cluster.node(2), &seen, older, "the second session")?;
    let proxies = cluster.node(1).processes("slurm-adopt proxy")?;
    ensure!(proxies.len() == 1, "{proxies:?}");
    ssh(cluster, &host, &[control[0], control[1], "-O", "exit"])?
        .ok()
        .map(drop)
}

/// The login's own agent and display lead back.
pub fn forwarding(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let older = job_on(cluster, 2, &[])?;
    job_on(cluster, 2, &[])?;
    let host = format!("job-{older}");
    let agent = "eval $(ssh-agent) >/dev/null; trap 'ssh-agent -k >/dev/null' EXIT; ssh-add -q";
    let script = format!("{agent}; ssh -A -o BatchMode=yes {host} ssh-add -l");
    let keys = node.run_as("alice", &["bash", "-ec", &script])?.ok()?;
    ensure!(keys.contains("ED25519"), "{keys}");
    // A display that answers everybody with a word.
    let display = r#"use IO::Socket::UNIX; mkdir "/tmp/.X11-unix"; unlink "/tmp/.X11-unix/X77";
        my $server = IO::Socket::UNIX->new(Local => "/tmp/.X11-unix/X77", Listen => 5) or die;
        while (my $client = $server->accept) { print $client "a display"; close($client); }"#;
    let _display = node
        .command(&["perl", "-e", display])
        .user("alice")
        .spawn()?;
    let look = "n=${DISPLAY#*:}; exec 3<>/dev/tcp/localhost/$((6000 + ${n%.*})); printf 'l\\0\\13\\0\\0\\0\\0\\0\\0\\0\\0\\0' >&3; echo display $n";
    let argv = ["ssh", "-Y", "-o", "BatchMode=yes", &host, look];
    let mut seen = String::new();
    lab::poll::until_true("the display", Duration::from_secs(60), || {
        let login = node
            .command(&argv)
            .user("alice")
            .env("DISPLAY", ":77")
            .output()?;
        seen = login.to_string();
        Ok(login.stdout.starts_with("display 1"))
    })
    .with_context(|| seen.clone())
}
