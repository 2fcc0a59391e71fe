//! Whose module it is.

use crate::elf::{OWN, PLAIN, SCHEDMDS};
use crate::module::{ACCOUNT, SESSION, schedmds, with, with_libraries};
use crate::tree::{Case, Tree, expect};

#[test]
fn schedmds_module_behind_ours_is_the_way_back() {
    let advice = |tree: Tree| {
        let report = tree.report();
        let mut found = report.findings().filter(|it| it.check.id == "SA012");
        found.next().expect("SA012").advice().to_owned()
    };
    let behind_ours = || {
        let tree = with_libraries(OWN);
        tree.write_bytes("/usr/lib/security/pam_slurm_adopt.so", &SCHEDMDS.bytes());
        tree
    };
    let tree = behind_ours();
    let library = "/usr/lib/x86_64-linux-gnu/libslurm.so.42";
    tree.write_bytes(library, &PLAIN.bytes());
    assert!(advice(tree).starts_with("Leave it: it is the way back"));
    // Without its library it serves no login.
    assert!(
        advice(behind_ours())
            .starts_with("Leave SchedMD's behind this project's, if it can be loaded")
    );
}

#[test]
fn whose_module_it_is() {
    expect(&[
        Case {
            name: "SchedMD's",
            make: schedmds,
            found: &[
                "SA013 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
                "SA250 failure /etc/pam.d/common-session:6",
            ],
        },
        Case {
            name: "SchedMD's with an option of ours",
            make: || {
                let tree = schedmds();
                tree.replace("/etc/pam.d/sshd", ACCOUNT, &format!("{ACCOUNT} strict"));
                tree
            },
            found: &[
                "SA013 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
                "SA022 warning /etc/pam.d/sshd:3",
                "SA250 failure /etc/pam.d/common-session:6",
            ],
        },
        Case {
            name: "SchedMD's with our file of options",
            make: || {
                let tree = schedmds();
                tree.write("/etc/security/slurm_adopt.conf", "exempt_users = root\n");
                tree
            },
            found: &[
                "SA013 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
                "SA022 warning /etc/security/slurm_adopt.conf",
                "SA250 failure /etc/pam.d/common-session:6",
            ],
        },
    ]);
}

#[test]
fn modules_that_are_not_ours_at_all() {
    expect(&[
        Case {
            name: "SchedMD's with a session line",
            make: || {
                let tree = schedmds();
                tree.append("/etc/pam.d/sshd", &format!("{SESSION}\n"));
                tree
            },
            found: &[
                "SA013 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/sshd:17",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
            ],
        },
        Case {
            name: "a module of somebody else",
            make: || with(PLAIN),
            found: &["SA014 note /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
    ]);
}
