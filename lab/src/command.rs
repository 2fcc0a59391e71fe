//! Runs programs in a node.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::node::Node;
use crate::users::User;
use crate::wire::{self, Reply, Request};

/// Default time limit of a program.
const LIMIT: Duration = Duration::from_secs(60);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run in a node. By default it runs as root, in `/`, with a clean environment and no input.
#[derive(Clone, Debug)]
pub struct Command {
    node: Node,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<String>,
    user: Option<String>,
    stdin: Vec<u8>,
    limit: Duration,
}

impl Command {
    pub(crate) fn new(node: &Node, argv: &[&str]) -> Self {
        Self {
            node: node.clone(),
            argv: argv.iter().map(|word| word.to_string()).collect(),
            env: Vec::new(),
            dir: None,
            user: None,
            stdin: Vec::new(),
            limit: LIMIT,
        }
    }

    /// Adds a variable to the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it as this user, with the user's groups and home directory.
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.into());
        self
    }

    /// Runs it in this directory.
    pub fn dir(mut self, path: &str) -> Self {
        self.dir = Some(path.into());
        self
    }

    /// Sets its standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets the time limit, after which the program is killed, but not its children.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it until it ends.
    pub fn output(self) -> Result<Output> {
        let limit = self.limit;
        let what = self.argv.join(" ");
        let mut running = self.spawn()?;
        let status = match running
            .wait(limit)
            .with_context(|| format!("running '{what}'"))?
        {
            Some(status) => status,
            None => {
                running.signal(Signal::KILL)?;
                // Its output is complete only after it is gone.
                running.wait(Duration::from_secs(5))?;
                Status::TimedOut
            }
        };
        Ok(Output {
            what,
            status,
            stdout: running.stdout()?,
            stderr: running.stderr()?,
        })
    }

    /// Starts it and leaves it running. It is killed when the [`Background`] is dropped.
    pub fn spawn(self) -> Result<Background> {
        let what = self.argv.join(" ");
        self.start()
            .with_context(|| format!("starting '{what}' on {}", self.node.name()))
    }

    fn start(&self) -> Result<Background> {
        let name = self.user.as_deref().unwrap_or("root");
        let home = match User::find(name) {
            Some(user) => user.home(),
            None => "/root".into(),
        };
        let fixed = [
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("HOME", &home),
            ("USER", name),
            ("LOGNAME", name),
            ("SHELL", "/bin/bash"),
        ];
        let mut env: Vec<(String, String)> = fixed
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        env.extend(self.env.iter().cloned());

        let mut argv = Vec::new();
        if self.user.is_some() {
            let [to_user, to_group] = ["reuid", "regid"].map(|id| format!("--{id}={name}"));
            argv.extend(["setpriv".into(), to_user, to_group, "--init-groups".into()]);
            argv.push("--".into());
        }
        argv.extend(self.argv.iter().cloned());

        let dir = self.dir.clone().unwrap_or_else(|| match self.user {
            Some(_) => home.clone(),
            None => "/".into(),
        });
        let stdin = wire::memory_file(&self.stdin)?;
        let [stdout, stderr] = [wire::memory_file(&[])?, wire::memory_file(&[])?];
        let stream = self.node.connect()?;
        let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        wire::send(&stream, &Request::Run { argv, env, dir }, &fds)?;
        match wire::receive(&stream)? {
            Some((Reply::Started(pid), _)) => Ok(Background {
                pid,
                stream,
                stdout,
                stderr,
                ended: None,
            }),
            Some((Reply::Failed(cause), _)) => bail!("{cause}"),
            other => bail!("the agent answered {:?}", other.map(|(reply, _)| reply)),
        }
    }
}

/// A program that runs in a node. Dropping this kills it.
#[derive(Debug)]
pub struct Background {
    pid: u32,
    stream: UnixStream,
    stdout: File,
    stderr: File,
    ended: Option<Status>,
}

impl Background {
    /// Its process id in the node.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> Result<String> {
        text(&self.stdout)
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> Result<String> {
        text(&self.stderr)
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended.is_none() {
            // If it has just ended by itself, nobody reads this.
            let _ = wire::send(&self.stream, &Request::Signal(signal.as_raw()), &[]);
        }
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.wait(Duration::ZERO)?.is_none())
    }

    /// Waits for its end; returns `None` if it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<Status>> {
        if self.ended.is_none() && readable(&self.stream, limit)? {
            self.ended = match wire::receive(&self.stream)? {
                Some((
                    Reply::Ended {
                        code: Some(code), ..
                    },
                    _,
                )) => Some(Status::Exited(code)),
                Some((
                    Reply::Ended {
                        signal: Some(by), ..
                    },
                    _,
                )) => Some(Status::Signaled(by)),
                Some((Reply::Failed(cause), _)) => bail!("{cause}"),
                _ => bail!("the node went away"),
            };
        }
        Ok(self.ended)
    }
}

fn readable(stream: &UnixStream, limit: Duration) -> Result<bool> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("a time limit")?;
        let mut fds = [PollFd::new(stream, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for the agent"),
        }
    }
}

/// Reads from the start, without moving the offset at which the program writes.
fn text(file: &File) -> Result<String> {
    let length = file.metadata().context("looking at the output")?.len();
    let mut bytes = vec![0; usize::try_from(length).context("the output's length")?];
    file.read_exact_at(&mut bytes, 0)
        .context("reading the output")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It hung, and the lab killed it.
    TimedOut,
}

/// Result of running a program.
#[derive(Clone, Debug)]
pub struct Output {
    what: String,
    /// How it ended.
    pub status: Status,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    pub(crate) fn new(what: String, status: Status, stdout: String, stderr: String) -> Self {
        Self {
            what,
            status,
            stdout,
            stderr,
        }
    }

    /// Whether it ended with exit status 0.
    pub fn success(&self) -> bool {
        self.status == Status::Exited(0)
    }

    /// Returns its standard output, or an error with all that is known if it did not succeed.
    pub fn ok(self) -> Result<String> {
        if !self.success() {
            bail!("{self}");
        }
        Ok(self.stdout)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}': {:?}", self.what, self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n{name}: {}", text.trim_end())?;
            }
        }
        Ok(())
    }
}
