//! `slurm-adopt connect`: ssh to a job.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use ::connect::{Client, Found, Target};
use clap::{Args, ValueEnum as _};

use crate::output;
use crate::proxy::{Error, Route, SharedJob, find, program, say};

/// ssh's own exit status when there is no connection.
const NO_CONNECTION: u8 = 255;

/// Log in to a job
///
/// Runs ssh by way of `slurm-adopt proxy`, with all arguments after JOB: `slurm-adopt connect 4711`, `slurm-adopt connect
/// 4711.1 -L 8888:localhost:8888`, `slurm-adopt connect train nvidia-smi`. JOB is written as in `slurm-adopt proxy`. The
/// node's key is checked as by `ssh NODE`.
///
/// Exit status: that of ssh, 255 if there is no connection, 3 wrong usage.
#[derive(Debug, Args)]
pub struct Connect {
    /// Print lines for ssh_config(5), by which ssh, scp, rsync and editors take job-4711 as a host
    #[arg(long)]
    print_config: bool,
    /// With --print-config: the lines for a computer outside the cluster, by way of this login node
    #[arg(long, value_name = "LOGIN", requires = "print_config")]
    from_laptop: Option<String>,
    #[command(flatten)]
    shared: SharedJob,
    #[command(flatten)]
    route: Route,
    /// The job, and a node of it
    #[arg(
        required_unless_present = "print_config",
        conflicts_with_all = ["print_config", "name", "alloc"]
    )]
    job: Option<String>,
    /// More arguments of ssh: options and a command
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        conflicts_with = "print_config"
    )]
    argument: Vec<OsString>,
}

impl Connect {
    /// Becomes ssh, or prints the lines.
    pub fn run(&self) -> ExitCode {
        let done = match &self.job {
            Some(job) => self.ssh(job),
            None => self.print_config(),
        };
        done.unwrap_or_else(|error| {
            say("connect", &error.to_string());
            ExitCode::from(NO_CONNECTION)
        })
    }

    /// Becomes ssh, once the job runs.
    fn ssh(&self, job: &str) -> Result<ExitCode, Error> {
        let target = Target::parse(job)?;
        let found = find("connect", &target, &Client::nobody())?;
        let mut ssh = self.command(&found, target.node)?;
        Err(Error::Ssh(ssh.exec()))
    }

    fn command(&self, found: &Found, node: u32) -> Result<Command, Error> {
        let program = program()?;
        let host = format!("job-{}.{node}", found.job.id);
        let Route { port, via } = &self.route;
        let via = via.to_possible_value();
        let via = via.map_or(String::new(), |it| format!(" --via {}", it.get_name()));
        let program = quoted(&program.to_string_lossy());
        let mut ssh = Command::new("ssh");
        ssh.arg("-o");
        ssh.arg(format!(
            "ProxyCommand={program} proxy --port {port}{via} {host}"
        ));
        // The key is known by the name under which people log in to the node.
        ssh.arg("-o").arg(format!("HostKeyAlias={}", found.node));
        ssh.arg(host).args(&self.argument);
        Ok(ssh)
    }

    fn print_config(&self) -> Result<ExitCode, Error> {
        let program = program()?;
        let login = self.from_laptop.as_deref();
        let host = match &self.shared {
            SharedJob {
                name: None,
                alloc: None,
                ..
            } => Host::any(),
            shared => Host::of(shared, login.is_some())?,
        };
        let text = config(&program.to_string_lossy(), login, &host);
        Ok(output::print("connect", 0, |out| {
            out.write_all(text.as_bytes())
        }))
    }
}

/// What the lines of a host are about.
struct Host {
    /// Its name, or a pattern.
    pattern: String,
    /// What proxy gets.
    arguments: String,
    /// The job, for host-keys.
    job: String,
    /// Another name for its key.
    alias: String,
}

impl Host {
    /// Each job.
    fn any() -> Self {
        Self {
            pattern: format!("{}*", ::connect::PREFIX),
            arguments: "%n".to_owned(),
            job: "%n".to_owned(),
            alias: String::new(),
        }
    }

    /// One job that is submitted where needed. With `is_remote`, two shells read the arguments.
    fn of(shared: &SharedJob, is_remote: bool) -> Result<Self, Error> {
        let name = shared.name.as_deref();
        let name = name.ok_or(Error::NoHostName)?;
        let is_host = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        if !name.chars().all(is_host) || name.starts_with('-') {
            return Err(Error::HostName(name.to_owned()));
        }
        let mut arguments = format!("--name {name}");
        if let Some(options) = &shared.alloc {
            // Told here, not at the first ssh.
            shared.allocation(&Target::named(name))?;
            let word = match is_remote {
                true => shell_word(options),
                false => options.clone(),
            };
            let keep = &shared.keep.text;
            arguments += &format!(" --alloc {} --keep {keep}", quoted(&word));
        }
        Ok(Self {
            pattern: name.to_owned(),
            arguments,
            job: format!("{}{name}", ::connect::PREFIX),
            alias: format!("HostKeyAlias {}{name}\n    ", ::connect::PREFIX),
        })
    }
}

/// The lines for ssh_config(5).
fn config(program: &str, login: Option<&str>, host: &Host) -> String {
    let Host {
        pattern,
        arguments,
        job,
        alias,
    } = host;
    let program = quoted(program);
    let (file, proxy, keys) = match login {
        None => (
            "~/.ssh/config, or for all users /etc/ssh/ssh_config",
            String::new(),
            String::new(),
        ),
        Some(login) => (
            "~/.ssh/config",
            format!("ssh {login} "),
            format!("/usr/bin/ssh {login} "),
        ),
    };
    format!(
        "# {file}\n\
         # OpenSSH before 8.5 must ignore it for other hosts too: it reads the lines of all.\n\
         Host *\n    \
         IgnoreUnknown KnownHostsCommand\n\
         Host {pattern}\n    \
         ProxyCommand {proxy}{program} proxy --port %p {arguments}\n    \
         {alias}\
         # The nodes' keys as known on the login node; OpenSSH before 8.5 asks instead.\n    \
         KnownHostsCommand {keys}{program} host-keys %H {job}\n    \
         # A name such as job-latest leads to another node each time.\n    \
         UserKnownHostsFile /dev/null\n"
    )
}

/// A word for the shell by which ssh runs its ProxyCommand, and without what ssh itself would replace.
fn quoted(word: &str) -> String {
    shell_word(word).replace('%', "%%")
}

fn shell_word(word: &str) -> String {
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn is_plain(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "/._-+,:@".contains(sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::minutes;

    #[test]
    fn a_word_is_quoted_for_the_shell_and_for_ssh() {
        assert_eq!(quoted("/usr/sbin/slurm-adopt"), "/usr/sbin/slurm-adopt");
        assert_eq!(quoted("/a b/100%/it's"), r"'/a b/100%%/it'\''s'");
    }

    #[test]
    fn the_lines_of_a_login_node_and_a_laptop() {
        let here = config("/usr/sbin/slurm-adopt", None, &Host::any());
        assert!(here.contains("    ProxyCommand /usr/sbin/slurm-adopt proxy --port %p %n\n"));
        let there = config("/usr/sbin/slurm-adopt", Some("me@login"), &Host::any());
        let line = "    ProxyCommand ssh me@login /usr/sbin/slurm-adopt proxy --port %p %n\n";
        assert!(there.contains(line), "{there}");
        let line =
            "    KnownHostsCommand /usr/bin/ssh me@login /usr/sbin/slurm-adopt host-keys %H %n\n";
        assert!(there.contains(line), "{there}");
    }
    fn shared(options: &str) -> SharedJob {
        SharedJob {
            name: Some("dev".to_owned()),
            alloc: Some(options.to_owned()),
            keep: minutes("5").expect("minutes"),
        }
    }

    #[test]
    fn the_lines_of_a_job_that_is_submitted() {
        let host = Host::of(&shared("-c4 --mem=8G"), false).expect("a host");
        let lines = config("/usr/sbin/slurm-adopt", None, &host);
        let start = "Host dev\n    ProxyCommand /usr/sbin/slurm-adopt proxy --port %p \
            --name dev --alloc '-c4 --mem=8G' --keep 5\n    HostKeyAlias job-dev\n";
        assert!(lines.contains(start), "{lines}");
        assert!(lines.contains(" host-keys %H job-dev\n"), "{lines}");
        // One shell here, and one at the login node.
        let host = Host::of(&shared("-c4 -C 'a b'"), true).expect("a host");
        let remote = shlex::split(&host.arguments).expect("words").join(" ");
        let words = shlex::split(&remote).expect("words");
        assert_eq!(words[3], "-c4 -C 'a b'", "{words:?}");
    }

    #[test]
    fn what_cannot_be_such_a_job_is_told_at_once() {
        assert!(Host::of(&shared("--array=1-2"), false).is_err());
        for name in [None, Some("a b"), Some("*"), Some("-x"), Some("a/b")] {
            let name = name.map(str::to_owned);
            let shared = SharedJob {
                name,
                ..shared("-c1")
            };
            assert!(Host::of(&shared, false).is_err());
        }
    }
}
