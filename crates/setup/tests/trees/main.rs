//! Plans carried out in trees that do not run, and taken back.

#[path = "../made/mod.rs"]
mod made;
mod others;
mod records;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use made::{FILES, LINE, change, directory, file, plan, site, snapshot, tree};
use setup::plan::Plan;
use setup::{End, Fate, Undone};

fn carry_out(root: &Path, plan: &Plan) -> End {
    let end = site(root).carry_out(plan, &mut |_| {});
    end.expect("it can be carried out")
}

fn set_up(root: &Path, plan: &Plan) {
    let end = carry_out(root, plan);
    assert!(matches!(end, End::Done { .. }), "{end:?}");
}

fn undo(root: &Path) -> Undone {
    let site = site(root);
    let mut store = site.store().expect("records").expect("some");
    let numbers: Vec<u32> = store.setups.keys().copied().collect();
    let undone = site.undo(&mut store, &numbers).expect("undone");
    store.close().expect("closed");
    undone
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).expect("read")
}

/// The text of sshd's stack with a line before it that denies everybody.
fn keeping_root_out() -> String {
    format!("account requisite pam_deny.so\n{}", FILES[1].1)
}

#[test]
fn a_tree_is_set_up_and_taken_back_byte_for_byte() {
    let dir = tree();
    let root = dir.path();
    fs::set_permissions(root.join("etc/old"), fs::Permissions::from_mode(0o644)).expect("chmod");
    let before = snapshot(root);
    set_up(root, &plan());
    assert!(read(root, "etc/pam.d/sshd").starts_with(LINE));
    assert_eq!(
        read(root, "etc/ssh/real.conf"),
        "Port 22\nUsePAM yes\nX11Forwarding no\n"
    );
    assert!(root.join("etc/ssh/sshd_config").is_symlink());
    assert_eq!(
        fs::read_link(root.join("etc/pam.d/alias")).expect("a link"),
        Path::new("sshd")
    );
    assert!(!root.join("etc/old").exists());
    let records = root.join("var/lib/slurm-adopt");
    let mode = fs::metadata(&records).expect("records").mode();
    assert_eq!(mode & 0o7777, 0o700);
    let copy = "var/lib/slurm-adopt/1/before/etc/pam.d/sshd";
    assert_eq!(read(root, copy), FILES[1].1);
    let undone = undo(root);
    assert!(
        undone.places.iter().all(|it| it.fate == Fate::Restored),
        "{undone:?}"
    );
    assert_eq!(snapshot(root), before);
}

#[test]
fn a_tree_without_a_directory_for_records_has_none_afterwards() {
    for is_failure in [false, true] {
        let dir = tree();
        let root = dir.path();
        fs::remove_dir_all(root.join("var")).expect("remove");
        let before = snapshot(root);
        let mut plan = plan();
        if is_failure {
            plan.changes[1].after = Some(file(&keeping_root_out()));
        }
        let end = carry_out(root, &plan);
        assert_eq!(matches!(end, End::TakenBack { .. }), is_failure, "{end:?}");
        if !is_failure {
            undo(root);
        }
        assert_eq!(snapshot(root), before);
    }
}

#[test]
fn setups_one_after_another_are_taken_back_to_before_the_first() {
    let dir = tree();
    let root = dir.path();
    let before = snapshot(root);
    set_up(root, &plan());
    let first = read(root, "etc/pam.d/sshd");
    let second = format!("# more\n{first}");
    let again = change("/etc/pam.d/sshd", Some(&first), Some(&second));
    let more = change("/etc/more", None, Some("more\n"));
    let plan = Plan {
        changes: vec![again, more],
        ..Plan::default()
    };
    set_up(root, &plan);
    undo(root);
    assert_eq!(snapshot(root), before);
}

#[test]
fn a_plan_that_keeps_root_out_is_taken_back() {
    let dir = tree();
    let root = dir.path();
    let before = snapshot(root);
    let mut plan = plan();
    plan.changes[1].after = Some(file(&keeping_root_out()));
    let end = carry_out(root, &plan);
    let End::TakenBack { why, .. } = end else {
        panic!("{end:?}");
    };
    assert!(
        why[0].starts_with("root would not get in: the account stack of sshd"),
        "{why:?}"
    );
    assert_eq!(snapshot(root), before);
}

#[test]
fn a_new_failure_of_check_takes_everything_back() {
    let dir = tree();
    let root = dir.path();
    let before = snapshot(root);
    let mut plan = plan();
    let missing = format!("account required pam_slurm_adopt.so\n{}", FILES[1].1);
    plan.changes[1].after = Some(file(&missing));
    let end = carry_out(root, &plan);
    let End::TakenBack { why, .. } = end else {
        panic!("{end:?}");
    };
    assert!(why[0].starts_with("SA010 "), "{why:?}");
    assert_eq!(snapshot(root), before);
    // Unless it is what the admin asks for.
    plan.accepted = vec!["SA010"];
    let end = carry_out(root, &plan);
    let found = |it: &String| it.starts_with("check finds SA010 ");
    assert!(
        matches!(&end, End::Done { worries } if worries.iter().any(found)),
        "{end:?}"
    );
}

#[test]
fn the_root_of_this_host_is_no_tree() {
    let failure = setup::Site::open(Some("/".into())).expect_err("it is this host");
    assert!(
        failure.to_string().contains("leave --root out"),
        "{failure}"
    );
}

#[test]
fn a_directory_that_is_not_the_root_of_a_system_is_refused() {
    let dir = directory();
    let failure = setup::Site::open(Some(dir.path().into())).expect_err("no system");
    assert!(failure.to_string().contains("it has no /etc"), "{failure}");
}

#[test]
fn a_file_that_is_not_as_the_plan_found_it_stops_everything() {
    let dir = tree();
    let root = dir.path();
    let plan = plan();
    fs::write(root.join("etc/old"), "changed\n").expect("write");
    let before = snapshot(root);
    let failure = site(root).carry_out(&plan, &mut |_| {});
    let failure = failure.expect_err("it has changed").to_string();
    assert!(
        failure.starts_with("read /etc/old: somebody else has changed it"),
        "{failure}"
    );
    assert_eq!(snapshot(root), before);
}

#[test]
fn an_undo_that_keeps_root_out_changes_nothing() {
    let dir = tree();
    let root = dir.path();
    // The first setup takes pam_deny out, and others rely on that since.
    let deny = keeping_root_out();
    fs::write(root.join("etc/pam.d/sshd"), &deny).expect("write");
    let plan = Plan {
        changes: vec![change("/etc/pam.d/sshd", Some(&deny), Some(FILES[1].1))],
        ..Plan::default()
    };
    set_up(root, &plan);
    let before = snapshot(root);
    let undone = undo(root);
    assert!(undone.refused.is_some(), "{undone:?}");
    assert_eq!(read(root, "etc/pam.d/sshd"), FILES[1].1);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        snapshot(root).keys().collect::<Vec<_>>()
    );
}

#[test]
fn a_tree_with_links_to_the_host_does_not_change_the_host() {
    let host = tree();
    let before = snapshot(host.path());
    let dir = directory();
    let up = Path::new("../../../../..").join(host.path().strip_prefix("/").expect("absolute"));
    for target in [host.path().join("etc"), up.join("etc")] {
        let link = dir.path().join("etc");
        symlink(target, &link).expect("link");
        let opened = setup::Site::open(Some(dir.path().to_owned()));
        let failed = opened.and_then(|it| it.carry_out(&plan(), &mut |_| {}));
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(snapshot(host.path()), before);
        fs::remove_file(&link).expect("remove");
    }
    // A directory of the tree, with a link to a file of the host.
    fs::create_dir_all(dir.path().join("etc/pam.d")).expect("make it");
    let sshd = dir.path().join("etc/pam.d/sshd");
    symlink(host.path().join("etc/pam.d/sshd"), &sshd).expect("link");
    let plan = Plan {
        changes: vec![change("/etc/pam.d/sshd", Some(FILES[1].1), Some(LINE))],
        ..Plan::default()
    };
    site(dir.path())
        .carry_out(&plan, &mut |_| {})
        .expect_err("not within the tree");
    assert_eq!(snapshot(host.path()), before);
}
