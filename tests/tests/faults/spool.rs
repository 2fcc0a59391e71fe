//! A spool directory that is odd, full of other things or on a file system that hangs. The stepds are
//! fakes in health.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Node;
use tests::{is_long, left_out};

use crate::case::{self, Case, schedmd};
use crate::fake::{Fake, Peer, Reads, ints};
use crate::policy::Means::{self, Adopted, NoJob};
use crate::process::NO_PROC;
use crate::stepd::{self, DIR, FINE, JOB};

const IN: Means = Adopted(JOB);
const LONG: &str = "a link to a long name";

/// A script of the shell that spoils the spool directory, what the man page says, the reason.
const SPOOLS: &[(&str, &str, Means, &str)] = &[
    ("gone", "rm -r $D", NoJob, "No such file or directory"),
    ("a file", "rm -r $D; echo >$D", NoJob, "not a directory"),
    (
        "a loop of links",
        "rm -r $D; ln -s $D $D",
        NoJob,
        "Too many levels of symbolic links",
    ),
    (
        "a dangling link",
        "rm -r $D; ln -s /nowhere $D",
        NoJob,
        "No such file or directory",
    ),
    ("a link", "mv $D $D.real; ln -s $D.real $D", IN, FINE),
    ("no rights at all", "chmod 0 $D", IN, FINE),
    (
        "writable for all",
        "chmod 777 $D",
        NoJob,
        "is not safe: owner uid 0, mode 777",
    ),
    (
        "sticky and writable",
        "chmod 1777 $D",
        NoJob,
        "is not safe: owner uid 0, mode 1777",
    ),
    (
        "another's",
        "chown 2002 $D",
        NoJob,
        "is not safe: owner uid 2002",
    ),
    // The socket was made, and is found, by a short name; the one behind the link is too long for an address.
    (
        LONG,
        "L=$D.long/$(printf %0100d 0); mkdir -p -m 755 $D.long; mv $D $L; ln -s $L $D",
        IN,
        FINE,
    ),
];

/// The spool directory.
pub fn directory(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    let names: Vec<String> = (0..SPOOLS.len()).map(|it| format!("s{it}")).collect();
    let peers: Vec<_> = names.iter().map(|it| stepd::healthy(it, JOB)).collect();
    let _fake = Fake::start(node, &peers)?;
    let mut cases = Vec::new();
    for (name, (what, script, means, reason)) in names.iter().zip(SPOOLS) {
        node.sh(&format!("D={DIR}/{name}; {script}"))?;
        let title = format!("spool directory: {what}");
        cases.push(Case::new(title, stepd::options(name), *means, reason));
        if *what == LONG {
            let title = format!("spool directory: {what}, no /proc");
            let reason =
                "slurmstepd of job 7: path too long for a socket, and no /proc to shorten it";
            let mut case = Case::new(title, stepd::options(name), NoJob, reason);
            case.wrapper = Some(NO_PROC.to_owned());
            cases.push(case);
        }
    }
    // An address of a socket has room for 107 bytes and a NUL.
    let name = "n".repeat(40);
    let peer = stepd::healthy(&name, 17);
    ensure!(peer.at.len() == 107, "{} bytes", peer.at.len());
    cases.push(Case::new(
        "the longest path of a socket",
        stepd::options(&name),
        Adopted(17),
        FINE,
    ));
    let _longest = Fake::start(node, &[peer])?;
    case::run(node, &cases)
}

/// Files of no meaning in the spool directory: twenty thousand, and a million in a long run.
pub fn junk(node: &Node) -> Result<()> {
    const MILLION: usize = 1_000_000;
    let count = if is_long() { MILLION } else { 20_000 };
    if count < MILLION {
        left_out(MILLION - count, "junk files", "they take a minute");
    }
    stepd::prepare(node)?;
    let _fake = Fake::start(node, &[stepd::healthy("j", JOB)])?;
    let make = format!("for (1 .. {count}) {{ open(my $f, '>', \"{DIR}/j/job$_\") or die $! }}");
    let made = node.command(&["perl", "-e", &make]);
    made.time_limit(Duration::from_secs(300)).output()?.ok()?;
    let case = Case::new(format!("{count} junk files"), stepd::options("j"), IN, FINE);
    let done = case::run(node, &[case]);
    node.remove(&format!("{DIR}/j"))?;
    done
}

/// Two thousand jobs on the node, one of them alice's: more than the descriptors of a process. At the
/// first login none is known.
pub fn many_steps(node: &Node) -> Result<()> {
    const STEPS: u32 = 2000;
    stepd::prepare(node)?;
    let others = (0..STEPS - 1).map(|number| {
        let at = stepd::socket("t", 1000 + number);
        Peer::new(
            at,
            Reads::Owner,
            vec![ints(&[stepd::VERSION, 2002, stepd::RUNNING])],
        )
    });
    let peers: Vec<_> = others.chain([stepd::healthy("t", JOB)]).collect();
    let _fake = Fake::start(node, &peers)?;
    let mut case = Case::new("2,000 extern steps", stepd::options("t"), IN, FINE);
    case.wrapper = Some("ulimit -n 1024; exec \"$@\"".into());
    // As many questions as steps, on a machine that may have others to answer.
    case.timeout = 20.0;
    case::run(node, &[case])?;
    let nobody = Case {
        user: "carol",
        means: NoJob,
        reason: format!("no job on this node ({STEPS} jobs of other users"),
        timeout: 20.0,
        ..Case::new("2,000 steps of others", stepd::options("t"), IN, "")
    };
    case::run(node, &[nobody])
}

/// The spool directory is on a file system whose server does not answer. Nobody can bound that: the
/// login waits until the server is gone. Root does not come near it.
pub fn hung_file_system(node: &Node) -> Result<()> {
    const SECONDS: u64 = 3;
    stepd::prepare(node)?;
    let dir = format!("{DIR}/h");
    let server = format!(
        "$^F = 255; -e '/dev/fuse' or system('mknod', '/dev/fuse', 'c', 10, 229); open(my $f, '+<', '/dev/fuse') or die $!; mkdir '{dir}', 0755; my $n = fileno $f; \
         system('mount', '-i', '-t', 'fuse', '-o', \"fd=$n,rootmode=40755,user_id=0,group_id=0\", 'hung', '{dir}') \
         and die 'mount'; $| = 1; print \"ready\\n\"; sleep {SECONDS}"
    );
    let serve = || -> Result<_> {
        let mut running = node.command(&["perl", "-e", &server]).spawn()?;
        lab::poll::until_true("the file system", Duration::from_secs(10), || {
            ensure!(running.is_running()?, "it ended: {}", running.stderr()?);
            Ok(running.stdout()?.contains("ready"))
        })?;
        Ok(running)
    };
    let running = serve()?;
    let mut root = Case::new(
        "a hung spool directory, root",
        stepd::options("h"),
        Means::Root,
        "",
    );
    root.user = "root";
    let done = case::run(node, &[root]);
    let mut slow = Case::new(
        "a hung spool directory",
        stepd::options("h"),
        NoJob,
        "spool directory: ",
    );
    // Until the server ends: so all of them must be there before.
    ensure!(slow.means.settings().len() <= case::AT_A_TIME);
    slow.also = |outcome| outcome.micros > 500_000;
    let done = done.and_then(|()| case::run(node, &[slow]));
    drop(running);
    node.sh(&format!("umount -l {dir}"))?;
    done?;
    // SchedMD's module waits too.
    let conf = "/etc/slurm/slurm.conf";
    node.sh(&format!(
        "cp {conf} {conf}.kept; sed -i 's|^SlurmdSpoolDir=.*|SlurmdSpoolDir={dir}|' {conf}"
    ))?;
    let theirs = serve().and_then(|_running| schedmd(node, ""));
    node.sh(&format!("mv {conf}.kept {conf}; umount -l {dir}"))?;
    let theirs = theirs?;
    ensure!(theirs.micros > 500_000, "SchedMD's does not wait: {theirs}");
    Ok(())
}
