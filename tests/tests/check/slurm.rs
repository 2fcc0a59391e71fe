//! slurm.conf, cgroup.conf and what they name.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, ClusterBuilder, Node, Suite};
use tests::CLI;

use crate::case::{CASE, Case, WITH_JOB, check};
use crate::proof::Proof;

pub const CASES: &[Case] = &[
    Case {
        name: "a fault in slurm.conf, and failures let users in",
        breaks: "account required $OURS; keep /etc/slurm/slurm.conf
            sed -i 's/^SlurmUser=.*/SlurmUser = slurm # admins\\nSlurmdUser =/' /etc/slurm/slurm.conf",
        found: &[
            "SA110 warning /etc/pam.d/sshd:4",
            "SA111 warning /etc/pam.d/sshd:4",
            "SA410 failure /etc/slurm/slurm.conf:4",
        ],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "a fault in slurm.conf, and failures keep users out",
        breaks: "keep /etc/slurm/slurm.conf; sed -i '3i include /etc/slurm/nodes.conf' /etc/slurm/slurm.conf",
        found: &["SA410 failure /etc/slurm/slurm.conf:3"],
        proof: Proof::KeptOut("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a blank in a list, which the module reads past",
        breaks: "keep /etc/slurm/slurm.conf
            sed -i 's/^PrologFlags=.*/PrologFlags=contain, x11/' /etc/slurm/slurm.conf",
        then: "refuses 'pars'",
        found: &["SA410 failure /etc/slurm/slurm.conf:13"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a slurm.conf that others may write to",
        breaks: "keep /etc/slurm/slurm.conf; chmod 666 /etc/slurm/slurm.conf",
        then: "as_user carol sh -c 'echo Epilog = >>/etc/slurm/slurm.conf'",
        found: &["SA440 failure /etc/slurm/slurm.conf"],
        proof: Proof::KeptOut("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a spool directory below one of a user's",
        breaks: "chown bob /var/spool",
        restores: "chown root /var/spool",
        found: &["SA436 failure /var/spool"],
        proof: Proof::KeptOut("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a second slurm.conf from before",
        breaks: "sed 's/node1/old1/' /etc/slurm/slurm.conf >/usr/local/etc/slurm.conf",
        restores: "rm /usr/local/etc/slurm.conf",
        found: &["SA413 warning /usr/local/etc/slurm.conf"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a key that slurmd refuses",
        breaks: "keep /etc/slurm/slurm.conf; sed -i 's/^MailProg=/MailProgram=/' /etc/slurm/slurm.conf",
        then: "refuses 'unrecognized key'",
        found: &["SA411 failure /etc/slurm/slurm.conf:*"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a flag that slurmd refuses",
        breaks: "keep /etc/slurm/slurm.conf
            sed -i 's/^PrologFlags=.*/PrologFlags=contain;x11/' /etc/slurm/slurm.conf",
        then: "refuses 'PrologFlag'",
        found: &["SA401 failure /etc/slurm/slurm.conf:13"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "UsePAM=on, which slurmd refuses",
        breaks: "keep /etc/slurm/slurm.conf; echo UsePAM=on >>/etc/slurm/slurm.conf",
        suites: &[Suite::Forky],
        then: "refuses 'fatal: Unable to process'",
        found: &["SA415 failure /etc/slurm/slurm.conf:*"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "UsePAM=on, which slurmd ignores",
        suites: &[Suite::Bullseye],
        breaks: "keep /etc/slurm/slurm.conf; echo UsePAM=on >>/etc/slurm/slurm.conf",
        then: "stop_slurmd; start_slurmd",
        found: &["SA415 warning /etc/slurm/slurm.conf:*"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a node that two lines name",
        breaks: "keep /etc/slurm/slurm.conf; echo 'NodeName=node1 CPUs=1' >>/etc/slurm/slurm.conf",
        then: "refuses 'duplicated'",
        found: &["SA430 failure /etc/slurm/slurm.conf:*"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a key of cgroup.conf that slurmd refuses",
        breaks: "keep /etc/slurm/cgroup.conf; echo ConstrainCore=yes >>/etc/slurm/cgroup.conf",
        then: "refuses 'unrecognized key'",
        found: &["SA422 failure /etc/slurm/cgroup.conf:*"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "ConstrainCores=on, which slurmd refuses",
        suites: &[Suite::Forky],
        breaks: "keep /etc/slurm/cgroup.conf
            sed -i 's/^ConstrainCores=.*/ConstrainCores=on/' /etc/slurm/cgroup.conf",
        then: "refuses 'fatal:'",
        found: &["SA421 failure /etc/slurm/cgroup.conf:2"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "ConstrainCores=on, which slurmd ignores",
        suites: &[Suite::Bullseye],
        breaks: "keep /etc/slurm/cgroup.conf
            sed -i 's/^ConstrainCores=.*/ConstrainCores=on/' /etc/slurm/cgroup.conf",
        then: "stop_slurmd; start_slurmd",
        found: &["SA421 warning /etc/slurm/cgroup.conf:2"],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
];

/// What check finds in the lab's own settings.
const SOUND: [&str; 5] = [
    "SA012 note /lib/security/",
    "SA251 note",
    "SA310 warning /etc/ssh/sshd_config:3",
    "SA404 note /etc/slurm/slurm.conf:",
    "SA425 warning /etc/slurm/cgroup.conf:2",
];

fn with_program(suite: Suite) -> Result<ClusterBuilder> {
    Ok(tests::cluster(suite)?.copy(tests::dist("slurm-adopt")?, CLI))
}

/// What check finds beyond [`SOUND`], each up to the line's number.
fn found(node: &Node) -> Result<Vec<String>> {
    let found = check(node)?.into_iter();
    let found = found.filter(|it| !SOUND.iter().any(|sound| it.starts_with(sound)));
    let without_line = |it: String| it.split(':').next().unwrap_or_default().to_owned();
    Ok(found.map(without_line).collect())
}

/// Waits until a job runs that has no extern step.
fn wait_running(cluster: &Cluster, job: u32) -> Result<()> {
    let squeue = ["squeue", "-h", "--format=%T", "-j", &job.to_string()];
    lab::poll::until_true("the job to run", Duration::from_secs(20), || {
        Ok(cluster.node(1).run(&squeue)?.ok()?.trim() == "RUNNING")
    })?;
    let title = format!("slurmstepd: [{job}.");
    lab::poll::until_true("a step of the job", Duration::from_secs(20), || {
        Ok(!cluster.node(1).processes(&title)?.is_empty())
    })
}

/// Settings of a cluster that keep a user with a job out.
pub fn settings(suite: Suite) -> Result<()> {
    const CONF: &str = "/etc/slurm/slurm.conf";
    const NO_EXTERN: &str = "SA527 failure /var/spool/slurmd/node1_";
    let flags = "PrologFlags=contain\nPrologFlags=Alloc";
    for (setting, ids, has_extern) in [
        ("PrologFlags=Alloc", &["SA400 failure"][..], false),
        (flags, &["SA400 failure", "SA412 warning"], false),
        (
            "ProctrackType=proctrack/linuxproc",
            &["SA402 failure"],
            true,
        ),
    ] {
        let cluster = with_program(suite)?.slurm_conf(setting).start()?;
        let node = cluster.node(1);
        let job = cluster.submit_only("alice", &[])?;
        wait_running(&cluster, job)?;
        let login = node.ssh("alice", node.name(), &["true"])?;
        ensure!(!login.success(), "{setting}: {login}");
        let found = found(node)?;
        let mut expected: Vec<_> = ids.iter().map(|it| format!("{it} {CONF}")).collect();
        if !has_extern {
            let step = found.iter().find(|it| it.starts_with(NO_EXTERN));
            expected.push(step.context("no SA527")?.clone());
        }
        ensure!(found == expected, "{setting}: {found:?}");
    }
    Ok(())
}

/// A login may use its job's CPU alone only with task/cgroup and ConstrainCores=yes.
pub fn cpus(suite: Suite) -> Result<()> {
    let own = ("ConstrainCores=yes", "TaskPlugin=task/cgroup,task/affinity");
    let without_plugin = ("ConstrainCores=yes", "TaskPlugin=task/affinity");
    let unconstrained = ("ConstrainSwapSpace=no\nConstrainCores=no", own.1);
    for ((cgroup_conf, slurm_conf), expected, is_held) in [
        (own, "SA425 note /etc/slurm/cgroup.conf", true),
        (without_plugin, "SA403 warning /etc/slurm/slurm.conf", false),
        (unconstrained, "SA425 warning /etc/slurm/cgroup.conf", false),
    ] {
        let cluster = with_program(suite)?
            .slurm_conf(slurm_conf)
            .cgroup_conf(cgroup_conf)
            .start()?;
        let node = cluster.node(1);
        cluster.submit("alice", &["--ntasks=1"])?;
        let login = node.ssh("alice", node.name(), &["nproc"])?.ok()?;
        let all = node.run(&["nproc", "--all"])?.ok()?;
        let cpus = if is_held { "1" } else { all.trim() };
        ensure!(login.trim() == cpus, "{slurm_conf}: {login} of {all}");
        let found = found(node)?;
        ensure!(found.join(" ") == expected, "{slurm_conf}: {found:?}");
    }
    Ok(())
}

/// An Epilog that ends all of a user's processes ends the login in the user's other job.
pub fn epilog(suite: Suite) -> Result<()> {
    const EPILOG: &str = "/etc/slurm/epilog.sh";
    let cluster = with_program(suite)?
        .slurm_conf(&format!("Epilog={EPILOG}"))
        .file(
            EPILOG,
            "#!/bin/sh\n# Ends what is left.\npkill -KILL -U \"$SLURM_JOB_UID\"\nexit 0\n",
            0o755,
        )
        .start()?;
    let node = cluster.node(1);
    let found = found(node)?;
    ensure!(found == [format!("SA452 warning {EPILOG}")], "{found:?}");
    let first = cluster.submit("alice", &[])?;
    cluster.submit("alice", &[])?;
    // It goes to the newest job.
    let sleep = ["sleep", "1000"];
    let mut login = node.ssh_command("alice", node.name(), &sleep).spawn()?;
    lab::poll::until_true("the login", Duration::from_secs(20), || {
        Ok(node
            .processes("sleep 1000")?
            .iter()
            .any(|(_, it)| it == "sleep 1000"))
    })?;
    ensure!(login.is_running()?, "it ended before the job");
    cluster
        .node(1)
        .run(&["scancel", &first.to_string()])?
        .ok()?;
    let ended = login.wait(Duration::from_secs(20))?;
    ensure!(ended.is_some(), "the login still runs");
    Ok(())
}
