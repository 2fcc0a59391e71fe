//! /run/slurm-adopt, where logins leave things for the next ones, in the hands of users.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node};
use tests::{Call, Module};

use crate::{Got, STRICT, got, only_ours, set_uid};

const DIR: &str = "/run/slurm-adopt";
/// Where one that is not root's alone is moved.
const ASIDE: &str = "/run/slurm-adopt.old.1";

/// Alice and bob get into their jobs, carol into none.
fn all_as_it_should(node: &Node, what: &str, alices: u32, bobs: u32) -> Result<()> {
    for (user, expected) in [
        ("alice", Got::Job(alices)),
        ("bob", Got::Job(bobs)),
        ("carol", Got::Out),
    ] {
        only_ours(node, what, &Call::new(user, STRICT), expected)?;
    }
    Ok(())
}

/// A job of alice's and one of bob's, once logins keep what their slurmstepds said: those of steps that are still
/// starting they do not.
fn jobs(cluster: &Cluster) -> Result<[u32; 2]> {
    let node = cluster.node(1);
    let jobs = [cluster.submit("alice", &[])?, cluster.submit("bob", &[])?];
    node.remove(DIR)?;
    lab::poll::until_true("both stepds to be kept", Duration::from_secs(30), || {
        Call::new("carol", STRICT).make(node, Module::Ours)?;
        let size = node.run(&["stat", "-c", "%s", &format!("{DIR}/owners")])?;
        Ok(size.stdout == "128\n")
    })?;
    Ok(jobs)
}

/// The format of the file `owners` (crates/adopt/src/stepd/owners.rs), what its checksums begin with where only
/// memory holds it.
const FORMAT: u64 = 2;

/// What `checksum` of the module makes of the record.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(FORMAT, |sum: u64, word| {
        let word = word
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u64::from(*byte));
        let sum = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sum ^ (sum >> 32)
    })
}

/// The records of the file `owners`, made to say that all jobs are carol's.
fn all_carols(node: &Node) -> Result<Vec<u8>> {
    const UID: std::ops::Range<usize> = 40..48;
    let mut bytes = node.read(&format!("{DIR}/owners"))?;
    for record in bytes.chunks_mut(64) {
        let (words, sum) = record.split_at_mut(56);
        ensure!(sum == checksum(words).to_le_bytes(), "another checksum");
        words[UID].copy_from_slice(&2003u64.to_le_bytes());
        sum.copy_from_slice(&checksum(words).to_le_bytes());
    }
    Ok(bytes)
}

/// Nothing of carol's: what the file says would be believed.
const ROOTS: &str = "root's";

/// What carol has made of the directory, as a script of the shell in it.
const PLANTED: [(&str, &str); 10] = [
    (ROOTS, ""),
    ("her directory", "chown -R carol: ."),
    ("everybody's directory", "chmod 777 ."),
    ("a sticky one", "chmod 1777 ."),
    (
        "a link to hers",
        "chown -R carol: .; cd /; mv $DIR /run/hers; ln -s /run/hers $DIR",
    ),
    (
        "links in hers",
        "chown carol: .; for it in owners owners.new node node.new; do \
         ln -sfn /etc/precious $it; done",
    ),
    ("her files in root's", "chown carol: owners node"),
    (
        "files that she may write in root's",
        "chmod 666 owners node",
    ),
    (
        "links in root's",
        "mv owners /run/hers; ln -s /run/hers owners; ln -sfn /etc/precious node",
    ),
    ("a pipe in root's", "rm owners; mkfifo -m 600 owners"),
];

/// Carol was there first: with a directory of hers, or with files in one that is everybody's. What she
/// has put there says that all jobs are hers, or leads elsewhere.
pub fn planted(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let [alices, bobs] = jobs(cluster)?;
    for (what, script) in PLANTED {
        node.sh(&format!(
            "rm -rf {DIR} {ASIDE} /run/hers; echo precious >/etc/precious"
        ))?;
        all_as_it_should(node, what, alices, bobs)?;
        node.write(&format!("{DIR}/owners"), all_carols(node)?, 0o600)?;
        node.sh(&format!("DIR={DIR}; cd $DIR; {script}"))?;
        if what == ROOTS {
            only_ours(node, what, &Call::new("alice", STRICT), Got::Out)?;
            continue;
        }
        let before = look(node, DIR)?;
        all_as_it_should(node, what, alices, bobs)?;
        as_planted(node, what, &before)?;
    }
    node.sh(&format!("rm -rf {DIR} {ASIDE} /run/hers /etc/precious"))?;
    Ok(())
}

/// All there is to be seen of the directory and of carol's.
fn look(node: &Node, dir: &str) -> Result<String> {
    node.sh(&format!(
        "cd {dir}/; ls -ln . /run/hers || true; md5sum /run/hers/* || true"
    ))
}

/// A directory that is not root's alone is moved aside as it is; files in root's are left alone.
fn as_planted(node: &Node, what: &str, before: &str) -> Result<()> {
    let found = node.sh(&format!("stat -c '%F %a %u' {DIR}"))?;
    ensure!(found == "directory 700 0\n", "{what}: {found}");
    let is_roots = !node.list("/run")?.contains(&"slurm-adopt.old.1".to_owned());
    ensure!(
        is_roots == what.contains("in root's"),
        "{what}: moved aside"
    );
    let after = look(node, if is_roots { DIR } else { ASIDE })?;
    ensure!(before == after, "{what}: changed:\n{before}{after}");
    ensure!(
        node.read_text("/etc/precious")? == "precious\n",
        "{what}: written through a link"
    );
    Ok(())
}

/// The caller of a set-user-ID program chooses its mask: what it leaves is root's alone with any.
pub fn masks(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let [alices, bobs] = jobs(cluster)?;
    for mask in ["000", "777"] {
        node.remove(DIR)?;
        let how = format!("umask {mask}; exec \"$@\"");
        let outcome = set_uid(
            node,
            "carol",
            Call::new("carol", STRICT),
            &how,
            Module::Ours,
        )?;
        ensure!(got(node, &outcome)? == Got::Out, "{mask}: {outcome}");
        let modes = node.sh(&format!("stat -c '%a %U:%G' {DIR} {DIR}/owners {DIR}/node"))?;
        for line in modes.lines() {
            let (mode, owner) = line.split_once(' ').context("stat")?;
            let private = mode.ends_with("00") || mode == "0";
            ensure!(private && owner.starts_with("root:"), "{mask}: {modes}");
        }
        ensure!(modes.lines().count() == 3, "{mask}: {modes}");
        all_as_it_should(node, mask, alices, bobs)?;
    }
    node.remove(DIR)
}

/// Carol ends such a program at any moment. No other login waits for it or believes what it left.
pub fn killed(cluster: &Cluster) -> Result<()> {
    const TURNS: u32 = 60;
    /// Kills what it starts after `$0` turns of a sixtieth of 6 ms.
    const KILL: &str = r#"
use strict; my $turn = shift; my $pid = fork;
if (!$pid) { open STDOUT, '>', '/dev/null'; exec @ARGV }
select undef, undef, undef, $turn * 0.0001; kill 'KILL', $pid; waitpid $pid, 0; exit $? & 127;
"#;
    let node = cluster.node(1);
    let alices = cluster.submit("alice", &[])?;
    let bobs = cluster.submit("bob", &[])?;
    let mut ended = 0;
    for turn in 0..TURNS {
        if turn % 3 == 0 {
            node.remove(DIR)?;
        }
        let mut call = Call::new("carol", STRICT);
        call.service = "su".into();
        call.options += " service=*";
        call.wrapper = Some(format!(
            "shift; exec perl -e '{}' {turn} {} \"$@\"",
            KILL.replace('\'', "\""),
            crate::SET_UID
        ));
        let command = call.command(node, Module::Ours)?.user("carol").dir("/tmp");
        if !command.output()?.success() {
            ended += 1;
        }
        if turn % 10 == 9 {
            all_as_it_should(node, "killed", alices, bobs)?;
        }
    }
    ensure!(ended > TURNS / 4, "{ended} of {TURNS} were killed");
    all_as_it_should(node, "killed", alices, bobs)
}
