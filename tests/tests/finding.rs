//! Which node this is and where its stepds listen: our reading of slurm.conf beside libslurm's, on
//! live clusters of all four versions. alice has a job; who finds the node adopts into it.

#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lab::{Cluster, Node, Suite};
use tests::{Call, End, Matrix, Module, Outcome};

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

/// A way to write slurm.conf: changes made to the generated one with sed, and what both find.
struct Writing {
    name: &'static str,
    sed: &'static str,
    ours: Found,
    theirs: fn(Suite) -> Found,
}

const fn both(name: &'static str, sed: &'static str, ours: Found) -> Writing {
    let theirs = match ours {
        Found::Job => (|_| Found::Job) as fn(Suite) -> Found,
        Found::NoJob => |_| Found::NoJob,
        Found::Rejected => |_| Found::Rejected,
    };
    Writing {
        name,
        sed,
        ours,
        theirs,
    }
}

/// In the order in which they are tried; alice has a job, and `/var/spool/of-node1` leads to it.
const WRITINGS: &[Writing] = &[
    both("as generated", "", Found::Job),
    both(
        "lower case",
        "s/^SlurmdSpoolDir/slurmdspooldir/; s/^NodeName/nodename/",
        Found::Job,
    ),
    both(
        "blanks and tabs",
        "s/^SlurmdSpoolDir=/  SlurmdSpoolDir\\t = /",
        Found::Job,
    ),
    both(
        "quotes",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=\"/var/spool/slurmd\",",
        Found::Job,
    ),
    both(
        "a comment behind",
        "s,^SlurmdSpoolDir=.*,& # not this,",
        Found::Job,
    ),
    both("carriage returns", "s/$/\\r/", Found::Job),
    both(
        "a continued value",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spo\\\\\\nol/slurmd,",
        Found::Job,
    ),
    both(
        "a continued line of nodes",
        "s/^NodeName=node1 /NodeName=node1 \\\\\\n/",
        Found::Job,
    ),
    both(
        "an escaped sign",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/slur\\\\md,",
        Found::Job,
    ),
    both(
        "the last one wins",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/nowhere\\n&,",
        Found::Job,
    ),
    both(
        "and not the first",
        "s,^SlurmdSpoolDir=.*,&\\nSlurmdSpoolDir=/nowhere,",
        Found::NoJob,
    ),
    both(
        "%n",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/of-%n,",
        Found::Job,
    ),
    both(
        "%h",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/of-%h,",
        Found::Job,
    ),
    both(
        "another directory",
        "s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/none,",
        Found::NoJob,
    ),
    both(
        "a range of nodes",
        "s/^NodeName=node1 .*/NodeName=node[1-90] CPUs=2/",
        Found::Job,
    ),
    both(
        "a list of nodes",
        "s/^NodeName=node1 .*/NodeName=a,node[7-9],node1 CPUs=2/",
        Found::Job,
    ),
    both(
        "another's range",
        "s/^NodeName=node1 .*/NodeName=other[1-90] CPUs=2/",
        Found::Job,
    )
    .only_new(),
    both(
        "hosts paired with nodes",
        "s/^NodeName=node1 .*/NodeName=a,node1,b NodeHostname=x,node1,y CPUs=2/",
        Found::Job,
    ),
    both(
        "another host's node",
        "s/^NodeName=node1 .*/NodeName=node1,node2 NodeHostname=x,node1 CPUs=2/",
        Found::NoJob,
    ),
    both(
        "defaults",
        "s/^NodeName=node1/NodeName=DEFAULT CPUs=2\\n&/",
        Found::Job,
    ),
    both(
        "an Include",
        "s/^NodeName=node1 .*/Include nodes.conf/",
        Found::Job,
    ),
    both(
        "an INCLUDE",
        "s/^NodeName=node1 .*/INCLUDE   nodes.conf/",
        Found::Job,
    ),
    both(
        "an Include of an Include",
        "s/^NodeName=node1 .*/Include more.conf/",
        Found::Job,
    ),
    both(
        "an Include with %c",
        "s/^NodeName=node1 .*/Include %c.conf/",
        Found::Job,
    ),
    both(
        "an absolute Include",
        "s,^NodeName=node1 .*,include /etc/slurm/nodes.conf,",
        Found::Job,
    ),
    both(
        "an indented Include",
        "s/^NodeName=node1 .*/ Include nodes.conf/",
        Found::Rejected,
    ),
    both(
        "two scalars on a line",
        "s/^SlurmdSpoolDir.*/& SlurmdUser=root/",
        Found::Rejected,
    ),
    both(
        "no value",
        "s/^SlurmdSpoolDir.*/SlurmdSpoolDir=/",
        Found::Rejected,
    ),
    both("no ClusterName", "/^ClusterName/d", Found::Rejected),
    both(
        "no pair",
        "s/^SlurmdSpoolDir.*/&\\nNonsense/",
        Found::Rejected,
    ),
    Writing {
        name: "a key of another release",
        sed: "s/^SlurmdSpoolDir.*/&\\nKeyOf2031=yes/",
        ours: Found::Job,
        theirs: |_| Found::Rejected,
    },
];

impl Writing {
    /// Up to 22.05 a host that slurm.conf does not name was a generic failure: no job either.
    const fn only_new(mut self) -> Self {
        self.theirs = |suite| match suite {
            Suite::Bullseye | Suite::Bookworm => Found::NoJob,
            _ => Found::Job,
        };
        self
    }
}

/// One cluster with alice's job; the writings come and go.
struct Stage {
    suite: Suite,
    up: Option<Result<(Cluster, u32), String>>,
}

impl Stage {
    fn up(&mut self) -> Result<(&Cluster, u32)> {
        let suite = self.suite;
        match self
            .up
            .get_or_insert_with(|| start(suite).map_err(|error| format!("{error:#}")))
        {
            Ok((cluster, job)) => Ok((cluster, *job)),
            Err(error) => Err(anyhow!("the cluster did not come up: {error}")),
        }
    }
}

fn start(suite: Suite) -> Result<(Cluster, u32)> {
    let cluster = tests::cluster(suite)?.start()?;
    let job = cluster.submit("alice", &[])?;
    cluster.node(1).sh(
        "cd /etc/slurm; cp slurm.conf generated; grep ^NodeName= slurm.conf >nodes.conf; \
         echo Include nodes.conf >more.conf; cp nodes.conf lab.conf; \
         ln -s slurmd /var/spool/of-node1",
    )?;
    Ok((cluster, job))
}

/// `action_generic_failure=deny` tells a rejected file from a job that is not found: by the text.
fn look(cluster: &Cluster, job: u32, module: Module) -> Result<Found> {
    let call = Call::new("alice", "action_generic_failure=deny");
    let outcome = call.make(cluster.node(1), module)?;
    found(cluster.node(1), &outcome, job).with_context(|| format!("{module:?}: {outcome}"))
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

fn writing(stage: &mut Stage, writing: &Writing) -> Result<()> {
    let suite = stage.suite;
    let (cluster, job) = stage.up()?;
    let node = cluster.node(1);
    let put = ["sed", "-e", writing.sed, "/etc/slurm/generated"];
    let text = node.run(&put)?.ok()?;
    node.write("/etc/slurm/slurm.conf", &text, 0o644)?;
    for (module, expected) in [
        (Module::Ours, writing.ours),
        (Module::SchedMd, (writing.theirs)(suite)),
    ] {
        let found = look(cluster, job, module)?;
        ensure!(
            found == expected,
            "{module:?}: {found:?}, expected {expected:?}, with\n{text}"
        );
    }
    Ok(())
}

/// slurmd runs with `-f`: SchedMD's module knows only the path it was compiled for.
fn slurmd_with_f(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.stop_slurmd()?;
    node.sh("mkdir /srv/site; mv /etc/slurm/*.conf /srv/site; \
         slurmd -N node1 -f /srv/site/slurm.conf")?;
    let ready = || Ok(node.run(&["pidof", "slurmd"])?.success());
    lab::poll::until_true("slurmd to run", Duration::from_secs(10), ready)?;
    ensure!(look(&cluster, job, Module::Ours)? == Found::Job);
    ensure!(look(&cluster, job, Module::SchedMd)? == Found::Rejected);
    // A place that is gone since slurmd started is no place: the usual ones are looked at.
    node.sh("cp /srv/site/*.conf /etc/slurm; mv /srv/site /srv/away")?;
    ensure!(look(&cluster, job, Module::Ours)? == Found::Job);
    node.sh("mv /srv/away /srv/site; rm /etc/slurm/*.conf")?;
    // Without a slurmd nobody knows of the place; slurm_conf= still does.
    node.stop_slurmd()?;
    ensure!(look(&cluster, job, Module::Ours)? == Found::Rejected);
    let call = Call::new("alice", "slurm_conf=/srv/site/slurm.conf");
    ensure!(found(node, &call.make(node, Module::Ours)?, job)? == Found::Job);
    Ok(())
}

/// The cache of a configless slurmd, which is not running now.
fn configless_cache(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.stop_slurmd()?;
    node.sh("mkdir -p /run/slurm; mv /etc/slurm /run/slurm/conf")?;
    ensure!(look(&cluster, job, Module::Ours)? == Found::Job);
    ensure!(look(&cluster, job, Module::SchedMd)? == Found::Job);
    Ok(())
}

/// The host is called otherwise than its node.
fn other_host_name(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?.hostname("hosta").start()?;
    let job = cluster.submit("alice", &[])?;
    for module in [Module::Ours, Module::SchedMd] {
        ensure!(look(&cluster, job, module)? == Found::Job, "{module:?}");
    }
    Ok(())
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
        let found = look(cluster, job, Module::Ours);
        let log = node.syslog_since(mark)?;
        node.sh(mend)?;
        ensure!(
            found? == Found::NoJob && log.contains("is not safe"),
            "{spoil}: {log}"
        );
    }
    // slurmd leaves a directory that is there to its owner, and packages make it SlurmUser's.
    node.sh("chown slurm /var/spool/slurmd")?;
    let slurms = look(cluster, job, Module::Ours);
    node.sh("chown root /var/spool/slurmd")?;
    ensure!(slurms? == Found::Job, "SlurmUser's directory");
    ensure!(look(cluster, job, Module::Ours)? == Found::Job, "mended");
    Ok(())
}

fn main() {
    let mut matrix = Matrix::new(|suite| Stage { suite, up: None });
    for it in WRITINGS {
        matrix.add(it.name, |_, stage| writing(stage, it));
    }
    matrix.add("the environment", |_, stage| environment(stage));
    matrix.add("a set-user-ID program", |_, stage| set_uid_program(stage));
    matrix.add("an unsafe spool directory", |_, stage| unsafe_spool(stage));
    matrix.add("slurmd -f", |suite, _| slurmd_with_f(suite));
    matrix.add("the configless cache", |suite, _| configless_cache(suite));
    matrix.add("a host of another name", |suite, _| other_host_name(suite));
    matrix.run();
}
