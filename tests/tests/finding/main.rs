//! Which node this is and where its stepds listen: our reading of slurm.conf beside libslurm's, on
//! live clusters of all four versions. alice has a job; who finds the node adopts into it.

#![forbid(unsafe_code)]

mod changes;
mod denied;
mod evidence;
mod names;
mod places;
mod slurmds;
mod writings;

use anyhow::{Context, Result, anyhow, ensure};
use lab::{Cluster, Node, Suite};
use tests::{Call, End, Matrix, Module, Outcome, Shared};

/// What becomes of alice's login with a slurm.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Adopted into her job.
    Job,
    /// The file is understood, but the node or its stepds are not found.
    NoJob,
    /// The file is rejected: SchedMD's module ends the process, ours says action_generic_failure.
    Rejected,
}

/// One cluster with alice's job; the writings come and go.
struct Stage(Shared<(Cluster, u32)>);

impl Stage {
    fn up(&mut self) -> Result<(&Cluster, u32)> {
        let (cluster, job) = self.0.up()?;
        Ok((cluster, *job))
    }
}

fn start(suite: Suite) -> Result<(Cluster, u32)> {
    // slurmd is not told its name: it is found by the host's.
    let cluster = tests::cluster(suite)?.slurmd(&[]).start()?;
    let job = cluster.submit("alice", &[])?;
    cluster.node(1).sh(
        "cd /etc/slurm; cp slurm.conf generated; grep ^NodeName= slurm.conf >nodes.conf; \
         echo Include nodes.conf >more.conf; cp nodes.conf lab.conf; \
         ln -s slurmd /var/spool/of-node1",
    )?;
    Ok((cluster, job))
}

/// What becomes of alice's login on that node.
fn look(node: &Node, job: u32, module: Module) -> Result<Found> {
    look_as(&Call::new("alice", ""), node, job, module)
}

/// `action_generic_failure=deny` tells a rejected file from a job that is not found: by the text.
fn look_as(call: &Call, node: &Node, job: u32, module: Module) -> Result<Found> {
    let mut call = call.clone();
    call.options += " action_generic_failure=deny";
    let outcome = call.make(node, module)?;
    found(node, &outcome, job).with_context(|| format!("{module:?}: {outcome}"))
}

/// Both modules on that node, called with these options.
fn both_look(node: &Node, job: u32, options: &str, ours: Found, theirs: Found) -> Result<()> {
    let call = Call::new("alice", options);
    for (module, expected) in [(Module::Ours, ours), (Module::SchedMd, theirs)] {
        let found = look_as(&call, node, job, module)?;
        ensure!(
            found == expected,
            "{module:?} with '{options}': {found:?}, expected {expected:?}"
        );
    }
    Ok(())
}

fn found(node: &Node, outcome: &Outcome, job: u32) -> Result<Found> {
    let text = outcome.messages.concat();
    match outcome.end {
        End::Died => Ok(Found::Rejected),
        End::Code(6) if text.contains("configuration can't be read") => Ok(Found::Rejected),
        End::Code(6) if text.contains("no active jobs") => Ok(Found::NoJob),
        End::Code(6) if text == "No Slurm jobs found on node." => Ok(Found::NoJob),
        End::Code(0) => {
            ensure!(
                outcome.job(node)? == Some(job),
                "let in, but not into job {job}"
            );
            Ok(Found::Job)
        }
        _ => Err(anyhow!("neither adopted nor refused for a known reason")),
    }
}

/// SLURM_CONF and SLURMD_NODENAME are sshd's alone, and the options win over them.
fn environment(stage: &mut Stage) -> Result<()> {
    let (cluster, job) = stage.up()?;
    let node = cluster.node(1);
    node.run(&["cp", "/etc/slurm/generated", "/etc/slurm/slurm.conf"])?
        .ok()?;
    let with = |name: &str, value: &str, options: &str, service: &str| -> Result<Found> {
        let mut call = Call::new("alice", &format!("action_generic_failure=deny {options}"));
        call.env = vec![(name.into(), value.into())];
        call.service = service.into();
        found(node, &call.make(node, Module::Ours)?, job)
    };
    let conf = "slurm_conf=/etc/slurm/generated";
    for (name, value, options, service, expected) in [
        ("SLURM_CONF", "/nowhere", "", "sshd", Found::Rejected),
        ("SLURM_CONF", "/nowhere", conf, "sshd", Found::Job),
        ("SLURM_CONF", "/nowhere", "service=*", "login", Found::Job),
        ("SLURMD_NODENAME", "other", "", "sshd", Found::NoJob),
        (
            "SLURMD_NODENAME",
            "other",
            "nodename=node1",
            "sshd",
            Found::Job,
        ),
        ("SLURMD_NODENAME", "other", "service=*", "login", Found::Job),
    ] {
        let found = with(name, value, options, service)?;
        ensure!(
            found == expected,
            "{name}={value} {options} {service}: {found:?}"
        );
    }
    Ok(())
}

/// A program that got root's rights from its file has a user's environment: it does not count.
fn set_uid_program(stage: &mut Stage) -> Result<()> {
    const COPY: &str = "/usr/local/bin/pamcall-suid";
    let (cluster, job) = stage.up()?;
    let node = cluster.node(1);
    node.run(&["cp", "/etc/slurm/generated", "/etc/slurm/slurm.conf"])?
        .ok()?;
    node.sh(&format!("cp {} {COPY}; chmod 4755 {COPY}", tests::PAMCALL))?;
    let mut call = Call::new("alice", "action_generic_failure=deny");
    call.env = vec![("SLURM_CONF".into(), "/nowhere".into())];
    ensure!(
        found(node, &call.make(node, Module::Ours)?, job)? == Found::Rejected,
        "as root"
    );
    call.wrapper = Some(format!("shift; exec {COPY} \"$@\""));
    let command = call.command(node, Module::Ours)?.user("alice");
    let outcome = tests::outcome(command)?;
    ensure!(
        found(node, &outcome, job)? == Found::Job,
        "by set-user-ID: {outcome}"
    );
    Ok(())
}

/// Nobody but root may write to the spool directory and above it, or nothing in it counts.
fn unsafe_spool(stage: &mut Stage) -> Result<()> {
    let (cluster, job) = stage.up()?;
    let node = cluster.node(1);
    node.run(&["cp", "/etc/slurm/generated", "/etc/slurm/slurm.conf"])?
        .ok()?;
    for (spoil, mend) in [
        ("chmod 757 /var/spool/slurmd", "chmod 755 /var/spool/slurmd"),
        (
            "chown bob /var/spool/slurmd",
            "chown root /var/spool/slurmd",
        ),
        ("chmod 757 /var/spool", "chmod 755 /var/spool"),
    ] {
        node.sh(spoil)?;
        let mark = node.syslog_mark()?;
        let found = look(node, job, Module::Ours);
        let log = node.syslog_since(mark)?;
        node.sh(mend)?;
        ensure!(
            found? == Found::NoJob && log.contains("is not safe"),
            "{spoil}: {log}"
        );
    }
    // slurmd leaves a directory that is there to its owner, and packages make it SlurmUser's.
    node.sh("chown slurm /var/spool/slurmd")?;
    let slurms = look(node, job, Module::Ours);
    node.sh("chown root /var/spool/slurmd")?;
    ensure!(slurms? == Found::Job, "SlurmUser's directory");
    ensure!(look(node, job, Module::Ours)? == Found::Job, "mended");
    Ok(())
}

type Test = fn(Suite) -> Result<()>;

type StageTest = fn(&mut Stage) -> Result<()>;

/// Tests on the one cluster; each writes its slurm.conf.
const SHARED: &[(&str, StageTest)] = &[
    ("the environment", environment),
    ("a set-user-ID program", set_uid_program),
    ("an unsafe spool directory", unsafe_spool),
    ("a nested Include", evidence::nested_includes),
    (
        "the command for an unsafe directory",
        denied::unsafe_directories,
    ),
    ("a permission that is missing", denied::permissions),
    (
        "a slurm.conf that may not be read",
        denied::other_permissions,
    ),
    ("junk in the spool directory", denied::junk),
];

/// Tests with clusters of their own.
const ALONE: &[(&str, Test)] = &[
    ("slurmd -f", places::slurmd_with_f),
    ("a prefix of its own", places::prefix),
    ("the configless cache", places::configless_cache),
    ("slurmd --conf-server", places::conf_server),
    ("a host of another name", names::other_host_name),
    ("a host with a domain", names::host_with_domain),
    ("an alias in /etc/hosts", names::alias),
    ("ranges in many dimensions", names::dimensions),
    ("a list paired by position", names::paired),
    ("text behind the bracket", names::suffix),
    ("several Includes", names::includes),
    ("slurmd -Z", names::dynamic),
    ("slurmd -Z -N", names::dynamic_with_name),
    ("a slurm.conf that changes", changes::of_slurm_conf),
    ("a slurmd that changes", changes::of_slurmd),
    ("a service that changes", changes::of_the_service),
    ("a pid file that changes", changes::of_the_pid_file),
    ("the name that slurmd was given", evidence::name_of_slurmd),
    ("a stale cache", evidence::stale_cache),
    ("what is seen without a job", denied::reasons),
    (
        "a spool directory that is read in part",
        denied::partly_read,
    ),
    ("a job without an extern step", denied::without_contain),
    ("several slurmds", slurmds::own_directories),
    ("several slurmds, one directory", slurmds::one_directory),
    (
        "a second slurmd that leaves no trace",
        slurmds::second_without_trace,
    ),
];

/// Of these, what each release of Slurm has its own way with.
const EACH_RELEASE: [&str; 6] = [
    "the configless cache",
    "ranges in many dimensions",
    "slurmd -Z",
    "slurmd -Z -N",
    "a job without an extern step",
    "several slurmds",
];

fn main() {
    let mut matrix =
        Matrix::new(|suite| Stage(Shared::new(suite, start))).by_release(&EACH_RELEASE);
    for it in writings::WRITINGS {
        matrix.add(it.name, |_, stage| writings::writing(stage, it));
    }
    for (name, test) in SHARED {
        matrix.add_in_turn(&Suite::ALL, name, |_, stage| test(stage));
    }
    for (name, test) in ALONE {
        matrix.add_in_turn(&Suite::ALL, name, |suite, _| test(suite));
    }
    matrix.run();
}
