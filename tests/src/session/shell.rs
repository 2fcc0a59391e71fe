//! The shell of a login, as it describes itself.

use anyhow::{Context, Result, bail};

/// Report of the user's shell about itself.
pub struct Shell {
    /// PIDs of root's sshd, of the user's sshd, and of the shell.
    pub pids: [u32; 3],
    /// Its cgroups, as in /proc/self/cgroup.
    pub cgroup: String,
    /// Its environment, as env(1) prints it.
    pub env: String,
}

/// Names of the three processes, for one that outlives a job.
const NAMES: [&str; 3] = ["root's sshd", "the user's sshd", "the shell"];

impl Shell {
    /// Command with which the shell reports: its own PID, its parent's (the user's sshd), that one's
    /// parent's (root's sshd); then its cgroups and its environment. Only one process remains of it.
    pub const LOOK_AROUND: &str = "echo $$ $PPID $(cut -d ' ' -f 4 /proc/$PPID/stat); \
         cat /proc/self/cgroup; echo; env; echo END; exec sleep 100000";
    /// Text at the end of the report.
    pub const END: &str = "\nEND\n";

    /// Parses the report; `None` if it is incomplete.
    ///
    /// # Errors
    /// It is not the output of [`Shell::LOOK_AROUND`].
    pub fn parse(told: &str) -> Result<Option<Self>> {
        let Some(told) = told.strip_suffix(Self::END) else {
            return Ok(None);
        };
        let (pids, rest) = told.split_once('\n').context("no line of pids")?;
        let (cgroup, env) = rest.split_once("\n\n").context("no environment")?;
        let pids: Vec<u32> = pids
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [shell, users, roots] = pids[..] else {
            bail!("pids: {pids:?}");
        };
        Ok(Some(Self {
            pids: [roots, users, shell],
            cgroup: cgroup.to_owned(),
            env: env.to_owned(),
        }))
    }

    /// The three PIDs, each with its name.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &'static str)> {
        self.pids.into_iter().zip(NAMES)
    }

    /// Whether SLURM_JOB_ID names that job.
    #[must_use]
    pub fn is_told(&self, job: u32) -> bool {
        let told = format!("SLURM_JOB_ID={job}");
        self.env.lines().any(|line| line == told)
    }

    /// Names those of the three processes for which `is` returns true.
    ///
    /// # Errors
    /// `is` failed.
    pub fn those(&self, mut is: impl FnMut(u32) -> Result<bool>) -> Result<String> {
        let mut found = Vec::new();
        for (pid, name) in self.processes() {
            if is(pid)? {
                found.push(name);
            }
        }
        Ok(match found.len() {
            0 => "nothing".into(),
            3 => "all of it".into(),
            _ => found.join(", "),
        })
    }
}
