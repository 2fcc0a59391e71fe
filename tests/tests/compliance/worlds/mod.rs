//! States of a cluster that cases need, made once for all cases of a state.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lab::{Cluster, Suite};
use tests::CLI;

/// What runs on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Nothing.
    Empty,
    /// One job of bob's.
    BobsJob,
    /// The same, and in the spool directory what does not belong there.
    Junk,
    /// One job of alice's.
    OneJob,
    /// Two of alice's; the one with the lower number started later.
    LateStarter,
    /// Thirty of alice's.
    ThirtyJobs,
    /// An array job of three tasks of alice's.
    Array,
    /// A heterogeneous job of alice's, its second part here: Slurm puts no two on one node.
    Het,
    /// An allocation of alice's without a shell.
    Salloc,
    /// A job of alice's, and one of bob's whose extern stepd is stopped.
    BobStopped,
    /// A job of alice's whose extern stepd is stopped.
    OwnStopped,
}

/// The jobs of a world.
#[derive(Debug, Default)]
pub struct Jobs {
    /// Alice's.
    pub alice: Vec<u32>,
    /// Of these the one whose extern step started last.
    pub newest: Option<u32>,
    /// Bob's.
    pub bob: Option<u32>,
}

/// One suite's cluster and the world it is in. The cluster comes up with the first world.
pub struct Stage {
    suite: Suite,
    cluster: Option<Result<Cluster, String>>,
    world: Option<World>,
    jobs: Jobs,
    stopped: Vec<u32>,
}

impl Stage {
    /// Nothing runs yet.
    pub fn new(suite: Suite) -> Self {
        Self {
            suite,
            cluster: None,
            world: None,
            jobs: Jobs::default(),
            stopped: Vec::new(),
        }
    }

    fn cluster(&self) -> Result<&Cluster> {
        match &self.cluster {
            Some(Ok(cluster)) => Ok(cluster),
            Some(Err(error)) => Err(anyhow!("the cluster did not come up: {error}")),
            None => Err(anyhow!("no world was set")),
        }
    }

    /// Makes this world, unless it is there.
    pub fn set(&mut self, world: World) -> Result<(&Cluster, &Jobs)> {
        let suite = self.suite;
        self.cluster.get_or_insert_with(|| {
            let program = tests::dist("slurm-adopt");
            program
                .and_then(|program| tests::cluster(suite)?.copy(program, CLI).nodes(2).start())
                .map_err(|error| format!("{error:#}"))
        });
        if self.world != Some(world) {
            self.world = None;
            self.leave().context("leave the last world")?;
            self.jobs = self
                .enter(world)
                .with_context(|| format!("make the world {world:?}"))?;
            self.world = Some(world);
        }
        Ok((self.cluster()?, &self.jobs))
    }

    fn leave(&mut self) -> Result<()> {
        for pid in std::mem::take(&mut self.stopped) {
            self.cluster()?.node(1).signal(pid, "CONT")?;
        }
        let cluster = self.cluster()?;
        for junk in JUNK {
            cluster.node(1).remove(&format!("{SPOOL}/{junk}"))?;
        }
        cluster.cancel_all()
    }

    fn enter(&mut self, world: World) -> Result<Jobs> {
        let cluster = self.cluster()?;
        let mut jobs = Jobs::default();
        match world {
            World::Empty => {}
            World::BobsJob => jobs.bob = Some(cluster.submit("bob", &[HERE])?),
            World::Junk => {
                jobs.bob = Some(cluster.submit("bob", &[HERE])?);
                litter(cluster)?;
            }
            World::OneJob => jobs.alice = vec![cluster.submit("alice", &[HERE])?],
            World::LateStarter => jobs.alice = late_starter(cluster)?,
            World::ThirtyJobs => {
                for _ in 0..30 {
                    jobs.alice.push(cluster.submit_only("alice", &[HERE])?);
                }
                for job in &jobs.alice {
                    cluster.wait_running(*job)?;
                }
            }
            World::Array => {
                let array = cluster.submit("alice", &[HERE, "--array=1-3"])?;
                jobs.alice = tasks(cluster, array)?;
                ensure!(
                    jobs.alice.len() == 3,
                    "an array of three has {:?}",
                    jobs.alice
                );
            }
            World::Het => jobs.alice = het_job(cluster)?,
            World::Salloc => jobs.alice = vec![salloc(cluster)?],
            World::BobStopped => {
                jobs.alice = vec![cluster.submit("alice", &[HERE])?];
                let bob = cluster.submit("bob", &[HERE])?;
                jobs.bob = Some(bob);
                self.stop(bob)?;
            }
            World::OwnStopped => {
                let job = cluster.submit("alice", &[HERE])?;
                jobs.alice = vec![job];
                self.stop(job)?;
            }
        }
        jobs.newest = newest(self.cluster()?, &jobs.alice)?;
        Ok(jobs)
    }

    fn stop(&mut self, job: u32) -> Result<()> {
        let pid = self.cluster()?.node(1).pid_of_stepd(job)?;
        self.stopped.push(pid);
        self.cluster()?.node(1).signal(pid, "STOP")
    }
}

/// The node that the cases call on; the other is there for heterogeneous jobs.
const HERE: &str = "--nodelist=node1";
const SPOOL: &str = "/var/spool/slurmd";
const JUNK: [&str; 6] = [
    "node1_900.4294967292",
    "node1_901.4294967292",
    "node1_902.4294967292",
    "node1_x.4294967292",
    "node1_4294967297.4294967292",
    "node1_903.4294967292.0.1",
];

/// A stale socket, a file and a directory of a socket's name, and names that are none.
fn litter(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    // Perl is in Debian's minimal system.
    let perl = format!(
        "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; \
         bind(S, sockaddr_un('{SPOOL}/{}')) or die $!",
        JUNK[0]
    );
    node.run(&["perl", "-e", &perl])?.ok()?;
    node.write(&format!("{SPOOL}/{}", JUNK[1]), "no socket", 0o777)?;
    node.run(&["mkdir", &format!("{SPOOL}/{}", JUNK[2])])?
        .ok()?;
    for name in &JUNK[3..] {
        node.write(&format!("{SPOOL}/{name}"), "", 0o644)?;
    }
    Ok(())
}

/// By the sockets' ctime in seconds, then by the job's number.
fn newest(cluster: &Cluster, jobs: &[u32]) -> Result<Option<u32>> {
    let node = cluster.node(1);
    let mut keys = Vec::new();
    for job in jobs {
        let time = node
            .run(&["stat", "-c", "%Z", &node.extern_socket(*job)])?
            .ok()?;
        let time: i64 = time
            .trim()
            .parse()
            .with_context(|| format!("stat said {time}"))?;
        keys.push((time, *job));
    }
    Ok(keys.into_iter().max().map(|(_, job)| job))
}

/// The job numbers of an array's tasks.
fn tasks(cluster: &Cluster, array: u32) -> Result<Vec<u32>> {
    let array = array.to_string();
    let list = cluster
        .node(1)
        .run(&["squeue", "-h", "-r", "-j", &array, "--format=%A"])?
        .ok()?;
    let ids = list
        .lines()
        .map(|id| id.trim().parse().with_context(|| format!("squeue: {id}")));
    ids.collect()
}

fn het_job(cluster: &Cluster) -> Result<Vec<u32>> {
    let script = "#!/bin/sh\n#SBATCH -n1 -w node2\n#SBATCH hetjob\n#SBATCH -n1 -w node1\n\
                  exec sleep 100000\n";
    let argv = ["sbatch", "--parsable", "--chdir=/tmp", "-o", "/dev/null"];
    let id = cluster
        .node(1)
        .command(&argv)
        .user("alice")
        .stdin(script)
        .output()?
        .ok()?;
    let first: u32 = id
        .trim()
        .parse()
        .with_context(|| format!("sbatch said {id}"))?;
    cluster.wait_running(first)?;
    Ok(vec![first + 1])
}

fn salloc(cluster: &Cluster) -> Result<u32> {
    let argv = ["salloc", "--no-shell", "-n1", HERE];
    let output = cluster.node(1).run_as("alice", &argv)?;
    let id = output.stderr.lines().find_map(|line| {
        line.strip_prefix("salloc: Granted job allocation ")?
            .trim()
            .parse()
            .ok()
    });
    let job = id.with_context(|| format!("{output}"))?;
    cluster.wait_running(job)?;
    Ok(job)
}

/// Two jobs, of which the first one was submitted last.
fn late_starter(cluster: &Cluster) -> Result<Vec<u32>> {
    let late = cluster.submit_only("alice", &[HERE, "--hold"])?;
    let early = cluster.submit("alice", &[HERE])?;
    // The sockets' seconds are compared.
    std::thread::sleep(Duration::from_millis(1100));
    cluster
        .node(1)
        .run(&["scontrol", "release", &late.to_string()])?
        .ok()?;
    cluster.wait_running(late)?;
    let jobs = vec![early, late];
    ensure!(
        newest(cluster, &jobs)? == Some(late),
        "job {late} is not newer"
    );
    Ok(jobs)
}
