//! Reads variables of a job's environment from a process of the job.
//!
//! slurmstepd starts a job's script, and a step's commands, with what slurmctld and it know of the job in
//! the environment (`slurmctld/job_scheduler.c`, `slurmd/slurmstepd/slurmstepd_job.c`, `common/env.c`). The process
//! is the user's: users can put there what they like, and can make whoever reads it wait (an execve(2) that does not end;
//! on old kernels a page of it on a FUSE file system). So a copy of this process reads it, with a deadline; only names that are
//! asked for are taken, and only values that are one line of text.

mod names;
mod parse;

use std::io;

use sys::{Deadline, ProcessDir};

use crate::access;
use crate::adoption::processes::JobProcesses;
pub(crate) use crate::job_env::names::{Known, TMPDIR, for_login, wanted};
pub(crate) use crate::job_env::parse::Variable;
use crate::log::Log;
use crate::stepd::Census;

/// Variables of a job's environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct JobEnv {
    /// Whether they are those of the batch script or the interactive step, which have all that the job has on this
    /// node. Else they are a step's, or none.
    pub is_of_whole_job: bool,
    /// The process that has them.
    pub process: Option<u32>,
    /// The names and values, in no order, each name once.
    pub variables: Vec<Variable>,
}

impl JobEnv {
    /// Reads the variables with the wanted names from the job's first process here: of its script, else of its lowest
    /// step. Empty if the job has no process here. Only logs a failure.
    pub fn ask(
        census: &Census,
        job: u32,
        is_wanted: fn(&str) -> bool,
        deadline: &Deadline,
        log: Log<'_>,
    ) -> Self {
        let work = || {
            let read = read(census, job, is_wanted, deadline);
            read.unwrap_or_else(|error| format!("{FAILED}{error}").into_bytes())
        };
        let found = sys::bytes_by_copy(deadline, HEAD + parse::MOST, &work);
        let found = found.and_then(|bytes| match bytes.split_first() {
            Some((&flag, cause)) if flag == FAILED as u8 => {
                Err(io::Error::other(String::from_utf8_lossy(cause)))
            }
            _ => Ok(Self::of_answer(&bytes, is_wanted)),
        });
        found.unwrap_or_else(|error| {
            log.error(|| format!("the environment of job {job}: {error}"));
            Self::default()
        })
    }

    fn of_answer(bytes: &[u8], is_wanted: fn(&str) -> bool) -> Self {
        let Some((&[flag, ref pid @ ..], block)) = bytes.split_first_chunk::<HEAD>() else {
            return Self::default();
        };
        Self {
            is_of_whole_job: flag == WHOLE,
            process: Some(u32::from_ne_bytes(*pid)),
            variables: parse::variables(block, is_wanted),
        }
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut all = self.variables.iter();
        all.find(|it| it.name == name).map(|it| it.value.as_str())
    }

    /// The end of the job in seconds since 1970, as it was when the process started: `SLURM_JOB_END_TIME`, which
    /// Slurm sets from 23.02 on (`common/env.c`). The user may have changed it.
    pub fn end(&self) -> Option<u64> {
        self.value(END_TIME)?.parse().ok()
    }
}

/// The name of the variable with the end of the job.
pub(crate) const END_TIME: &str = "SLURM_JOB_END_TIME";

/// What comes before the variables in the copy's answer: a flag and the pid.
const HEAD: usize = 1 + size_of::<u32>();
/// The first byte of the copy's answer.
const FAILED: char = '!';
const WHOLE: u8 = b'j';
const PART: u8 = b's';

/// Finds and reads the process. The answer of the copy is a flag, the pid and the block of variables, or the flag alone
/// if there is no process.
fn read(
    census: &Census,
    job: u32,
    is_wanted: fn(&str) -> bool,
    deadline: &Deadline,
) -> io::Result<Vec<u8>> {
    /// execve(2) takes 6 MiB of arguments and variables at most.
    const LARGEST: u64 = 8 << 20;
    let mut answer = vec![PART];
    let Some(processes) = JobProcesses::find(census, job)? else {
        return Ok(answer);
    };
    let first = processes.first(deadline, &|process: &ProcessDir| {
        let read = process.read_bytes(c"environ", LARGEST);
        let read = read.map_err(access::during("read the environ of a process"))?;
        // It may have become another user's meanwhile, by execve(2).
        let read = read.filter(|_| processes.is_users(process));
        Ok(read.map(|block| parse::block(&parse::variables(&block, is_wanted))))
    })?;
    if let Some(first) = first {
        if first.is_of_whole_job {
            answer = vec![WHOLE];
        }
        answer.extend(first.pid.to_ne_bytes());
        answer.extend(first.read);
    }
    Ok(answer)
}
