//! Whether sshd can load the module, and whether users can change it.

use crate::elf::{AARCH64, Elf, OWN, PLAIN};
use crate::module::{ACCOUNT, DEBIAN, OPT, REDHAT, SESSION, schedmds, with_libraries};
use crate::tree::{Case, Tree, expect};

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
