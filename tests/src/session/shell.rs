//! The shell that a login ends up in, by its own words.

use anyhow::{Context, Result, bail};

/// What the user's shell says of itself.
pub struct Shell {
    /// Of root's sshd, of the user's, and its own.
    pub pids: [u32; 3],
    /// As /proc/self/cgroup has it.
    pub cgroup: String,
    /// As env(1) prints it.
    pub env: String,
}

/// What these three are called where one of them outlives a job.
const NAMES: [&str; 3] = ["root's sshd", "the user's sshd", "the shell"];

impl Shell {
    /// The command with which it tells: its own process, its parent (the sshd of the user's), the
    /// parent of that (the sshd of root's); then its cgroups and its environment. Nothing of it is left
    /// but one process.
    pub const LOOK_AROUND: &str = "echo $$ $PPID $(cut -d ' ' -f 4 /proc/$PPID/stat); \
         cat /proc/self/cgroup; echo; env; echo END; exec sleep 100000";
    /// Ends what it tells.
    pub const END: &str = "\nEND\n";

    /// What it told; none if that is not all of it.
    ///
    /// # Errors
    /// It is not what [`Shell::LOOK_AROUND`] tells.
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

    /// Each of the three and what it is called.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &'static str)> {
        self.pids.into_iter().zip(NAMES)
    }

    /// Whether SLURM_JOB_ID names that job.
    #[must_use]
    pub fn is_told(&self, job: u32) -> bool {
        let told = format!("SLURM_JOB_ID={job}");
        self.env.lines().any(|line| line == told)
    }

    /// Those of the three of which something is so.
    ///
    /// # Errors
    /// It can't be said.
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
