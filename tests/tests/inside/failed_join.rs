//! A namespace that the kernel does not let the login join: an adoption failure, and nothing is
//! half done.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Output, Status, Suite};
use serde_json::Value;
use tests::Module;

use crate::namespaces::{BOTH, SHOW};
use crate::place::{AS_IT_IS, Bare, Place, REFUSE_SETNS, Test, bare, inside, submit, use_module};

/// At each place whose jobs have namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[
    ("a refused namespace is an adoption failure", call),
    ("a refused namespace keeps an ssh login out", login),
];

const DENIED: &str = "Access denied by pam_slurm_adopt: adoption failure";

/// Whether SchedMD's module takes it for one too: from 25.11 on it lets in.
fn schedmd_fails(cluster: &Cluster) -> bool {
    cluster.suite() < Suite::Forky
}

fn call(place: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    let before = bare(cluster, Module::Ours, "service=other", AS_IT_IS)?.namespaces;
    for refused in place.joins {
        let wrapper = format!("exec {REFUSE_SETNS} {refused} \"$@\"");
        for (action, denied) in [("deny", true), ("allow", false)] {
            for module in BOTH {
                let options = format!("action_adopt_failure={action}");
                let mark = node.syslog_mark()?;
                let call = bare(cluster, module, &options, &wrapper)?;
                let what = format!("{module:?}, {refused} refused, {options}: {call:?}");
                let changed = changed(&before, &call)?;
                match module {
                    Module::Ours => {
                        ensure!(call.code == if denied { 6 } else { 0 }, "{what}");
                        ensure!(call.messages.contains(DENIED) == denied, "{what}");
                        ensure!(changed.is_empty(), "half joined, {changed:?}: {what}");
                        ensure!(call.new_descriptors.is_empty(), "{what}");
                        let log = node.syslog_since(mark)?;
                        ensure!(log.contains("namespace"), "{what}: the log has only\n{log}");
                    }
                    Module::SchedMd => {
                        let denied = denied && schedmd_fails(cluster);
                        ensure!(call.code == if denied { 6 } else { 0 }, "{what}");
                        // In the order in which its stepd hands them out, until one fails.
                        let order = ["pid", "user", "mnt"];
                        let done = order.iter().take_while(|it| *it != refused);
                        let done = done.filter(|it| place.joins.contains(it));
                        ensure!(changed.len() == done.count(), "{changed:?}: {what}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// The kinds of namespaces that the process, or its children, would not be in before.
fn changed(before: &Value, call: &Bare) -> Result<Vec<String>> {
    let before = before.as_object().context("pamcall: no ns")?;
    let mut changed = Vec::new();
    for (kind, namespace) in before {
        if call.namespaces.get(kind) != Some(namespace) {
            changed.push(kind.clone());
        }
    }
    Ok(changed)
}

/// The port of the sshd that is refused a namespace.
const PORT: &str = "2222";
const PID_FILE: &str = "/run/sshd-refused.pid";

fn login(place: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    let of_node = node.sh(SHOW)?;
    for refused in place.joins {
        node.sh(&format!(
            "{REFUSE_SETNS} {refused} /usr/sbin/sshd -p {PORT} -o PidFile={PID_FILE}
             until test -s {PID_FILE}; do sleep 0.02; done"
        ))?;
        let result = refused_logins(cluster, &of_node);
        // It removes the file when it ends.
        node.sh(&format!(
            "kill $(cat {PID_FILE}); while test -e {PID_FILE}; do sleep 0.02; done"
        ))?;
        result.with_context(|| format!("{refused} refused"))?;
    }
    Ok(())
}

fn refused_logins(cluster: &Cluster, of_node: &str) -> Result<()> {
    let login = |module: Module, options: &str| -> Result<Output> {
        use_module(cluster, module, options)?;
        let ssh = ["ssh", "-o", "BatchMode=yes", "-p", PORT, "node2", SHOW];
        cluster.node(1).run_as("alice", &ssh)
    };
    let ours = login(Module::Ours, "action_adopt_failure=deny")?;
    ensure!(
        ours.status == Status::Exited(255) && ours.stderr.contains(DENIED),
        "{ours}"
    );
    let ours = login(Module::Ours, "action_adopt_failure=allow")?;
    ensure!(ours.stdout == of_node, "half joined, {of_node}: {ours}");
    let theirs = login(Module::SchedMd, "action_adopt_failure=deny")?;
    ensure!(theirs.success() != schedmd_fails(cluster), "{theirs}");
    Ok(())
}

/// Where jobs have a mount namespace and no more.
pub const TESTS_OF_ONE: &[(&str, Test)] = &[
    ("a refused process stays outside", refused_process),
    ("a login from the job itself", from_itself),
];

/// Runs the call under a number that no process of the node has.
const UNKNOWN_PID: &str = "exec unshare --pid --fork --mount-proc sh -ec \
    'echo $(($(cat /proc/sys/kernel/pid_max) - 100)) >/proc/sys/kernel/ns_last_pid; \
     \"$@\"; exit $?' sh \"$@\"";

/// The stepd can't adopt the process: then it enters no namespace either. SchedMD's module enters it all
/// the same, and up to 22.05 takes that for success.
fn refused_process(_: &Place, cluster: &Cluster) -> Result<()> {
    submit(cluster, "exec sleep 100000")?;
    let options = "action_adopt_failure=deny";
    let of_job = bare(cluster, Module::Ours, options, AS_IT_IS)?.namespaces["mnt"].clone();
    for module in BOTH {
        let call = bare(cluster, module, options, UNKNOWN_PID)?;
        let joined = call.namespaces["mnt"] == of_job;
        let (code, expected) = match module {
            Module::Ours => (6, false),
            Module::SchedMd if cluster.suite() <= Suite::Bookworm => (0, true),
            Module::SchedMd => (6, true),
        };
        ensure!(
            call.code == code && joined == expected,
            "{module:?}: joined: {joined}: {call:?}"
        );
    }
    Ok(())
}

/// The connection's own job: SchedMD's module enters its cgroup, and its namespaces not.
fn from_itself(_: &Place, cluster: &Cluster) -> Result<()> {
    const LOOK: &str = "readlink /proc/self/ns/mnt; echo $SLURM_JOB_ID";
    let both_nodes = ["--nodes=2", "--nodelist=node1,node2"];
    let job = cluster.submit("alice", &both_nodes)?;
    let _newer = submit(cluster, "exec sleep 100000")?;
    let id = format!("--jobid={job}");
    let step = |node: &str, argv: &[&str]| {
        let place = format!("--nodelist={node}");
        let srun = ["srun", "--quiet", "--overlap", "-N1", "-n1", &id, &place];
        let argv = [&srun[..], argv].concat();
        let step = cluster.node(1).command(&argv).user("alice").dir("/tmp");
        step.output()?.ok()
    };
    let of_job = step("node2", &["sh", "-c", LOOK])?;
    let there = inside(cluster).ipv4();
    for module in BOTH {
        use_module(
            cluster,
            module,
            "action_unknown=deny action_adopt_failure=deny",
        )?;
        let ssh = ["ssh", "-o", "BatchMode=yes", &there, LOOK];
        let login = step("node1", &ssh)?;
        let is_of_job = login.ends_with(&format!("\n{job}\n"));
        let joined = login == of_job;
        ensure!(
            is_of_job && joined == (module == Module::Ours),
            "{module:?}: {of_job}{login}"
        );
    }
    Ok(())
}
