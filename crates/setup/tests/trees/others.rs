//! What others have changed since a setup.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use setup::{Fate, Undone};

use crate::made::{FILES, LINE, plan, tree};
use crate::{read, set_up, undo};

/// What became of that path.
fn fate<'a>(undone: &'a Undone, path: &str) -> &'a Fate {
    let place = undone.places.iter().find(|it| it.path == Path::new(path));
    &place.expect("it was changed").fate
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
    assert_eq!(fate(&undone, "/etc/pam.d/sshd"), &Fate::Merged);
    let expected = format!("{}session optional pam_motd.so\n", FILES[1].1);
    assert_eq!(read(root, "etc/pam.d/sshd"), expected);
    assert_eq!(fs::metadata(&sshd).expect("stat").mode() & 0o7777, 0o600);
    let left = fate(&undone, "/etc/ssh/real.conf");
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
    let conf = fate(&undone, "/etc/security/slurm_adopt.conf");
    assert_eq!(conf, &Fate::Already);
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
    let of_conf = fate(&undone, "/etc/security/slurm_adopt.conf");
    assert_eq!(of_conf, &Fate::Merged);
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
    let fate = fate(&undone, "/etc/pam.d/sshd");
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
fn what_stands_in_the_place_of_a_file_stays_and_the_rest_is_taken_back() {
    let dir = tree();
    let root = dir.path();
    set_up(root, &plan());
    let sshd = root.join("etc/pam.d/sshd");
    fs::remove_file(&sshd).expect("remove");
    fs::create_dir(&sshd).expect("make it");
    let undone = undo(root);
    let fate = fate(&undone, "/etc/pam.d/sshd");
    let is_left = matches!(fate, Fate::Left { why, .. } if why.contains("neither a file nor"));
    assert!(is_left, "{fate:?}");
    assert_eq!(read(root, "etc/ssh/real.conf"), FILES[3].1);
}
