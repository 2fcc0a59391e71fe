//! Where libpam finds the module, and where it does not.

use crate::elf::{OWN, SCHEDMDS};
use crate::module::{ACCOUNT, DEBIAN, OPT, REDHAT, SESSION, schedmds, with, with_libraries};
use crate::tree::{Case, Tree, expect};

#[test]
fn a_file_that_libpam_does_not_find() {
    expect(&[
        Case {
            name: "no file",
            make: || {
                let tree = Tree::debian();
                tree.remove(DEBIAN);
                tree
            },
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "in /lib/security of RHEL, where make install puts it",
            make: || {
                let tree = Tree::redhat();
                tree.rename(REDHAT, "/usr/lib/security/pam_slurm_adopt.so");
                tree
            },
            found: &["SA010 failure /etc/pam.d/sshd:6"],
        },
        Case {
            name: "an absolute path with a typo",
            make: || {
                let tree = Tree::redhat();
                let line = SESSION.replace("pam_slurm", "/opt/slurm/lib/pam_slurm");
                tree.replace("/etc/pam.d/sshd", SESSION, &line);
                tree
            },
            found: &["SA010 failure /etc/pam.d/sshd:17"],
        },
        Case {
            name: "a name without .so",
            make: || {
                let tree = Tree::debian();
                tree.replace("/etc/pam.d/sshd", ACCOUNT, &ACCOUNT.replace(".so", ""));
                tree
            },
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a link that leads nowhere, with a dash before the line",
            make: || {
                let tree = Tree::debian();
                tree.remove(DEBIAN);
                tree.link(DEBIAN, "/opt/slurm/lib/pam_slurm_adopt.so");
                tree.replace("/etc/pam.d/sshd", ACCOUNT, &format!("-{ACCOUNT}"));
                tree
            },
            found: &["SA010 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn two_files_of_the_name() {
    expect(&[
        Case {
            name: "ours in /lib/security of Debian 12, SchedMD's before it",
            make: || {
                let tree = schedmds();
                tree.write_bytes("/usr/lib/security/pam_slurm_adopt.so", &OWN.bytes());
                tree
            },
            found: &[
                "SA011 warning /lib/security/pam_slurm_adopt.so",
                "SA013 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
                "SA250 failure /etc/pam.d/common-session:6",
            ],
        },
        Case {
            name: "SchedMD's in /lib/security of Debian 12, ours before it",
            make: || {
                let tree = with_libraries(OWN);
                tree.write_bytes("/usr/lib/security/pam_slurm_adopt.so", &SCHEDMDS.bytes());
                tree
            },
            found: &["SA012 note /lib/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "SchedMD's before ours, but without its libslurm: libpam goes on to ours",
            make: || {
                let tree = with_libraries(SCHEDMDS);
                tree.write_bytes("/usr/lib/security/pam_slurm_adopt.so", &OWN.bytes());
                tree
            },
            found: &["SA012 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
    ]);
}

#[test]
fn a_file_where_libpam_does_not_look() {
    expect(&[
        Case {
            name: "ours where RHEL's libpam does not look, SchedMD's where it does",
            make: || {
                let tree = Tree::redhat();
                tree.write_bytes(REDHAT, &SCHEDMDS.bytes());
                tree.write_bytes("/usr/lib/security/pam_slurm_adopt.so", &OWN.bytes());
                tree.replace("/etc/pam.d/sshd", &format!("{SESSION}\n"), "");
                tree
            },
            found: &[
                "SA011 warning /usr/lib/security/pam_slurm_adopt.so",
                "SA013 note /usr/lib64/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su:10",
                "SA250 failure /etc/pam.d/password-auth:23",
            ],
        },
        Case {
            name: "SchedMD's in its own prefix, which nothing names",
            make: || {
                let tree = with(OWN);
                tree.write_bytes(OPT, &SCHEDMDS.bytes());
                tree
            },
            found: &[],
        },
    ]);
}
