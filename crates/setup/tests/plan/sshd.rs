//! sshd's configuration.

use std::fs;
use std::path::Path;

use setup::plan::{Part, Plan, Wish};

use crate::planned::{SESSION, SSHD, difference, planned, set_up};
use crate::tree::Tree;

const CONFIG: &str = "/etc/ssh/sshd_config";
const DROP_IN: &str = "/etc/ssh/sshd_config.d/10-slurm-adopt.conf";

fn sshd() -> Wish {
    Wish {
        only: vec![Part::Sshd],
        ..Wish::default()
    }
}

fn with(config: &str) -> Tree {
    let tree = Tree::debian();
    tree.write(CONFIG, config);
    tree.make_dir("/etc/ssh/sshd_config.d");
    tree
}

fn commands(plan: &Plan) -> Vec<String> {
    let words = |it: &setup::plan::Command| format!("{} {}", it.program, it.arguments.join(" "));
    plan.commands.iter().map(words).collect()
}

#[test]
fn the_line_that_counts_is_corrected() {
    for (config, expected) in [
        ("UsePAM no\nUsePAM yes\n", "UsePAM yes\nUsePAM yes\n"),
        (
            "Port 22\r\n  usepam=\"no\" # x\r\n",
            "Port 22\r\n  usepam=\"yes\" # x\r\n",
        ),
        ("Port 22", "Port 22\nUsePAM yes\n"),
        (
            "# c\nMatch User root\n  X11Forwarding no\n",
            "# c\nUsePAM yes\nMatch User root\n  X11Forwarding no\n",
        ),
        (
            "match=user root\nX11Forwarding no",
            "UsePAM yes\nmatch=user root\nX11Forwarding no",
        ),
    ] {
        let tree = with(config);
        let plan = set_up(&tree, &sshd());
        assert_eq!(
            fs::read_to_string(tree.path(CONFIG)).expect("the file"),
            expected
        );
        assert_eq!(plan.changes.len(), 1, "{config}");
        assert!(
            !tree.found().iter().any(|it| it.starts_with("SA300")),
            "{config}"
        );
    }
}

#[test]
fn an_included_file_that_says_no_is_corrected_where_it_counts() {
    let tree = with("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
    tree.write(
        "/etc/ssh/sshd_config.d/50-site.conf",
        "# Site.\nUsePAM no\n",
    );
    let plan = set_up(&tree, &sshd());
    let rows = difference(&plan, "/etc/ssh/sshd_config.d/50-site.conf");
    assert_eq!(rows, ["+UsePAM yes", "-UsePAM no"]);
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn a_new_line_goes_into_a_file_of_its_own_where_that_is_included_for_everyone() {
    let tree = with("Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n");
    let plan = set_up(&tree, &sshd());
    assert_eq!(difference(&plan, DROP_IN), ["+UsePAM yes"]);
    assert_eq!(plan.changes.len(), 1);
    let tree = with("Port 22\nMatch User x\n  Include /etc/ssh/sshd_config.d/*.conf\n");
    let plan = set_up(&tree, &sshd());
    assert_eq!(difference(&plan, CONFIG), ["+UsePAM yes"]);
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn a_vendors_file_is_not_changed() {
    let vendor = "/usr/etc/ssh/sshd_config";
    let tree = with("");
    tree.remove(CONFIG);
    tree.write(vendor, "UsePAM no\n");
    let plan = set_up(&tree, &sshd());
    assert_eq!(
        difference(&plan, CONFIG).first().map(String::as_str),
        Some("+UsePAM yes")
    );
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].path, Path::new(CONFIG));
    let tree = with("");
    tree.remove(CONFIG);
    tree.write(vendor, "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM no\n");
    let plan = set_up(&tree, &sshd());
    assert_eq!(difference(&plan, DROP_IN), ["+UsePAM yes"]);
}

#[test]
fn sshd_judges_its_configuration_before_it_reads_it() {
    let tree = with("UsePAM no\n");
    tree.write(
        "/usr/lib/systemd/system/ssh.service",
        "[Service]\nExecStart=/usr/sbin/sshd -D\n",
    );
    let plan = set_up(&tree, &sshd());
    assert_eq!(
        commands(&plan),
        [
            "/usr/sbin/sshd -t",
            "systemctl try-reload-or-restart ssh.service"
        ]
    );
    let tree = with("UsePAM no\n");
    let plan = set_up(&tree, &sshd());
    assert_eq!(commands(&plan), ["/usr/sbin/sshd -t"]);
    assert_eq!(plan.advice, [], "a tree has no daemon");
}

#[test]
fn a_configuration_that_sshd_does_not_take_is_refused() {
    let tree = with("UsePAM no\nPermitRootLogins no\n");
    let why = planned(&tree, &sshd()).expect_err("a fault").to_string();
    assert!(
        why.starts_with("/etc/ssh/sshd_config:2: sshd does not take"),
        "{why}"
    );
    let tree = with("UsePAM yes\nPermitRootLogins no\n");
    assert_eq!(set_up(&tree, &sshd()).changes, []);
}

#[test]
fn an_option_of_the_command_line_is_told() {
    let tree = with("UsePAM yes\n");
    tree.write(
        "/usr/lib/systemd/system/ssh.service",
        "[Service]\nExecStart=/usr/sbin/sshd -D -o UsePAM=no\n",
    );
    let plan = set_up(&tree, &sshd());
    assert_eq!(plan.changes, []);
    assert!(
        plan.advice[0].title.contains("UsePAM=no"),
        "{:?}",
        plan.advice
    );
}

#[test]
fn keyboard_interactive_without_a_session_line_is_told() {
    let wish = Wish {
        session: Some(false),
        ..Wish::default()
    };
    for (value, count) in [("yes", 1), ("no", 0)] {
        let tree = with(&format!(
            "UsePAM yes\nKbdInteractiveAuthentication {value}\n"
        ));
        tree.replace(SSHD, SESSION, "");
        let plan = set_up(&tree, &wish);
        let titles = plan
            .advice
            .iter()
            .filter(|it| it.title.contains("keyboard-interactive"));
        assert_eq!(titles.count(), count, "{value}");
    }
}
