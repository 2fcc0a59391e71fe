//! /etc/security/slurm_adopt.conf.

use setup::plan::Wish;

use crate::planned::{ACCOUNT, OPTIONS, SSHD, bare, planned, set_up};
use crate::tree::Tree;

#[test]
fn options_are_edited_in_their_file() {
    let tree = Tree::debian();
    let old = "# Mine.\nstrict = 0 # not yet\nexempt_groups = wheel\n\nlog_level = debug";
    tree.write(OPTIONS, old);
    let wish = Wish {
        strict: true,
        admins: Some("hpcadmin".to_owned()),
        ..Wish::default()
    };
    set_up(&tree, &wish);
    let text = std::fs::read_to_string(tree.path(OPTIONS)).expect("the file");
    let new = "# Mine.\nstrict = 1 # not yet\nexempt_groups = wheel,hpcadmin\n\nlog_level = debug";
    assert_eq!(text, new);
    for name in ["", " ", "a ", "a,b", "x\ny", "a\t#\"b"] {
        let wish = Wish {
            admins: Some(name.to_owned()),
            ..Wish::default()
        };
        let why = planned(&tree, &wish).expect_err("no name").to_string();
        assert!(why.ends_with("is no name of a group"), "{why}");
    }
}

#[test]
fn a_group_of_any_name_is_written_so_that_the_module_reads_it() {
    for (name, value) in [
        ("Domain Admins", "\"wheel,Domain Admins\""),
        (
            "EXAMPLE\\linux admins@example.org",
            "\"wheel,EXAMPLE\\linux admins@example.org\"",
        ),
        ("ops #2", "\"wheel,ops #2\""),
        ("a#b", "wheel,a#b"),
        ("1000", "wheel,1000"),
    ] {
        let tree = Tree::debian();
        tree.write(OPTIONS, "exempt_groups = wheel   # ours, \"root\"\r\n");
        let wish = Wish {
            admins: Some(name.to_owned()),
            ..Wish::default()
        };
        set_up(&tree, &wish);
        let text = std::fs::read_to_string(tree.path(OPTIONS)).expect("the file");
        let expected = format!("exempt_groups = {value}   # ours, \"root\"\r\n");
        assert_eq!(text, expected);
    }
}

#[test]
fn an_options_file_that_the_module_ignores_is_not_changed() {
    let tree = bare(Tree::debian());
    tree.write(OPTIONS, "strict\n");
    tree.chmod(OPTIONS, 0o666);
    let wish = Wish {
        admins: Some("hpcadmin".to_owned()),
        ..Wish::default()
    };
    let why = planned(&tree, &wish)
        .expect_err("a file that others can write")
        .to_string();
    assert!(why.contains("mode 0666"), "{why}");
}

#[test]
fn what_an_argument_of_the_line_overrides_is_not_written() {
    let strict = Wish {
        strict: true,
        ..Wish::default()
    };
    let admins = Wish {
        admins: Some("hpcadmin".to_owned()),
        ..Wish::default()
    };
    for (argument, wish) in [
        ("action_generic_failure=allow", strict),
        ("exempt_groups=ops", admins),
    ] {
        let tree = Tree::debian();
        tree.replace(
            SSHD,
            ACCOUNT,
            &ACCOUNT.replace('\n', &format!(" {argument}\n")),
        );
        let why = planned(&tree, &wish)
            .expect_err("it would have no effect")
            .to_string();
        assert!(why.starts_with("/etc/pam.d/sshd:3: an argument"), "{why}");
    }
}
