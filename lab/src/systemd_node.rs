//! A whole machine with cgroup v2, emulated by QEMU. Its own Debian runs Slurm, sshd and systemd-logind as
//! packaged.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{Output, Status};
use crate::config::{self, Names};
use crate::keeper::ipv4;
use crate::qemu::{self, Scratch};
use crate::roots;
use crate::selinux::{self, Policy};
use crate::suite::Suite;
use crate::users::USERS;

/// Packages that logins use on a host with systemd, besides those of a node's root and those to boot.
const PACKAGES: &[&str] = &["libpam-systemd", "dbus-user-session", "polkitd"];

/// Packages for rootless containers that need no network. They are more than half of a machine's root again: only the
/// machine that runs containers has them.
const PODMAN: &[&str] = &["podman", "crun", "uidmap", "passt", "busybox-static"];

/// Name of the node and of the host.
pub const NODE: &str = "node1";
/// Device that Slurm uses as the GPU: a process that may access it reads zeros.
pub const GPU: &str = "/dev/full";
/// Time limit for booting, which takes a minute on an idle host.
const BOOT: Duration = Duration::from_secs(600);

/// Returns the root of such a machine; makes it if it does not exist.
pub fn root(suite: Suite) -> Result<PathBuf> {
    let more = match suite == selinux::SUITE {
        true => selinux::PACKAGES,
        false => &[],
    };
    build(&format!("systemd-{suite}"), suite, more)
}

fn build(name: &str, suite: Suite, more: &[&str]) -> Result<PathBuf> {
    let packages = [roots::PACKAGES, qemu::PACKAGES, PACKAGES, more].concat();
    roots::build(name, suite, &packages)
}

/// A running machine. It is switched off when this is dropped.
#[derive(Debug)]
pub struct SystemdNode {
    suite: Suite,
    qemu: Child,
    to: ChildStdin,
    from: Receiver<Vec<u8>>,
    /// Received but not yet read.
    rest: Vec<u8>,
    scratch: Scratch,
}

impl SystemdNode {
    /// Boots a machine with these files of the host, and waits until its node is idle.
    pub fn start(suite: Suite, files: &[(&Path, &str)]) -> Result<Self> {
        root(suite)
            .and_then(|root| Self::boot(suite, &root, files, None))
            .with_context(|| format!("starting a machine of {suite}"))
    }

    /// Boots such a machine with Podman.
    pub fn start_with_podman(suite: Suite, files: &[(&Path, &str)]) -> Result<Self> {
        build(&format!("podman-{suite}"), suite, PODMAN)
            .and_then(|root| Self::boot(suite, &root, files, None))
            .with_context(|| format!("starting a machine of {suite} with Podman"))
    }

    /// Starts a machine of [`selinux::SUITE`] in which SELinux enforces that policy.
    pub fn start_enforcing(policy: &Policy, files: &[(&Path, &str)]) -> Result<Self> {
        root(selinux::SUITE)
            .and_then(|root| Self::boot(selinux::SUITE, &root, files, Some(policy)))
            .context("starting a machine with SELinux")
    }

    fn boot(
        suite: Suite,
        root: &Path,
        files: &[(&Path, &str)],
        policy: Option<&Policy>,
    ) -> Result<Self> {
        let scratch = Scratch::new(&format!("systemd-{suite}"))?;
        let image = make_disk(&scratch.path, suite, root, files, policy)?;
        let kernel = policy.map_or("", |_| selinux::KERNEL);
        let mut qemu = start_qemu(root, &image, kernel, &console(&scratch))?;
        let to = qemu.stdin.take().context("qemu has no stdin")?;
        let from = receive_from(qemu.stdout.take().context("qemu has no stdout")?);
        let mut node = Self {
            suite,
            qemu,
            to,
            from,
            rest: Vec::new(),
            scratch,
        };
        node.run_within(BOOT, WAIT_UNTIL_IDLE)
            .and_then(Output::ok)
            .with_context(|| node.console())?;
        Ok(node)
    }

    /// The suite of its packages.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Runs a bash script there as root; fails unless the script succeeds.
    pub fn sh(&mut self, script: &str) -> Result<String> {
        self.run(script)?.ok()
    }

    /// Runs a bash script there as root, without input. Processes that it leaves in the background keep running.
    pub fn run(&mut self, script: &str) -> Result<Output> {
        self.run_within(Duration::from_secs(300), script)
    }

    /// Writes a file there.
    pub fn write(&mut self, path: &str, text: &str) -> Result<()> {
        let quoted = text.replace('\'', r"'\''");
        self.sh(&format!(
            "mkdir -p \"$(dirname {path})\"; printf %s '{quoted}' >{path}"
        ))
        .map(drop)
    }

    fn run_within(&mut self, limit: Duration, script: &str) -> Result<Output> {
        let what = || format!("in the machine: {script}");
        let seconds = limit.as_secs();
        let end = Instant::now() + limit + Duration::from_secs(30);
        write!(self.to, "{seconds} {}\n{script}", script.len())
            .and_then(|()| self.to.flush())
            .with_context(what)?;
        let head = self.take_line(end).with_context(what)?;
        let numbers: Result<Vec<usize>, _> = head.split_whitespace().map(str::parse).collect();
        let Ok(&[status, stdout, stderr]) = numbers.as_deref() else {
            bail!("{}: the agent answered '{head}'", what());
        };
        let stdout = self.take(stdout, end).with_context(what)?;
        let stderr = self.take(stderr, end).with_context(what)?;
        let status = match status {
            // timeout(1)
            124 => Status::TimedOut,
            code => Status::Exited(i32::try_from(code).unwrap_or(i32::MAX)),
        };
        Ok(Output::new(what(), status, stdout, stderr))
    }

    fn take_line(&mut self, end: Instant) -> Result<String> {
        loop {
            if let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.drain(..=at).collect();
                return String::from_utf8(line).context("the agent's answer");
            }
            self.receive(end)?;
        }
    }

    fn take(&mut self, length: usize, end: Instant) -> Result<String> {
        while self.rest.len() < length {
            self.receive(end)?;
        }
        let bytes: Vec<u8> = self.rest.drain(..length).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn receive(&mut self, end: Instant) -> Result<()> {
        match self
            .from
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            Ok(bytes) => self.rest.extend(bytes),
            Err(RecvTimeoutError::Timeout) => bail!("the machine does not answer"),
            Err(RecvTimeoutError::Disconnected) => bail!("the machine went off"),
        }
        Ok(())
    }

    /// The last lines of its console.
    fn console(&self) -> String {
        let bytes = fs::read(console(&self.scratch)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for SystemdNode {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Makes the disk: the root with what makes it a node, these files of the host and the policy.
fn make_disk(
    dir: &Path,
    suite: Suite,
    root: &Path,
    files: &[(&Path, &str)],
    policy: Option<&Policy>,
) -> Result<PathBuf> {
    let upper = dir.join("upper");
    for (from, to) in files {
        qemu::copy(from, &below(&upper, root, to))?;
    }
    let schedmds = root.join(suite.original_module().trim_start_matches('/'));
    qemu::copy(&schedmds, &below(&upper, root, config::SCHEDMD_MODULE))?;
    for (path, text) in furniture(suite, root)? {
        qemu::write(&below(&upper, root, &path), &text)?;
    }
    let mut install = INSTALL.to_owned();
    if let Some(policy) = policy {
        policy.write(&upper)?;
        install += selinux::INSTALL;
    }
    let image = dir.join("disk.img");
    let in_root = "chroot disk /bin/sh -ec \"$3\"";
    qemu::make_disk(dir, root, &image, in_root, install.as_ref())?;
    Ok(image)
}

/// Starts QEMU with the agent's port on its stdin and stdout.
fn start_qemu(root: &Path, image: &Path, kernel: &str, console: &Path) -> Result<Child> {
    let mut command = qemu::command(root, image, kernel)?;
    command
        .args(["-display", "none", "-monitor", "none", "-serial"])
        .arg(format!("file:{}", console.display()))
        .args(["-chardev", "stdio,id=agent,signal=off"])
        .args(["-device", "virtio-serial-pci"])
        .args(["-device", "virtserialport,chardev=agent,name=agent"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().context("running qemu-system-x86_64")
}

/// Receives what the agent says, so that a wait for it can have a limit.
fn receive_from(mut stdout: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, from) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(length @ 1..) = stdout.read(&mut bytes) {
            if sender.send(bytes[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    from
}

fn console(scratch: &Scratch) -> PathBuf {
    scratch.path.join("console")
}

/// Path below `upper` of a file for the machine; /lib is a link to /usr/lib there.
fn below(upper: &Path, root: &Path, path: &str) -> PathBuf {
    let path = path.trim_start_matches('/');
    match path.split_once('/') {
        Some((top, rest)) => match fs::read_link(root.join(top)) {
            Ok(real) => upper.join(real).join(rest),
            Err(_) => upper.join(path),
        },
        None => upper.join(path),
    }
}

/// Files that make it a node. The PAM files are Debian's own.
fn furniture(suite: Suite, root: &Path) -> Result<Vec<(String, String)>> {
    let names = [Names {
        node: NODE.into(),
        host: NODE.into(),
        slurmd: Vec::new(),
    }];
    let node = format!("NodeName={NODE} CPUs=2 RealMemory=1000 Gres=gpu:1 State=UNKNOWN");
    let extra = "SelectTypeParameters=CR_CPU_Memory\nGresTypes=gpu\n";
    let slurm = config::slurm_conf(&names, Some(&node), extra);
    let cgroup = "CgroupPlugin=cgroup/v2\nConstrainCores=yes\nConstrainRAMSpace=yes\n\
                  ConstrainDevices=yes\n";
    let sshd = "KbdInteractiveAuthentication yes\n";
    let units = "/etc/systemd/system";
    let mut files = vec![
        ("/etc/slurm/slurm.conf".into(), slurm),
        ("/etc/slurm/cgroup.conf".into(), cgroup.into()),
        (
            "/etc/slurm/gres.conf".into(),
            format!("Name=gpu File={GPU}\n"),
        ),
        (
            "/etc/ssh/sshd_config".into(),
            config::sshd_config(suite, sshd),
        ),
        ("/etc/hosts".into(), config::hosts(&names)),
        ("/etc/hostname".into(), format!("{NODE}\n")),
        ("/usr/local/sbin/agent".into(), AGENT.into()),
        (format!("{units}/agent.service"), AGENT_UNIT.into()),
        (
            format!("{units}/address.service"),
            format!(
                "[Unit]\nDefaultDependencies=no\nBefore=network.target\n\
                 [Service]\nType=oneshot\nRemainAfterExit=yes\n\
                 ExecStart=/bin/ip link set lo up\nExecStart=/bin/ip address add {} dev lo\n",
                ipv4(1)
            ),
        ),
    ];
    let accounts = config::accounts(root)?;
    files.extend(accounts.map(|(path, text, _)| (path.to_owned(), text)));
    let users: String = USERS
        .iter()
        .map(|user| format!("{}\n", user.name))
        .collect();
    files.push(("/etc/users".into(), users));
    Ok(files)
}

/// Shell script that runs in the machine's root when its disk is made.
const INSTALL: &str = "
chmod 600 /etc/shadow
install -d -o slurm -g slurm /var/spool/slurmctld /var/log/slurm
install -d /var/spool/slurmd
(printf '* '; cat /etc/ssh/ssh_host_ed25519_key.pub) >/etc/ssh/ssh_known_hosts
for user in $(cat /etc/users); do
    ssh=/home/$user/.ssh
    mkdir -p $ssh
    ssh-keygen -q -t ed25519 -N '' -C $user -f $ssh/id_ed25519
    cp $ssh/id_ed25519.pub $ssh/authorized_keys
    chown -R $user: /home/$user
    chmod 700 $ssh
done
cd /etc/systemd/system
for unit in address agent; do ln -s ../$unit.service multi-user.target.wants/; done
";

/// Script that runs what comes over the virtio port. A request is a line with a time limit and a length,
/// then a script. The answer is a line with the exit status and two lengths, then the output and the
/// errors.
const AGENT: &str = r#"
port=/dev/virtio-ports/agent
until [ -e $port ]; do sleep 0.2; done
exec 3<>$port
cd /run/agent
# SELinux would run it as a daemon of no name.
as=
[ ! -e /sys/fs/selinux/enforce ] || as='runcon unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023'
while read -r -u 3 limit length; do
    rm -f out err
    head -c "$length" <&3 >script
    timeout -k 5 "$limit" $as bash -e script >out 2>err </dev/null 3>&-
    status=$?
    cp out told; cp err complained
    echo "$status $(stat -c %s told) $(stat -c %s complained)" >&3
    cat told complained >&3
done
"#;

const AGENT_UNIT: &str = "\
[Service]
RuntimeDirectory=agent
Environment=HOME=/root
TasksMax=infinity
ExecStart=/bin/bash /usr/local/sbin/agent
";

const WAIT_UNTIL_IDLE: &str =
    "until [ \"$(sinfo --noheader --format=%T)\" = idle ]; do sleep 0.5; done";
