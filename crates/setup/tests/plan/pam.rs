//! sshd's PAM stack.

use setup::plan::Wish;

use crate::planned::{SSHD, bare, difference, set_up};
use crate::tree::Tree;

#[test]
fn a_host_that_is_set_up_needs_nothing() {
    for tree in [Tree::debian(), Tree::redhat()] {
        let plan = set_up(&tree, &Wish::default());
        assert_eq!(plan, setup::plan::Plan::default());
    }
}

#[test]
fn a_bare_host_gets_both_lines_and_safe_options() {
    for (make, neighbour) in [
        (Tree::debian as fn() -> Tree, "@include common-account"),
        (Tree::redhat, "account    include      password-auth"),
    ] {
        let tree = bare(make());
        let plan = set_up(&tree, &Wish::default());
        assert_eq!(
            difference(&plan, SSHD),
            [
                "+# Users get in only while they have a job here.",
                "+account    required     pam_slurm_adopt.so",
                "+# Last of the session lines: logins stay in their job.",
                "+session    required     pam_slurm_adopt.so",
            ]
        );
        let text = std::fs::read_to_string(tree.path(SSHD)).expect("the file");
        assert!(
            text.contains(&format!("pam_slurm_adopt.so\n{neighbour}\n")),
            "{text}"
        );
        assert_eq!(tree.found(), [""; 0]);
    }
}
