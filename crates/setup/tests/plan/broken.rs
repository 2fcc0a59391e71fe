//! Broken set-ups: what the plan corrects, and what it leaves to the admin.

use setup::plan::Wish;

use crate::planned::{ACCOUNT, SESSION, SSHD, set_up};
use crate::tree::Tree;

/// A fault that is gone after the plan.
struct Case {
    name: &'static str,
    make: fn() -> Tree,
    /// A check that finds it before.
    found: &'static str,
}

const CONFIG: &str = "/etc/ssh/sshd_config";
const CONF: &str = "/etc/slurm/slurm.conf";

fn with(make: fn() -> Tree, file: &str, old: &str, new: &str) -> Tree {
    let tree = make();
    tree.replace(file, old, new);
    tree
}

const FIXED: &[Case] = &[
    Case {
        name: "no account line",
        make: || with(Tree::debian, SSHD, ACCOUNT, ""),
        found: "SA220",
    },
    Case {
        name: "the account line in system-auth",
        make: || {
            let tree = with(Tree::redhat, SSHD, ACCOUNT, "");
            tree.append("/etc/pam.d/system-auth", ACCOUNT);
            tree
        },
        found: "SA221",
    },
    Case {
        name: "service= names ssh",
        make: || {
            with(
                Tree::debian,
                SSHD,
                ACCOUNT,
                "account required pam_slurm_adopt.so service=ssh\n",
            )
        },
        found: "SA222",
    },
    Case {
        name: "a sufficient line before ours",
        make: || {
            with(
                Tree::debian,
                SSHD,
                ACCOUNT,
                &format!("account sufficient pam_unix.so\n{ACCOUNT}"),
            )
        },
        found: "SA223",
    },
    Case {
        name: "an optional account line",
        make: || {
            with(
                Tree::redhat,
                SSHD,
                ACCOUNT,
                &ACCOUNT.replace("required", "optional"),
            )
        },
        found: "SA228",
    },
    Case {
        name: "a misspelt control",
        make: || {
            with(
                Tree::redhat,
                SSHD,
                ACCOUNT,
                &ACCOUNT.replace("required", "requird"),
            )
        },
        found: "SA201",
    },
    Case {
        name: "no session line",
        make: || with(Tree::debian, SSHD, SESSION, ""),
        found: "SA250",
    },
    Case {
        name: "the session line in system-auth",
        make: || {
            let tree = with(Tree::redhat, SSHD, SESSION, "");
            tree.append("/etc/pam.d/system-auth", SESSION);
            tree
        },
        found: "SA252",
    },
    Case {
        name: "an optional session line",
        make: || {
            with(
                Tree::debian,
                SSHD,
                SESSION,
                &SESSION.replace("required", "optional"),
            )
        },
        found: "SA255",
    },
    Case {
        name: "no line for su",
        make: || {
            with(
                Tree::redhat,
                "/etc/pam.d/su",
                "session\t\trequired\tpam_slurm_adopt.so service=su,su-l\n",
                "",
            )
        },
        found: "SA270",
    },
    Case {
        name: "UsePAM no",
        make: || with(Tree::debian, CONFIG, "UsePAM yes", "UsePAM no"),
        found: "SA300",
    },
    Case {
        name: "no drop-ins for user@.service",
        make: || {
            let tree = Tree::debian();
            tree.remove("/etc/systemd/system/user@.service.d/slurm_adopt.conf");
            tree
        },
        found: "SA602",
    },
    Case {
        name: "PrologFlags without Contain",
        make: || with(Tree::debian, CONF, "contain,DeferBatch", "Alloc"),
        found: "SA400",
    },
    Case {
        name: "another tracker of processes",
        make: || {
            with(
                Tree::redhat,
                CONF,
                "proctrack/cgroup",
                "proctrack/linuxproc",
            )
        },
        found: "SA402",
    },
    Case {
        name: "no task/cgroup",
        make: || {
            with(
                Tree::debian,
                CONF,
                "task/affinity,task/cgroup",
                "task/affinity",
            )
        },
        found: "SA403",
    },
    Case {
        name: "no cgroup.conf",
        make: || {
            let tree = Tree::debian();
            tree.remove("/etc/slurm/cgroup.conf");
            tree
        },
        found: "SA420",
    },
];

fn all() -> Wish {
    Wish {
        slurm_conf: true,
        user_manager: Some(true),
        ..Wish::default()
    }
}

/// The findings but notes.
fn faults(tree: &Tree) -> Vec<String> {
    let mut found = tree.found();
    found.retain(|it| !it.contains(" note"));
    found
}

#[test]
fn what_can_be_corrected_is() {
    for case in FIXED {
        let tree = (case.make)();
        let before = faults(&tree);
        assert!(
            before.iter().any(|it| it.starts_with(case.found)),
            "{}: {before:?}",
            case.name
        );
        set_up(&tree, &all());
        assert_eq!(faults(&tree), [""; 0], "{}", case.name);
    }
}

#[test]
fn what_the_admin_decides_is_told_and_stays() {
    for (id, new) in [
        (
            "SA225",
            format!("account sufficient pam_access.so\n{ACCOUNT}"),
        ),
        ("SA233", format!("{ACCOUNT}account required pam_slurm.so\n")),
        ("SA234", format!("{ACCOUNT}{ACCOUNT}")),
    ] {
        let tree = with(Tree::debian, SSHD, ACCOUNT, &new);
        for module in ["pam_access.so", "pam_slurm.so"] {
            tree.write_module(&format!("/usr/lib/x86_64-linux-gnu/security/{module}"));
        }
        tree.write("/etc/security/access.conf", "+:ALL:ALL\n");
        let before = faults(&tree);
        assert!(
            before.iter().any(|it| it.starts_with(id)),
            "{id}: {before:?}"
        );
        let plan = set_up(&tree, &all());
        assert_eq!(plan.changes, [], "{id}");
        let told = plan
            .advice
            .iter()
            .filter(|it| it.title.ends_with(&format!("({id})")));
        assert_eq!(told.count(), 1, "{id}: {:?}", plan.advice);
        assert_eq!(faults(&tree), before, "{id}");
    }
}
