//! Runs Slurm's own commands as the user.

use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use crate::error::Error;
use crate::queue::{FORMAT, Job};

/// Beginnings of the variables by which the environment would change what Slurm's commands do.
const VARIABLES: [&str; 7] = [
    "SLURM_",
    "SQUEUE_",
    "SBATCH_",
    "SRUN_",
    "SALLOC_",
    "SCANCEL_",
    "SCONTROL_",
];
/// Those that say which cluster, and how to prove who asks.
const KEPT: [&str; 3] = ["SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"];

/// Slurm, through its commands, which PATH leads to.
#[derive(Debug, Clone, Copy)]
pub struct Slurm;

impl Slurm {
    /// A command of Slurm's that does the same whatever the environment says about jobs, as in a shell inside of one.
    #[must_use]
    pub fn command(self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if changes_slurm(&name.to_string_lossy()) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// The caller's jobs that are not over, each task of an array by itself.
    ///
    /// # Errors
    /// squeue failed.
    pub fn own_jobs(self) -> Result<Vec<Job>, Error> {
        let user = format!("--user={}", rustix::process::getuid().as_raw());
        let output = self.run("squeue", &["--noheader", "--array", &user, FORMAT])?;
        succeeded("squeue", output).map(|it| Job::parse(&it))
    }

    /// Anyone's jobs of that number, also those that are over; none if Slurm does not know it, or does not show it.
    ///
    /// # Errors
    /// squeue failed.
    pub(crate) fn jobs_of_number(self, number: u32) -> Result<Vec<Job>, Error> {
        let job = format!("--jobs={number}");
        let output = self.run(
            "squeue",
            &["--noheader", "--array", "--states=all", &job, FORMAT],
        )?;
        // squeue.c: the error of slurm_load_job, in each release.
        if String::from_utf8_lossy(&output.stderr).contains("Invalid job id") {
            return Ok(Vec::new());
        }
        succeeded("squeue", output).map(|it| Job::parse(&it))
    }

    /// The address that slurm.conf gives for a node (NodeAddr).
    pub(crate) fn address_of(self, node: &str) -> Result<Option<String>, Error> {
        let output = self.run("scontrol", &["--oneliner", "show", "node", "--", node])?;
        let text = succeeded("scontrol", output)?;
        let mut words = text.split_whitespace();
        Ok(words.find_map(|it| it.strip_prefix("NodeAddr=").map(str::to_owned)))
    }

    /// The name of the cluster that is asked, if Slurm tells it.
    pub(crate) fn cluster(self) -> Option<String> {
        self.configured("ClusterName")
    }

    /// The ports that the site has srun listen at, if it limits them (slurm.conf(5), `SrunPortRange`).
    pub(crate) fn srun_ports(self) -> Option<RangeInclusive<u16>> {
        port_range(&self.configured("SrunPortRange")?)
    }

    /// What slurm.conf says for this key.
    fn configured(self, key: &str) -> Option<String> {
        let output = self.run("scontrol", &["show", "config"]).ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines().filter_map(|it| it.split_once('='));
        let (_, value) = lines.find(|(it, _)| it.trim() == key)?;
        Some(value.trim().to_owned())
    }

    /// Submits a job with these arguments of sbatch; its number.
    ///
    /// # Errors
    /// sbatch failed.
    pub(crate) fn submit(self, arguments: &[String]) -> Result<u32, Error> {
        let mut command = self.command("sbatch");
        // A Ctrl-C is for the caller: a sbatch that it ended might have submitted, and told no number.
        command
            .args(arguments)
            .stdin(Stdio::null())
            .process_group(0);
        let output = command.output().map_err(|cause| Error::Run {
            program: "sbatch",
            cause,
        })?;
        let said = succeeded("sbatch", output)?;
        // With --parsable: the number, and a cluster's name after a semicolon.
        let number = said.trim().split(';').next().and_then(|it| it.parse().ok());
        number.ok_or_else(|| Error::NoNumber(said.trim().to_owned()))
    }

    /// Cancels a job, if it has this name, with these options; that it is over already is no failure.
    pub(crate) fn cancel(
        self,
        number: u32,
        name: Option<&str>,
        options: &[&str],
    ) -> Result<(), Error> {
        let mut command = self.command("scancel");
        command.arg("--quiet").args(options);
        command.args(name.map(|it| format!("--jobname={it}")));
        command.arg(number.to_string());
        let output = command.stdin(Stdio::null()).process_group(0).output();
        let output = output.map_err(|cause| Error::Run {
            program: "scancel",
            cause,
        })?;
        succeeded("scancel", output).map(drop)
    }

    fn run(self, program: &'static str, arguments: &[&str]) -> Result<Output, Error> {
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null());
        let output = command.output();
        output.map_err(|cause| Error::Run { program, cause })
    }
}

/// Parses what scontrol prints, `0-0` where there is no limit.
fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let first = first.parse().ok().filter(|it| *it != 0)?;
    Some(first..=last.parse().ok()?)
}

/// Whether this variable would change what Slurm's commands do.
fn changes_slurm(name: &str) -> bool {
    VARIABLES.iter().any(|it| name.starts_with(it)) && !KEPT.contains(&name)
}

/// What it printed, if it succeeded.
fn succeeded(program: &'static str, output: Output) -> Result<String, Error> {
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error::Failed {
            program,
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_all_commands_that_are_run_are_removed() {
        for name in [
            "SLURM_JOB_ID",
            "SBATCH_HOLD",
            "SQUEUE_SORT",
            "SRUN_CPUS_PER_TASK",
        ] {
            assert!(changes_slurm(name), "{name}");
        }
        // scancel's and scontrol's man pages, ENVIRONMENT VARIABLES.
        for name in [
            "SCANCEL_INTERACTIVE",
            "SCANCEL_STATE",
            "SCONTROL_FEDERATION",
        ] {
            assert!(changes_slurm(name), "{name}");
        }
        for name in ["SLURM_CONF", "SLURM_JWT", "PATH", "SSH_AUTH_SOCK"] {
            assert!(!changes_slurm(name), "{name}");
        }
    }

    #[test]
    fn a_limit_of_ports_is_read() {
        assert_eq!(port_range("60001-60100"), Some(60001..=60100));
        for none in ["0-0", "(null)", "", "1-70000"] {
            assert_eq!(port_range(none), None, "{none}");
        }
    }
}
