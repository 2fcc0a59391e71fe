//! `check --root`: the text and the object of each tree.

use serde_json::Value;

use crate::tree::Tree;
use crate::{compare, run, session};

const SSHD: &str = "/etc/pam.d/sshd";
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";
const SLURM_CONF: &str = "/etc/slurm/slurm.conf";
const MODULES: &str = "/usr/lib/x86_64-linux-gnu/security";

/// A tree and the name of its file in `expected`.
struct Case {
    name: &'static str,
    make: fn() -> Tree,
}

const GOOD: &[Case] = &[
    Case {
        name: "good-debian",
        make: Tree::debian,
    },
    Case {
        name: "good-redhat",
        make: Tree::redhat,
    },
];

const BROKEN: &[Case] = &[
    Case {
        name: "local-users-pass",
        make: || {
            debian(|it| {
                it.prepend(SSHD, "account sufficient pam_localuser.so\n");
                it.write(&format!("{MODULES}/pam_localuser.so"), "");
            })
        },
    },
    Case {
        name: "line-in-system-auth",
        make: || {
            let tree = Tree::redhat();
            let ours = "account    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny\n";
            tree.replace(SSHD, ours, "");
            tree.append("/etc/pam.d/system-auth", ours);
            tree
        },
    },
    Case {
        name: "module-missing",
        make: || debian(|it| it.remove(&format!("{MODULES}/pam_slurm_adopt.so"))),
    },
    Case {
        name: "options-mistyped",
        make: || {
            debian(|it| {
                it.write(
                    "/etc/security/slurm_adopt.conf",
                    "# site\naction_no_jobs = denied\nexempt_group = wheel\n",
                );
            })
        },
    },
    Case {
        name: "control-mistyped",
        make: || debian(|it| it.append(SSHD, "account require pam_nologin.so\n")),
    },
    Case {
        name: "no-usepam",
        make: || debian(|it| it.prepend(SSHD_CONFIG, "UsePAM no\nPermitUserEnvironment yes\n")),
    },
    Case {
        name: "no-contain",
        make: || debian(|it| it.replace(SLURM_CONF, "PrologFlags=contain,DeferBatch", "")),
    },
    Case {
        name: "slurm-conf-unreadable",
        make: || debian(|it| it.append(SLURM_CONF, "NodeName m1\n")),
    },
    Case {
        name: "users-may-write",
        make: || debian(|it| it.chmod(SLURM_CONF, 0o666)),
    },
    Case {
        name: "foreign-text",
        make: || {
            debian(|it| {
                it.append(
                    SSHD,
                    "account\trequired\t\x1b[2J\x1b]0;x\x07pam_\u{9b}.so\n",
                );
                let drop_in = "/etc/ssh/sshd_config.d/\x1b[2J.conf";
                it.prepend(SSHD_CONFIG, "Include /etc/ssh/sshd_config.d/*.conf\n");
                it.write(drop_in, "UsePAM no\n");
            })
        },
    },
    Case {
        name: "empty",
        make: || {
            debian(|it| {
                for dir in ["etc", "usr"] {
                    std::fs::remove_dir_all(it.path(dir)).expect("remove");
                }
                it.make_dir("/etc");
            })
        },
    },
];

fn debian(change: impl FnOnce(&Tree)) -> Tree {
    let tree = Tree::debian();
    change(&tree);
    tree
}

#[test]
fn good_trees_are_told_as_in_the_files() {
    compare_all(GOOD);
}

#[test]
fn broken_trees_are_told_as_in_the_files() {
    compare_all(BROKEN);
}

fn compare_all(cases: &[Case]) {
    for case in cases {
        let tree = (case.make)();
        let root = tree.path("/");
        let root = root.to_str().expect("a path").trim_end_matches('/');
        let root_is = ["check", "--root", root];
        let text = session(&root_is);
        let object = object(&[&root_is[..], &["--json"]].concat());
        let both = format!("{text}\n{object}").replace(root, "TREE");
        compare(&format!("check/{}.txt", case.name), &without_counts(&both));

        let terse = session(&[&root_is[..], &["--terse"]].concat());
        let body = |text: &str, head: usize| {
            let text = without_counts(text).replace(" in T s\n", "\n");
            text.lines()
                .skip(head)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // Without the command and the name of the tree.
        assert_eq!(body(&terse, 1), body(&text, 3), "{}", case.name);
    }
}

/// The object, a field a line.
fn object(arguments: &[&str]) -> String {
    let printed = run(arguments).stdout;
    assert!(printed.is_ascii());
    let mut object: Value = serde_json::from_slice(&printed).expect("one object");
    // Each new check would change it.
    object["checks"] = Value::from("N");
    let text = serde_json::to_string_pretty(&object).expect("write");
    format!("$ slurm-adopt {}\n{text}\n", arguments.join(" "))
}

/// The text without the number of checks and the time.
fn without_counts(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(", ") {
        Some((sum, end)) if end.contains(" checked") => match end.contains(" in ") {
            true => format!("{sum}, N checked in T s\n"),
            false => format!("{sum}, N checked\n"),
        },
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
