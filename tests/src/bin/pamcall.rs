//! A PAM application that makes one call and tells as one line of JSON what came of it and what it
//! left behind in the process. It runs by itself in the oldest root of the lab (glibc 2.31).
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "its answer is for the test that started it"
)]

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use pam::app::{self, Answer, AppItem, Message, Start, Transaction};
use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::{Map, Value, json};

/// Calls PAM as sshd does and prints what came of it as JSON.
#[derive(Debug, Parser)]
struct Args {
    /// Directory of the stack's file.
    #[arg(long, value_name = "DIR")]
    confdir: Option<PathBuf>,
    /// Name of the stack's file.
    #[arg(long, default_value = "sshd")]
    service: String,
    /// PAM_USER.
    #[arg(long)]
    user: String,
    /// PAM_RHOST.
    #[arg(long)]
    rhost: Option<String>,
    /// Give libpam no conversation function.
    #[arg(long)]
    no_conversation: bool,
    /// The phase to call.
    #[arg(long, value_enum, default_value_t = Phase::Account)]
    phase: Phase,
    /// Make the call in N fresh processes, one after the other, and print only how long each took.
    #[arg(long, value_name = "N")]
    repeat: Option<u32>,
    /// Listen there first, accept one TCP connection and keep it open during the calls, as sshd
    /// has its client's; the processes of --repeat inherit it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    accept: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// pam_acct_mgmt
    Account,
    /// pam_open_session, then pam_close_session
    Session,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let _connection = args.accept.map(accept).transpose()?;
    let answer = match args.repeat {
        Some(count) => repeat(count)?,
        None => call(&args)?,
    };
    println!("{answer}");
    Ok(())
}

/// The first connection to that address; the listening socket is closed again.
fn accept(address: SocketAddr) -> Result<TcpStream> {
    let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
    let (connection, _) = listener
        .accept()
        .with_context(|| format!("accept a connection on {address}"))?;
    fcntl_setfd(&connection, FdFlags::empty()).context("let the connection be inherited")?;
    Ok(connection)
}

/// Starts this program `count` times without `--repeat` and `--accept`. A process's first call is what a login
/// costs; the second would find everything loaded.
fn repeat(count: u32) -> Result<Value> {
    let program = env::current_exe().context("find this program's own path")?;
    let mut args: Vec<String> = Vec::new();
    let mut given = env::args().skip(1);
    while let Some(arg) = given.next() {
        match arg.as_str() {
            "--repeat" | "--accept" => drop(given.next()),
            other if other.starts_with("--repeat=") || other.starts_with("--accept=") => {}
            _ => args.push(arg),
        }
    }
    let mut micros = Vec::new();
    for turn in 1..=count {
        let output = Command::new(&program)
            .args(&args)
            .output()
            .with_context(|| format!("start {}", program.display()))?;
        ensure!(
            output.status.success(),
            "turn {turn} of {count}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("turn {turn} of {count}: parse its answer"))?;
        micros.push(answer["micros"].clone());
    }
    Ok(json!({ "micros": micros }))
}

/// What libpam and its modules answered.
struct Outcome {
    answer: Answer,
    close: Option<Answer>,
    environment: Vec<(String, String)>,
    messages: Vec<Message>,
}

fn call(args: &Args) -> Result<Value> {
    app::default_sigpipe();
    app::open_log(c"pamcall");
    let process = ThisProcess::open()?;
    let fds_before = process.descriptors()?;
    let signals_before = process.signals()?;
    let start = Instant::now();
    let outcome = transact(args).unwrap_or_else(|answer| Outcome {
        answer,
        close: None,
        environment: Vec::new(),
        messages: Vec::new(),
    });
    let micros = u64::try_from(start.elapsed().as_micros())?;
    let messages: Vec<Value> = outcome
        .messages
        .iter()
        .map(|it| json!({ "style": it.style, "text": it.text }))
        .collect();
    let env: Map<String, Value> = outcome
        .environment
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    Ok(json!({
        "code": outcome.answer.0,
        "name": outcome.answer.name(),
        "close_code": outcome.close.map(|it| it.0),
        "messages": messages,
        "env": env,
        "cgroup": process.read("cgroup")?,
        "ns": process.namespaces()?,
        "fds_before": fds_before,
        "fds_after": process.descriptors()?,
        "micros": micros,
        "signals_changed": signals_before != process.signals()?,
        "threads": process.status("Threads")?.parse::<u32>().context("parse Threads")?,
    }))
}

fn transact(args: &Args) -> Result<Outcome, Answer> {
    let mut transaction = Transaction::start(Start {
        service: &args.service,
        user: &args.user,
        confdir: args.confdir.as_deref(),
        conversation: !args.no_conversation,
    })?;
    if let Some(rhost) = &args.rhost {
        transaction.set(AppItem::RemoteHost, rhost)?;
    }
    transaction.set(AppItem::Tty, "ssh")?;
    let answer = match args.phase {
        Phase::Account => transaction.account(),
        Phase::Session => transaction.open_session(),
    };
    let environment = transaction.environment();
    let close = (args.phase == Phase::Session).then(|| transaction.close_session());
    Ok(Outcome {
        answer,
        close,
        environment,
        messages: transaction.messages(),
    })
}

/// /proc/self, opened before the call: a module that joins a job's mount namespace changes what
/// is under the name /proc, and the root and working directory with it.
struct ThisProcess(OwnedFd);

impl ThisProcess {
    fn open() -> Result<Self> {
        File::open("/proc/self")
            .map(|it| Self(it.into()))
            .context("open /proc/self")
    }

    /// `3 -> socket:[4711]` for each open descriptor, in order.
    fn descriptors(&self) -> Result<Vec<String>> {
        let mut numbers: Vec<i32> = Vec::new();
        for entry in Dir::new(self.open_at("fd", OFlags::DIRECTORY)?).context("list fd")? {
            let entry = entry.context("list fd")?;
            if let Ok(number) = entry.file_name().to_string_lossy().parse() {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let mut described = Vec::new();
        for number in numbers.into_iter().filter(|it| *it != self.0.as_raw_fd()) {
            match readlinkat(&self.0, format!("fd/{number}"), Vec::new()) {
                Ok(target) => described.push(format!("{number} -> {}", target.to_string_lossy())),
                // The descriptor of the listing itself is closed by now.
                Err(error) if error == rustix::io::Errno::NOENT => {}
                Err(error) => return Err(error).context(format!("read the link fd/{number}")),
            }
        }
        Ok(described)
    }

    /// The signals that are ignored, caught and blocked, proc(5).
    fn signals(&self) -> Result<[String; 3]> {
        Ok([
            self.status("SigIgn")?,
            self.status("SigCgt")?,
            self.status("SigBlk")?,
        ])
    }

    fn namespaces(&self) -> Result<Map<String, Value>> {
        let mut found = Map::new();
        for name in [
            "cgroup",
            "ipc",
            "mnt",
            "net",
            "pid",
            "pid_for_children",
            "user",
            "uts",
        ] {
            let link = readlinkat(&self.0, format!("ns/{name}"), Vec::new())
                .with_context(|| format!("read the link ns/{name} of /proc/self"))?;
            found.insert(name.to_owned(), Value::from(link.to_string_lossy()));
        }
        Ok(found)
    }

    /// One field of /proc/self/status.
    fn status(&self, name: &str) -> Result<String> {
        self.read("status")?
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("/proc/self/status has no line {name}"))
    }

    fn read(&self, name: &str) -> Result<String> {
        let mut text = String::new();
        File::from(self.open_at(name, OFlags::empty())?)
            .read_to_string(&mut text)
            .with_context(|| format!("read /proc/self/{name}"))?;
        Ok(text)
    }

    fn open_at(&self, name: &str, more: OFlags) -> Result<OwnedFd> {
        openat(
            &self.0,
            name,
            OFlags::RDONLY | OFlags::CLOEXEC | more,
            Mode::empty(),
        )
        .map_err(io::Error::from)
        .with_context(|| format!("open /proc/self/{name}"))
    }
}
