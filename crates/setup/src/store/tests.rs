use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// A tree with a setup on record that changes nothing.
fn tree() -> (tempfile::TempDir, Files) {
    let dir = tempfile::tempdir().expect("a directory");
    let files = Files::open(Some(dir.path())).expect("a tree");
    let mut store = Store::create(&files).expect("records");
    let record = Record::begun();
    assert_eq!(store.begin_setup(record).expect("written"), 1);
    drop(store);
    (dir, files)
}

fn within(dir: &tempfile::TempDir, path: &str) -> PathBuf {
    dir.path().join(DIR.trim_start_matches('/')).join(path)
}

fn refusal(files: &Files) -> String {
    Store::open(files).expect_err("refused").to_string()
}

#[test]
fn records_that_others_may_change_are_refused() {
    let (dir, files) = tree();
    let records = within(&dir, "");
    let found = fs::metadata(&records).expect("there they are");
    assert_eq!(found.mode() & 0o7777, 0o700);
    fs::set_permissions(&records, Permissions::from_mode(0o770)).expect("chmod");
    assert!(refusal(&files).contains("mode 0770"));
    fs::set_permissions(&records, Permissions::from_mode(0o700)).expect("chmod");
    if files.owner().0 == 0 {
        std::os::unix::fs::chown(&records, Some(1), None).expect("chown");
        assert!(refusal(&files).contains("owner uid 1"));
    }
    // A link to records that are root's, elsewhere in the tree.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("make it");
    fs::remove_dir_all(&records).expect("remove");
    symlink("/elsewhere", records.with_file_name("slurm-adopt")).expect("link");
    Store::open(&files).expect_err("a link");
    Store::create(&files).expect_err("a link");
}

#[test]
fn one_program_has_the_records() {
    let (_dir, files) = tree();
    let held = Store::open(&files).expect("free").expect("records");
    assert_eq!(
        refusal(&files),
        "another slurm-adopt setup or undo is at work"
    );
    drop(held);
    Store::open(&files).expect("free");
}

#[test]
fn what_is_not_complete_is_removed() {
    let (dir, files) = tree();
    fs::create_dir_all(within(&dir, "2.partial/before/etc")).expect("make it");
    fs::write(within(&dir, "2.partial/before/etc/file"), "x").expect("write");
    let store = Store::open(&files).expect("free").expect("records");
    assert_eq!(store.setups.keys().collect::<Vec<_>>(), [&1]);
    assert!(!within(&dir, "2.partial").exists());
    assert!(store.is_interrupted());
    assert!(!store.close().expect("not empty"));
}

#[test]
fn a_setup_is_interrupted_until_it_is_done() {
    let (dir, files) = tree();
    let mut store = Store::open(&files).expect("free").expect("records");
    store.end_setup(1).expect("done");
    drop(store);
    let store = Store::open(&files).expect("free").expect("records");
    assert!(!store.is_interrupted());
    fs::write(within(&dir, "1/journal.json"), "{").expect("write");
    drop(store);
    assert!(refusal(&files).contains("1/journal.json"));
}
