//! The names of the variables that a login gets, by `environment=`, and what is known without a process of the job.
//!
//! sbatch(1), srun(1) and salloc(1) list the variables that they take for options ("INPUT ENVIRONMENT VARIABLES",
//! 22.05 to 26.05), and those that a job finds ("OUTPUT ENVIRONMENT VARIABLES").

use crate::job_env::parse::Variable;
use crate::job_env::{END_TIME, JobEnv};
use crate::options::EnvironmentLevel as Level;

/// The directory for temporary files.
pub(crate) const TMPDIR: &str = "TMPDIR";

/// The number of the job, as SchedMD's module sets it.
const JOB_ID: &str = "SLURM_JOB_ID";

/// What the node knows of a login's job, without asking the user's processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub job: u32,
    pub uid: u32,
    pub user: &'a str,
    pub node: Option<&'a str>,
    pub cluster: Option<&'a str>,
}

/// The test for names to read from the job's process.
pub(crate) fn wanted(level: Level) -> fn(&str) -> bool {
    match level {
        Level::None | Level::JobId => |name| name == END_TIME,
        Level::Allocation => is_of_allocation,
        Level::Full => is_of_job,
    }
}

/// The variables for the login. What the node knows goes before what the job's process says.
pub(crate) fn for_login(level: Level, known: &Known<'_>, env: &JobEnv) -> Vec<Variable> {
    let mut all = Vec::new();
    if level == Level::None {
        return all;
    }
    all.push(variable(JOB_ID, known.job.to_string()));
    if level == Level::JobId {
        return all;
    }
    all.push(variable("SLURM_JOB_UID", known.uid.to_string()));
    all.push(variable("SLURM_JOB_USER", known.user));
    all.extend(known.node.map(|it| variable("SLURMD_NODENAME", it)));
    all.extend(known.cluster.map(|it| variable("SLURM_CLUSTER_NAME", it)));
    let count = all.len();
    for it in &env.variables {
        if !all[..count].iter().any(|known| known.name == it.name) {
            all.push(it.clone());
        }
    }
    if env.is_of_whole_job && is_without_gpus(known.job, env) {
        all.extend(EMPTIED.map(|name| variable(name, "")));
    }
    all
}

/// Whether the environment is Slurm's for the job and has no list of GPUs: Slurm sets none for a job without GPUs, and
/// programs would take all that they see. A process may have replaced its environment (`env -i`, a program that writes
/// its title there), which says nothing.
fn is_without_gpus(job: u32, env: &JobEnv) -> bool {
    let is_slurms = env.value(JOB_ID).is_some_and(|it| it.parse() == Ok(job));
    is_slurms && !GPUS.iter().any(|name| env.value(name).is_some())
}

fn variable(name: &str, value: impl Into<String>) -> Variable {
    let (name, value) = (name.to_owned(), value.into());
    Variable { name, value }
}

/// The lists of the job's GPUs (`gpu_common.c`, `gres_gpu.c`).
const GPUS: [&str; 5] = [
    "SLURM_JOB_GPUS",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
    "GPU_DEVICE_ORDINAL",
];
/// Those of which an empty one means "no GPU". The specification of Level Zero (1.11, "Affinity Mask") gives no value
/// of ZE_AFFINITY_MASK that hides all devices, nor does AMD's list of variables (ROCm 6.1 to 7.1, "GPU isolation") one
/// of GPU_DEVICE_ORDINAL, whose readers see only what ROCR_VISIBLE_DEVICES leaves them.
const EMPTIED: [&str; 2] = ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"];

/// Whether the variable says what the job has on this node. sbatch and salloc take none of these for an option; srun
/// takes some for the job that it is to run a step in, as is right in a login of that job.
fn is_of_allocation(name: &str) -> bool {
    const OTHERS: [&str; 4] = [
        "SLURM_CPUS_ON_NODE",
        "SLURM_GPUS_ON_NODE",
        "SLURM_TMPDIR",
        TMPDIR,
    ];
    name.starts_with("SLURM_JOB_") || OTHERS.contains(&name) || GPUS.contains(&name)
}

/// Whether the variable belongs to the job as a whole. Never what is a task's or step's own, makes Slurm's commands
/// read another configuration or speak to another cluster or srun, or carries a key or a limit.
fn is_of_job(name: &str) -> bool {
    const NEVER: [&str; 25] = [
        "CLUSTERS",
        "CONF",
        "CPU_BIND",
        "DEBUG",
        "EXPORT_ENV",
        "GET_USER_ENV",
        "GTIDS",
        "JWT",
        "LAUNCH_",
        "LOCALID",
        "MEM_BIND",
        "MPI_",
        "NODEID",
        "PMI",
        "PRIO_PROCESS",
        "PROCID",
        "PTY_",
        "RLIMIT_",
        "SACK_",
        "SPANK",
        "SRUN_",
        "STEP",
        "TASK_",
        "UMASK",
        "WORKING_CLUSTER",
    ];
    match name.strip_prefix("SLURM_") {
        Some(rest) => !NEVER.iter().any(|it| rest.starts_with(it)),
        None => name.starts_with("SBATCH_") || is_of_allocation(name),
    }
}

#[cfg(test)]
mod tests;
