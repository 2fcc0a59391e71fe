//! sshd, other servers, Slurm and its scripts as sites have them.

use super::edits::Edit::*;
use super::edits::{SetUp, expect};
use crate::tree::Tree;

#[test]
fn lines_of_sshd_config() {
    expect(SSHD_CONFIG);
}

#[test]
fn other_ways_in_and_out() {
    expect(OTHER_DOORS);
}

#[test]
fn slurm_conf_and_scripts() {
    expect(SLURM);
}

#[test]
fn hosts_that_work() {
    expect(GOOD_HOSTS);
}

const SSHD_CONFIG: &[SetUp] = &[
    SetUp {
        name: "hostbased is asked for, and off by default",
        base: Tree::debian,
        edits: &[Append(
            "/etc/ssh/sshd_config",
            "AuthenticationMethods publickey,hostbased\n",
        )],
        found: &["SA311 failure /etc/ssh/sshd_config:8"],
    },
    SetUp {
        name: "GSSAPI is asked for, and off by default",
        base: Tree::debian,
        edits: &[Append(
            "/etc/ssh/sshd_config",
            "AuthenticationMethods gssapi-with-mic\n",
        )],
        found: &["SA311 failure /etc/ssh/sshd_config:8"],
    },
    SetUp {
        name: "an override of Ubuntu's ssh.service",
        base: Tree::debian,
        edits: &[
            Unit(
                "ssh.service",
                "[Service]\nExecStart=/usr/sbin/sshd -D\n",
                "multi-user.target",
            ),
            Write(
                "/etc/systemd/system/ssh.service.d/override.conf",
                "[Service]\n\
                ExecStart=\n\
                ExecStart=/usr/sbin/sshd -D -o UsePAM=no\n",
            ),
        ],
        found: &["SA300 failure /etc/systemd/system/ssh.service.d/override.conf:3"],
    },
    SetUp {
        name: "a hardening file that sorts before the cloud's",
        base: Tree::debian,
        edits: &[
            Write("/etc/ssh/sshd_config.d/10-cis.conf", "UsePAM no\n"),
            Write(
                "/etc/ssh/sshd_config.d/50-cloud-init.conf",
                "PasswordAuthentication yes\n",
            ),
        ],
        found: &["SA300 failure /etc/ssh/sshd_config.d/10-cis.conf:1"],
    },
    SetUp {
        name: "the Include below a Match line",
        base: Tree::debian,
        edits: &[
            Write(
                "/etc/ssh/sshd_config",
                "UsePAM yes\n\
                Match User root\n\
                PermitRootLogin yes\n\
                Include /etc/ssh/sshd_config.d/*.conf\n",
            ),
            Write(
                "/etc/ssh/sshd_config.d/50-x.conf",
                "KbdInteractiveAuthentication yes\nUsePAM yes\n",
            ),
        ],
        found: &["SA301 failure /etc/ssh/sshd_config.d/50-x.conf:2"],
    },
    SetUp {
        name: "an sshd for admins without PAM",
        base: Tree::debian,
        edits: &[
            Unit(
                "sshd-admin.service",
                "[Service]\n\
                ExecStart=/usr/sbin/sshd -D -f /etc/ssh/sshd_admin_config\n",
                "multi-user.target",
            ),
            Write("/etc/ssh/sshd_admin_config", "Port 2222\nUsePAM no\n"),
        ],
        found: &["SA300 failure /etc/ssh/sshd_admin_config:2"],
    },
    SetUp {
        name: "a service for compute nodes that is login's",
        base: Tree::debian,
        edits: &[
            Write("/usr/sbin/sshd", "OpenSSH_9.9p1\0"),
            Append(
                "/etc/ssh/sshd_config",
                "PAMServiceName login\nPerSourcePenalties no\n",
            ),
        ],
        found: &["SA220 failure /etc/pam.d/login"],
    },
];

const OTHER_DOORS: &[SetUp] = &[
    SetUp {
        name: "dropbear is enabled",
        base: Tree::debian,
        edits: &[Unit(
            "dropbear.service",
            "[Service]\nExecStart=/usr/sbin/dropbear -F\n",
            "multi-user.target",
        )],
        found: &["SA360 warning /usr/lib/systemd/system/dropbear.service"],
    },
    SetUp {
        name: "telnet is enabled",
        base: Tree::debian,
        edits: &[Unit(
            "telnet.socket",
            "[Socket]\nListenStream=23\nAccept=yes\n",
            "sockets.target",
        )],
        found: &["SA360 warning /usr/lib/systemd/system/telnet.socket"],
    },
    SetUp {
        name: "xrdp for desktops",
        base: Tree::debian,
        edits: &[
            Write(
                "/etc/pam.d/xrdp-sesman",
                "@include common-auth\n\
                @include common-account\n\
                @include common-session\n",
            ),
            Unit(
                "xrdp.service",
                "[Service]\nExecStart=/usr/sbin/xrdp\n",
                "multi-user.target",
            ),
        ],
        found: &["SA273 failure /etc/pam.d/xrdp-sesman"],
    },
    SetUp {
        name: "NoMachine",
        base: Tree::debian,
        edits: &[
            Write(
                "/etc/pam.d/nx",
                "auth required pam_unix.so\n\
                account required pam_unix.so\n\
                session required pam_unix.so\n",
            ),
            Unit(
                "nxserver.service",
                "[Service]\nExecStart=/etc/NX/nxserver\n",
                "multi-user.target",
            ),
        ],
        found: &["SA273 failure /etc/pam.d/nx"],
    },
    SetUp {
        name: "Delegate for rootless containers behind our drop-in",
        base: Tree::debian,
        edits: &[Write(
            "/etc/systemd/system/user@.service.d/zz-delegate.conf",
            "[Service]\nDelegate=cpu cpuset io memory pids\n",
        )],
        found: &["SA603 warning /etc/systemd/system/user@.service.d/zz-delegate.conf:2"],
    },
    SetUp {
        name: "the network is private for each connection",
        base: Tree::debian,
        edits: &[
            Write(
                "/usr/lib/systemd/system/ssh@.service",
                "[Service]\nExecStart=-/usr/sbin/sshd -i\nPrivateNetwork=yes\n",
            ),
            Unit(
                "ssh.socket",
                "[Socket]\nListenStream=22\nAccept=yes\n",
                "sockets.target",
            ),
        ],
        found: &["SA630 warning /usr/lib/systemd/system/ssh@.service:3"],
    },
];

const SLURM: &[SetUp] = &[
    SetUp {
        name: "an Include that tracks jobs otherwise",
        base: Tree::debian,
        edits: &[
            Replace(
                "/etc/slurm/slurm.conf",
                "ProctrackType=proctrack/cgroup",
                "Include /etc/slurm/site.conf",
            ),
            Write(
                "/etc/slurm/site.conf",
                "ProctrackType=proctrack/linuxproc\n",
            ),
        ],
        found: &["SA402 failure /etc/slurm/site.conf:1"],
    },
    SetUp {
        name: "an Include whose PrologFlags count",
        base: Tree::debian,
        edits: &[
            Append(
                "/etc/slurm/slurm.conf",
                "include slurm_parallelcluster.conf\n",
            ),
            Write(
                "/etc/slurm/slurm_parallelcluster.conf",
                "PrologFlags=Alloc\n",
            ),
        ],
        found: &[
            "SA400 failure /etc/slurm/slurm_parallelcluster.conf:1",
            "SA412 warning /etc/slurm/slurm.conf:9",
        ],
    },
    SetUp {
        name: "an Epilog that ends a user's processes but for the system's",
        base: Tree::debian,
        edits: &[
            Program(
                "/etc/slurm/e.sh",
                "#!/bin/bash\n\
                if [ $SLURM_UID -lt 1000 ]; then exit 0; fi\n\
                killall -9 -u \"$SLURM_JOB_USER\"\n",
            ),
            Append("/etc/slurm/slurm.conf", "Epilog=/etc/slurm/e.sh\n"),
        ],
        found: &["SA452 warning /etc/slurm/e.sh:3"],
    },
    SetUp {
        name: "an Epilog that ends the user's sessions",
        base: Tree::debian,
        edits: &[
            Program(
                "/etc/slurm/e.sh",
                "#!/bin/sh\nloginctl terminate-user $SLURM_JOB_USER\n",
            ),
            Append("/etc/slurm/slurm.conf", "Epilog=/etc/slurm/e.sh\n"),
        ],
        found: &["SA452 warning /etc/slurm/e.sh:2"],
    },
    SetUp {
        name: "a token key that all can read",
        base: Tree::debian,
        edits: &[
            Append(
                "/etc/slurm/slurm.conf",
                "AuthAltTypes=auth/jwt\n\
                AuthAltParameters=jwt_key=/etc/slurm/jwt.key\n",
            ),
            Write("/etc/slurm/jwt.key", "x"),
        ],
        found: &["SA441 failure /etc/slurm/jwt.key"],
    },
];

const GOOD_HOSTS: &[SetUp] = &[
    SetUp {
        name: "Ubuntu 24.04: a socket, and the cloud's file",
        base: Tree::debian,
        edits: &[
            Unit(
                "ssh.socket",
                "[Socket]\nListenStream=0.0.0.0:22\nAccept=no\n",
                "sockets.target",
            ),
            Write(
                "/usr/lib/systemd/system/ssh.service",
                "[Service]\n\
                EnvironmentFile=-/etc/default/ssh\n\
                ExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n",
            ),
            Write(
                "/etc/ssh/sshd_config.d/50-cloud-init.conf",
                "PasswordAuthentication yes\n",
            ),
        ],
        found: &[],
    },
    SetUp {
        name: "GSSAPI that is on",
        base: Tree::debian,
        edits: &[Append(
            "/etc/ssh/sshd_config",
            "GSSAPIAuthentication yes\n\
            AuthenticationMethods gssapi-with-mic publickey\n",
        )],
        found: &[],
    },
    SetUp {
        name: "hostbased that is on for the cluster's network",
        base: Tree::debian,
        edits: &[Append(
            "/etc/ssh/sshd_config",
            "Match Address 10.0.0.0/8\n\
            HostbasedAuthentication yes\n\
            AuthenticationMethods hostbased publickey\n",
        )],
        found: &[],
    },
    SetUp {
        name: "Windows line ends in sshd_config",
        base: Tree::debian,
        edits: &[Write(
            "/etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\r\nUsePAM yes\r\n",
        )],
        found: &[],
    },
    SetUp {
        name: "dropbear is installed and not enabled",
        base: Tree::debian,
        edits: &[Write(
            "/usr/lib/systemd/system/dropbear.service",
            "[Service]\nExecStart=/usr/sbin/dropbear -F\n",
        )],
        found: &[],
    },
    SetUp {
        name: "an Epilog that counts the user's other jobs first",
        base: Tree::debian,
        edits: &[
            Program(
                "/etc/slurm/e.sh",
                "#!/bin/sh\n\
                jobs=`squeue --noheader --format=%A --user=$SLURM_UID \
                --node=localhost`\n\
                for job in $jobs; do if [ $job -ne $SLURM_JOB_ID ]; then exit 0; \
                fi; done\n\
                pkill -KILL -U $SLURM_UID\n",
            ),
            Append("/etc/slurm/slurm.conf", "Epilog=/etc/slurm/e.sh\n"),
        ],
        found: &[],
    },
    SetUp {
        name: "a file with the hosts of a /scratch for each job",
        base: Tree::debian,
        edits: &[
            Append(
                "/etc/slurm/slurm.conf",
                "JobContainerType=job_container/tmpfs\n",
            ),
            Write(
                "/etc/slurm/job_container.conf",
                "AutoBasePath=true\nBasePath=/scratch\nDirs=/tmp,/dev/shm\n",
            ),
        ],
        found: &[],
    },
    SetUp {
        name: "a list of admins on a file system that the image lacks",
        base: Tree::debian,
        edits: &[Before(
            "account sufficient pam_listfile.so item=user sense=allow \
            file=/fsx/admin/wheel.lst onerr=fail",
        )],
        found: &[],
    },
];
