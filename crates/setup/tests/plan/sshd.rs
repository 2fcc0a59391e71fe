//! sshd's configuration.

use std::fs;
use std::path::Path;

use setup::plan::{Part, Plan, Wish};

use crate::planned::{ACCOUNT, SESSION, SSHD, difference, planned, set_up};
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

const COSTLESS: [&str; 2] = [
    "+# A login that PAM refuses must not shut out all who come from its address.",
    "+PerSourcePenalties authfail:0",
];

/// A node whose sshd penalizes refused logins, and which asks PAM.
fn penalizing(config: &str) -> Tree {
    let tree = with(&format!(
        "UsePAM yes\nKbdInteractiveAuthentication no\n{config}"
    ));
    tree.write("/usr/sbin/sshd", "OpenSSH_10.0p2\0");
    tree
}

#[test]
fn refused_logins_shut_no_address_out() {
    let tree = penalizing("Match User x\n  X11Forwarding no\n");
    assert!(tree.found().iter().any(|it| it.starts_with("SA333")));
    let plan = set_up(&tree, &sshd());
    assert_eq!(difference(&plan, CONFIG), COSTLESS);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(commands(&plan), ["/usr/sbin/sshd -t"]);
    assert!(!tree.found().iter().any(|it| it.starts_with("SA3")));
    // With the account line that the same plan adds, and beside UsePAM in the file of its own.
    let tree = penalizing("");
    tree.replace(SSHD, ACCOUNT, "");
    tree.write(CONFIG, "Include /etc/ssh/sshd_config.d/*.conf\n");
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(
        difference(&plan, DROP_IN),
        ["+UsePAM yes", COSTLESS[0], COSTLESS[1]]
    );
    // Added to the file that an earlier setup has made.
    let tree = penalizing("");
    tree.write(CONFIG, "Include /etc/ssh/sshd_config.d/*.conf\n");
    tree.write(DROP_IN, "UsePAM yes");
    let plan = set_up(&tree, &sshd());
    let text = fs::read_to_string(tree.path(DROP_IN)).expect("the file");
    assert!(text.starts_with("UsePAM yes\n# A login"), "{text}");
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn penalties_that_an_admin_has_decided_about_stay() {
    for config in [
        "PerSourcePenalties crash:60\n",
        "PerSourcePenalties no\n",
        "PerSourcePenaltyExemptList 10.0.0.0/8\n",
        "PermitRootLogins no\n",
    ] {
        assert_eq!(set_up(&penalizing(config), &sshd()).changes, [], "{config}");
    }
    let keep = Wish {
        keep_penalties: true,
        ..sshd()
    };
    assert_eq!(set_up(&penalizing(""), &keep).changes, []);
}

#[test]
fn penalties_stay_where_no_login_is_refused() {
    let tree = penalizing("");
    tree.write("/usr/sbin/sshd", "OpenSSH_9.6p1\0");
    assert_eq!(
        set_up(&tree, &sshd()).changes,
        [],
        "before 9.8 there are none"
    );
    let tree = penalizing("");
    tree.write("/etc/security/slurm_adopt.conf", "mode = audit\n");
    assert_eq!(set_up(&tree, &sshd()).changes, [], "mode = audit");
    let tree = penalizing("");
    tree.replace(SSHD, ACCOUNT, "");
    assert_eq!(set_up(&tree, &sshd()).changes, [], "no account line");
}

/// A second sshd, of a release that does not know the line and would not start with it.
#[test]
fn penalties_stay_where_an_older_sshd_would_read_the_line() {
    const UNITS: &str = "/etc/systemd/system";
    for (old_config, is_read) in [
        ("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", true),
        ("UsePAM yes\n", false),
    ] {
        let tree = penalizing("");
        tree.write(
            CONFIG,
            "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
        );
        tree.write(
            "/opt/sbin/sshd",
            &format!("OpenSSH_9.2p1\0include\0{}", "\0".repeat(100_000)),
        );
        tree.write("/etc/ssh/old_config", old_config);
        for (unit, start) in [
            ("ssh.service", "/usr/sbin/sshd -D"),
            (
                "ssh-old.service",
                "/opt/sbin/sshd -D -f /etc/ssh/old_config",
            ),
        ] {
            tree.write(
                &format!("{UNITS}/{unit}"),
                &format!("[Service]\nExecStart={start}\n"),
            );
            let want = format!("{UNITS}/multi-user.target.wants/{unit}");
            tree.link(&want, &format!("{UNITS}/{unit}"));
        }
        let plan = set_up(&tree, &sshd());
        let tells = |it: &setup::plan::Advice| it.title.contains("/opt/sbin/sshd");
        assert_eq!(plan.advice.iter().any(tells), is_read, "{:?}", plan.advice);
        match is_read {
            true => assert_eq!(plan.changes, []),
            false => assert_eq!(difference(&plan, DROP_IN), COSTLESS),
        }
    }
}
