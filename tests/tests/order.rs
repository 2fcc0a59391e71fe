//! How closely the code of a login lies in the module, in a real node under callgrind: the kernel maps
//! sixteen pages with each one that is touched, and a login's memory is for the most part that.

#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Node, Suite};
use tests::{Call, End, Module, OURS};

const CALLGRIND: &str = "exec valgrind --quiet --vgdb=no --tool=callgrind --dump-instr=yes \
     --callgrind-out-file=/run/profile \"$@\"";
const ADOPTED: End = End::Code(0);
const DENIED: End = End::Code(6);
const PAGE: u64 = 4096;

/// Pages from the first to the last in which the login runs code, at most; the module has 67 of it.
const MOST_OF_DENIAL: u64 = 24;
const MOST_OF_ADOPTION: u64 = 34;

/// Only the newest suite's root has valgrind.
#[test]
fn the_code_of_a_login_lies_together() -> Result<()> {
    let cluster = tests::cluster(Suite::Forky)?.start()?;
    let node = cluster.node(1);
    // What has just been written is not kept, to be found by the next login.
    thread::sleep(Duration::from_secs(3));
    tell("first", &executed(node, DENIED)?)?;
    let denied = executed(node, DENIED)?;
    tell("denied", &denied)?;
    cluster.submit("alice", &[])?;
    // The stepd has been met by then.
    executed(node, ADOPTED)?;
    let adopted = executed(node, ADOPTED)?;
    tell("adopted", &adopted)?;
    for (what, addresses, most) in [
        ("a denial", denied, MOST_OF_DENIAL),
        ("an adoption", adopted, MOST_OF_ADOPTION),
    ] {
        let pages = span(&addresses);
        ensure!(
            pages <= most,
            "the code of {what} lies in {pages} pages, more than {most}: `cargo xtask order`"
        );
    }
    Ok(())
}

/// Leaves the addresses, a line each, where `cargo xtask order` wants them.
fn tell(login: &str, addresses: &BTreeSet<u64>) -> Result<()> {
    let Some(dir) = std::env::var_os("SLURM_ADOPT_ORDER") else {
        return Ok(());
    };
    let mut text = String::new();
    for address in addresses {
        writeln!(text, "{address}")?;
    }
    let path = PathBuf::from(dir).join(login);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

fn span(addresses: &BTreeSet<u64>) -> u64 {
    match (addresses.first(), addresses.last()) {
        (Some(first), Some(last)) => last / PAGE - first / PAGE + 1,
        _ => 0,
    }
}

/// Alice's login under callgrind: the addresses in the module's file whose instructions ran.
fn executed(node: &Node, end: End) -> Result<BTreeSet<u64>> {
    let mut call = Call::new("alice", "");
    call.wrapper = Some(CALLGRIND.to_owned());
    let login = call.make(node, Module::Ours)?;
    ensure!(login.end == end, "{login}");
    let addresses = addresses(&node.read_text("/run/profile")?)?;
    ensure!(!addresses.is_empty(), "callgrind saw nothing of {OURS}");
    Ok(addresses)
}

/// What callgrind's profile has for the module.
fn addresses(profile: &str) -> Result<BTreeSet<u64>> {
    // An object is written as a number with its path, and later as the number alone.
    let mut objects = HashMap::new();
    let mut is_ours = |text: &str| {
        let (number, path) = text.split_once(' ').unwrap_or((text, ""));
        // /lib may lead to /usr/lib.
        *objects
            .entry(number.to_owned())
            .or_insert(path.ends_with(OURS))
    };
    let (mut ours, mut address, mut all) = (false, 0_u64, BTreeSet::new());
    for line in profile.lines() {
        if let Some(text) = line.strip_prefix("ob=") {
            ours = is_ours(text);
        } else if let Some(text) = line.strip_prefix("cob=") {
            is_ours(text);
        } else if line.starts_with(|it: char| it.is_ascii_digit() || "+-*".contains(it)) {
            let position = line.split(' ').next().unwrap_or_default();
            let next = moved(address, position);
            address = next.with_context(|| format!("callgrind: no address: {line}"))?;
            if ours {
                all.insert(address);
            }
        }
    }
    Ok(all)
}

/// An address, or its distance from that of the line before.
fn moved(address: u64, position: &str) -> Option<u64> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    match position.split_at_checked(1)? {
        ("*", _) => Some(address),
        ("+", distance) => address.checked_add(number(distance)?),
        ("-", distance) => address.checked_sub(number(distance)?),
        _ => number(position),
    }
}

#[test]
fn addresses_are_told_against_the_line_before() {
    let profile = format!(
        "positions: instr line\nevents: Ir\n\
         ob=(1) /lib/libc.so.6\nfn=(1) memcpy\n0x1000 0 1\n\n\
         ob=(2) {OURS}\nfn=(2) run\n+16 0 1\n+0x10 0 1\ncob=(1)\ncfn=(1)\ncalls=1 0x1000 0\n* * 9\n-4 0 1\n\n\
         ob=(1)\nfn=(3) malloc\n+1 0 1\n\n\
         ob=(2)\nfn=(4) end\n0x40 0 1\ntotals: 6\n"
    );
    let ours = addresses(&profile).expect("addresses");
    assert_eq!(ours, BTreeSet::from([0x40, 0x1010, 0x101C, 0x1020]));
    assert!(addresses(&format!("ob=(1) {OURS}\n-1 0 1\n")).is_err());
    assert_eq!(span(&BTreeSet::from([0x1FFF, 0x2000, 0x5001])), 5);
}
