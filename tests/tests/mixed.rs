//! Steps of two releases alive at once on one node, in one spool directory: slurmd and slurmctld
//! were upgraded while jobs ran. The login, its PAM modules and sshd are the new release's.

#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node, Status, Suite};
use libtest_mimic::{Arguments, Failed, Trial};
use tests::{Call, Module, Outcome, job_of_cgroup};

/// The release whose steps live on, and the one that its daemons were replaced with.
#[derive(Debug, Clone, Copy)]
struct Upgrade {
    old: Suite,
    new: Suite,
    /// What the new release's SchedMD module does with alice, whose jobs are the old one's.
    theirs: Theirs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theirs {
    /// Adopted, but denied: the old step knows no request for the job's namespaces.
    DeniedInJob,
    /// As if she had no job: it does not speak the old step's protocol.
    NoJob,
    /// Its process ends by a signal, mostly SIGABRT: memory is freed twice when the old step does not answer the
    /// new request for the job's namespaces.
    Aborted,
}

/// Each new release starts from the old one's state, as documented, but for 24.11: it knows 23.02
/// and later, so that the jobs of 22.05 are orphans to it, whom its slurmd can't reach.
const UPGRADES: &[Upgrade] = &[
    Upgrade {
        old: Suite::Bullseye,
        new: Suite::Bookworm,
        theirs: Theirs::DeniedInJob,
    },
    Upgrade {
        old: Suite::Bookworm,
        new: Suite::Trixie,
        theirs: Theirs::NoJob,
    },
    Upgrade {
        old: Suite::Trixie,
        new: Suite::Forky,
        theirs: Theirs::Aborted,
    },
];

const DENY: &str = "action_adopt_failure=deny";

impl Upgrade {
    /// alice has two jobs under the old release, then bob has one under the new, then alice too.
    fn test(self) -> Result<()> {
        let cluster = tests::cluster(self.new)?.beside(self.old).start()?;
        let node = cluster.node(1);
        let old = self.downgrade(&cluster)?;
        let olds = [old.submit("alice")?, old.submit("alice")?];
        self.upgrade(&cluster, &old)?;
        let bobs = cluster.submit("bob", &[])?;

        let call = |user| Call::new(user, DENY).make(node, Module::Ours);
        ensure_job(node, &call("alice")?, Some(olds[1])).context("alice, ours")?;
        ensure_job(node, &call("bob")?, Some(bobs)).context("bob, ours")?;
        ensure_job(node, &call("carol")?, None).context("carol, ours")?;
        for (user, job) in [("bob", Some(bobs)), ("carol", None)] {
            let outcome = Call::new(user, DENY).make(node, Module::SchedMd)?;
            ensure_job(node, &outcome, job).with_context(|| format!("{user}, SchedMD's"))?;
        }
        self.theirs_with_old_jobs(node, &olds)?;

        let login = node.ssh("alice", node.name(), &["cat", "/proc/self/cgroup"])?;
        ensure!(
            job_of_cgroup(node, &login.clone().ok()?)? == Some(olds[1]),
            "{login}"
        );

        // Of jobs of both releases it is the newest that counts.
        let news = cluster.submit("alice", &[])?;
        ensure_job(node, &call("alice")?, Some(news)).context("alice with a new job")?;
        cluster.cancel(news)?;
        ensure_job(node, &call("alice")?, Some(olds[1])).context("alice without it")?;
        // A job that the new release still governs takes its logins along.
        if self.theirs != Theirs::NoJob {
            ends_with_job(&cluster, olds[1])?;
            ensure_job(node, &call("alice")?, Some(olds[0])).context("alice after it")?;
        }
        Ok(())
    }

    /// Puts the old release's daemons in the place of those that the cluster came up with.
    fn downgrade<'a>(&self, cluster: &'a Cluster) -> Result<OldRelease<'a>> {
        let node = cluster.node(1);
        node.stop_slurmd()?;
        stop(node, "/run/slurmctld.pid")?;
        node.sh("rm -r /var/spool/slurmctld/*")?;
        let old = OldRelease {
            node,
            root: Node::beside(self.old),
        };
        old.sh(lab::builder::FOR_SLURM)?;
        old.sh("slurmctld -c -i; slurmd -N node1")?;
        Ok(old)
    }

    /// The old daemons end, the new ones start with the same configuration and directories.
    fn upgrade(&self, cluster: &Cluster, old: &OldRelease<'_>) -> Result<()> {
        let node = cluster.node(1);
        for daemon in ["slurmd", "slurmctld"] {
            stop(node, &format!("{}/run/{daemon}.pid", old.root))?;
        }
        node.sh(match self.theirs {
            // Job ids must not come again.
            Theirs::NoJob => {
                "rm -r /var/spool/slurmctld/*; echo FirstJobId=1000 >>/etc/slurm/slurm.conf; \
                 slurmctld -c -i"
            }
            _ => "slurmctld",
        })?;
        node.start_slurmd()?;
        let registered = || {
            let nodes = node.run(&["sinfo", "-h", "-N", "--format=%T"])?;
            Ok(nodes.success() && matches!(nodes.stdout.trim(), "mixed" | "allocated" | "idle"))
        };
        lab::poll::until_true("the node to be back", Duration::from_secs(60), registered)
    }

    fn theirs_with_old_jobs(&self, node: &Node, olds: &[u32]) -> Result<()> {
        let with = |options: &str| {
            let call = Call::new("alice", options);
            call.command(node, Module::SchedMd)?.output()
        };
        let output = with(DENY)?;
        let code = |code: i32| output.stdout.contains(&format!("\"code\":{code}"));
        let is_expected = match self.theirs {
            Theirs::DeniedInJob => code(6) && output.stdout.contains("/step_extern"),
            Theirs::NoJob => code(6) && output.stdout.contains("no active jobs"),
            Theirs::Aborted => matches!(output.status, Status::Signaled(_)),
        };
        ensure!(is_expected, "{:?} expected: {output}", self.theirs);
        if self.theirs == Theirs::NoJob {
            return Ok(());
        }
        // It is the namespaces alone.
        let call = Call::new("alice", &format!("{DENY} join_container=false"));
        let outcome = call.make(node, Module::SchedMd)?;
        let job = outcome.job(node)?;
        ensure!(job.is_some_and(|job| olds.contains(&job)), "{outcome}");
        Ok(())
    }
}

fn ends_with_job(cluster: &Cluster, job: u32) -> Result<()> {
    let node = cluster.node(1);
    let argv = ["echo in; sleep 1000"];
    let mut login = node.ssh_command("alice", node.name(), &argv).spawn()?;
    let is_in = || Ok(login.stdout()?.contains("in"));
    lab::poll::until_true("the login", Duration::from_secs(60), is_in)?;
    cluster.cancel(job)?;
    let end = login.wait(Duration::from_secs(30))?;
    ensure!(
        end.is_some_and(|end| end != Status::Exited(0)),
        "the login lives on: {end:?}"
    );
    Ok(())
}

/// Adopted into that job; or, without one, denied because there is none.
fn ensure_job(node: &Node, outcome: &Outcome, job: Option<u32>) -> Result<()> {
    ensure!(outcome.job(node)? == job, "not in job {job:?}: {outcome}");
    match (outcome.end, job) {
        (tests::End::Code(0), Some(_)) => Ok(()),
        (tests::End::Code(6), None) if outcome.messages.concat().contains("no active jobs") => {
            Ok(())
        }
        _ => bail!("{outcome}"),
    }
}

/// Another release's root on the node, and what runs from it.
struct OldRelease<'a> {
    node: &'a Node,
    root: String,
}

impl OldRelease<'_> {
    fn sh(&self, script: &str) -> Result<String> {
        let argv = ["chroot", &self.root, "/bin/sh", "-ec", script];
        self.node.run(&argv)?.ok()
    }

    /// A job; waits until its extern step listens.
    fn submit(&self, user: &str) -> Result<u32> {
        let id = self.sh(&format!(
            "exec setpriv --reuid={user} --regid={user} --init-groups \
             sbatch --parsable --chdir=/tmp -o /dev/null --wrap 'exec sleep 100000'"
        ))?;
        let job = id.trim().parse().with_context(|| format!("sbatch: {id}"))?;
        let socket = self.node.extern_socket(job);
        let listens = || Ok(self.node.unix_sockets()?.contains(&socket));
        lab::poll::until_true(&socket, Duration::from_secs(60), listens)?;
        Ok(job)
    }
}

/// Ends the daemon whose pid is in that file.
fn stop(node: &Node, pid_file: &str) -> Result<()> {
    let text = node.read_text(pid_file)?;
    let pid = text
        .trim()
        .parse()
        .with_context(|| format!("{pid_file}: {text}"))?;
    node.signal(pid, "TERM")?;
    let ended = || Ok(node.list(&format!("/proc/{pid}"))?.is_empty());
    lab::poll::until_true(pid_file, Duration::from_secs(60), ended)
}

fn main() {
    let trials = UPGRADES.iter().map(|it| {
        let name = format!("{} to {}", it.old.slurm(), it.new.slurm());
        Trial::test(name, || {
            it.test()
                .map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
