//! The module's options.

mod effects;

use crate::tree::{Case, Tree, expect};

const FILE: &str = "/etc/security/slurm_adopt.conf";
const DENY: &str = "action_adopt_failure=deny action_generic_failure=deny";

/// Debian with other options on both lines.
fn lines(options: &str) -> Tree {
    let tree = Tree::debian();
    for facility in ["account", "session"] {
        let line =
            |options: &str| format!("{facility}    required     pam_slurm_adopt.so {options}");
        tree.replace("/etc/pam.d/sshd", &line(DENY), &line(options));
    }
    tree
}

/// Debian with options on the account line alone; the session line has those of the base.
fn account(options: &str) -> Tree {
    let tree = Tree::debian();
    let line = |options: &str| format!("account    required     pam_slurm_adopt.so {options}");
    tree.replace("/etc/pam.d/sshd", &line(DENY), &line(options));
    tree
}

/// Debian with an options file and nothing on the lines.
fn file(text: &str) -> Tree {
    let tree = lines("");
    tree.write(FILE, text);
    tree
}

#[test]
fn options_that_are_not_understood() {
    expect(&[
        Case {
            name: "a typo in a name on a line",
            make: || account("action_adopt_failures=deny strict"),
            found: &["SA100 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "blanks around the equals sign",
            make: || account("strict action_no_jobs = deny"),
            found: &["SA100 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a typo in a name in the file",
            make: || file("strict\n\nexempt_user = root\n"),
            found: &["SA100 warning /etc/security/slurm_adopt.conf:3"],
        },
        Case {
            name: "a value of another option",
            make: || account(&format!("{DENY} action_no_jobs=reject")),
            found: &["SA101 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a word that only resembles one of the values",
            make: || account(&format!("{DENY} action_no_jobs=denied")),
            found: &["SA101 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a value in quotes",
            make: || account(&format!("{DENY} timeout=\"3\"")),
            found: &["SA101 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "options with a comma between them",
            make: || account("action_generic_failure=deny,action_adopt_failure=deny strict"),
            found: &["SA102 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a value with something behind it",
            make: || account(&format!("{DENY} action_no_jobs=denyall")),
            found: &["SA103 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a node name that is a host list",
            make: || file("strict\nnodename = n[1-4]\n"),
            found: &["SA129 failure /etc/security/slurm_adopt.conf:2"],
        },
    ]);
}

#[test]
fn settings_that_do_not_count() {
    expect(&[
        Case {
            name: "a line overrides the file",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "timeout = 3\naction_adopt_failure = allow\n");
                tree
            },
            found: &["SA108 note /etc/security/slurm_adopt.conf:2"],
        },
        Case {
            name: "an option twice on a line",
            make: || account("strict action_no_jobs=ignore action_no_jobs=deny"),
            found: &["SA109 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "the file is writable by its group",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "exempt_users = root\n");
                tree.chmod(FILE, 0o664);
                tree
            },
            found: &["SA124 warning /etc/security/slurm_adopt.conf"],
        },
        Case {
            name: "the file is a link that leads nowhere",
            make: || {
                let tree = lines("");
                tree.link(FILE, "/srv/shared/slurm_adopt.conf");
                tree
            },
            found: &["SA124 warning /etc/security/slurm_adopt.conf"],
        },
        Case {
            name: "a file with another name",
            make: || {
                let tree = Tree::debian();
                tree.write("/etc/security/slurm-adopt.conf", "exempt_users = root\n");
                tree
            },
            found: &["SA133 warning /etc/security/slurm-adopt.conf"],
        },
        Case {
            name: "ignore_root=0",
            make: || account(&format!("{DENY} ignore_root=0")),
            found: &["SA125 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "the same setting on the line and in the file",
            make: || {
                let tree = Tree::debian();
                tree.write(FILE, "action_adopt_failure = DENY\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn services_that_the_module_does_not_act_for() {
    expect(&[
        Case {
            name: "service=ssh on both lines",
            make: || lines(&format!("{DENY} service=ssh")),
            found: &[
                "SA107 note /etc/pam.d/sshd:16",
                "SA222 failure /etc/pam.d/sshd:3",
            ],
        },
        Case {
            name: "service=SSHD in the file",
            make: || file("strict\nservice = SSHD\n"),
            found: &[
                "SA104 warning /etc/security/slurm_adopt.conf:2",
                "SA108 note /etc/security/slurm_adopt.conf:2",
                "SA108 note /etc/security/slurm_adopt.conf:2",
                "SA222 failure /etc/pam.d/sshd:3",
            ],
        },
    ]);
}

#[test]
fn services_whose_lines_do_nothing() {
    expect(&[
        Case {
            name: "a line in the file of login, without service=",
            make: || {
                let tree = Tree::debian();
                tree.append(
                    "/etc/pam.d/login",
                    &format!("account required pam_slurm_adopt.so {DENY}\n"),
                );
                tree
            },
            found: &["SA274 warning /etc/pam.d/login:18"],
        },
        Case {
            name: "a line in a file that others include, and in one that an editor left",
            make: || {
                let tree = Tree::redhat();
                let line = format!("account    required     pam_slurm_adopt.so {DENY}\n");
                tree.replace("/etc/pam.d/sshd", &line, "");
                tree.append("/etc/pam.d/password-auth", &line);
                tree.write("/etc/pam.d/login.rpmsave", &line);
                tree
            },
            found: &[
                "SA224 failure /etc/pam.d/password-auth:11",
                "SA226 note /etc/pam.d/password-auth:12",
            ],
        },
        Case {
            name: "a line in the file of login, for login and a service that is not installed",
            make: || {
                let tree = Tree::debian();
                let line =
                    format!("account required pam_slurm_adopt.so {DENY} service=login,cockpit\n");
                tree.append("/etc/pam.d/login", &line);
                tree
            },
            found: &["SA107 note /etc/pam.d/login:18"],
        },
    ]);
}
