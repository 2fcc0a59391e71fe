//! Host lists and slurm.conf as Slurm's own parser reads them and as ours does: `scontrol show
//! hostnames` and `scontrol show daemons` (does slurm.conf name this host?) in two of the lab's roots.
//! A list of cases, and some thousands made up from a seed, which is another at each long run; it is
//! printed and may be given as SLURM_ADOPT_SEED. No cluster runs. As root, for the mounts.
//!
//! ClusterShell is not asked as well: its NodeSet is a set, and here the order of names counts and how
//! often one comes.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

mod random;
mod root;

use std::collections::HashMap;

use lab::Suite;
use proto::conf::{self, Query};
use proto::hostlist;
use random::Random;
use root::{HOST, MORE, Read, Root};

#[test]
fn host_lists_as_22_05_has_them() {
    host_lists(Suite::Bookworm);
}

#[test]
fn host_lists_as_26_05_has_them() {
    host_lists(Suite::Forky);
}

#[test]
fn slurm_conf_as_22_05_reads_it() {
    slurm_conf(Suite::Bookworm);
}

#[test]
fn slurm_conf_as_26_05_reads_it() {
    slurm_conf(Suite::Forky);
}

/// Lists that are tried with every seed; blanks may be in them.
const LISTS: &[&str] = &[
    "n1",
    "n[1-3]",
    "n[08-11]",
    "n[1-03]",
    "n[01-03,7,009-010]",
    "n01-03",
    "[1-3]",
    "a,b c\td,,e",
    ",a,",
    "a[1-2]b[3-4]c[5-6]",
    "n[1-3]-ib",
    "n[1-2]5",
    "n[5-]",
    "n[5-5-]",
    "n[1, 2]",
    "n[ 5-7]",
    "n[5 -7]",
    "n[5- 7]",
    "n[                      5]",
    "n[0000000000000000000001-2]",
    "n[100000000000000000-100000000000000002]",
    "n[1-2][3-4]",
    "[1][2][3][4][5][6][7][8]",
    "a]b",
    "a]b[1]",
    "n[1-2]]",
    "n[0-65535]",
    "n[0-65536]",
    "n[3-1]",
    "n[]",
    "n[1,]",
    "n[,1]",
    "n[-1]",
    "n[-]",
    "n[a]",
    "n[1-2x]",
    "n[1-3",
    "n[",
    "n[1-2],n[2-3],n2",
];

/// Made up.
const MADE_LISTS: usize = 4000;
const MADE_CONFS: usize = 1000;

/// What Slurm takes and we refuse, on purpose: signs, blanks in front of a dash, brackets in brackets,
/// and what 22.05 makes of brackets that are not in pairs.
fn is_theirs_alone(list: &str, suite: Suite) -> bool {
    let (mut open, mut nested, mut unpaired) = (false, false, false);
    for sign in list.chars() {
        nested |= open && sign == '[';
        unpaired |= !open && sign == ']';
        open = (open || sign == '[') && sign != ']';
    }
    let unpaired = (unpaired || open) && suite < Suite::Trixie;
    nested || unpaired || list.contains('+') || list.contains(" -")
}

/// What Slurm refuses and we take: in 22.05 text behind a bracket, which later releases take.
fn is_ours_alone(list: &str, suite: Suite) -> bool {
    let behind = |(at, _): (usize, &str)| {
        let next = list[at + 1..].chars().next();
        next.is_some_and(|sign| !", \t[".contains(sign))
    };
    suite < Suite::Trixie && list.match_indices(']').any(behind)
}

fn host_lists(suite: Suite) {
    let root = Root::new(suite, "lists");
    let mut random = Random::new();
    let made: Vec<String> = (0..MADE_LISTS).map(|_| random.list()).collect();
    let plain: Vec<&str> = made.iter().map(String::as_str).collect();
    let (mut same, mut refused) = (0, 0);
    let given = LISTS.iter().copied().zip(root.hostnames_one_by_one(LISTS));
    for (list, theirs) in given.chain(plain.iter().copied().zip(root.hostnames(&plain))) {
        match (expanded(list), theirs) {
            (Some(ours), Some(theirs)) => {
                assert_eq!(ours, theirs, "{list:?}, {suite}");
                same += 1;
            }
            (None, None) => refused += 1,
            (None, Some(theirs)) => {
                assert!(is_theirs_alone(list, suite), "{list:?} is {theirs:?}");
            }
            (Some(ours), None) => {
                assert!(is_ours_alone(list, suite), "{list:?} is not {ours:?}");
            }
        }
    }
    println!("{suite}: {same} the same, {refused} refused by both");
    assert!(same > MADE_LISTS / 8 && refused > MADE_LISTS / 20);
}

/// All names of a list, each of which is found where it is first.
fn expanded(list: &str) -> Option<Vec<String>> {
    let count = hostlist::count(list).ok()?;
    let mut names = Vec::new();
    let mut first = HashMap::new();
    for index in 0..count {
        let name = hostlist::nth_or_last(list, index).ok()??;
        let place = *first.entry(name.clone()).or_insert(index);
        // Every one of a few; of many some.
        if index % (count / 50 + 1) == 0 {
            let found = hostlist::position(list, &name);
            assert_eq!(found, Ok(Some(place)), "{name} in {list:?}");
        }
        names.push(name);
    }
    Some(names)
}

fn slurm_conf(suite: Suite) {
    let root = Root::new(suite, "conf");
    let mut random = Random::new();
    let made: Vec<String> = (0..MADE_CONFS).map(|_| random.conf()).collect();
    let mut counts = HashMap::new();
    for (text, (theirs, error)) in made.iter().zip(root.daemons(&made)) {
        let mut include = |name: &str, _: &str| match name {
            "more.conf" => Ok(conf::Included {
                file: "more.conf".into(),
                bytes: MORE.as_bytes().to_vec(),
            }),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let query = Query {
            hosts: &[HOST],
            ..Query::default()
        };
        let ours = match conf::parse("slurm.conf", text.as_bytes(), query, &mut include) {
            Err(_) => Read::Rejected,
            Ok(conf) if conf.nodes[0].is_some() => Read::Named,
            Ok(_) => Read::NotNamed,
        };
        assert_eq!(ours, theirs, "{suite}: {error}\n{text}");
        *counts.entry(ours).or_insert(0) += 1;
    }
    println!("{suite}: {counts:?}");
    for read in [Read::Rejected, Read::Named, Read::NotNamed] {
        let count = counts.get(&read).copied().unwrap_or(0);
        assert!(count > MADE_CONFS / 20, "{read:?}: {count}");
    }
}
