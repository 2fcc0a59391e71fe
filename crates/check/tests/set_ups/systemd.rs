//! systemd and users' service managers.

use std::fs;

use crate::tree::{Case, Tree, expect};

const DROP_IN: &str = "/etc/systemd/system/user@.service.d/slurm_adopt.conf";
const LINGER: &str = "/var/lib/systemd/linger";
/// systemd's own unit, shortened.
const UNIT: &str = "[Unit]\nDescription=User Manager for UID %i\n[Service]\nUser=%i\nPAMName=systemd-user\n\
                    Type=notify\nExecStart=/usr/lib/systemd/systemd --user\nDelegate=pids memory cpu\n";

/// Debian without the drop-in.
fn stock() -> Tree {
    let tree = Tree::debian();
    tree.remove(DROP_IN);
    tree.write("/usr/lib/systemd/system/user@.service", UNIT);
    tree
}

/// Debian with a drop-in of this text for sshd's unit.
fn ssh(text: &str) -> Tree {
    let tree = Tree::debian();
    tree.write(
        "/usr/lib/systemd/system/ssh.service",
        "[Service]\nExecStart=/usr/sbin/sshd -D\n",
    );
    tree.write("/etc/systemd/system/ssh.service.d/hardening.conf", text);
    tree
}

/// Debian with cron.
fn cron() -> Tree {
    let tree = Tree::debian();
    let wants = "/etc/systemd/system/multi-user.target.wants/cron.service";
    tree.link(wants, "/usr/lib/systemd/system/cron.service");
    tree
}

#[test]
fn logins_with_a_service_manager() {
    expect(&[
        Case {
            name: "Debian's stock files",
            make: stock,
            found: &["SA602 warning /etc/pam.d/common-session:6"],
        },
        Case {
            name: "RHEL's stock files",
            make: || {
                let tree = Tree::redhat();
                tree.remove(DROP_IN);
                tree
            },
            found: &["SA602 warning /etc/pam.d/password-auth:23"],
        },
        Case {
            name: "the drop-in in a directory with a typo",
            make: || {
                let tree = stock();
                let text =
                    fs::read_to_string("../../packaging/systemd/user@.service.d/slurm_adopt.conf");
                tree.write(
                    "/etc/systemd/system/user@service.d/slurm_adopt.conf",
                    &text.expect("read"),
                );
                tree
            },
            found: &["SA602 warning /etc/pam.d/common-session:6"],
        },
    ]);
}

#[test]
fn logins_without_a_service_manager() {
    expect(&[
        Case {
            name: "pam_systemd taken out",
            make: || {
                let tree = stock();
                tree.replace(
                    "/etc/pam.d/common-session",
                    "session\toptional\tpam_systemd.so",
                    "#",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "pam_systemd is not installed, as in a container",
            make: || {
                let tree = stock();
                tree.remove("/usr/lib/x86_64-linux-gnu/security/pam_systemd.so");
                tree.replace(
                    "/etc/pam.d/common-session",
                    "session\toptional\tpam_systemd",
                    "-session\toptional\tpam_systemd",
                );
                tree
            },
            found: &[],
        },
        Case {
            name: "logind masked, as SchedMD's manual said",
            make: || {
                let tree = stock();
                tree.link("/etc/systemd/system/systemd-logind.service", "/dev/null");
                tree
            },
            found: &[],
        },
        Case {
            name: "user@.service masked",
            make: || {
                let tree = stock();
                tree.link("/etc/systemd/system/user@.service", "/dev/null");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn drop_ins_that_leave_a_way_out() {
    expect(&[
        Case {
            name: "ExecStart is not emptied",
            make: || {
                let tree = stock();
                tree.write(
                    DROP_IN,
                    "[Service]\nType=oneshot\nDelegate=no\nExecStart=/bin/true\n",
                );
                tree
            },
            found: &["SA603 warning /etc/systemd/system/user@.service.d/slurm_adopt.conf:4"],
        },
        Case {
            name: "Delegate is left",
            make: || {
                let tree = stock();
                tree.write(
                    DROP_IN,
                    "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/true\n",
                );
                tree
            },
            found: &["SA603 warning /etc/systemd/system/user@.service.d/slurm_adopt.conf:4"],
        },
    ]);
}

#[test]
fn drop_ins_that_override_each_other() {
    expect(&[
        Case {
            name: "a later drop-in brings the manager back",
            make: || {
                let tree = Tree::debian();
                let path = "/etc/systemd/system/user@.service.d/zz-site.conf";
                tree.write(
                    path,
                    "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd --user\n",
                );
                tree
            },
            found: &["SA603 warning /etc/systemd/system/user@.service.d/zz-site.conf:3"],
        },
        Case {
            name: "a later drop-in sets Delegate again, as many do for rootless containers",
            make: || {
                let tree = Tree::debian();
                let path = "/etc/systemd/system/user@.service.d/zz-delegate.conf";
                tree.write(path, "[Service]\nDelegate=cpu cpuset io memory pids\n");
                tree
            },
            found: &["SA603 warning /etc/systemd/system/user@.service.d/zz-delegate.conf:2"],
        },
        Case {
            name: "an earlier drop-in sets Delegate, which ours takes back",
            make: || {
                let tree = Tree::debian();
                let path = "/etc/systemd/system/user@.service.d/delegate.conf";
                tree.write(path, "[Service]\nDelegate=cpu cpuset io memory pids\n");
                tree.write("/usr/lib/systemd/system/user@.service", UNIT);
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn users_who_linger() {
    expect(&[
        Case {
            name: "alice, without the drop-in",
            make: || {
                let tree = stock();
                tree.write(&format!("{LINGER}/alice"), "");
                tree
            },
            found: &[
                "SA601 failure /var/lib/systemd/linger/alice",
                "SA602 warning /etc/pam.d/common-session:6",
            ],
        },
        Case {
            name: "a user of LDAP, without pam_systemd",
            make: || {
                let tree = stock();
                tree.replace(
                    "/etc/pam.d/common-session",
                    "session\toptional\tpam_systemd.so",
                    "#",
                );
                tree.write(&format!("{LINGER}/carol"), "");
                tree
            },
            found: &["SA601 failure /var/lib/systemd/linger/carol"],
        },
        Case {
            name: "alice, whose unit runs nothing because of the drop-in",
            make: || {
                let tree = Tree::debian();
                tree.write(&format!("{LINGER}/alice"), "");
                tree
            },
            found: &[],
        },
        Case {
            name: "root, a user of the system, and an exempt admin",
            make: || {
                let tree = stock();
                for name in ["root", "sshd", "alice"] {
                    tree.write(&format!("{LINGER}/{name}"), "");
                }
                tree.write(
                    "/etc/security/slurm_adopt.conf",
                    "exempt_groups = hpcadmin\n",
                );
                tree
            },
            found: &["SA602 warning /etc/pam.d/common-session:6"],
        },
    ]);
}

#[test]
fn units_of_sshd_that_are_hardened() {
    expect(&[
        Case {
            name: "process numbers of its own",
            make: || ssh("[Service]\nPrivatePIDs=yes\n"),
            found: &["SA630 failure /etc/systemd/system/ssh.service.d/hardening.conf:2"],
        },
        Case {
            name: "no Unix sockets",
            make: || ssh("[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\n"),
            found: &["SA630 failure /etc/systemd/system/ssh.service.d/hardening.conf:2"],
        },
        Case {
            name: "no namespaces",
            make: || ssh("[Service]\nRestrictNamespaces=true\n"),
            found: &["SA630 warning /etc/systemd/system/ssh.service.d/hardening.conf:2"],
        },
        Case {
            name: "nothing can be written",
            make: || ssh("[Service]\nProtectSystem=strict\n"),
            found: &["SA630 warning /etc/systemd/system/ssh.service.d/hardening.conf:2"],
        },
        Case {
            name: "the spool directory hidden, by a drop-in for all services",
            make: || {
                let tree = ssh("");
                tree.write(
                    "/etc/systemd/system/service.d/hide.conf",
                    "[Service]\nInaccessiblePaths=-/var/spool\n",
                );
                tree
            },
            found: &["SA630 failure /etc/systemd/system/service.d/hide.conf:2"],
        },
        Case {
            name: "a limit on the size of files",
            make: || ssh("[Service]\nLimitFSIZE=1G\n"),
            found: &["SA630 warning /etc/systemd/system/ssh.service.d/hardening.conf:2"],
        },
        Case {
            name: "hardening that does no harm",
            make: || {
                ssh(
                    "[Service]\nPrivateTmp=yes\nProtectProc=invisible\nProtectControlGroups=yes\n\
                     ProtectSystem=full\nProtectKernelModules=yes\nLimitFSIZE=infinity\n\
                     RestrictAddressFamilies=AF_INET AF_INET6\nRestrictAddressFamilies=AF_UNIX AF_NETLINK\n\
                     RestrictNamespaces=no\n",
                )
            },
            found: &[],
        },
    ]);
}

#[test]
fn cron_for_users() {
    expect(&[
        Case {
            name: "cron for all",
            make: cron,
            found: &["SA620 note"],
        },
        Case {
            name: "a user's crontab",
            make: || {
                let tree = cron();
                tree.write("/etc/cron.allow", "alice\n");
                tree.write(
                    "/var/spool/cron/crontabs/alice",
                    "@reboot /home/alice/miner\n",
                );
                tree
            },
            found: &["SA621 warning /var/spool/cron/crontabs/alice"],
        },
        Case {
            name: "cron for root alone, who has a crontab",
            make: || {
                let tree = cron();
                tree.write("/etc/cron.allow", "");
                tree.write("/var/spool/cron/crontabs/root", "@daily true\n");
                tree
            },
            found: &[],
        },
        Case {
            name: "a crontab, and no cron",
            make: || {
                let tree = Tree::debian();
                tree.write("/var/spool/cron/crontabs/alice", "@reboot true\n");
                tree
            },
            found: &[],
        },
    ]);
}

#[test]
fn at_and_podman() {
    expect(&[
        Case {
            name: "at for all but some",
            make: || {
                let tree = Tree::redhat();
                let wants = "/etc/systemd/system/multi-user.target.wants/atd.service";
                tree.link(wants, "/usr/lib/systemd/system/atd.service");
                tree.write("/etc/at.deny", "");
                tree
            },
            found: &["SA622 note /etc/at.deny"],
        },
        Case {
            name: "Podman as it comes",
            make: || {
                let tree = Tree::redhat();
                tree.write("/usr/bin/podman", "");
                tree.write(
                    "/usr/share/containers/containers.conf",
                    "[engine]\n#cgroup_manager = \"systemd\"\n",
                );
                tree
            },
            found: &["SA610 note /etc/containers/containers.conf"],
        },
        Case {
            name: "Podman that leaves systemd alone",
            make: || {
                let tree = Tree::redhat();
                tree.write("/usr/bin/podman", "");
                let text = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
                tree.write("/etc/containers/containers.conf", text);
                tree
            },
            found: &[],
        },
    ]);
}
