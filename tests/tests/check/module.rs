//! The module's file, its options, and what stands beside them.

use lab::Suite;

use crate::case::{CASE, Case, WITH_JOB};
use crate::proof::Proof;

/// What can be wrong with the file.
pub const CASES: &[Case] = &[
    Case {
        name: "the module's file is missing",
        breaks: "alone; mv $SECURITY/$OURS /run/away",
        restores: "mv /run/away $SECURITY/$OURS",
        found: &["SA010 failure /etc/pam.d/sshd:4"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "the module is where libpam does not look",
        breaks: "alone; mkdir -p /usr/local/lib/security; mv $SECURITY/$OURS /usr/local/lib/security",
        restores: "mv /usr/local/lib/security/$OURS $SECURITY",
        found: &["SA010 failure /etc/pam.d/sshd:4"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "the module's path has a typo",
        breaks: "account required pam_slurm_adop.so $DENY",
        found: &["SA010 failure /etc/pam.d/sshd:4"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "the module's file can be written by others",
        breaks: "cp -a $SECURITY/$OURS /run/away; chmod 666 $SECURITY/$OURS",
        then: "as_user carol cp $SECURITY/pam_permit.so $SECURITY/$OURS",
        restores: "mv /run/away $SECURITY/$OURS",
        found: &["SA015 failure {module}"],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "the module is built for another kind of machine",
        breaks: "alone; cp -a $SECURITY/$OURS /run/away; cp $SECURITY/$OURS /run/other
            printf '\\267' | dd of=/run/other bs=1 seek=18 conv=notrunc 2>/dev/null; mv /run/other $SECURITY/$OURS",
        restores: "mv /run/away $SECURITY/$OURS",
        found: &["SA017 failure {module}"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "the module's file is a page of the web",
        breaks: "alone; mv $SECURITY/$OURS /run/away; echo '<html>Not found</html>' >$SECURITY/$OURS",
        restores: "mv /run/away $SECURITY/$OURS",
        found: &["SA016 failure {module}"],
        proof: Proof::KeptOut("alice"),
        ..WITH_JOB
    },
    Case {
        name: "the module is on a file system without exec",
        breaks: "mkdir /run/plugins; mount -t tmpfs -o noexec,mode=755 plugins /run/plugins
            cp $SECURITY/$OURS /run/plugins; account required /run/plugins/$OURS $DENY",
        restores: "umount /run/plugins; rmdir /run/plugins",
        found: &["SA021 failure /run/plugins/pam_slurm_adopt.so"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "SchedMD's module with options of ours",
        breaks: "mv $SECURITY/$OURS /run/away; cp $SECURITY/pam_slurm_adopt_schedmd.so $SECURITY/$OURS
            account required $OURS $DENY exempt_users=carol",
        restores: "mv /run/away $SECURITY/$OURS",
        found: &["SA013 note {module}", "SA022 warning /etc/pam.d/sshd:4"],
        proof: Proof::StillOut("carol"),
        ..CASE
    },
    Case {
        name: "a session line of SchedMD's module",
        breaks: "mv $SECURITY/$OURS /run/away; cp $SECURITY/pam_slurm_adopt_schedmd.so $SECURITY/$OURS
            keep /etc/pam.d/sshd; echo \"session required $OURS $DENY\" >>/etc/pam.d/sshd",
        restores: "mv /run/away $SECURITY/$OURS",
        found: &["SA013 note {module}", "SA020 failure /etc/pam.d/sshd:9"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
];

const REMOVES: &str = "rm /etc/security/slurm_adopt.conf";
/// A fault that ends the module's view of the node.
const FAULT: &str = "keep /etc/slurm/slurm.conf; echo 'Epilog =' >>/etc/slurm/slurm.conf";

/// What can be wrong with options, their file and the module's directory.
pub const OPTIONS: &[Case] = &[
    Case {
        name: "slurm_conf= is an older copy of the file that slurmd reads",
        // 20.11 has no DeferBatch.
        suites: &[Suite::Bookworm, Suite::Trixie, Suite::Forky],
        breaks: "sed '1i # A copy' /etc/slurm/slurm.conf >/etc/slurm/copy.conf
            account required $OURS $DENY slurm_conf=/etc/slurm/copy.conf",
        restores: "rm /etc/slurm/copy.conf",
        found: &[
            "SA131 warning /etc/pam.d/sshd:4",
            "SA404 note /etc/slurm/copy.conf:*",
        ],
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "a typo in an option",
        breaks: "account required $OURS action_adopt_failure=deny action_generic_failur=deny",
        then: FAULT,
        found: &[
            "SA100 warning /etc/pam.d/sshd:4",
            "SA111 warning /etc/pam.d/sshd:4",
        ],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "a comma between options",
        breaks: "account required $OURS action_adopt_failure=deny,action_generic_failure=deny",
        then: FAULT,
        found: &[
            "SA102 warning /etc/pam.d/sshd:4",
            "SA111 warning /etc/pam.d/sshd:4",
        ],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "the kill switch is on",
        breaks: "account required $OURS $DENY kill_switch=/etc/security/off; file /etc/security/off",
        restores: "rm /etc/security/off",
        found: &["SA120 failure /etc/security/off"],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "the kill switch is where users may write",
        breaks: "account required $OURS $DENY kill_switch=/tmp/off; file /tmp/off",
        restores: "rm /tmp/off",
        found: &["SA121 warning /etc/pam.d/sshd:4"],
        proof: Proof::StillOut("carol"),
        ..CASE
    },
    Case {
        name: "mode=audit was left",
        breaks: "account required $OURS $DENY mode=audit",
        found: &["SA114 warning /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "mode=audit was left in the file",
        breaks: "file /etc/security/slurm_adopt.conf '# Until Monday\\nmode = audit'",
        restores: REMOVES,
        found: &["SA114 warning /etc/security/slurm_adopt.conf:2"],
        proof: Proof::NotInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "an exempt group that does not exist",
        breaks: "keep /etc/group; echo hpcadmin:x:3000:carol >>/etc/group
            account required $OURS $DENY exempt_groups=hpcadmins",
        found: &["SA122 warning /etc/pam.d/sshd:4"],
        proof: Proof::StillOut("carol"),
        ..CASE
    },
    Case {
        name: "exempt_uid_below=60000",
        breaks: "account required $OURS $DENY exempt_uid_below=60000",
        found: &["SA123 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "an options file that is not root's",
        breaks: "file /etc/security/slurm_adopt.conf 'exempt_users = carol'
            chown bob /etc/security/slurm_adopt.conf",
        restores: REMOVES,
        found: &["SA124 warning /etc/security/slurm_adopt.conf"],
        proof: Proof::StillOut("carol"),
        ..CASE
    },
    Case {
        name: "an options file of another name",
        breaks: "file /etc/security/slurm-adopt.conf 'exempt_users = carol'",
        restores: "rm /etc/security/slurm-adopt.conf",
        found: &["SA133 warning /etc/security/slurm-adopt.conf"],
        proof: Proof::StillOut("carol"),
        ..CASE
    },
    Case {
        name: "two options that disagree",
        breaks: "account required $OURS $DENY action_no_jobs=deny action_no_jobs=ignore",
        found: &[
            "SA109 warning /etc/pam.d/sshd:4",
            "SA113 failure /etc/pam.d/sshd:4",
        ],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "nodename= is no node",
        breaks: "account required $OURS $DENY nodename=node01",
        found: &["SA129 failure /etc/pam.d/sshd:4"],
        proof: Proof::KeptOut("alice"),
        ..WITH_JOB
    },
    Case {
        name: "slurm_conf= is no file",
        breaks: "account required $OURS $DENY slurm_conf=/etc/slurm.conf",
        found: &["SA130 failure /etc/pam.d/sshd:4"],
        proof: Proof::KeptOut("alice"),
        ..WITH_JOB
    },
    Case {
        name: "/run/slurm-adopt belongs to a user",
        breaks: "rm -rf /run/slurm-adopt; mkdir /run/slurm-adopt; chown bob /run/slurm-adopt",
        found: &["SA710 warning /run/slurm-adopt"],
        // The module moves it aside.
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
    Case {
        name: "/run/slurm-adopt is a user's file system",
        breaks: "mkdir -p /run/slurm-adopt; mount -t tmpfs -o uid=2002,mode=755 users /run/slurm-adopt",
        restores: "umount /run/slurm-adopt",
        found: &["SA710 failure /run/slurm-adopt"],
        // A login by keyboard-interactive would not get in.
        proof: Proof::StillInJob("alice"),
        ..WITH_JOB
    },
];

/// Good set-ups that look like broken ones.
pub const GOOD: &[Case] = &[
    Case {
        name: "good: strict in the options file, and no option on the line",
        breaks: "account required $OURS; file /etc/security/slurm_adopt.conf '# ours\\nstrict'",
        restores: REMOVES,
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "good: all options in the file",
        breaks: "account required $OURS; file /etc/security/slurm_adopt.conf \
            'action_adopt_failure = deny\\naction_generic_failure = deny\\naction_unknown = newest\\n\
             kill_switch = /etc/security/slurm_adopt.off\\nexempt_users = root\\nexempt_uid_below = 1000\\n\
             message_no_jobs = \"{user} has no job on {host}: {url}\" # ours\\nmessage_url = https://hpc.example.org'",
        restores: REMOVES,
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "good: an exempt group that exists",
        breaks: "keep /etc/group; echo hpcadmin:x:3000:carol >>/etc/group
            account required $OURS $DENY exempt_groups=hpcadmin",
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "good: the module by its absolute path",
        breaks: "account required $SECURITY/$OURS $DENY",
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "good: the module in a directory of the site's",
        breaks: "mkdir -p /opt/site/security; cp $SECURITY/$OURS /opt/site/security
            account required /opt/site/security/$OURS $DENY",
        restores: "rm -r /opt/site",
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "good: a line in common-account",
        breaks: "keep /etc/pam.d/sshd /etc/pam.d/common-account
            sed -i \"1i account required $OURS service=sshd $DENY\" /etc/pam.d/common-account
            sed -i -e '4d' -e 's/^account.*pam_unix.so/@include common-account/' /etc/pam.d/sshd",
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "good but for expired passwords: a line at the end of common-account",
        breaks: "keep /etc/pam.d/sshd /etc/pam.d/common-account
            echo \"account required $OURS service=sshd $DENY\" >>/etc/pam.d/common-account
            sed -i -e '4d' -e 's/^account.*pam_unix.so/@include common-account/' /etc/pam.d/sshd",
        found: &["SA230 warning /etc/pam.d/common-account:*"],
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "good: admins by pam_access before the module",
        breaks:
            "file /etc/security/access-admins.conf '+:carol:ALL\\n-:ALL:ALL'
            account sufficient pam_access.so accessfile=/etc/security/access-admins.conf
            echo \"account required $OURS $DENY\" >/run/line; sed -i '4r /run/line' /etc/pam.d/sshd",
        restores: "rm /etc/security/access-admins.conf",
        found: &["SA226 note /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("carol"),
        ..CASE
    },
    Case {
        name: "good: an account and a session line",
        breaks: "account required $OURS strict
            echo \"session required $OURS strict limits=job runtime_dir=create\" >>/etc/pam.d/sshd",
        proof: Proof::Works,
        ..WITH_JOB
    },
];
