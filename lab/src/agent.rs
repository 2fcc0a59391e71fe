//! The process in a node that does there what the test asks for, and collects the system log.
//!
//! It is part of the lab's own program, loaded before the node's root took the place of the host's,
//! so that it doesn't matter how old the node's libc is.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, pivot_root, setsid};

use crate::keeper::{self, Spec};
use crate::node::Node;
use crate::suite::Suite;
use crate::wire::{self, Reply, Request};

/// Sets the node up and serves it for good.
pub fn run(dir: &Path, number: usize) -> Result<()> {
    setsid().context("starting a session")?;
    let spec = keeper::read_spec(dir)?;
    let hostname = spec.hostnames.get(number - 1).context("no such node")?;
    rustix::system::sethostname(hostname.as_bytes()).context("setting the host name")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));

    let listener = wire::listen(&socket(dir, number))?;
    enter_root(&spec, &dir.join(format!("node{number}")))?;
    let log = Arc::new(Log::open()?);
    writeln!(std::io::stdout(), "ready").context("telling the keeper")?;

    let collector = Arc::clone(&log);
    thread::spawn(move || collector.collect());
    for stream in listener.incoming() {
        let stream = stream.context("accepting a connection")?;
        let log = Arc::clone(&log);
        thread::spawn(move || {
            if let Err(error) = serve(&stream, &log) {
                let _ = wire::send(&stream, &Reply::Failed(format!("{error:#}")), &[]);
            }
        });
    }
    Ok(())
}

/// Where the agent of a node listens.
pub fn socket(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("node{number}.sock"))
}

// ---- the node's file system ----

/// Puts a writable layer over the shared root, fills in what a kernel provides, and moves there.
fn enter_root(spec: &Spec, place: &Path) -> Result<()> {
    make_dir(place)?;
    mount_at("tmpfs", place, "tmpfs", "mode=0755")?;
    let [root, upper, work] = ["root", "upper", "work"].map(|name| place.join(name));
    for dir in [&root, &upper, &work] {
        make_dir(dir)?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        escape(&spec.root),
        escape(&upper),
        escape(&work)
    );
    mount_at("overlay", &root, "overlay", &options)?;
    mount_at("proc", &root.join("proc"), "proc", "")?;
    mount_at("sysfs", &root.join("sys"), "sysfs", "")?;
    mount_cgroups(spec, &root.join("sys/fs/cgroup"))?;
    make_devices(&root.join("dev"))?;
    // As systemd has it: in memory.
    mount_at("tmpfs", &root.join("run"), "tmpfs", "mode=0755")?;
    for name in ["run/lock", "run/sshd"] {
        make_dir(&root.join(name))?;
    }
    for (suite, other) in &spec.beside {
        mount_beside(*suite, other, &root, place)?;
    }

    std::env::set_current_dir(&root).with_context(|| format!("entering {}", root.display()))?;
    pivot_root(".", ".").context("changing the root")?;
    unmount(".", UnmountFlags::DETACH).context("unmounting the old root")?;
    std::env::set_current_dir("/").context("entering the new root")
}

/// Another suite's root with a writable layer of its own, and this node's kernel file systems and
/// /var/spool.
fn mount_beside(suite: Suite, other: &Path, root: &Path, place: &Path) -> Result<()> {
    let here = root.join(Node::beside(suite).trim_start_matches('/'));
    let [upper, work] = ["upper", "work"].map(|name| place.join(format!("{name}-{suite}")));
    for dir in [&here, &upper, &work] {
        make_dir(dir)?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        escape(other),
        escape(&upper),
        escape(&work)
    );
    mount_at("overlay", &here, "overlay", &options)?;
    for name in ["proc", "sys", "dev", "var/spool"] {
        mount_bind_recursive(root.join(name), here.join(name))
            .with_context(|| format!("binding /{name} at {}", here.display()))?;
    }
    Ok(())
}

/// Mount options are split at commas, and lower directories at colons.
fn escape(path: &Path) -> String {
    let path = path.to_string_lossy();
    path.replace('\\', "\\\\")
        .replace(',', "\\,")
        .replace(':', "\\:")
}

fn mount_cgroups(spec: &Spec, dir: &Path) -> Result<()> {
    if spec
        .hierarchies
        .iter()
        .all(|hierarchy| !hierarchy.name.is_empty())
    {
        mount_at("tmpfs", dir, "tmpfs", "mode=0755")?;
    }
    for hierarchy in &spec.hierarchies {
        let here = dir.join(&hierarchy.name);
        make_dir(&here)?;
        match &hierarchy.v1_options {
            None => mount_at("cgroup2", &here, "cgroup2", "")?,
            Some(options) => mount_at("cgroup", &here, "cgroup", options)?,
        }
        // Controllers in one hierarchy are found under each of their names.
        if hierarchy.name.contains(',') {
            for name in hierarchy.name.split(',') {
                symlink(&hierarchy.name, dir.join(name)).context("naming a controller")?;
            }
        }
    }
    Ok(())
}

/// A /dev of the node's own, as its /dev/log is.
fn make_devices(dev: &Path) -> Result<()> {
    mount_at("tmpfs", dev, "tmpfs", "mode=0755")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let here = dev.join(name);
        File::create(&here).with_context(|| format!("making {}", here.display()))?;
        mount_bind(Path::new("/dev").join(name), &here)
            .with_context(|| format!("binding /dev/{name}"))?;
    }
    for (name, kind, options) in [
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("shm", "tmpfs", "mode=1777"),
    ] {
        make_dir(&dev.join(name))?;
        mount_at(kind, &dev.join(name), kind, options)?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).with_context(|| format!("making /dev/{name}"))?;
    }
    Ok(())
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))
}

fn mount_at(source: &str, target: &Path, kind: &str, options: &str) -> Result<()> {
    let data = std::ffi::CString::new(options).context("mount options")?;
    mount(source, target, kind, MountFlags::empty(), data.as_c_str())
        .with_context(|| format!("mounting {kind} ({options}) at {}", target.display()))
}

// ---- the system log ----

/// Where who works in a node by hand reads it.
const LOG_FILE: &str = "/var/log/syslog";

struct Log {
    socket: UnixDatagram,
    lines: Mutex<Vec<String>>,
    file: File,
}

impl Log {
    fn open() -> Result<Self> {
        let socket = UnixDatagram::bind("/dev/log").context("listening on /dev/log")?;
        fs::set_permissions("/dev/log", fs::Permissions::from_mode(0o666))
            .context("opening /dev/log for all")?;
        socket.set_nonblocking(true).context("preparing /dev/log")?;
        let file = File::options().append(true).create(true).open(LOG_FILE);
        Ok(Self {
            socket,
            lines: Mutex::default(),
            file: file.with_context(|| format!("opening {LOG_FILE}"))?,
        })
    }

    /// Reads what comes, for good: senders wait when nobody does.
    fn collect(&self) {
        loop {
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            let _ = poll(&mut fds, None);
            self.since(usize::MAX);
        }
    }

    /// The lines from the given one on, with all that was sent before this call.
    fn since(&self, first: usize) -> Vec<String> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 65536];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            let line = line.trim_end_matches(['\0', '\n']).to_string();
            // A copy for people: on a full file system it is not complete.
            let _ = writeln!(&self.file, "{line}");
            lines.push(line);
        }
        lines.get(first..).unwrap_or_default().to_vec()
    }
}

// ---- requests ----

fn serve(stream: &UnixStream, log: &Log) -> Result<()> {
    let Some((request, fds)) = wire::receive(stream)? else {
        return Ok(());
    };
    match request {
        Request::Run { argv, env, dir } => run_program(stream, &argv, env, &dir, fds),
        Request::Signal(_) => Ok(()),
        Request::Write { path, mode, owner } => {
            write(Path::new(&path), mode, owner, fds).with_context(|| format!("writing {path}"))?;
            wire::send(stream, &Reply::Written, &[])
        }
        Request::Syslog(first) => wire::send(stream, &Reply::Syslog(log.since(first)), &[]),
    }
}

fn run_program(
    stream: &UnixStream,
    argv: &[String],
    env: Vec<(String, String)>,
    dir: &str,
    fds: Vec<OwnedFd>,
) -> Result<()> {
    let (program, arguments) = argv.split_first().context("nothing to run")?;
    let mut fds = fds.into_iter().map(Stdio::from);
    let mut stdio = || fds.next().context("a descriptor is missing");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(env)
        .current_dir(dir);
    command.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?);
    let mut child = command
        .spawn()
        .with_context(|| format!("running {program} in {dir}"))?;
    drop(command);

    // A pidfd is this process for good, whoever has its id later.
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .context("opening a process descriptor")?;
    let control = stream.try_clone().context("cloning a connection")?;
    let signals = thread::spawn(move || {
        while let Ok(Some((request, _))) = wire::receive(&control) {
            if let Request::Signal(number) = request {
                if let Some(signal) = Signal::from_named_raw(number) {
                    let _ = pidfd_send_signal(&pidfd, signal);
                }
            }
        }
        // Nobody waits for it any more.
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    });
    let told = wire::send(stream, &Reply::Started(child.id()), &[]);
    let status = child
        .wait()
        .with_context(|| format!("waiting for {program}"))?;
    told?;
    let ended = Reply::Ended {
        code: status.code(),
        signal: status.signal(),
    };
    let _ = wire::send(stream, &ended, &[]);
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let _ = signals.join();
    Ok(())
}

/// Puts the file in its place in one step: what has the old one open or mapped keeps that.
fn write(path: &Path, mode: u32, owner: (u32, u32), fds: Vec<OwnedFd>) -> Result<()> {
    let content = fds.into_iter().next().context("the content is missing")?;
    let above = path.parent().context("not a file's path")?;
    fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
    let mut new = path.as_os_str().to_owned();
    new.push(".lab-new");
    let mut file = File::create(&new).context("creating it")?;
    std::io::copy(&mut File::from(content), &mut file).context("copying its content")?;
    chown(&new, Some(owner.0), Some(owner.1)).context("setting its owner")?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).context("setting its mode")?;
    fs::rename(&new, path).context("renaming it")
}
