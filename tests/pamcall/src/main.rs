//! A PAM application that makes one call, and prints the result and what the call left behind in the
//! process as one line of JSON. It runs by itself in the oldest root of the lab (glibc 2.31).
//!
//! With `--stepd` it asks a stepd to adopt it and does not call PAM: the minimum that any module must wait for.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "its answer is for the test that started it"
)]

mod faults;
mod meter;
mod process;
mod stacks;
mod stepd;

use std::collections::BTreeMap;
use std::env;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Parser, ValueEnum};
use pam::app::{self, Answer, AppItem, Message, Start, Transaction};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::{Map, Value, json};

use crate::faults::Faults;
use crate::meter::Meter;
use crate::process::ThisProcess;
use crate::stepd::be_adopted;

/// Call PAM as sshd does and print the result as JSON.
#[derive(Debug, Parser)]
struct Args {
    /// Directory of the stack's file.
    #[arg(long, value_name = "DIR")]
    confdir: Option<PathBuf>,
    /// Name of the stack's file.
    #[arg(long, default_value = "sshd")]
    service: String,
    /// PAM_USER.
    #[arg(long, required_unless_present = "stepd", allow_hyphen_values = true)]
    user: Option<String>,
    /// Instead of calling PAM, ask the stepd of this extern step for the job's owner and to adopt this process.
    #[arg(long, value_name = "SOCKET")]
    stepd: Option<PathBuf>,
    /// PAM_RHOST.
    #[arg(long, allow_hyphen_values = true)]
    rhost: Option<String>,
    /// Give libpam no conversation function.
    #[arg(long)]
    no_conversation: bool,
    /// The phase to call.
    #[arg(long, value_enum, default_value_t = Phase::Account)]
    phase: Phase,
    /// PAM_USER from the session on, where sudo has another one.
    #[arg(long, value_name = "USER")]
    session_user: Option<String>,
    /// Make the call in N fresh processes in turn, and print only the cost of each.
    #[arg(long, value_name = "N")]
    repeat: Option<u32>,
    /// Make the call N times in this process, and print its memory and descriptors after a tenth of the
    /// calls and after all.
    #[arg(long, value_name = "N", conflicts_with_all = ["repeat", "stepd"])]
    within: Option<u32>,
    /// Open a session with each directory of stacks from stdin, one per line, and print for each what
    /// libpam returned and its modules said.
    #[arg(long, conflicts_with_all = ["repeat", "within", "stepd", "confdir"])]
    confdirs: bool,
    /// Stay alive for SECONDS after printing the answer, if the user is admitted.
    #[arg(long, value_name = "SECONDS")]
    stay: Option<u64>,
    /// First accept one TCP connection there and keep it open during the calls, as sshd does with its
    /// client's; the processes of --repeat inherit it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    accept: Option<SocketAddr>,
    /// Keep a TCP connection from this address to itself, like a client on this host.
    #[arg(long, value_name = "ADDRESS")]
    loopback: Option<IpAddr>,
    /// Directory of this process in proc(5).
    #[arg(long, value_name = "DIR", default_value = "/proc/self")]
    proc: PathBuf,
    /// Print the private memory of this process after the call.
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    faults: Faults,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// pam_acct_mgmt
    Account,
    /// pam_open_session, then pam_close_session
    Session,
    /// pam_acct_mgmt and, if that succeeds, the session
    Both,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.confdirs {
        return stacks::open_each(&args.service, args.user.as_deref().unwrap_or_default());
    }
    let _connection = args.accept.map(accept).transpose()?;
    let _loopback = args.loopback.map(loopback).transpose()?;
    let answer = match (args.repeat, args.within, &args.stepd) {
        (Some(count), ..) => repeat(count)?,
        (None, Some(count), _) => within(&args, count)?,
        (None, None, Some(socket)) => be_adopted(socket)?,
        (None, None, None) => call(&args)?,
    };
    println!("{answer}");
    if let Some(seconds) = args.stay.filter(|_| answer["code"] == Answer::SUCCESS.0) {
        std::thread::sleep(Duration::from_secs(seconds));
    }
    Ok(())
}

/// Accepts the first connection to that address; closes the listening socket.
fn accept(address: SocketAddr) -> Result<TcpStream> {
    let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
    let (connection, _) = listener
        .accept()
        .with_context(|| format!("accept a connection on {address}"))?;
    fcntl_setfd(&connection, FdFlags::empty()).context("let the connection be inherited")?;
    Ok(connection)
}

/// Makes a connection and returns both ends.
fn loopback(address: IpAddr) -> Result<[TcpStream; 2]> {
    let listener = TcpListener::bind((address, 0)).context("listen for a connection to itself")?;
    let client = listener.local_addr().and_then(TcpStream::connect);
    let (server, _) = listener
        .accept()
        .context("accept the connection to itself")?;
    Ok([server, client.context("connect to itself")?])
}

/// Costs of a call, listed for all fresh processes: those of [`meter::Cost::put`], and PAM's code.
const TAKEN: [&str; 5] = ["micros", "cpu_micros", "minflt", "majflt", "code"];

/// Starts this program `count` times without `--repeat` and `--accept`. Only a process's first call costs
/// what a login costs; the second finds everything loaded.
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
    let mut taken = TAKEN.map(|name| (name, Vec::new()));
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
        for (name, values) in &mut taken {
            values.push(answer[*name].clone());
        }
    }
    let taken = taken
        .into_iter()
        .map(|(name, values)| (name.to_owned(), Value::from(values)));
    Ok(Value::Object(taken.collect()))
}

/// Does what a process that keeps PAM loaded would do. Returns how often each code came, and what the
/// process has after a tenth of the calls and after all of them.
fn within(args: &Args, count: u32) -> Result<Value> {
    app::default_sigpipe();
    app::open_log(c"pamcall");
    let process = ThisProcess::open(&args.proc)?;
    let mut codes = BTreeMap::<String, u32>::new();
    let mut marks = Vec::new();
    for turn in 1..=count {
        let answer = transact(args, &process)?.answer;
        *codes.entry(answer.0.to_string()).or_default() += 1;
        if turn == count / 10 || turn == count {
            marks.push(json!({
                "calls": turn,
                "rss_kib": process.memory("Rss")?,
                "fds": process.descriptors()?,
                "threads": process.status("Threads")?,
                "signals": process.signals()?,
            }));
        }
    }
    Ok(json!({ "codes": codes, "marks": marks }))
}

/// Results of libpam and its modules.
struct Outcome {
    answer: Answer,
    close: Option<Answer>,
    environment: Vec<(String, String)>,
    messages: Vec<Message>,
    /// Private memory of this process after the call.
    private_kib: Option<u64>,
}

fn call(args: &Args) -> Result<Value> {
    args.faults.before_start()?;
    app::open_log(c"pamcall");
    // Makes libc read its configuration, as it has in sshd when that calls PAM.
    let _ = sys::uid_of_user(args.user.as_deref().unwrap_or_default().as_bytes());
    let process = ThisProcess::open(&args.proc)?;
    let fds_before = process.descriptors()?;
    let signals_before = process.signals()?;
    let meter = Meter::start(&process)?;
    let outcome = transact(args, &process)?;
    let cost = meter.stop()?;
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
    let mut answer = json!({
        "code": outcome.answer.0,
        "name": outcome.answer.name(),
        "close_code": outcome.close.map(|it| it.0),
        "private_kib": outcome.private_kib,
        "messages": messages,
        "env": env,
        "cgroup": process.read("cgroup")?,
        "ns": process.namespaces()?,
        "fds_before": fds_before,
        "fds_after": process.descriptors()?,
        "signals_changed": signals_before != process.signals()?,
        "threads": process.status("Threads")?.parse::<u32>().context("parse Threads")?,
    });
    cost.put(&mut answer);
    // A check for descriptors that the process leaves open is about the module's.
    app::close_log();
    Ok(answer)
}

/// Makes the call. An error of libpam before the call is an answer too.
fn transact(args: &Args, process: &ThisProcess) -> Result<Outcome> {
    let started = start(args);
    let mut transaction = match started {
        Ok(transaction) => transaction,
        Err(answer) => {
            return Ok(Outcome {
                answer,
                close: None,
                environment: Vec::new(),
                messages: Vec::new(),
                private_kib: None,
            });
        }
    };
    // libpam loads the module with its first call; the stack has no line for this one.
    let _ = args.faults.come_later().then(|| transaction.open_session());
    let held = args.faults.during_call()?;
    let mut answer = match args.phase {
        Phase::Account | Phase::Both => transaction.account(),
        Phase::Session => transaction.open_session(),
    };
    let mut is_open = args.phase == Phase::Session;
    if args.phase == Phase::Both && answer == Answer::SUCCESS {
        if let Some(user) = &args.session_user {
            let set = transaction.set(AppItem::User, user);
            set.map_err(|code| anyhow!("set PAM_USER: {}", code.0))?;
        }
        answer = transaction.open_session();
        is_open = true;
    }
    drop(held);
    // Before pam_end, which unloads the module. Not Private_Dirty, which in a tmpfs includes files that
    // only one process maps.
    let private = args.private.then(|| process.memory("Anonymous"));
    let environment = transaction.environment();
    let close = is_open.then(|| transaction.close_session());
    Ok(Outcome {
        answer,
        close,
        environment,
        messages: transaction.messages(),
        private_kib: private.transpose()?,
    })
}

fn start(args: &Args) -> Result<Transaction, Answer> {
    let mut transaction = Transaction::start(Start {
        service: &args.service,
        user: args.user.as_deref().unwrap_or_default(),
        confdir: args.confdir.as_deref(),
        conversation: !args.no_conversation,
    })?;
    if let Some(rhost) = &args.rhost {
        transaction.set(AppItem::RemoteHost, rhost)?;
    }
    transaction.set(AppItem::Tty, "ssh")?;
    Ok(transaction)
}
