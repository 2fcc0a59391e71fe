//! What a user may try to get a process out of the job, by ways that systemd has for users.

use anyhow::{Result, ensure};
use tests::Module;
use tests::session::{Lines, Method};

use crate::Test;
use crate::site::{AS_ADVISED, SCHEDMDS, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("ways out, SchedMD's", |site| {
        ways_out(site, SCHEDMDS, &ALL_OPEN)
    }),
    ("ways out, with service managers", |site| {
        let open = Setup {
            module: Module::Ours,
            lines: Lines::Both,
            closed: false,
        };
        ways_out(site, open, &ALL_OPEN)
    }),
    ("ways out", |site| ways_out(site, AS_ADVISED, &[])),
];

/// Each prints the /proc/PID/cgroup of a process that it has made, as far as it could.
const WAYS: [(&str, &str); 8] = [
    (
        "a service of one's own manager",
        "systemd-run --user --wait --pipe --quiet cat /proc/self/cgroup",
    ),
    (
        "a scope of one's own manager",
        "systemd-run --user --scope --quiet cat /proc/self/cgroup",
    ),
    (
        "a D-Bus service",
        "dbus-send --session --print-reply --reply-timeout=3000 --dest=org.lab.Tell / org.lab.Tell.It
         cat ~/told",
    ),
    (
        "AttachProcessesToUnit",
        "sleep 1000 & mkdir -p /sys/fs/cgroup/user.slice/user-2001.slice/user@2001.service/x
         busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
             org.freedesktop.systemd1.Manager AttachProcessesToUnit ssau user@2001.service /x 1 $!
         cat /proc/$!/cgroup; kill $!",
    ),
    (
        "lingering",
        "loginctl --no-ask-password enable-linger alice
         for try in 1 2 3 4 5; do
             systemd-run --user --wait --pipe --quiet cat /proc/self/cgroup && break
             sleep 1
         done",
    ),
    (
        "su to oneself",
        "echo alice-secret | su alice -c 'cat /proc/self/cgroup'",
    ),
    (
        "a scope of PID 1",
        "sleep 1000 & busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
             org.freedesktop.systemd1.Manager StartTransientUnit 'ssa(sv)a(sa(sv))' x.scope fail \
             1 PIDs au 1 $! 0
         cat /proc/$!/cgroup; kill $!",
    ),
    (
        "a bus of one's own",
        "dbus-run-session -- sh -c 'dbus-send --session --print-reply --reply-timeout=3000 \
             --dest=org.lab.Tell / org.lab.Tell.It; cat ~/told'",
    ),
];
/// Those that lead out where users have their service managers and su(1) has no line of ours.
const ALL_OPEN: [&str; 6] = [
    "a service of one's own manager",
    "a scope of one's own manager",
    "a D-Bus service",
    "AttachProcessesToUnit",
    "lingering",
    "su to oneself",
];
/// Those by which a process comes to be somewhere even so.
const ALWAYS: [&str; 4] = [
    "AttachProcessesToUnit",
    "su to oneself",
    "a scope of PID 1",
    "a bus of one's own",
];

fn ways_out(site: &mut Site, setup: Setup, open: &[&str]) -> Result<()> {
    site.set_up(setup)?;
    // A service that a session bus starts when it is spoken to; it says no word there.
    site.sh(
        "dir=/home/alice/.local/share/dbus-1/services
         mkdir -p $dir
         printf '[D-BUS Service]\\nName=org.lab.Tell\\nExec=/home/alice/tell\\n' >$dir/org.lab.Tell.service
         printf '#!/bin/sh\\ncat /proc/self/cgroup >~/told\\n' >/home/alice/tell
         chmod 755 /home/alice/tell
         chown -R alice: /home/alice",
    )?;
    let job = site.submit()?;
    let mut wrong = Vec::new();
    for (name, way) in WAYS {
        let script = format!("rm -f ~/told; {way}");
        let output = site.client(Method::PublicKey, &["ssh", "node1", &script])?;
        let cgroup = output.stdout.lines().rfind(|line| line.starts_with("0::"));
        let is_out = cgroup.is_some_and(|it| !job.has(it));
        let there = cgroup.is_some() || !ALWAYS.contains(&name);
        if is_out != expected(setup, name, open) || !there {
            wrong.push(format!("{name}: {output}"));
        }
        if name == "lingering" {
            // The manager that it has brought is not that of the session.
            site.sh("loginctl disable-linger alice")?;
        }
    }
    ensure!(wrong.is_empty(), "{setup:?}\n{}", wrong.join("\n"));
    Ok(())
}

/// Whether that way leads out. The login of SchedMD's set-up is out from the start.
fn expected(setup: Setup, name: &str, open: &[&str]) -> bool {
    setup.module == Module::SchedMd || open.contains(&name)
}
