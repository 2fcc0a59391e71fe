//! The session line.

use setup::plan::{Part, Wish};

use crate::planned::{DENY, SESSION, SSHD, bare, difference, planned, set_up};
use crate::tree::Tree;

#[test]
fn the_session_line_comes_last() {
    for control in ["required", "optional"] {
        let tree = Tree::debian();
        tree.replace(SSHD, SESSION, "");
        let line = format!("session {control} pam_slurm_adopt.so {DENY}");
        tree.replace(
            SSHD,
            "@include common-session\n",
            &format!("{line}\n@include common-session\n"),
        );
        let plan = set_up(&tree, &Wish::default());
        let new = format!("+session required pam_slurm_adopt.so {DENY}");
        assert_eq!(difference(&plan, SSHD).last(), Some(&new));
        assert_eq!(tree.found(), [""; 0]);
    }
}

#[test]
fn the_session_line_comes_before_what_leads_past_it() {
    let tree = bare(Tree::debian());
    tree.write_module("/usr/lib/x86_64-linux-gnu/security/pam_x.so");
    tree.replace(
        SSHD,
        "@include common-password",
        "session sufficient pam_x.so\n@include common-password",
    );
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(plan.advice, []);
    let text = std::fs::read_to_string(tree.path(SSHD)).expect("the file");
    assert!(
        text.contains("pam_slurm_adopt.so\nsession sufficient"),
        "{text}"
    );
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn what_leads_past_the_session_line_is_told_before_anything_is_changed() {
    let own = |control: &str| format!("session {control} pam_x.so\n");
    for (file, line) in [
        (SSHD, "@include common-session\n"),
        (
            "/etc/pam.d/common-session",
            "session\toptional\tpam_systemd.so",
        ),
    ] {
        for control in ["sufficient", "[success=done default=ignore]"] {
            let tree = bare(Tree::debian());
            tree.write_module("/usr/lib/x86_64-linux-gnu/security/pam_x.so");
            tree.replace(file, line, &format!("{}{line}", own(control)));
            let why = planned(&tree, &Wish::default())
                .expect_err("a way past the line")
                .to_string();
            assert!(why.contains("\n  SA254 "), "{why}");
            assert!(
                why.ends_with("without the session line: --no-session."),
                "{why}"
            );
        }
    }
}

#[test]
fn the_session_line_can_be_left_out() {
    let tree = bare(Tree::debian());
    let wish = Wish {
        session: Some(false),
        only: vec![Part::Pam],
        ..Wish::default()
    };
    let plan = set_up(&tree, &wish);
    assert_eq!(difference(&plan, SSHD).len(), 2);
}

#[test]
fn without_a_session_line_what_follows_from_that_is_accepted() {
    let wish = Wish {
        session: Some(false),
        ..Wish::default()
    };
    let plan = set_up(&bare(Tree::debian()), &wish);
    assert_eq!(plan.accepted, ["SA250"]);
    assert_eq!(
        set_up(&bare(Tree::debian()), &Wish::default()).accepted,
        [""; 0]
    );
}
