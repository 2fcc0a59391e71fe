//! What a login gets of its job's environment (`environment=`).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Suite};

use crate::banner::terminal;
use crate::{FILE, Test};

/// A default run has them on one release; a long one on all.
pub const TESTS: &[(&str, Test)] = &[
    ("each level of environment= by ssh", levels),
    (
        "a session line that wants less takes nothing away",
        two_levels,
    ),
    (
        "a job without a process has what the node knows",
        no_process,
    ),
    (
        "a process that has replaced its environment says nothing",
        replaced,
    ),
    ("root's pam_exec gets no TMPDIR of the job", root_programs),
    ("sbatch from a login is not bound by its job", submission),
    ("a hostile environment changes nothing but values", hostile),
];

const STACK: &str = "/etc/pam.d/sshd";
const SESSION: &str = "session required pam_slurm_adopt.so\n";
/// What the node knows of a job without asking its processes.
const KNOWN: [&str; 5] = [
    "SLURMD_NODENAME",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_ID",
    "SLURM_JOB_UID",
    "SLURM_JOB_USER",
];

pub type Variables = BTreeMap<String, String>;

/// Does something while sshd's stack has both lines, with these options.
pub fn with(node: &Node, options: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = node.read_text(STACK)?;
    node.write(STACK, format!("{before}{SESSION}"), 0o644)?;
    let options: Vec<_> = options.split(' ').collect();
    node.write(FILE, options.join("\n") + "\n", 0o644)?;
    let done = work();
    node.write(STACK, before, 0o644)?;
    done.with_context(|| options.join(" "))
}

/// The variables of a login that have to do with Slurm or could harm.
pub fn login(node: &Node) -> Result<Variables> {
    let text = node.ssh("alice", node.name(), &["env", "-0"])?.ok()?;
    let pairs = text.split_terminator('\0').map(|entry| {
        let (name, value) = entry.split_once('=').context("a variable")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let mut all = pairs.collect::<Result<Variables>>()?;
    all.retain(|name, _| !OF_SSHD.contains(&name.as_str()));
    Ok(all)
}

const OF_SSHD: [&str; 11] = [
    "HOME",
    "LANG",
    "LOGNAME",
    "MAIL",
    "PATH",
    "PWD",
    "SHELL",
    "SHLVL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "USER",
];

pub fn names(variables: &Variables) -> Vec<&str> {
    let names = variables.keys().map(String::as_str);
    names.filter(|it| *it != "_").collect()
}

/// Whether the name is of a task or step, or an option of sbatch, or nothing of the job's.
fn is_foreign(name: &str) -> bool {
    let parts = [
        "_PROCID",
        "_LOCALID",
        "SLURM_STEP",
        "_TASK_PID",
        "_GTIDS",
        "SLURM_CONF",
        "SBATCH_",
    ];
    parts.iter().any(|part| name.contains(part))
        || !name.starts_with("SLURM") && !GPU_OR_TMP.contains(&name)
}

const GPU_OR_TMP: [&str; 3] = ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "TMPDIR"];

fn levels(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["--ntasks=2", "--time=90", "--job-name=train"])?;
    cluster.wait_script(job)?;
    let job = job.to_string();
    with(node, "environment=none", || {
        let found = login(node)?;
        ensure!(names(&found).is_empty(), "{found:?}");
        Ok(())
    })?;
    for options in ["environment=jobid", "strict"] {
        with(node, options, || {
            let found = login(node)?;
            ensure!(names(&found) == ["SLURM_JOB_ID"], "{found:?}");
            Ok(())
        })?;
    }
    let allocation = || {
        let found = login(node)?;
        let foreign = names(&found).into_iter().find(|it| is_foreign(it));
        ensure!(foreign.is_none(), "{foreign:?}: {found:?}");
        let of_job = [
            "SLURM_JOB_NAME",
            "SLURM_JOB_NODELIST",
            "SLURM_CPUS_ON_NODE",
            "TMPDIR",
        ];
        for name in KNOWN.iter().chain(&of_job).chain(&GPU_OR_TMP) {
            ensure!(found.contains_key(*name), "no {name}: {found:?}");
        }
        for name in ["SLURM_NTASKS", "SLURM_MEM_PER_CPU", "SLURM_NNODES"] {
            ensure!(!found.contains_key(name), "{name}: {found:?}");
        }
        let values = [
            "SLURM_JOB_ID",
            "SLURM_JOB_NAME",
            "SLURM_JOB_USER",
            "CUDA_VISIBLE_DEVICES",
        ];
        let values = values.map(|name| found[name].as_str());
        ensure!(values == [job.as_str(), "train", "alice", ""], "{found:?}");
        let has_end = found.contains_key("SLURM_JOB_END_TIME");
        ensure!(has_end == (cluster.suite() >= Suite::Trixie), "{found:?}");
        Ok(())
    };
    with(node, "environment=allocation", allocation)?;
    with(node, "environment=full", || {
        let found = login(node)?;
        let foreign = names(&found).into_iter().find(|it| is_foreign(it));
        ensure!(foreign.is_none(), "{foreign:?}: {found:?}");
        ensure!(
            found.get("SLURM_NTASKS").is_some_and(|it| it == "2"),
            "{found:?}"
        );
        Ok(())
    })?;
    // The account line alone, as at sites that have replaced SchedMD's module and no more.
    node.write(FILE, "environment = allocation\n", 0o644)?;
    allocation().context("the account line alone")
}

fn two_levels(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["--time=90", "--job-name=train"])?;
    cluster.wait_script(job)?;
    let before = node.read_text(STACK)?;
    let less = SESSION.replace(".so", ".so environment=jobid");
    node.write(STACK, format!("{before}{less}"), 0o644)?;
    node.write(FILE, "environment = allocation\n", 0o644)?;
    let found = login(node);
    node.write(STACK, before, 0o644)?;
    let found = found?;
    let name = found.get("SLURM_JOB_NAME").map(String::as_str);
    ensure!(name == Some("train"), "{found:?}");
    Ok(())
}

fn no_process(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.run_as("alice", &["salloc", "--no-shell", "--time=90"])?
        .ok()?;
    let listed = node.run_as("alice", &["squeue", "-h", "-o", "%i"])?.ok()?;
    let job: u32 = listed.trim().parse().with_context(|| listed.clone())?;
    cluster.wait_running(job)?;
    for level in ["allocation", "full"] {
        with(node, &format!("environment={level} banner=1"), || {
            let mark = node.syslog_mark()?;
            let found = login(node)?;
            ensure!(names(&found) == KNOWN, "{found:?}");
            ensure!(found["SLURM_JOB_ID"] == job.to_string(), "{found:?}");
            let log = node.syslog_since(mark)?;
            ensure!(!log.contains("the environment of job"), "{log}");
            let told = terminal(node, &[])?;
            ensure!(
                told.stdout
                    .contains(&format!("This login is in job {job}\r\n")),
                "{told}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// Waits until the script of a job has become `sleep`, with whatever environment.
fn wait_for_sleep(node: &Node) -> Result<()> {
    const SLEEP: &str = "sleep 100000";
    let sleeps = || {
        let mut all = node.processes(SLEEP)?.into_iter();
        Ok(all.any(|(_, line)| line == SLEEP))
    };
    lab::poll::until_true("the job to sleep", Duration::from_secs(40), sleeps)
}

fn replaced(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let wrap = "--wrap=exec env -i TMPDIR=/tmp sleep 100000";
    let job = cluster.submit_only("alice", &["--time=90", wrap])?;
    cluster.wait_running(job)?;
    wait_for_sleep(node)?;
    node.write(FILE, "environment = allocation\n", 0o644)?;
    let found = login(node)?;
    // No empty list of GPUs: the job may have some.
    let expected = [&KNOWN[..], &["TMPDIR"]].concat();
    ensure!(names(&found) == expected, "{found:?}");
    Ok(())
}

fn root_programs(cluster: &Cluster) -> Result<()> {
    const PROGRAM: &str = "/usr/local/bin/told";
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["--time=90"])?;
    cluster.wait_script(job)?;
    node.write(
        PROGRAM,
        "#!/bin/sh\necho \"== $PAM_TYPE\"\nenv\necho \"$PAM_TYPE ==\"\n",
        0o755,
    )?;
    let before = node.read_text(STACK)?;
    let line = format!("session optional pam_exec.so log=/tmp/told {PROGRAM}\n");
    node.write(STACK, format!("{before}{line}{SESSION}"), 0o644)?;
    node.write(FILE, "environment = allocation\n", 0o644)?;
    let found = login(node);
    let told = || Ok(node.read_text("/tmp/told")?.ends_with("close_session ==\n"));
    let closed = lab::poll::until_true("the session's end", Duration::from_secs(30), told);
    node.write(STACK, before, 0o644)?;
    closed?;
    let (found, told) = (found?, node.read_text("/tmp/told")?);
    node.remove("/tmp/told")?;
    ensure!(!found.contains_key("TMPDIR"), "{found:?}");
    ensure!(found.contains_key("SLURM_JOB_NAME"), "{found:?}");
    ensure!(
        told.contains("SLURM_JOB_ID=") && !told.contains("TMPDIR"),
        "{told}"
    );
    // What comes before the session line sees nothing of the job's process at first.
    let (open, close) = told.split_once("== close_session\n").context("the close")?;
    let name = "SLURM_JOB_NAME=";
    ensure!(!open.contains(name) && close.contains(name), "{told}");
    Ok(())
}

/// What sbatch makes of a script without options, submitted from a login or from elsewhere.
fn submitted(node: &Node, from_login: bool) -> Result<String> {
    let script = "cd /tmp && sbatch --parsable --hold -o /dev/null /usr/local/bin/plain";
    let id = match from_login {
        true => node.ssh("alice", node.name(), &[script])?.ok()?,
        false => node.run_as("alice", &["sh", "-c", script])?.ok()?,
    };
    let format = "%C %D %l %m %P %j %f %n %b %x %z %q %a %h";
    let told = node
        .run(&["squeue", "-h", "-j", id.trim(), "-o", format])?
        .ok()?;
    node.run_as("alice", &["scancel", id.trim()])?.ok()?;
    Ok(told)
}

fn submission(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.write(
        "/usr/local/bin/plain",
        "#!/bin/sh\nexec sleep 1000\n",
        0o755,
    )?;
    // A job with options of all kinds, by arguments and by variables.
    let wrap = "exec sleep 100000";
    let argv = [
        "env",
        "SBATCH_TIMELIMIT=7",
        "SLURM_HINT=nomultithread",
        "sbatch",
        "--parsable",
        "--chdir=/tmp",
        "--output=/dev/null",
        "--ntasks=2",
        "--ntasks-per-node=2",
        "--cpus-per-task=1",
        "--job-name=first",
        "--wrap",
        wrap,
    ];
    let job = node.run_as("alice", &argv)?.ok()?;
    cluster.wait_running(job.trim().parse().context("a job")?)?;
    let plain = submitted(node, false)?;
    for level in ["jobid", "allocation"] {
        with(node, &format!("environment={level}"), || {
            let found = submitted(node, true)?;
            ensure!(found == plain, "{found}, not {plain}");
            Ok(())
        })?;
    }
    // As the manual says: this one leaks.
    with(node, "environment=full", || {
        let found = submitted(node, true)?;
        ensure!(
            found.contains(" 7:00 ") && !plain.contains(" 7:00 "),
            "{found}, {plain}"
        );
        Ok(())
    })
}

/// Ends as one process, with an environment that no Slurm makes: 2 MB, more variables than sshd takes, and what would
/// harm whoever takes it over.
const HOSTILE: &str = r#"#!/bin/bash
ulimit -s unlimited
big=$(head -c 100000 /dev/zero | tr '\0' x)
for i in {1..10}; do declare -x SLURM_JOB_BIG$i=$big BIG$i=$big; done
mapfile -t many < <(seq -f SLURM_JOB_V%g= 1200)
export LD_PRELOAD= BASH_ENV=/tmp/x IFS=x SLURM_CONF=/tmp/x SLURM_JWT=x SLURM_PROCID=0 SLURM_STEP_ID=0
export SLURM_JOB_ID=1 SLURM_JOB_UID=0 SLURM_JOB_USER=root SLURMD_NODENAME=x SLURM_CLUSTER_NAME=x
export SLURM_JOB_ACCOUNT=$'a\nLD_PRELOAD=/tmp/x.so' SLURM_JOB_QOS=$'\e[2J' SLURM_JOB_PARTITION=$'\xff'
export SLURM_JOB_NAME=a=b SLURM_JOB_EMPTY= SLURM_JOB_END_TIME=never
exec env 'SLURM_JOB_X Y=1' 'SLURM_JOB_x=1' '=1' 'SLURM_JOB_F%%=() { :; }' "${many[@]}" sleep 100000
"#;

fn hostile(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.write("/usr/local/bin/hostile", HOSTILE, 0o755)?;
    let argv = [
        "sbatch",
        "--parsable",
        "--chdir=/tmp",
        "-o",
        "/tmp/out",
        "/usr/local/bin/hostile",
    ];
    let job = node.run_as("alice", &argv)?.ok()?;
    cluster.wait_running(job.trim().parse().context("a job")?)?;
    wait_for_sleep(node).with_context(|| node.read_text("/tmp/out").unwrap_or_default())?;
    for level in ["allocation", "full"] {
        // The reader has a quarter of the deadline.
        with(
            node,
            &format!("environment={level} banner=1 timeout=60"),
            || {
                let mark = node.syslog_mark()?;
                let found = login(node)?;
                let log = node.syslog_since(mark)?;
                ensure!(!log.contains("the environment of job"), "{log}");
                let foreign = names(&found)
                    .into_iter()
                    .find(|it| is_foreign(it) || it.contains("BIG"));
                ensure!(foreign.is_none(), "{foreign:?}: {:?}", names(&found));
                for name in ["ACCOUNT", "QOS", "PARTITION", "x", "X Y", "F%%"] {
                    let name = format!("SLURM_JOB_{name}");
                    ensure!(!found.contains_key(&name), "{name}");
                }
                let values = ["ID", "UID", "USER", "NAME", "EMPTY"];
                let values = values.map(|it| found[&format!("SLURM_JOB_{it}")].as_str());
                ensure!(
                    values == [job.trim(), "2001", "alice", "a=b", ""],
                    "{values:?}"
                );
                ensure!(found["SLURMD_NODENAME"] == "node1", "{found:?}");
                let told = terminal(node, &[])?;
                let text = format!("This login is in job {}\r\n", job.trim());
                ensure!(told.stdout.contains(&text), "{told}");
                Ok(())
            },
        )?;
    }
    Ok(())
}
