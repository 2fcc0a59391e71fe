//! The real daemons, stopped, killed or cut off. (Those that callerid and compliance have on all
//! releases are not here: silent slurmds, munged and stepds beside others.)

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node};
use tests::{Call, End, Module, Outcome};

use crate::case::{self, Case, schedmd};
use crate::policy::Means;
use crate::stepd::FINE;

const STRICT: &str = "action_no_jobs=deny action_unknown=deny action_adopt_failure=deny \
                      action_generic_failure=deny";

/// Does that while something is broken.
fn with(node: &Node, broken: &str, mend: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    node.sh(broken)?;
    let done = act();
    node.sh(mend)?;
    done.with_context(|| broken.to_owned())
}

fn job_of(outcome: &Outcome) -> Option<&str> {
    outcome.env.get("SLURM_JOB_ID").map(String::as_str)
}

/// Ours under all settings that matter, and SchedMD's with strict ones: adopted or not, as ours.
fn both(node: &Node, case: Case) -> Result<()> {
    let job = match case.means {
        Means::Adopted(job) => Some(job.to_string()),
        _ => None,
    };
    case::run(node, &[case])?;
    let theirs = schedmd(node, STRICT)?;
    let end = End::Code(if job.is_some() { 0 } else { 6 });
    ensure!(
        theirs.end == end && job_of(&theirs) == job.as_deref(),
        "SchedMD's: {theirs}"
    );
    Ok(())
}

/// The stepd of the only job.
pub fn stepd(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let pid = node.pid_of_stepd(job)?;
    let socket = node.extern_socket(job);
    let gone = "no job on this node (0 jobs of other users";
    let case = |what: &str, means, reason: &str| Case::new(what, "", means, reason);
    let adopted = Means::Adopted(job);

    let mut stopped = case(
        "stopped",
        Means::NoJob,
        &format!("slurmstepd of job {job} does not answer"),
    );
    stopped.timeout = 0.5;
    let (stop, go_on) = (format!("kill -STOP {pid}"), format!("kill -CONT {pid}"));
    with(node, &stop, &go_on, || case::run(node, &[stopped]))?;
    let mut for_a_while = case("stopped for a while", adopted, FINE);
    for_a_while.wrapper = Some(format!("{stop}; (sleep 0.3; {go_on}) & \"$@\"; wait"));
    case::run(node, &[for_a_while.clone()])?;
    for_a_while.name += ", interrupted";
    for_a_while.arguments = vec!["--interrupt".into()];
    case::run(node, &[for_a_while])?;

    let (deny, give) = (format!("chmod 0 {socket}"), format!("chmod 777 {socket}"));
    with(node, &deny, &give, || {
        both(node, case("no rights to the socket", adopted, FINE))
    })?;
    let (away, back) = (
        format!("mv {socket} /var/spool/away"),
        format!("mv /var/spool/away {socket}"),
    );
    with(node, &away, &back, || {
        both(node, case("no socket", Means::NoJob, gone))
    })?;
    // Where the module keeps what it knows there is no room for it.
    let full = "mkdir -p -m 700 /run/slurm-adopt; mount -t tmpfs -o size=4k,mode=700 full /run/slurm-adopt; \
                ! head -c 1M /dev/zero >/run/slurm-adopt/full 2>/dev/null";
    with(node, full, "umount /run/slurm-adopt", || {
        both(node, case("no room for memory", adopted, FINE))
    })?;
    let slurmd: u32 = node.read_text("/run/slurmd.pid")?.trim().parse()?;
    node.signal(slurmd, "KILL")?;
    let done = both(node, case("slurmd killed", adopted, FINE));
    node.start_slurmd()?;
    done?;
    node.signal(pid, "KILL")?;
    lab::poll::until_true("the stepd to end", Duration::from_secs(10), || {
        Ok(node.pid_of_stepd(job).is_err())
    })?;
    both(node, case("killed", Means::NoJob, gone))
}

/// The newest of two jobs is cancelled while logins come in, again and again: each gets into the other one, or
/// into the newest and ends with it.
pub fn newest_cancelled(cluster: &Cluster) -> Result<()> {
    const TURNS: usize = 40;
    let node = cluster.node(1);
    let older = cluster.submit("alice", &[])?;
    let mark = node.syslog_mark()?;
    let options = "action_adopt_failure=deny action_generic_failure=deny";
    let mut logins = 0;
    for _ in 0..TURNS {
        let newest = cluster.submit("alice", &[])?;
        let _cancel = node.command(&["scancel", &newest.to_string()]).spawn()?;
        while node.pid_of_stepd(newest).is_ok() {
            let login = Call::new("alice", options).make(node, Module::Ours)?;
            logins += 1;
            let with_newest = login.end == End::Killed(9);
            ensure!(
                with_newest || login.end == End::Code(0),
                "{older}, {newest}: {login}"
            );
            let jobs = [Some(older), Some(newest)];
            ensure!(with_newest || jobs.contains(&login.job(node)?), "{login}");
        }
        cluster.cancel(newest)?;
        let log = node.syslog_since(mark)?;
        let passed_over = log.matches(", the newest here: ").count();
        if passed_over > 0 {
            println!("{passed_over} of {logins} logins met a newest job that was ending");
            return Ok(());
        }
    }
    bail!("of {logins} logins none met a newest job that was ending")
}

/// The stepds of the two newest of four jobs hang: a login gets into the next one, and does not wait for them until
/// the deadline.
pub fn newest_hung(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(cluster.submit("alice", &[])?);
    }
    let login = |options: &str| Call::new("alice", options).make(node, Module::Ours);
    // From then on all four are known.
    let first = login("")?;
    ensure!(first.job(node)? == Some(jobs[3]), "{jobs:?}: {first}");
    let mut pids = String::new();
    for job in &jobs[2..] {
        pids += &format!(" {}", node.pid_of_stepd(*job)?);
    }
    let (stop, go_on) = (format!("kill -STOP{pids}"), format!("kill -CONT{pids}"));
    with(node, &stop, &go_on, || {
        let mark = node.syslog_mark()?;
        let second = login("timeout=20")?;
        ensure!(second.job(node)? == Some(jobs[1]), "{jobs:?}: {second}");
        ensure!(second.micros < 5_000_000, "it waited: {second}");
        let log = node.syslog_since(mark)?;
        // On a busy host an older one may be as slow.
        let line = format!("{}, {} do not answer", jobs[2], jobs[3]);
        ensure!(log.contains(&line), "{line}: {log}");
        let strict = login("timeout=1 action_unknown=deny")?;
        ensure!(strict.end == End::Code(6), "several jobs: {strict}");
        Ok(())
    })
}

/// The spool directory is on a file system without a byte to spare: neither module writes there. (slurmd
/// does, and drains the node.)
pub fn full_spool(cluster: &Cluster) -> Result<()> {
    const DIR: &str = "/var/spool/slurmd";
    let node = cluster.node(1);
    node.stop_slurmd()?;
    node.sh(&format!("mount -t tmpfs -o size=1M,mode=755 full {DIR}"))?;
    node.start_slurmd()?;
    let job = cluster.submit("alice", &["--wrap", "touch /tmp/began; exec sleep 100000"])?;
    // Its script must be there before.
    lab::poll::until_true("the job's script", Duration::from_secs(10), || {
        Ok(node.list("/tmp")?.contains(&"began".into()))
    })?;
    node.sh(&format!("! head -c 2M /dev/zero >{DIR}/full 2>/dev/null"))?;
    let case = Case::new("a full spool directory", "", Means::Adopted(job), FINE);
    let done = both(node, case);
    node.sh(&format!("rm {DIR}/full /tmp/began"))?;
    cluster.cancel(job)?;
    node.stop_slurmd()?;
    node.sh(&format!("umount {DIR}"))?;
    node.start_slurmd()?;
    // Where it was drained.
    node.run(&["scontrol", "update", "nodename=node1", "state=resume"])?;
    cluster.wait_idle()?;
    done
}

/// slurmd and munged, where two jobs make them matter; the connection is of no job.
pub fn slurmd_and_munged(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let _older = cluster.submit("alice", &[])?;
    let newer = cluster.submit("alice", &[])?;
    let asking = Asking { node, newer };
    asking.log_in("all well", ASKED)?;
    let slurmd: u32 = node.read_text("/run/slurmd.pid")?.trim().parse()?;
    let munged: u32 = node.sh("pidof munged")?.trim().parse()?;
    asking.stopped("slurmd", slurmd)?;
    asking.stopped("munged", munged)?;
    asking.packets_to_slurmd()?;
    asking.munged_out_of_reach()?;
    asking.munged_killed(munged)?;
    node.signal(slurmd, "KILL")?;
    let done = asking.log_in("slurmd killed", "connect: Connection refused");
    node.start_slurmd()?;
    done
}

/// Logins that have to ask which of two jobs they come from.
struct Asking<'a> {
    node: &'a Node,
    newer: u32,
}

const ASKED: &str = "knows no job with this connection";
const SILENT: &str = "does not answer";
const ASK_MUNGED: &str = "ask munged at /run/munge/munge.socket.2: ";
const MUNGED_REFUSES: &str = "ask munged at /run/munge/munge.socket.2: Connection refused";
const AWAY: &str = "mv /run/munge/munge.socket.2 /run/munge/away";
const BACK: &str = "mv /run/munge/away /run/munge/munge.socket.2";

impl Asking<'_> {
    fn log_in(&self, what: &str, reason: &str) -> Result<()> {
        case::run(self.node, &[self.case(what, reason)])
    }

    fn case(&self, what: &str, reason: &str) -> Case {
        // Who answers in the end has time for it.
        let options = match reason {
            SILENT => "callerid_timeout=1",
            _ => "callerid_timeout=4",
        };
        let mut case = Case::new(what, options, Means::Unknown(self.newer), reason);
        case.arguments = vec!["--loopback".into(), self.node.ipv4()];
        case
    }

    fn stopped(&self, what: &str, pid: u32) -> Result<()> {
        let (stop, go_on) = (format!("kill -STOP {pid}"), format!("kill -CONT {pid}"));
        let mut for_a_while = self.case(&format!("{what} stopped for a while"), ASKED);
        for_a_while.wrapper = Some(format!("{stop}; (sleep 0.2; {go_on}) & \"$@\"; wait"));
        case::run(self.node, &[for_a_while])?;
        with(self.node, &stop, &go_on, || {
            self.log_in(&format!("{what} stopped"), SILENT)
        })
    }

    fn packets_to_slurmd(&self) -> Result<()> {
        for (how, reason) in [
            ("drop", SILENT),
            ("reject with tcp reset", "connect: Connection refused"),
            (
                "reject with icmp type port-unreachable",
                "connect: Connection refused",
            ),
        ] {
            let rules = format!(
                "nft add table inet t; nft add chain inet t c '{{ type filter hook input priority 0; }}'; \
                 nft add rule inet t c tcp dport 6818 {how}"
            );
            with(self.node, &rules, "nft delete table inet t", || {
                self.log_in(&format!("packets to slurmd: {how}"), reason)
            })?;
        }
        Ok(())
    }

    fn munged_out_of_reach(&self) -> Result<()> {
        let (open, close) = ("chmod 777 /run/munge", "chmod 755 /run/munge");
        with(self.node, open, close, || {
            let what = "munged's directory is anybody's";
            self.log_in(what, "/run/munge is not safe")
        })?;
        with(self.node, AWAY, BACK, || {
            self.log_in("no munged", ASK_MUNGED)
        })?;
        // Nobody listens at a socket that was made by a process that is gone.
        let stale = format!(
            "{AWAY}; perl -e 'use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; \
             bind(S, sockaddr_un(\"/run/munge/munge.socket.2\")) or die'"
        );
        with(self.node, &stale, BACK, || {
            self.log_in("munged gone", MUNGED_REFUSES)
        })
    }

    fn munged_killed(&self, munged: u32) -> Result<()> {
        let node = self.node;
        node.signal(munged, "KILL")?;
        lab::poll::until_true("munged to end", Duration::from_secs(10), || {
            let left = node.processes("munged")?;
            Ok(left.iter().all(|(pid, _)| *pid != munged))
        })?;
        ensure!(
            node.list("/run/munge")?.contains(&"munge.socket.2".into()),
            "munged's socket is not left behind"
        );
        let done = self.log_in("munged killed", MUNGED_REFUSES);
        // It finds that the lock of the old one is nobody's.
        node.sh("setpriv --reuid=munge --regid=munge --clear-groups munged --num-threads=2")?;
        done?;
        self.log_in("munged started again", ASKED)
    }
}
