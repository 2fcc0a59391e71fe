//! Each check is provoked: by a set-up here, by a row on a real node, or there is a reason why not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Checks that neither a set-up nor a row provokes, and why.
const NOT_PROVOKED: [(&str, &str); 5] = [
    (
        "SA001",
        "told of running hosts alone, and each node of the lab is a compute node",
    ),
    (
        "SA526",
        "told only where SA436, which names the cause, is not: the directory vanishes between two looks",
    ),
    (
        "SA711",
        "the lab's nodes and the machine have /run in memory, and slurmd's and sshd's sockets are there",
    ),
    (
        "SA910",
        "the kernel keeps the affinity of what is in a cpuset within it; containment::tests judge it",
    ),
    (
        "SA913",
        "the kernel charges what is in a memory cgroup; containment::tests judge it",
    ),
];

#[test]
fn each_check_is_provoked_or_there_is_a_reason() {
    let mut texts = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in ["tests/set_ups", "../../tests/tests"] {
        read(&root.join(dir), &mut texts);
    }
    let is_provoked = |id: &str| {
        // As a finding begins: an ID in quotes, and a word.
        let begin = format!("\"{id} ");
        texts.contains(&begin)
    };
    let excused: BTreeSet<&str> = NOT_PROVOKED.iter().map(|(id, _)| *id).collect();
    let mut wrong = Vec::new();
    for check in check::checks() {
        match (is_provoked(check.id), excused.contains(check.id)) {
            (false, false) => wrong.push(format!("{} is provoked by nothing", check.id)),
            (true, true) => wrong.push(format!("{} is provoked: take the reason out", check.id)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for id in excused {
        assert!(check::named(id).is_some(), "{id} is no check");
    }
}

fn read(dir: &Path, texts: &mut String) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, texts);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("ids.rs") {
            *texts += &fs::read_to_string(&path).expect("a text");
        }
    }
}
