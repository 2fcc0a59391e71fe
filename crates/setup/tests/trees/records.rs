//! Records that are damaged, altered or of another format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use setup::Fate;

use crate::made::{FILES, plan, site, snapshot, tree};
use crate::{read, set_up, undo};

/// The path of what the first setup kept of sshd's file.
const COPY: &str = "var/lib/slurm-adopt/1/before/etc/pam.d/sshd";

fn edit_journal(root: &Path, edit: impl Fn(&str) -> String) {
    let journal = "var/lib/slurm-adopt/1/journal.json";
    fs::write(root.join(journal), edit(&read(root, journal))).expect("write");
}

#[test]
fn an_unknown_format_of_records_is_refused() {
    let dir = tree();
    set_up(dir.path(), &plan());
    edit_journal(dir.path(), |text| {
        text.replace("\"format\": 2", "\"format\": 3")
    });
    let refused = site(dir.path()).store().expect_err("unknown").to_string();
    assert!(refused.contains("format 3"), "{refused}");
}

#[test]
fn a_copy_that_is_not_as_it_was_written_is_not_restored() {
    for damage in [
        |it: &Path| fs::write(it, "account").expect("truncate"),
        |it: &Path| fs::remove_file(it).expect("remove"),
    ] {
        let dir = tree();
        let root = dir.path();
        let before = snapshot(root);
        set_up(root, &plan());
        let after = read(root, "etc/pam.d/sshd");
        damage(&root.join(COPY));
        let undone = undo(root);
        let left: Vec<_> = undone
            .places
            .iter()
            .filter(|it| it.fate.is_left())
            .collect();
        let [sshd] = left[..] else {
            panic!("{undone:?}");
        };
        let Fate::Damaged { copy, .. } = &sshd.fate else {
            panic!("{sshd:?}");
        };
        assert_eq!(
            root.join(copy.strip_prefix("/").expect("absolute")),
            root.join(COPY)
        );
        assert_eq!(read(root, "etc/pam.d/sshd"), after);
        assert_eq!(read(root, "etc/ssh/real.conf"), FILES[3].1);
        assert!(root.join("var/lib/slurm-adopt/1").exists());
        // Put right by hand, it is known again by its digest.
        fs::write(root.join("etc/pam.d/sshd"), FILES[1].1).expect("write");
        let undone = undo(root);
        assert_eq!(undone.places[0].fate, Fate::Already, "{undone:?}");
        let keys = |it: &BTreeMap<_, _>| it.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&snapshot(root)), keys(&before));
    }
}

#[test]
fn a_damaged_copy_of_what_setup_wrote_is_not_needed_where_that_still_stands() {
    let dir = tree();
    let root = dir.path();
    let before = snapshot(root);
    set_up(root, &plan());
    fs::write(root.join(COPY.replace("before", "after")), "").expect("truncate");
    let undone = undo(root);
    assert!(
        undone.places.iter().all(|it| it.fate == Fate::Restored),
        "{undone:?}"
    );
    assert_eq!(snapshot(root), before);
}

#[test]
fn an_altered_journal_is_refused() {
    let dir = tree();
    let root = dir.path();
    set_up(root, &plan());
    edit_journal(root, |text| text.replace("/etc/old", "/etc/new"));
    let refused = site(root).store().expect_err("altered").to_string();
    assert!(refused.contains("its digest differs"), "{refused}");
    assert!(
        refused.contains("/var/lib/slurm-adopt/1/before"),
        "{refused}"
    );
}

#[test]
fn records_of_the_first_format_are_taken_back() {
    let dir = tree();
    let root = dir.path();
    let before = snapshot(root);
    set_up(root, &plan());
    edit_journal(root, |text| {
        let lines = text.lines().filter(|it| !it.contains("\"digest\""));
        let old: Vec<&str> = lines.collect();
        let old = old.join("\n").replace("\"format\": 2", "\"format\": 1");
        // A comma before the end of an object, where the digest was its last field.
        old.replace(",\n        }", "\n        }")
    });
    undo(root);
    assert_eq!(snapshot(root), before);
}
