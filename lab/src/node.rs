//! A node of a running cluster.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};

use crate::command::{Command, Output};
use crate::poll;
use crate::suite::Suite;
use crate::wire::{self, Reply, Request};

/// A node: one slurmd and one sshd with namespaces, a file system and cgroups of their own.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) name: String,
    pub(crate) number: usize,
    /// Host PID of a process that holds the node's namespaces.
    pub(crate) pid: u32,
    pub(crate) socket: PathBuf,
    /// The arguments of slurmd.
    pub(crate) slurmd: Vec<String>,
}

impl Node {
    /// The node name in slurm.conf.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The IPv4 address.
    pub fn ipv4(&self) -> String {
        crate::keeper::ipv4(self.number)
    }

    /// The IPv6 address.
    pub fn ipv6(&self) -> String {
        crate::keeper::ipv6(self.number)
    }

    /// Host PID of a process whose /proc directory shows the node's namespaces.
    pub fn host_pid(&self) -> u32 {
        self.pid
    }

    // ---- programs ----

    /// Prepares a program to run here; refine it with [`Command`]'s methods.
    pub fn command(&self, argv: &[&str]) -> Command {
        Command::new(self, argv)
    }

    /// Runs a program here as root.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        self.command(argv).output()
    }

    /// Runs a program here as `user`.
    pub fn run_as(&self, user: &str, argv: &[&str]) -> Result<Output> {
        self.command(argv).user(user).output()
    }

    /// Runs a shell script here as root; fails unless the script succeeds.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.run(&["/bin/sh", "-ec", script])?.ok()
    }

    /// Logs in from here by public key, as the same user on the node `to` (a name or an address).
    pub fn ssh(&self, user: &str, to: &str, argv: &[&str]) -> Result<Output> {
        self.ssh_command(user, to, argv).output()
    }

    /// Prepares the login of [`Node::ssh`]; refine it with [`Command`]'s methods.
    pub fn ssh_command(&self, user: &str, to: &str, argv: &[&str]) -> Command {
        let mut ssh = vec!["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", to];
        ssh.extend(argv);
        self.command(&ssh).user(user)
    }

    /// Sends a signal (`STOP`, `CONT`, `KILL` ...) to a process here.
    pub fn signal(&self, pid: u32, signal: &str) -> Result<()> {
        self.run(&["kill", "-s", signal, &pid.to_string()])?
            .ok()
            .map(drop)
    }

    /// Finds the processes here whose command line contains `text`; returns each PID and command line.
    pub fn processes(&self, text: &str) -> Result<Vec<(u32, String)>> {
        let proc = format!("/proc/{}/root/proc", self.pid);
        let mut found = Vec::new();
        for entry in fs::read_dir(&proc)
            .with_context(|| format!("reading {proc}"))?
            .flatten()
        {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended meanwhile.
            let Ok(line) = fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(text) {
                found.push((pid, line.trim_end().to_string()));
            }
        }
        Ok(found)
    }

    // ---- files ----

    /// Writes a file here, owned by root, atomically; makes missing parent directories.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        self.write_owned(path, content, mode, (0, 0))
    }

    /// Writes a file here with another owner: user ID and group ID.
    pub fn write_owned(
        &self,
        path: &str,
        content: impl AsRef<[u8]>,
        mode: u32,
        owner: (u32, u32),
    ) -> Result<()> {
        self.place(path, &wire::memory_file(content.as_ref())?, mode, owner)
    }

    /// Copies a file of the host here, with its permissions, atomically.
    pub fn copy(&self, from: &Path, path: &str) -> Result<()> {
        use std::os::unix::fs::MetadataExt;
        let file = File::open(from).with_context(|| format!("opening {}", from.display()))?;
        let mode = file
            .metadata()
            .with_context(|| format!("{}", from.display()))?
            .mode();
        self.place(path, &file, mode & 0o7777, (0, 0))
    }

    fn place(&self, path: &str, content: &File, mode: u32, owner: (u32, u32)) -> Result<()> {
        let what = || format!("writing {path} on {}", self.name);
        let request = Request::Write {
            path: path.into(),
            mode,
            owner,
        };
        let stream = self.connect().with_context(what)?;
        wire::send(&stream, &request, &[content.as_fd()]).with_context(what)?;
        match wire::receive(&stream).with_context(what)? {
            Some((Reply::Written, _)) => Ok(()),
            Some((Reply::Failed(cause), _)) => bail!("{}: {cause}", what()),
            other => bail!(
                "{}: the agent answered {:?}",
                what(),
                other.map(|(reply, _)| reply)
            ),
        }
    }

    /// Reads a file here.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let what = || format!("reading {path} on {}", self.name);
        let mut bytes = Vec::new();
        self.open(path, OFlags::RDONLY)
            .with_context(what)?
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a text file here.
    pub fn read_text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Lists the names in a directory here, sorted; none if the directory does not exist.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let what = || format!("reading {path} on {}", self.name);
        let dir = match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(what),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir).with_context(what)? {
            let name = entry
                .with_context(what)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes a file or a directory with everything in it, if it exists.
    pub fn remove(&self, path: &str) -> Result<()> {
        self.run(&["rm", "-rf", "--", path])?.ok().map(drop)
    }

    /// Opens a file of the node from the host, resolving symbolic links as the node does.
    fn open(&self, path: &str, flags: OFlags) -> std::io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let root = format!("/proc/{}/root", self.pid);
        let root = open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?.into())
    }

    // ---- the system log ----

    /// Everything logged since the node came up, one message per line, as sent to /dev/log.
    pub fn syslog(&self) -> Result<String> {
        self.syslog_since(0)
    }

    /// Number of messages logged so far, as a mark for [`Node::syslog_since`].
    pub fn syslog_mark(&self) -> Result<usize> {
        Ok(self.logged(0)?.len())
    }

    /// Everything logged since the mark.
    pub fn syslog_since(&self, mark: usize) -> Result<String> {
        Ok(self.logged(mark)?.join("\n"))
    }

    fn logged(&self, first: usize) -> Result<Vec<String>> {
        let what = || format!("reading the system log of {}", self.name);
        let stream = self.connect().with_context(what)?;
        wire::send(&stream, &Request::Syslog(first), &[]).with_context(what)?;
        match wire::receive(&stream).with_context(what)? {
            Some((Reply::Syslog(lines), _)) => Ok(lines),
            other => bail!(
                "{}: the agent answered {:?}",
                what(),
                other.map(|(reply, _)| reply)
            ),
        }
    }

    // ---- Slurm ----

    /// PID, in the node, of the slurmstepd that holds the job's extern step.
    pub fn pid_of_stepd(&self, job: u32) -> Result<u32> {
        let title = format!("slurmstepd: [{job}.extern]");
        match self.processes(&title)?.as_slice() {
            [(pid, _), ..] => Ok(*pid),
            [] => bail!("no '{title}' runs on {}", self.name),
        }
    }

    /// Path of another suite's root here, see [`crate::ClusterBuilder::beside`].
    pub fn beside(suite: Suite) -> String {
        format!("/beside/{suite}")
    }

    /// Starts slurmd, which goes to the background, and waits until it listens.
    ///
    /// Before it listens, slurmd asks the stepds that it finds, and dies of SIGPIPE if one of them ends
    /// meanwhile (seen with 26.05; `job_mem_limit_init()` in Slurm's src/slurmd/slurmd/job_mem_limit.c).
    pub fn start_slurmd(&self) -> Result<()> {
        let arguments = self.slurmd.iter().map(String::as_str);
        let argv: Vec<&str> = ["slurmd"].into_iter().chain(arguments).collect();
        self.run(&argv)?.ok()?;
        let line = argv.join(" ");
        poll::until_true("slurmd to listen", Duration::from_secs(60), || {
            let listening = self.listening();
            let listens = |pid: u32| {
                // It may have ended meanwhile.
                let files = fs::read_dir(format!("/proc/{}/root/proc/{pid}/fd", self.pid));
                let links = files.into_iter().flatten().flatten();
                let mut links = links.filter_map(|it| fs::read_link(it.path()).ok());
                links.any(|link| listening.iter().any(|(_, it)| *it == link))
            };
            Ok(self.processes(&line)?.iter().any(|(pid, _)| listens(*pid)))
        })
    }

    /// Stops slurmd; running jobs continue.
    pub fn stop_slurmd(&self) -> Result<()> {
        let pid = self
            .read_text("/run/slurmd.pid")?
            .trim()
            .parse()
            .context("slurmd's pid")?;
        self.signal(pid, "TERM")?;
        poll::until_true("slurmd to end", Duration::from_secs(20), || {
            Ok(!Path::new(&format!("/proc/{}/root/proc/{pid}", self.pid)).exists())
        })
    }

    /// Restarts slurmd, with the current slurm.conf.
    pub fn restart_slurmd(&self) -> Result<()> {
        self.stop_slurmd()?;
        self.start_slurmd()
    }

    /// Paths of the unix sockets that a process listens on here.
    pub fn unix_sockets(&self) -> Result<Vec<String>> {
        let path = format!("/proc/{}/net/unix", self.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let listening = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Num RefCount Protocol Flags Type St Inode Path; the flag is __SO_ACCEPTCON
            (fields.get(3) == Some(&"00010000")).then(|| fields.get(7).map(|path| path.to_string()))
        });
        Ok(listening.flatten().collect())
    }

    /// Whether a process listens on the TCP port here.
    pub(crate) fn listens_on(&self, port: u16) -> bool {
        self.listening().iter().any(|(at, _)| *at == port)
    }

    /// TCP ports that a process listens on here, each with its socket as the links in /proc/PID/fd name it.
    fn listening(&self) -> Vec<(u16, PathBuf)> {
        let files = ["tcp", "tcp6"].map(|name| format!("/proc/{}/net/{name}", self.pid));
        let texts = files.map(|path| fs::read_to_string(path).unwrap_or_default());
        let lines = texts.iter().flat_map(|text| text.lines());
        let listening = lines.filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode; 0A is LISTEN
            let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields[..] else {
                return None;
            };
            let (_, port) = local.rsplit_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            Some((port, format!("socket:[{inode}]").into()))
        });
        listening.collect()
    }

    pub(crate) fn connect(&self) -> Result<UnixStream> {
        wire::connect(&self.socket)
    }
}
