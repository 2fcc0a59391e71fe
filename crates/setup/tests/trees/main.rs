//! Plans carried out in trees that do not run, and taken back.

#[path = "../made/mod.rs"]
mod made;

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
            let deny = format!("account requisite pam_deny.so\n{}", FILES[1].1);
            plan.changes[1].after = Some(file(&deny));
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
fn what_others_have_changed_since_is_kept() {
    let dir = tree();
    let root = dir.path();
    set_up(root, &plan());
    let sshd = root.join("etc/pam.d/sshd");
    let theirs = format!(
        "{}session optional pam_motd.so\n",
        read(root, "etc/pam.d/sshd")
    );
    fs::write(&sshd, theirs).expect("write");
    fs::set_permissions(&sshd, fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::write(root.join("etc/security/slurm_adopt.conf"), "mine\n").expect("write");
    fs::write(root.join("etc/ssh/real.conf"), "UsePAM yes # mine\n").expect("write");
    let undone = undo(root);
    let fate = |path: &str| {
        let place = undone.places.iter().find(|it| it.path == Path::new(path));
        place.expect("it was changed").fate.clone()
    };
    assert_eq!(fate("/etc/pam.d/sshd"), Fate::Merged);
    let expected = format!("{}session optional pam_motd.so\n", FILES[1].1);
    assert_eq!(read(root, "etc/pam.d/sshd"), expected);
    assert_eq!(fs::metadata(&sshd).expect("stat").mode() & 0o7777, 0o600);
    let left = fate("/etc/ssh/real.conf");
    let Fate::Left {
        copy: Some(copy), ..
    } = left
    else {
        panic!("{left:?}");
    };
    let copy = copy.strip_prefix("/").expect("absolute").to_owned();
    assert_eq!(read(root, &copy.to_string_lossy()), FILES[3].1);
    assert_eq!(read(root, "etc/ssh/real.conf"), "UsePAM yes # mine\n");
    // Nothing of it is setup's any more.
    assert_eq!(fate("/etc/security/slurm_adopt.conf"), Fate::Already);
    assert_eq!(read(root, "etc/security/slurm_adopt.conf"), "mine\n");
    assert!(root.join("etc/old").exists());
    // What was left is still on record; put right by hand, it is forgotten.
    fs::write(root.join("etc/ssh/real.conf"), FILES[3].1).expect("write");
    let again = undo(root);
    assert_eq!(again.places.len(), 1, "{again:?}");
    assert!(!root.join("var/lib/slurm-adopt").exists());
}

#[test]
fn what_others_have_added_to_a_file_that_setup_made_stays() {
    let dir = tree();
    let root = dir.path();
    set_up(root, &plan());
    let conf = "etc/security/slurm_adopt.conf";
    fs::write(root.join(conf), "# ours\nstrict\nmessage_url = x\n").expect("write");
    let undone = undo(root);
    let place = undone.places.iter().find(|it| it.path.ends_with(conf));
    assert_eq!(place.expect("it was made").fate, Fate::Merged);
    assert_eq!(read(root, conf), "# ours\nmessage_url = x\n");
    assert!(!root.join("var/lib/slurm-adopt").exists());
}

#[test]
fn a_line_of_setup_that_others_have_moved_is_not_taken_for_gone() {
    let dir = tree();
    let root = dir.path();
    set_up(root, &plan());
    let moved = format!("{}{LINE}", FILES[1].1);
    fs::write(root.join("etc/pam.d/sshd"), &moved).expect("write");
    let undone = undo(root);
    let sshd = undone.places.iter().find(|it| it.path.ends_with("sshd"));
    let fate = &sshd.expect("it was changed").fate;
    let is_left = matches!(fate, Fate::Left { why, .. } if why.contains("another place"));
    assert!(is_left, "{fate:?}");
    assert_eq!(read(root, "etc/pam.d/sshd"), moved);
    // Taken out by hand, beside a line of theirs.
    let theirs = format!("account required pam_access.so\n{}", FILES[1].1);
    fs::write(root.join("etc/pam.d/sshd"), &theirs).expect("write");
    let undone = undo(root);
    assert_eq!(undone.places[0].fate, Fate::Already, "{undone:?}");
    assert_eq!(read(root, "etc/pam.d/sshd"), theirs);
    assert!(!root.join("var/lib/slurm-adopt").exists());
}

#[test]
fn a_plan_that_keeps_root_out_is_taken_back() {
    let dir = tree();
    let root = dir.path();
    let before = snapshot(root);
    let mut plan = plan();
    let deny = format!("account requisite pam_deny.so\n{}", FILES[1].1);
    plan.changes[1].after = Some(file(&deny));
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
    let deny = format!("account requisite pam_deny.so\n{}", FILES[1].1);
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

#[test]
fn an_unknown_format_of_records_is_refused() {
    let dir = tree();
    set_up(dir.path(), &plan());
    let journal = dir.path().join("var/lib/slurm-adopt/1/journal.json");
    let text = fs::read_to_string(&journal).expect("read");
    fs::write(&journal, text.replace("\"format\": 2", "\"format\": 3")).expect("write");
    let refused = site(dir.path()).store().expect_err("unknown").to_string();
    assert!(refused.contains("format 3"), "{refused}");
}

/// The path of what the first setup kept of sshd's file.
const COPY: &str = "var/lib/slurm-adopt/1/before/etc/pam.d/sshd";

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
        let keys = |it: &std::collections::BTreeMap<_, _>| it.keys().cloned().collect::<Vec<_>>();
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
    let journal = root.join("var/lib/slurm-adopt/1/journal.json");
    let text = fs::read_to_string(&journal).expect("read");
    fs::write(&journal, text.replace("/etc/old", "/etc/new")).expect("write");
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
    let journal = root.join("var/lib/slurm-adopt/1/journal.json");
    let text = fs::read_to_string(&journal).expect("read");
    let lines = text.lines().filter(|it| !it.contains("\"digest\""));
    let old: Vec<&str> = lines.collect();
    let old = old.join("\n").replace("\"format\": 2", "\"format\": 1");
    // A comma before the end of an object, where the digest was its last field.
    let old = old.replace(",\n        }", "\n        }");
    fs::write(&journal, old).expect("write");
    undo(root);
    assert_eq!(snapshot(root), before);
}

#[test]
fn what_stands_in_the_place_of_a_file_stays_and_the_rest_is_taken_back() {
    let dir = tree();
    let root = dir.path();
    set_up(root, &plan());
    let sshd = root.join("etc/pam.d/sshd");
    fs::remove_file(&sshd).expect("remove");
    fs::create_dir(&sshd).expect("make it");
    let undone = undo(root);
    let place = undone.places.iter().find(|it| it.path.ends_with("sshd"));
    let fate = &place.expect("it was changed").fate;
    let is_left = matches!(fate, Fate::Left { why, .. } if why.contains("neither a file nor"));
    assert!(is_left, "{fate:?}");
    assert_eq!(read(root, "etc/ssh/real.conf"), FILES[3].1);
}
