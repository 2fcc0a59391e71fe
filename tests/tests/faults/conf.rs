//! A slurm.conf that is missing, odd, large or replaced meanwhile.

use std::time::Duration;

use anyhow::Result;
use lab::Node;

use crate::case::{self, Case};
use crate::fake::Fake;
use crate::policy::Means::{self, Adopted, Generic};
use crate::stepd::{self, DIR, FINE, JOB};

const IN: Means = Adopted(JOB);

/// A script that writes a slurm.conf $C for a spool directory with a stepd in health ($D is the spool
/// directory), what the man page says, the reason.
const CONFS: &[(&str, &str, Means, &str)] = &[
    ("missing", "", Generic, "No such file or directory"),
    ("a directory", "mkdir $C", Generic, "not a regular file"),
    ("a FIFO", "mkfifo $C", Generic, "not a regular file"),
    (
        "a device",
        "ln -s /dev/zero $C",
        Generic,
        "not a regular file",
    ),
    (
        "a loop of links",
        "ln -s $C $C",
        Generic,
        "Too many levels of symbolic links",
    ),
    ("empty", ": >$C", Generic, "parse slurm.conf"),
    (
        "cut in a line",
        "good | head -c -10 >$C",
        Generic,
        "parse slurm.conf",
    ),
    ("unreadable for others", "good >$C; chmod 0 $C", IN, FINE),
    (
        "100 MB",
        "good >$C; yes '# a comment' | head -c 100M >>$C",
        IN,
        FINE,
    ),
    (
        "300 MB",
        "good >$C; truncate -s 300M $C",
        Generic,
        "larger than",
    ),
    (
        "it includes itself",
        "good >$C; echo Include $C >>$C",
        Generic,
        "too many or too deep Includes",
    ),
    (
        "two include each other",
        "good >$C; echo Include $C.b >>$C; echo Include $C >$C.b",
        Generic,
        "too many or too deep Includes",
    ),
    (
        "a missing Include",
        "good >$C; echo Include $C.b >>$C",
        Generic,
        "No such file or directory",
    ),
    (
        "noise",
        "good >$C; head -c 4096 /dev/urandom >>$C; echo x >>$C",
        Generic,
        "parse slurm.conf",
    ),
];

/// slurm.conf.
pub fn spoilt(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    let _fake = Fake::start(node, &[stepd::healthy("f", JOB)])?;
    let mut cases = Vec::new();
    for (number, (what, script, means, reason)) in CONFS.iter().enumerate() {
        let conf = format!("{DIR}/f{number}.conf");
        node.sh(&format!(
            "C={conf}; good() {{ printf 'ClusterName=faults\\nSlurmctldHost=node1\\nSlurmdSpoolDir={DIR}/f\\n\
             # The end of a file of some length.\\nSlurmctldPort=6817\\n'; }}; {script}"
        ))?;
        let options = format!("slurm_conf={conf} nodename=f");
        let mut case = Case::new(format!("slurm.conf: {what}"), options, *means, reason);
        // Nobody can bound the disk and the parser; on a machine with much to do 100 MB take seconds.
        case.timeout = 20.0;
        cases.push(case);
    }
    case::run(node, &cases)?;
    node.sh(&format!("rm -rf {DIR}/f*.conf*")).map(drop)
}

/// slurm.conf is replaced all the time while logins read it.
pub fn replaced(node: &Node) -> Result<()> {
    const LOGINS: usize = 40;
    stepd::prepare(node)?;
    let _fake = Fake::start(node, &[stepd::healthy("r", JOB)])?;
    let conf = format!("{DIR}/r.conf");
    let script = format!(
        "printf 'ClusterName=a\\nSlurmdSpoolDir={DIR}/r\\n' >{conf}; i=0; while :; do i=$((i+1)); \
         {{ printf 'ClusterName=a%d\\nSlurmdSpoolDir={DIR}/r\\n' $i; head -c $((i % 7 * 9000)) /dev/zero | tr '\\0' '#'; echo; }} >{conf}.new; \
         mv {conf}.new {conf}; done"
    );
    let _writer = node.command(&["/bin/sh", "-ec", &script]).spawn()?;
    lab::poll::until_true("the first slurm.conf", Duration::from_secs(10), || {
        Ok(node.read(&conf).is_ok())
    })?;
    let options = format!("slurm_conf={conf} nodename=r");
    let case = Case::new("slurm.conf: replaced meanwhile", options, IN, FINE);
    case::run(node, &vec![case; LOGINS / 2])
}
