//! Distributions other than the bases.

use super::{ACCOUNT, SSHD};
use crate::tree::{Case, Tree, expect};

/// RHEL 7's password-auth is a link to password-auth-ac, SUSE's common-account one to common-account-pc.
fn linked(name: &str, target: &str) -> Tree {
    let tree = Tree::redhat();
    tree.replace(SSHD, ACCOUNT, "");
    let file = format!("/etc/pam.d/{name}");
    tree.prepend(&file, ACCOUNT);
    tree.rename(&file, &format!("/etc/pam.d/{target}"));
    tree.link(&file, target);
    tree
}

#[test]
fn a_file_behind_a_link_is_no_service() {
    expect(&[Case {
        name: "RHEL 7",
        make: || linked("password-auth", "password-auth-ac"),
        found: &[],
    }]);
}

#[test]
fn overriding_the_distributions_drop_in_is_no_mistake() {
    const DIR: &str = "/etc/ssh/sshd_config.d";
    expect(&[
        Case {
            name: "keyboard-interactive before 50-redhat.conf",
            make: || {
                let tree = Tree::redhat();
                let text = "KbdInteractiveAuthentication yes\n";
                tree.write(&format!("{DIR}/10-mfa.conf"), text);
                tree
            },
            found: &[],
        },
        Case {
            name: "behind it",
            make: || {
                let tree = Tree::redhat();
                let text = "KbdInteractiveAuthentication yes\n";
                tree.write(&format!("{DIR}/60-mfa.conf"), text);
                tree
            },
            found: &["SA307 warning /etc/ssh/sshd_config.d/60-mfa.conf:1"],
        },
    ]);
}

/// A base without any line of the module, and without its file.
fn without_the_module(tree: Tree) -> Tree {
    const MODULE: &str = "/usr/lib64/security/pam_slurm_adopt.so";
    tree.replace(SSHD, ACCOUNT, "");
    tree.replace(SSHD, &ACCOUNT.replacen("account", "session", 1), "");
    for service in ["su", "su-l"] {
        let file = format!("/etc/pam.d/{service}");
        let text = std::fs::read_to_string(tree.path(&file)).expect("the file");
        let lines = text.lines().filter(|it| !it.contains("slurm_adopt"));
        let kept: Vec<&str> = lines.collect();
        tree.write(&file, &format!("{}\n", kept.join("\n")));
    }
    tree.remove(MODULE);
    tree
}

#[test]
fn a_compute_node_without_the_module_lets_everybody_in() {
    expect(&[
        Case {
            name: "an image that the package was left out of",
            make: || without_the_module(Tree::redhat()),
            found: &["SA220 failure /etc/pam.d/sshd"],
        },
        Case {
            name: "pam_slurm alone, as OpenHPC's recipe has it",
            make: || {
                let tree = without_the_module(Tree::redhat());
                tree.append(SSHD, "account required pam_slurm.so\n");
                tree.write("/usr/lib64/security/pam_slurm.so", "\x7fELF");
                tree
            },
            found: &["SA220 failure /etc/pam.d/sshd"],
        },
        Case {
            name: "the image of a login node",
            make: || {
                let tree = without_the_module(Tree::redhat());
                tree.write("/etc/hostname", "login1\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn root_alone_past_the_module_is_nothing_to_note() {
    expect(&[Case {
        name: "Magic Castle's pam_access, nobody named but root",
        make: || {
            let tree = Tree::redhat();
            let lines = format!("account sufficient pam_access.so\n{ACCOUNT}");
            tree.replace(SSHD, ACCOUNT, &lines);
            tree.write("/etc/security/access.conf", "+:root:ALL\n-:ALL:ALL\n");
            tree.write("/usr/lib64/security/pam_access.so", "\x7fELF");
            tree
        },
        found: &[],
    }]);
}

#[test]
fn the_fix_for_a_vendors_file_is_to_copy_it_first() {
    let tree = Tree::redhat();
    tree.replace(SSHD, ACCOUNT, "");
    tree.rename(SSHD, "/usr/lib/pam.d/sshd");
    let report = tree.report();
    let absent = report.findings().find(|it| it.check.id == "SA220");
    let advice = absent.map(check::Finding::advice).unwrap_or_default();
    let begin = "Copy /usr/lib/pam.d/sshd to /etc/pam.d/sshd. Run slurm-adopt setup, or add to";
    assert!(advice.starts_with(begin), "{advice}");
}

#[test]
fn without_sshd_pam_systemd_takes_nobody_anywhere() {
    expect(&[Case {
        name: "a container without sshd, whose other services have pam_systemd",
        make: || {
            let tree = Tree::debian();
            tree.remove(SSHD);
            tree.remove("/etc/ssh/sshd_config");
            for unit in ["user@.service.d", "user@0.service.d"] {
                tree.remove(&format!("/etc/systemd/system/{unit}/slurm_adopt.conf"));
            }
            tree.write("/etc/pam.d/other", "@include common-session\n");
            tree
        },
        found: &[],
    }]);
}

#[test]
fn cron_and_at_are_told_of_once() {
    expect(&[Case {
        name: "RHEL with cronie and at, for everybody",
        make: || {
            let tree = Tree::redhat();
            for daemon in ["crond", "atd"] {
                tree.write(&format!("/usr/sbin/{daemon}"), "\x7fELF");
                let unit = format!("/etc/systemd/system/multi-user.target.wants/{daemon}.service");
                tree.link(&unit, &format!("/usr/lib/systemd/system/{daemon}.service"));
            }
            tree.write("/etc/cron.deny", "");
            tree.write("/etc/at.deny", "");
            tree
        },
        found: &["SA620 note", "SA622 note /etc/at.deny"],
    }]);
}
