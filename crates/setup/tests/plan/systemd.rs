//! Users' service managers.

use setup::plan::{Part, Wish};

use crate::planned::{difference, planned, set_up};
use crate::tree::Tree;

const USERS: &str = "/etc/systemd/system/user@.service.d/slurm_adopt.conf";
const ROOTS: &str = "/etc/systemd/system/user@0.service.d/slurm_adopt.conf";

fn systemd(user_manager: Option<bool>) -> Wish {
    Wish {
        only: vec![Part::Systemd],
        user_manager,
        ..Wish::default()
    }
}

fn without_drop_ins() -> Tree {
    let tree = Tree::debian();
    tree.remove(USERS);
    tree.remove(ROOTS);
    tree
}

#[test]
fn users_keep_their_service_manager_until_somebody_decides() {
    let tree = without_drop_ins();
    let plan = set_up(&tree, &systemd(None));
    assert!(plan.asks_user_manager());
    assert_eq!(plan.changes, []);
    let plan = set_up(&tree, &systemd(Some(false)));
    assert_eq!(plan, setup::plan::Plan::default());
}

#[test]
fn the_packaged_drop_ins_take_the_managers_away() {
    let tree = without_drop_ins();
    let plan = set_up(&tree, &systemd(Some(true)));
    let paths: Vec<_> = plan.changes.iter().map(|it| it.path.to_str()).collect();
    assert_eq!(paths, [Some(ROOTS), Some(USERS)], "root's first");
    let command = plan.commands.first().expect("a command");
    assert_eq!(
        (
            command.program.as_str(),
            command.arguments.join(" ").as_str()
        ),
        ("systemctl", "daemon-reload")
    );
    assert_eq!(tree.found(), [""; 0]);
    let plan = planned(&tree, &systemd(None)).expect("a plan");
    assert!(!plan.asks_user_manager());
}

#[test]
fn a_drop_in_of_ours_that_somebody_changed_is_written_again() {
    let tree = Tree::debian();
    tree.replace(USERS, "Delegate=no\n", "");
    let plan = set_up(&tree, &systemd(Some(true)));
    assert_eq!(difference(&plan, USERS), ["+Delegate=no"]);
}

#[test]
fn a_drop_in_that_overrides_ours_is_told() {
    let tree = Tree::debian();
    tree.write(
        "/etc/systemd/system/user@.service.d/zz.conf",
        "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd --user\n",
    );
    let plan = set_up(&tree, &systemd(Some(true)));
    assert_eq!(plan.changes, []);
    let told = "Look into the directories user@.service.d of the tree.";
    assert_eq!(plan.advice[0].lines, [told]);
}

#[test]
fn without_pam_systemd_nobody_is_asked() {
    let tree = without_drop_ins();
    tree.replace(
        "/etc/pam.d/common-session",
        "session\toptional\tpam_systemd.so \n",
        "",
    );
    assert_eq!(set_up(&tree, &systemd(None)), setup::plan::Plan::default());
}
