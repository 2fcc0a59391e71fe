//! SELinux, AppArmor, fapolicyd, the state directory.

use crate::tree::{Case, Tree, expect};

const MODULE: &str = "/usr/lib64/security/pam_slurm_adopt.so";
const STORE: &str = "/var/lib/selinux/targeted/active/modules";
/// The start of the profile in Debian's apparmor-profiles.
const PROFILE: &str = "#include <tunables/global>\n\n/usr/sbin/sshd {\n  #include <abstractions/base>\n  /etc/ssh/** r,\n";

/// RHEL with SELinux.
fn selinux(mode: &str) -> Tree {
    let tree = Tree::redhat();
    tree.write(
        "/etc/selinux/config",
        &format!("SELINUX={mode}\nSELINUXTYPE=targeted\n"),
    );
    for name in ["ssh", "base"] {
        tree.write(&format!("{STORE}/100/{name}/cil"), "");
    }
    tree
}

/// Debian with a profile for sshd.
fn apparmor(text: &str) -> Tree {
    let tree = Tree::debian();
    tree.write("/etc/apparmor.d/usr.sbin.sshd", text);
    tree
}

/// RHEL with fapolicyd.
fn fapolicyd() -> Tree {
    let tree = Tree::redhat();
    let wants = "/etc/systemd/system/multi-user.target.wants/fapolicyd.service";
    tree.link(wants, "/usr/lib/systemd/system/fapolicyd.service");
    tree
}

#[test]
fn policies_of_selinux() {
    expect(&[
        Case {
            name: "enforcing, without a module for Slurm",
            make: || selinux("enforcing"),
            found: &["SA700 warning /etc/selinux/config"],
        },
        Case {
            name: "the same, with a module of the site's by some name",
            make: || {
                let tree = selinux("enforcing");
                tree.write(&format!("{STORE}/400/site_hpc/cil"), "");
                tree
            },
            found: &["SA700 note /etc/selinux/config"],
        },
        Case {
            name: "permissive",
            make: || selinux("permissive"),
            found: &["SA700 note /etc/selinux/config"],
        },
        Case {
            name: "enforcing, with the sample of SchedMD's manual",
            make: || {
                let tree = selinux("enforcing");
                tree.write(&format!("{STORE}/400/pam_slurm_adopt/cil"), "");
                tree
            },
            found: &["SA700 note /etc/selinux/config"],
        },
        Case {
            name: "enforcing, with our modules",
            make: with_ours,
            found: &[],
        },
        Case {
            name: "enforcing, with our module disabled",
            make: || {
                let tree = with_ours();
                tree.write(&format!("{STORE}/disabled/slurm_adopt"), "");
                tree
            },
            found: &["SA700 warning /etc/selinux/config"],
        },
        Case {
            name: "enforcing, with a permissive sshd",
            make: || {
                let tree = selinux("enforcing");
                tree.write(&format!("{STORE}/400/permissive_sshd_t/cil"), "");
                tree
            },
            found: &[],
        },
        Case {
            name: "disabled",
            make: || selinux("disabled"),
            found: &[],
        },
    ]);
}

#[test]
fn policies_for_options() {
    const OPTIONS: &str = "/etc/security/slurm_adopt.conf";
    expect(&[
        Case {
            name: "a runtime directory, with its module",
            make: || {
                let tree = with_ours();
                tree.write(OPTIONS, "runtime_dir=create\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "a runtime directory, without",
            make: || {
                let tree = with_ours();
                tree.write(OPTIONS, "runtime_dir=create\n");
                tree.write(&format!("{STORE}/disabled/slurm_adopt_runtime_dir"), "");
                tree
            },
            found: &["SA703 warning /etc/selinux/config"],
        },
        Case {
            name: "caller ID without its module",
            make: without_callerid,
            found: &["SA703 warning /etc/selinux/config"],
        },
        Case {
            name: "the same, but a module of the site's may have the rules",
            make: || {
                let tree = without_callerid();
                tree.write(&format!("{STORE}/400/site_hpc/cil"), "");
                tree
            },
            found: &["SA703 note /etc/selinux/config"],
        },
        Case {
            name: "the same, permissive",
            make: || {
                let tree = without_callerid();
                tree.write(
                    "/etc/selinux/config",
                    "SELINUX=permissive\nSELINUXTYPE=targeted\n",
                );
                tree
            },
            found: &["SA703 note /etc/selinux/config"],
        },
        Case {
            name: "no caller is asked",
            make: || {
                let tree = without_callerid();
                tree.write(OPTIONS, "callerid_skip=0.0.0.0/0,::/0\n");
                tree
            },
            found: &[],
        },
    ]);
}

/// Enforcing, with the modules of packaging/selinux.
fn with_ours() -> Tree {
    let tree = selinux("enforcing");
    load_ours(&tree);
    tree
}

fn load_ours(tree: &Tree) {
    for name in [
        "slurm_adopt",
        "slurm_adopt_runtime_dir",
        "slurm_adopt_callerid",
    ] {
        tree.write(&format!("{STORE}/400/{name}/cil"), "");
    }
}

fn without_callerid() -> Tree {
    let tree = with_ours();
    tree.write(&format!("{STORE}/disabled/slurm_adopt_callerid"), "");
    tree
}

#[test]
fn labels_of_selinux() {
    let judged = |mode: &str, path: &str, label: &str| {
        let tree = selinux(mode);
        load_ours(&tree);
        tree.write("/etc/security/slurm_adopt.conf", "strict\n");
        tree.label(path, label).then(|| tree.found())
    };
    let home = "unconfined_u:object_r:user_home_t:s0";
    // Where labels cannot be set there is nothing to see.
    if let Some(found) = judged("enforcing", MODULE, home) {
        assert_eq!(
            found,
            ["SA702 failure /usr/lib64/security/pam_slurm_adopt.so"]
        );
    }
    if let Some(found) = judged("permissive", "/etc/security/slurm_adopt.conf", home) {
        assert_eq!(found, ["SA702 warning /etc/security/slurm_adopt.conf"]);
    }
    if let Some(found) = judged("enforcing", MODULE, "system_u:object_r:lib_t:s0") {
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn profiles_of_apparmor() {
    expect(&[
        Case {
            name: "enforced, without rules for Slurm",
            make: || apparmor(&format!("{PROFILE}}}\n")),
            found: &["SA720 failure /etc/apparmor.d/usr.sbin.sshd:3"],
        },
        Case {
            name: "enforced, with rules for Slurm in the local file",
            make: || {
                let tree = apparmor(&format!("{PROFILE}}}\n"));
                tree.write(
                    "/etc/apparmor.d/local/usr.sbin.sshd",
                    "/var/spool/slurmd/** rw,\n",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "complaining",
            make: || apparmor(&PROFILE.replace("sshd {", "sshd flags=(complain) {")),
            found: &[],
        },
        Case {
            name: "disabled",
            make: || {
                let tree = apparmor(PROFILE);
                tree.link(
                    "/etc/apparmor.d/disable/usr.sbin.sshd",
                    "/etc/apparmor.d/usr.sbin.sshd",
                );
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn the_directory_below_run() {
    expect(&[
        Case {
            name: "made for SlurmUser",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    "/etc/tmpfiles.d/slurm.conf",
                    "d /run/slurm 0755 slurm slurm -\nd /run/slurm-adopt 0755 slurm slurm -\n",
                );
                tree
            },
            found: &["SA712 warning /etc/tmpfiles.d/slurm.conf:2"],
        },
        Case {
            name: "made for root, in place of another file of the same name",
            make: || {
                let tree = Tree::debian();
                tree.write(
                    "/usr/lib/tmpfiles.d/slurm-adopt.conf",
                    "d /run/slurm-adopt 0777 root root -\n",
                );
                tree.write(
                    "/etc/tmpfiles.d/slurm-adopt.conf",
                    "d /run/slurm-adopt 0700 root root -\n",
                );
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn what_fapolicyd_trusts() {
    expect(&[
        Case {
            name: "a module that no trust file has",
            make: fapolicyd,
            found: &["SA730 note /usr/lib64/security/pam_slurm_adopt.so"],
        },
        Case {
            name: "a module that was added",
            make: || {
                let tree = fapolicyd();
                tree.write("/etc/fapolicyd/trust.d/slurm", &format!("{MODULE} 1 0\n"));
                tree
            },
            found: &[],
        },
    ]);
}
