//! The module's file.

use crate::elf::{AARCH64, Elf, GLIBC_2_36, OWN, PLAIN, SCHEDMDS};
use crate::tree::{Case, Tree, expect};

const DEBIAN: &str = "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so";
const REDHAT: &str = "/usr/lib64/security/pam_slurm_adopt.so";
/// In a prefix of Slurm's own.
const OPT: &str = "/opt/slurm/lib/security/pam_slurm_adopt.so";
const ACCOUNT: &str = "account    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny";
const SESSION: &str = "session    required     pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny";

/// Debian with this module.
fn with(module: Elf) -> Tree {
    let tree = Tree::debian();
    tree.write_bytes(DEBIAN, &module.bytes());
    tree
}

/// The same with the C library and libpam of Debian 12.
fn with_libraries(module: Elf) -> Tree {
    let tree = with(module);
    let dir = "/usr/lib/x86_64-linux-gnu";
    tree.write_bytes(&format!("{dir}/libc.so.6"), &GLIBC_2_36.bytes());
    let libpam = Elf {
        text: "\0/lib/x86_64-linux-gnu/security/\0/lib/security\0",
        ..PLAIN
    };
    tree.write_bytes(&format!("{dir}/libpam.so.0"), &libpam.bytes());
    tree.link("/lib", "usr/lib");
    tree.write_bytes("/usr/sbin/sshd", &PLAIN.bytes());
    tree
}

/// SchedMD's module with its library; the line for the session, which it lacks, is gone.
fn schedmds() -> Tree {
    let tree = with_libraries(SCHEDMDS);
    let library = "/usr/lib/x86_64-linux-gnu/libslurm.so.42";
    tree.write_bytes(library, &PLAIN.bytes());
    tree.replace("/etc/pam.d/sshd", &format!("{SESSION}\n"), "");
    tree
}

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

#[test]
fn a_file_that_users_can_change() {
    expect(&[
        Case {
            name: "writable by all",
            make: || {
                let tree = Tree::debian();
                tree.chmod(DEBIAN, 0o666);
                tree
            },
            found: &["SA015 failure /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "in a directory that all may write to",
            make: || {
                let tree = Tree::redhat();
                tree.chmod("/usr/lib64/security", 0o777);
                tree
            },
            found: &["SA015 failure /usr/lib64/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "a link into a directory that all may write to",
            make: || {
                let tree = Tree::debian();
                tree.rename(DEBIAN, "/srv/build/pam_slurm_adopt.so");
                tree.chmod("/srv/build", 0o777);
                tree.link(DEBIAN, "/srv/build/pam_slurm_adopt.so");
                tree
            },
            found: &["SA015 failure /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "a link in a directory that all may write to",
            make: || {
                let tree = Tree::debian();
                let link = "/srv/build/pam_slurm_adopt.so";
                tree.link(link, DEBIAN);
                tree.chmod("/srv/build", 0o777);
                tree.replace(
                    "/etc/pam.d/sshd",
                    ACCOUNT,
                    &ACCOUNT.replace("pam_slurm_adopt.so", link),
                );
                tree
            },
            found: &["SA015 failure /srv/build/pam_slurm_adopt.so"],
        },
        Case {
            name: "root's in a sticky directory above",
            make: || {
                let tree = Tree::debian();
                tree.rename(DEBIAN, "/srv/all/own/pam_slurm_adopt.so");
                tree.chmod("/srv/all", 0o1777);
                tree.link(DEBIAN, "/srv/all/own/pam_slurm_adopt.so");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn a_users_file() {
    let tree = Tree::debian();
    if tree.chown(DEBIAN, 2001) {
        assert_eq!(tree.found(), [format!("SA015 failure {DEBIAN}")]);
    }
}

#[test]
fn a_file_that_cannot_be_loaded() {
    expect(&[
        Case {
            name: "the page of an error instead of the file",
            make: || {
                let tree = Tree::debian();
                tree.write(DEBIAN, "<html>404 /etc/security/slurm_adopt.conf</html>\n");
                tree
            },
            found: &["SA016 failure /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "a copy that was interrupted",
            make: || {
                let tree = Tree::debian();
                let bytes = OWN.bytes();
                tree.write_bytes(DEBIAN, &bytes[..bytes.len() - 64]);
                tree
            },
            found: &["SA016 failure /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "a directory",
            make: || {
                let tree = Tree::debian();
                tree.remove(DEBIAN);
                tree.make_dir(DEBIAN);
                tree
            },
            found: &["SA023 failure /usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
    ]);
}

#[test]
fn a_file_that_does_not_fit_the_host() {
    expect(&[
        Case {
            name: "for another machine",
            make: || {
                with_libraries(Elf {
                    machine: AARCH64,
                    ..OWN
                })
            },
            found: &["SA017 failure /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "built on a newer distribution",
            make: || {
                with_libraries(Elf {
                    needs_glibc: Some("GLIBC_2.38"),
                    ..OWN
                })
            },
            found: &["SA018 failure /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "SchedMD's after an update that took its libslurm away",
            make: || {
                let tree = schedmds();
                tree.remove("/usr/lib/x86_64-linux-gnu/libslurm.so.42");
                tree
            },
            found: &[
                "SA019 failure /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
                "SA250 failure /etc/pam.d/common-session:6",
            ],
        },
    ]);
}

#[test]
fn files_that_can_be_loaded() {
    expect(&[
        Case {
            name: "Debian with /lib a link to usr/lib",
            make: || with_libraries(OWN),
            found: &[],
        },
        Case {
            name: "the libslurm of SchedMD's module in a directory of ld.so.conf",
            make: || {
                let tree = schedmds();
                tree.remove("/usr/lib/x86_64-linux-gnu/libslurm.so.42");
                tree.write("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n");
                tree.write("/etc/ld.so.conf.d/slurm.conf", "/opt/slurm/lib\n");
                tree.write_bytes("/opt/slurm/lib/libslurm.so.42", &PLAIN.bytes());
                tree
            },
            found: &[
                "SA013 note /lib/x86_64-linux-gnu/security/pam_slurm_adopt.so",
                "SA020 failure /etc/pam.d/su-l:10",
                "SA020 failure /etc/pam.d/su:9",
                "SA250 failure /etc/pam.d/common-session:6",
            ],
        },
        Case {
            name: "an absolute path",
            make: || {
                let tree = Tree::redhat();
                tree.rename(REDHAT, OPT);
                for line in [ACCOUNT, SESSION] {
                    let new = line.replace("pam_slurm_adopt.so", OPT);
                    tree.replace("/etc/pam.d/sshd", line, &new);
                }
                tree
            },
            found: &["SA010 failure /etc/pam.d/su:10"],
        },
        Case {
            name: "on a file system that is mounted later",
            make: || {
                let tree = Tree::redhat();
                tree.remove(REDHAT);
                for line in [ACCOUNT, SESSION] {
                    let new = line.replace("pam_slurm_adopt.so", OPT);
                    tree.replace("/etc/pam.d/sshd", line, &new);
                }
                tree.write("/etc/fstab", "nfs:/opt /opt nfs ro 0 0\n");
                tree
            },
            found: &["SA010 failure /etc/pam.d/su:10"],
        },
    ]);
}
