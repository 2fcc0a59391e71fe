use super::*;
use crate::options::EnvironmentLevel::{Allocation, Full, JobId, None};

const KNOWN: Known<'_> = Known {
    job: 7,
    uid: 2001,
    user: "alice",
    node: Some("node1"),
    cluster: Some("c"),
};

/// The environment of a batch script of 24.11 with `--ntasks=4 --cpus-per-task=2 --gpus=2`, by kind of variable.
const OF_ALLOCATION: &[&str] = &[
    "SLURM_JOB_ACCOUNT=physics",
    "SLURM_JOB_CPUS_PER_NODE=8",
    "SLURM_JOB_END_TIME=1900000000",
    "SLURM_JOB_GID=2001",
    "SLURM_JOB_GPUS=0,1",
    "SLURM_JOB_NAME=train",
    "SLURM_JOB_NODELIST=node[1-2]",
    "SLURM_JOB_NUM_NODES=2",
    "SLURM_JOB_PARTITION=all",
    "SLURM_JOB_QOS=normal",
    "SLURM_JOB_START_TIME=1800000000",
    "SLURM_CPUS_ON_NODE=8",
    "SLURM_GPUS_ON_NODE=2",
    "CUDA_VISIBLE_DEVICES=0,1",
    "TMPDIR=/tmp",
];
const MORE: &[&str] = &[
    "SBATCH_ACCOUNT=physics",
    "SLURM_ARRAY_TASK_ID=3",
    "SLURM_CPUS_PER_TASK=2",
    "SLURM_GPUS=2",
    "SLURM_GPUS_PER_NODE=1",
    "SLURM_HINT=nomultithread",
    "SLURM_JOBID=7",
    "SLURM_MEM_PER_CPU=100",
    "SLURM_MEM_PER_NODE=1000",
    "SLURM_NNODES=2",
    "SLURM_NODELIST=node[1-2]",
    "SLURM_NPROCS=4",
    "SLURM_NTASKS=4",
    "SLURM_NTASKS_PER_NODE=2",
    "SLURM_SUBMIT_DIR=/home/alice",
    "SLURM_TASKS_PER_NODE=2(x2)",
    "SLURM_THREADS_PER_CORE=1",
    "SLURM_TRES_PER_TASK=cpu=2",
];
const NEVER: &[&str] = &[
    "BASH_ENV=/home/alice/x",
    "ENV=/home/alice/x",
    "HOME=/",
    "IFS=x",
    "LD_LIBRARY_PATH=/home/alice",
    "LD_PRELOAD=/home/alice/x.so",
    "PATH=/home/alice",
    "PYTHONPATH=/home/alice",
    "SHELL=/bin/x",
    "SLURM_CLUSTERS=other",
    "SLURM_CONF=/home/alice/slurm.conf",
    "SLURM_CONF_SERVER=evil",
    "SLURM_CPU_BIND=quiet,mask_cpu:0x1",
    "SLURM_EXPORT_ENV=NONE",
    "SLURM_GET_USER_ENV=1",
    "SLURM_GTIDS=0",
    "SLURM_JWT=x",
    "SLURM_LAUNCH_NODE_IPADDR=10.0.0.1",
    "SLURM_LOCALID=0",
    "SLURM_MPI_TYPE=pmix",
    "SLURM_NODEID=0",
    "SLURM_PMIX_MAPPING_SERV=x",
    "SLURM_PROCID=0",
    "SLURM_PRIO_PROCESS=0",
    "SLURM_RLIMIT_NOFILE=10",
    "SLURM_SPANK_X=1",
    "SLURM_SRUN_COMM_HOST=10.0.0.1",
    "SLURM_STEPID=0",
    "SLURM_STEP_ID=0",
    "SLURM_STEP_NODELIST=node1",
    "SLURM_TASK_PID=123",
    "SLURM_UMASK=0022",
    "SLURM_WORKING_CLUSTER=other:host:1:2",
    "SSH_CLIENT=x",
];

/// A login's variables, if a batch script has the given ones.
fn given(level: Level, lists: &[&[&str]]) -> Vec<String> {
    let block = lists.concat().join("\0");
    let env = JobEnv {
        is_of_whole_job: true,
        process: Some(1),
        variables: crate::job_env::parse::variables(block.as_bytes(), wanted(level)),
    };
    let all = for_login(level, &KNOWN, &env);
    let text = all.iter().map(|it| format!("{}={}", it.name, it.value));
    text.collect()
}

const OF_NODE: [&str; 5] = [
    "SLURM_JOB_ID=7",
    "SLURM_JOB_UID=2001",
    "SLURM_JOB_USER=alice",
    "SLURMD_NODENAME=node1",
    "SLURM_CLUSTER_NAME=c",
];

#[test]
fn each_level_and_its_variables() {
    let all = &[NEVER, MORE, OF_ALLOCATION][..];
    assert!(given(None, all).is_empty());
    assert_eq!(given(JobId, all), ["SLURM_JOB_ID=7"]);
    assert_eq!(given(Allocation, all), [&OF_NODE, OF_ALLOCATION].concat());
    assert_eq!(given(Full, all), [&OF_NODE, MORE, OF_ALLOCATION].concat());
}

#[test]
fn what_the_node_knows_is_not_the_users_to_say() {
    let forged = &[
        "SLURM_JOB_ID=8",
        "SLURM_JOB_UID=0",
        "SLURM_JOB_USER=root",
        "SLURMD_NODENAME=x",
        "SLURM_CLUSTER_NAME=x",
        "SLURM_JOB_GPUS=",
    ];
    for level in [Allocation, Full] {
        assert_eq!(
            given(level, &[forged]),
            [&OF_NODE[..], &["SLURM_JOB_GPUS="]].concat()
        );
    }
}

#[test]
fn a_job_without_gpus_has_an_empty_list() {
    let empty = ["CUDA_VISIBLE_DEVICES=", "ROCR_VISIBLE_DEVICES="];
    let slurms = "SLURM_JOB_ID=7";
    assert_eq!(
        given(Allocation, &[&[slurms]]),
        [&OF_NODE[..], &empty].concat()
    );
    // It has replaced its environment, or it is another job's.
    for lists in [&[][..], &["TMPDIR=/tmp"], &["SLURM_JOB_ID=8"]] {
        let all = given(Allocation, &[lists]);
        assert!(!all.iter().any(|it| it.ends_with('=')), "{lists:?}");
    }
    for gpu in [
        "SLURM_JOB_GPUS=0",
        "ZE_AFFINITY_MASK=0",
        "GPU_DEVICE_ORDINAL=1",
    ] {
        assert_eq!(
            given(Allocation, &[&[slurms, gpu]]),
            [&OF_NODE[..], &[gpu]].concat()
        );
    }
    // A step may have none though its job has: nothing is known then.
    let all = for_login(Allocation, &KNOWN, &JobEnv::default());
    assert_eq!(all.len(), OF_NODE.len());
}

/// The options that sbatch, salloc and srun take from the environment, but for those that tell srun which job to run
/// in: sbatch(1), salloc(1), srun(1), "INPUT ENVIRONMENT VARIABLES".
#[test]
fn nothing_of_an_allocation_is_an_option_of_slurms_commands() {
    let taken_by_srun = ["ID", "NAME", "NODELIST", "NUM_NODES"].map(|it| format!("SLURM_JOB_{it}"));
    for name in INPUTS.split_whitespace() {
        let is_taken = taken_by_srun.iter().any(|it| it == name);
        assert_eq!(is_of_allocation(name), is_taken, "{name}");
    }
    assert!(
        !["SBATCH_GRES", "SALLOC_GRES"]
            .into_iter()
            .any(is_of_allocation)
    );
}

/// Those of sbatch, then of srun; all others begin with SBATCH_ or SALLOC_.
const INPUTS: &str = "SLURM_CLUSTERS SLURM_CONF SLURM_DEBUG_FLAGS SLURM_EXIT_ERROR SLURM_HINT \
    SLURM_STEP_KILLED_MSG_NODE_ID SLURM_UMASK SLURM_HOSTFILE SLURM_CONTAINER SLURM_CONTAINER_ID SLURM_RUNTIME \
    SLURM_EXIT_IMMEDIATE SLURM_DIST_PLANESIZE \
    SLURM_ACCOUNT SLURM_ACCTG_FREQ SLURM_BCAST SLURM_BCAST_EXCLUDE SLURM_BURST_BUFFER SLURM_CLUSTER_CONSTRAINT \
    SLURM_COMPRESS SLURM_CONSTRAINT SLURM_CORE_SPEC SLURM_CPUS_PER_TASK SLURM_CPU_BIND SLURM_CPU_FREQ_REQ \
    SLURM_CPUS_PER_GPU SLURM_DELAY_BOOT SLURM_DEPENDENCY SLURM_DISABLE_STATUS SLURM_DISTRIBUTION SLURM_EPILOG \
    SLURM_EXACT SLURM_EXCLUSIVE SLURM_EXPORT_ENV SLURM_EXTERNAL_LAUNCHER SLURM_GPUS SLURM_GPU_BIND SLURM_GPU_FREQ \
    SLURM_GPUS_PER_NODE SLURM_GPUS_PER_SOCKET SLURM_GPUS_PER_TASK SLURM_GRES SLURM_GRES_FLAGS SLURM_JOB_ID \
    SLURM_JOB_NAME SLURM_JOB_NODELIST SLURM_JOB_NUM_NODES SLURM_KILL_BAD_EXIT SLURM_LABELIO SLURM_MEM_BIND \
    SLURM_MEM_PER_CPU SLURM_MEM_PER_GPU SLURM_MEM_PER_NODE SLURM_MPI_TYPE SLURM_NCORES_PER_SOCKET SLURM_NETWORK \
    SLURM_NO_KILL SLURM_NPROCS SLURM_NNODES SLURM_NTASKS SLURM_NSOCKETS_PER_NODE SLURM_NTASKS_PER_CORE \
    SLURM_NTASKS_PER_NODE SLURM_NTASKS_PER_GPU SLURM_NTASKS_PER_TRES SLURM_OOM_KILL_STEP SLURM_OPEN_MODE \
    SLURM_OVERCOMMIT SLURM_OVERLAP SLURM_PARTITION SLURM_POWER SLURM_PROFILE SLURM_PROLOG SLURM_QOS SLURM_REMOTE_CWD \
    SLURM_REQ_SWITCH SLURM_RESERVATION SLURM_RESV_PORTS SLURM_SEND_LIBS SLURM_SIGNAL SLURM_SPREAD_JOB SLURM_SRUN_MULTI \
    SLURM_STDERRMODE SLURM_STDINMODE SLURM_STDOUTMODE SLURM_TASK_EPILOG SLURM_TASK_PROLOG SLURM_THREAD_SPEC \
    SLURM_THREADS SLURM_THREADS_PER_CORE SLURM_TIMELIMIT SLURM_TRES_BIND SLURM_TRES_PER_TASK SLURM_UNBUFFEREDIO \
    SLURM_USE_MIN_NODES SLURM_WAIT SLURM_WAIT4SWITCH SLURM_WCKEY SLURM_WORKING_DIR SLURM_WORKING_CLUSTER";

/// How training frameworks tell that they were started by srun, as a task: by the variables that these functions of
/// theirs read. In a login they must not, whatever the job is called.
#[test]
fn no_training_framework_takes_the_login_for_a_task() {
    let names = |level| -> Vec<String> {
        let all = given(level, &[OF_ALLOCATION, MORE, NEVER]);
        let names = all
            .iter()
            .filter_map(|it| Some(it.split_once('=')?.0.to_owned()));
        names.collect()
    };
    let has = |level, wanted: &str| {
        wanted
            .split(' ')
            .all(|it| names(level).iter().any(|has| has == it))
    };
    for (framework, rule) in [
        // Lightning up to 2.6, SLURMEnvironment.detect (`_is_srun_used`), unless the job is called bash or interactive.
        ("Lightning", "SLURM_NTASKS"),
        // SLURMEnvironment.global_rank and local_rank.
        ("Lightning's rank", "SLURM_PROCID"),
        ("Lightning's local rank", "SLURM_LOCALID"),
        // JAX 0.10, SlurmCluster.is_env_present. Old ones look for SLURM_JOB_ID alone, and then fail, as with SchedMD's
        // module: `none` is for them.
        (
            "JAX",
            "SLURM_JOB_ID SLURM_STEP_NODELIST SLURM_NTASKS SLURM_PROCID SLURM_LOCALID",
        ),
        // torch.distributed.init_process_group(init_method="env://"); torchrun itself reads PET_* alone and sets these.
        ("PyTorch", "RANK WORLD_SIZE MASTER_ADDR MASTER_PORT"),
        ("torchrun", "PET_NNODES"),
    ] {
        assert!(!has(Allocation, rule), "{framework} is misled");
        assert!(!has(JobId, rule), "{framework} is misled");
    }
    // What the man page says of `full`.
    assert!(has(Full, "SLURM_NTASKS") && !has(Full, "SLURM_PROCID"));
}
