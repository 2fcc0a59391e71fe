//! `slurm-adopt proxy`: ssh's way to a job.

mod error;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ::connect::{Allocation, Client, Found, Target, Way, Which};
use clap::{Args, ValueEnum};

use crate::output;
pub use error::{Error, NotMinutes};

/// Relay ssh to a node of a job, for ProxyCommand
///
/// Finds the user's job by Slurm's commands, waits until it runs, and relays standard input and output to the sshd of its
/// node, so that the login lands in this job though its user may have others there. `slurm-adopt connect --print-config`
/// prints the lines for ssh_config(5).
///
/// HOST is job-4711, job-4711_3 (a task of an array), job-4711+1 (a component of a heterogeneous job), each also
/// followed by .2 for the third node; job-NAME; or job-latest, the job that started last. The prefix job- may be missing.
///
/// With --alloc the job need not be there: if none of this name runs or waits, one is submitted that holds the allocation
/// until --keep minutes after the last login. Any number of ssh share it. If all on this host give up before it starts, it is
/// cancelled.
///
/// Exit status: 0 the connection has ended, 1 there was none, 3 wrong usage.
#[derive(Debug, Args)]
pub struct Proxy {
    /// The job, and a node of it
    #[arg(required_unless_present = "name", conflicts_with = "name")]
    host: Option<String>,
    #[command(flatten)]
    shared: SharedJob,
    #[command(flatten)]
    route: Route,
}

/// A job that is submitted if there is none of its name.
#[derive(Debug, Args)]
pub struct SharedJob {
    /// The job's name, instead of HOST; with connect --print-config also that of the host
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// If no job of this name runs or waits, submit one with these options of sbatch(1), such as "-c4 --mem=8G -t 4:0:0"
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub alloc: Option<String>,
    /// Minutes for which a job that --alloc submits stays after the last login; for the first there are two
    #[arg(long, value_name = "MINUTES", requires = "alloc", default_value = "10", value_parser = minutes)]
    pub keep: Minutes,
}

/// A time in minutes, as it was written.
#[derive(Debug, Clone)]
pub struct Minutes {
    /// What was written.
    pub text: String,
    time: Duration,
}

/// The way to the node.
#[derive(Debug, Args)]
pub struct Route {
    /// sshd's port
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    pub port: u16,
    /// Connect straight to the node (direct), from within the job by srun (srun), or straight if the user has no other
    /// job on that node and it can be reached (auto)
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub via: Via,
}

/// The way to a node.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Via {
    /// Straight if that leads into the job.
    Auto,
    /// Straight.
    Direct,
    /// From within the job.
    Srun,
}

/// Relay to the sshd of this node, as a step of a job
#[derive(Debug, Args)]
pub struct Relay {
    /// This node
    node: String,
    /// sshd's port
    port: u16,
}

/// Print the keys of a job's node as lines of a known_hosts file, for KnownHostsCommand
#[derive(Debug, Args)]
pub struct HostKeys {
    /// The name that ssh looks up (%H): a job, as in proxy, or a node; with a port as [NAME]:PORT
    host: String,
    /// The job, if ssh looks it up by another name: it writes names in small letters
    job: Option<String>,
}

impl Proxy {
    /// Relays until the connection ends.
    pub fn run(&self) -> ExitCode {
        self.relay().unwrap_or_else(|error| failed("proxy", error))
    }

    fn relay(&self) -> Result<ExitCode, Error> {
        let target = self.target()?;
        let stdout = io::stdout();
        let client = Client::behind(stdout.as_fd());
        let Some(allocation) = self.shared.allocation(&target)? else {
            let found = find("proxy", &target, &client)?;
            return self.reach(&found);
        };
        let client = client.or_signalled().map_err(Error::Signals)?;
        let held = ::connect::allocate(&allocation, &client, &mut |it| say("proxy", it));
        // It lives as long as the connection.
        let held = held?;
        self.reach(&held.found)
    }

    fn target(&self) -> Result<Target, Error> {
        match (&self.host, &self.shared.name) {
            (Some(host), _) => Ok(Target::parse(host)?),
            (None, name) => Ok(Target::named(name.as_deref().unwrap_or_default())),
        }
    }

    fn reach(&self, found: &Found) -> Result<ExitCode, Error> {
        let Route { port, via } = self.route;
        let way = match via {
            Via::Auto => Way::Auto,
            Via::Direct => Way::Direct,
            Via::Srun => Way::Srun,
        };
        let program = program()?;
        ::connect::reach(found, way, port, &program, &mut |it| say("proxy", it))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl SharedJob {
    /// The job to submit if the target is not there.
    pub fn allocation(&self, target: &Target) -> Result<Option<Allocation>, Error> {
        let Some(options) = &self.alloc else {
            return Ok(None);
        };
        let Which::Name(name) = &target.which else {
            return Err(Error::NoName);
        };
        Ok(Some(Allocation::parse(name, options, self.keep.time)?))
    }
}

impl Relay {
    /// Relays until the connection ends.
    pub fn run(&self) -> ExitCode {
        let Self { node, port } = self;
        let stream = match ::connect::connect_here(node, *port) {
            Ok(stream) => stream,
            Err(error) => {
                return failed("relay", format!("connect to {node}, port {port}: {error}"));
            }
        };
        match ::connect::relay_in_job(stream) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed("relay", error),
        }
    }
}

impl HostKeys {
    /// Prints the keys.
    pub fn run(&self) -> ExitCode {
        let keys = || -> Result<String, Error> {
            let bracketed = self.host.strip_prefix('[');
            let (name, port) = match bracketed.and_then(|it| it.split_once("]:")) {
                Some((name, port)) => (name, Some(port)),
                None => (self.host.as_str(), None),
            };
            let node = match name.starts_with(::connect::PREFIX) {
                true => {
                    let target = Target::parse(self.job.as_deref().unwrap_or(name))?;
                    // The proxy has told what there is to tell.
                    ::connect::find(&target, &Client::nobody(), &mut |_| {})?.node
                }
                // `slurm-adopt connect` has ssh ask for the node itself.
                false => name.to_owned(),
            };
            Ok(::connect::host_keys(&node, port, &self.host)?)
        };
        match keys() {
            Ok(text) => output::print("host-keys", 0, |out| out.write_all(text.as_bytes())),
            Err(error) => failed("host-keys", error),
        }
    }
}

/// Finds the job and waits until it runs; tells the user on standard error.
pub fn find(command: &str, target: &Target, client: &Client<'_>) -> Result<Found, Error> {
    Ok(::connect::find(target, client, &mut |it| say(command, it))?)
}

/// Parses minutes, whole ones or not.
pub fn minutes(text: &str) -> Result<Minutes, NotMinutes> {
    let seconds = text.parse::<f64>().ok().map(|it| it * 60.0);
    let time = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    let time = time.filter(|it| it.as_secs() < u64::from(u32::MAX));
    let text = text.to_owned();
    let time = time.ok_or(NotMinutes)?;
    Ok(Minutes { text, time })
}

/// This program's path, the same on each node that has it.
pub fn program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(Error::Program)
}

/// Tells the user, if there is anybody: a terminal that is gone must not keep a job from being cancelled.
pub fn say(command: &str, text: &str) {
    let line = format!("slurm-adopt {command}: {}\n", output::safe(text));
    let _ = io::stderr().write_all(line.as_bytes());
}

fn failed(command: &str, error: impl Display) -> ExitCode {
    say(command, &error.to_string());
    ExitCode::FAILURE
}
