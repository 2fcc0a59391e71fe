//! Files of unusual form, kind or owner.

use std::fs;

use setup::plan::{Part, Wish};

use crate::planned::{ACCOUNT, SESSION, SSHD, bare, difference, planned, set_up};
use crate::tree::Tree;

fn pam() -> Wish {
    Wish {
        only: vec![Part::Pam],
        ..Wish::default()
    }
}

fn refused(tree: &Tree) -> String {
    planned(tree, &pam()).expect_err("no plan").to_string()
}

#[test]
fn every_other_byte_stays() {
    let tree = bare(Tree::debian());
    let odd = "#%PAM-1.0\n\n\t# \u{e9}\\\naccount\trequired \\\n\tpam_nologin.so # x\n\n\n\
               # attached\n@include common-account\nsession required pam_limits.so \\\n  conf=/etc/x\n\
               @include common-session\n\n@include common-password";
    tree.write(SSHD, odd);
    let plan = set_up(&tree, &pam());
    assert_eq!(
        difference(&plan, SSHD),
        [
            "+# Users get in only while they have a job here.",
            "+account    required     pam_slurm_adopt.so",
            "+# Last of the session lines: logins stay in their job.",
            "+session    required     pam_slurm_adopt.so",
        ]
    );
    let mut text = fs::read_to_string(tree.path(SSHD)).expect("the file");
    for row in difference(&plan, SSHD) {
        text = text.replacen(&format!("{}\n", row.trim_start_matches('+')), "", 1);
    }
    assert_eq!(text, odd);
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_last_line_without_a_newline_gets_one() {
    let tree = Tree::redhat();
    tree.replace(SSHD, ACCOUNT, "");
    tree.replace(
        SSHD,
        &format!("session    include      postlogin\n{SESSION}"),
        "session    include      postlogin",
    );
    set_up(&tree, &pam());
    let text = fs::read_to_string(tree.path(SSHD)).expect("the file");
    let end = "session    include      postlogin\n\
               # Last of the session lines: logins stay in their job.\n\
               session    required     pam_slurm_adopt.so\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_comment_stays_with_its_line() {
    let tree = bare(Tree::debian());
    tree.write(
        SSHD,
        "#%PAM-1.0\n# Accounts.\n@include common-account\n@include common-session\n",
    );
    set_up(&tree, &pam());
    let text = fs::read_to_string(tree.path(SSHD)).expect("the file");
    let start = "#%PAM-1.0\n# Users get in only while they have a job here.\n\
                 account    required     pam_slurm_adopt.so\n# Accounts.\n@include common-account\n";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn windows_line_ends_are_refused() {
    let tree = bare(Tree::redhat());
    let text = fs::read_to_string(tree.path(SSHD)).expect("the file");
    tree.write(
        SSHD,
        &text.replace("pam_nologin.so\n", "pam_nologin.so\r\n"),
    );
    assert!(
        refused(&tree).contains("/etc/pam.d/sshd:5: "),
        "{}",
        refused(&tree)
    );
    let tree = bare(Tree::debian());
    tree.write(
        SSHD,
        "@include common-account\r\n@include common-session\r\n",
    );
    assert!(
        refused(&tree).contains("libpam gives up"),
        "{}",
        refused(&tree)
    );
}

#[test]
fn a_file_that_ends_within_a_line_is_refused() {
    let tree = bare(Tree::debian());
    tree.append(SSHD, "session required \\\n");
    assert!(
        refused(&tree).contains("libpam gives up"),
        "{}",
        refused(&tree)
    );
}

#[test]
fn a_link_stays_and_its_file_changes() {
    let tree = bare(Tree::debian());
    tree.rename(SSHD, "/etc/site/sshd");
    tree.link(SSHD, "../site/sshd");
    let plan = set_up(&tree, &pam());
    assert!(difference(&plan, SSHD).is_empty());
    assert_eq!(difference(&plan, "/etc/site/sshd").len(), 4);
    assert!(fs::read_link(tree.path(SSHD)).is_ok());
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_link_to_a_packages_file_becomes_a_copy() {
    let tree = bare(Tree::debian());
    tree.rename(SSHD, "/usr/share/openssh/pam");
    tree.link(SSHD, "/usr/share/openssh/pam");
    let old = fs::read_to_string(tree.path("/usr/share/openssh/pam")).expect("the file");
    set_up(&tree, &pam());
    assert!(fs::read_link(tree.path(SSHD)).is_err());
    let now = fs::read_to_string(tree.path("/usr/share/openssh/pam")).expect("the file");
    assert_eq!(now, old);
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_generated_file_is_refused() {
    let tree = bare(Tree::debian());
    tree.rename(SSHD, "/nix/store/x-sshd.pam");
    tree.link(SSHD, "/nix/store/x-sshd.pam");
    let why = refused(&tree);
    assert!(why.contains("which is generated"), "{why}");
}

#[test]
fn a_file_that_others_can_change_is_refused() {
    let tree = bare(Tree::debian());
    tree.chmod(SSHD, 0o666);
    let why = refused(&tree);
    assert!(why.contains("/etc/pam.d/sshd has owner uid"), "{why}");
    assert!(
        why.contains("mode 0666: others than root can change"),
        "{why}"
    );
}

#[test]
fn a_directory_that_others_can_change_gets_no_new_file() {
    let tree = bare(Tree::debian());
    tree.make_dir("/etc/security");
    tree.chmod("/etc/security", 0o777);
    let why = refused(&tree);
    assert!(why.contains("/etc/security has owner uid"), "{why}");
}

#[test]
fn a_hand_made_mode_stays() {
    let tree = bare(Tree::debian());
    tree.chmod(SSHD, 0o600);
    let plan = set_up(&tree, &pam());
    assert!(!plan.changes.is_empty());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(tree.path(SSHD))
            .expect("the file")
            .permissions(),
    );
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_file_with_several_names_is_told() {
    let tree = bare(Tree::debian());
    fs::hard_link(tree.path(SSHD), tree.path("/etc/pam.d/other-name")).expect("link");
    let plan = planned(&tree, &pam()).expect("a plan");
    let title = &plan.advice[0].title;
    assert!(
        title.starts_with("/etc/pam.d/sshd has 2 names (hard links)"),
        "{title}"
    );
    assert_eq!(set_up(&bare(Tree::debian()), &pam()).advice, []);
}

#[test]
fn what_is_no_file_in_the_place_of_sshds_is_told() {
    let tree = bare(Tree::debian());
    tree.remove(SSHD);
    tree.link(SSHD, "../site/sshd");
    let why = "/etc/pam.d/sshd is a link to ../site/sshd, and there is no such file: correct or remove the link first";
    assert_eq!(refused(&tree), why);
    tree.remove(SSHD);
    tree.make_dir(SSHD);
    let why = "/etc/pam.d/sshd is a directory: put the distribution's file there first";
    assert_eq!(refused(&tree), why);
    fs::remove_dir(tree.path(SSHD)).expect("remove");
    let fifo = std::process::Command::new("mkfifo")
        .arg(tree.path(SSHD))
        .status();
    assert!(fifo.expect("coreutils").success());
    let why = "/etc/pam.d/sshd is not a regular file: put the distribution's file there first";
    assert_eq!(refused(&tree), why);
}

#[test]
fn a_tree_without_sshd_is_refused() {
    let tree = Tree::debian();
    tree.remove(SSHD);
    tree.remove("/etc/ssh/sshd_config");
    assert_eq!(
        refused(&tree),
        "there is no /etc/pam.d/sshd: is sshd installed?"
    );
    let empty = Tree::empty();
    assert_eq!(
        refused(&empty),
        "there is no /etc/pam.d/sshd: is sshd installed?"
    );
}

#[test]
fn a_tree_without_the_module_is_refused() {
    let tree = bare(Tree::debian());
    tree.remove("/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so");
    let why = refused(&tree);
    assert!(
        why.starts_with("the module is not installed: there is no /"),
        "{why}"
    );
}

#[test]
fn a_module_that_sshd_cannot_load_is_refused() {
    let tree = bare(Tree::debian());
    tree.write(
        "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
        "half of it",
    );
    let why = refused(&tree);
    assert!(why.starts_with("sshd cannot load the module"), "{why}");
}

#[test]
fn pam_conf_alone_is_refused() {
    let tree = bare(Tree::debian());
    for file in fs::read_dir(tree.path("/etc/pam.d")).expect("the directory") {
        fs::remove_file(file.expect("an entry").path()).expect("remove");
    }
    fs::remove_dir(tree.path("/etc/pam.d")).expect("remove");
    tree.write(
        "/etc/pam.conf",
        "sshd account required pam_unix.so\nsshd session required pam_unix.so\n",
    );
    let why = refused(&tree);
    assert!(why.starts_with("libpam reads /etc/pam.conf here"), "{why}");
}

#[test]
fn a_file_without_account_lines_is_refused() {
    let tree = bare(Tree::redhat());
    tree.write(
        SSHD,
        "auth include password-auth\nsession include password-auth\n",
    );
    let why = refused(&tree);
    assert!(
        why.starts_with("/etc/pam.d/sshd has no account lines"),
        "{why}"
    );
}
