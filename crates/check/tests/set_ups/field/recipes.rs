//! PAM stacks of recipes on the web.

use super::edits::Edit::*;
use super::edits::{SetUp, expect};
use crate::tree::Tree;

#[test]
fn lines_before_ours_and_behind_it() {
    expect(PAM);
}

#[test]
fn controls_and_files() {
    expect(PAM_CONTROLS);
}

const PAM: &[SetUp] = &[
    SetUp {
        name: "an Ignition file's line at the very end, no session line",
        base: Tree::debian,
        edits: &[
            Instead(""),
            NoSession,
            Append(
                "/etc/pam.d/sshd",
                "-account required pam_slurm_adopt.so action_no_jobs=deny \
                log_level=debug\n",
            ),
        ],
        found: &[
            "SA110 warning /etc/pam.d/sshd:16",
            "SA111 warning /etc/pam.d/sshd:16",
            "SA230 warning /etc/pam.d/common-account:1",
            "SA250 failure /etc/pam.d/common-session:6",
        ],
    },
    SetUp {
        name: "a blog's line in system-auth, whose module a web page turned \
        into a link",
        base: Tree::redhat,
        edits: &[
            Instead(""),
            NoSession,
            Append(
                "/etc/pam.d/system-auth",
                "-account required http://pam_slurm_adopt.so\n",
            ),
        ],
        found: &[
            "SA010 failure /etc/pam.d/system-auth:27",
            "SA221 failure /etc/pam.d/system-auth:27",
        ],
    },
    SetUp {
        name: "a Puppet recipe: sufficient, pam_access behind it",
        base: Tree::redhat,
        edits: &[
            Instead(""),
            NoSession,
            Replace(
                "/etc/pam.d/sshd",
                "account    include      password-auth\n",
                "account    include      password-auth\n\
                account sufficient pam_slurm_adopt.so\n\
                account required pam_access.so\n",
            ),
            Write("/etc/security/access.conf", "+:wheel:ALL\n-:ALL:ALL\n"),
        ],
        found: &[
            "SA110 warning /etc/pam.d/sshd:7",
            "SA111 warning /etc/pam.d/sshd:7",
            "SA224 failure /etc/pam.d/password-auth:11",
            "SA226 note /etc/pam.d/password-auth:12",
            "SA226 note /etc/pam.d/sshd:8",
            "SA250 failure /etc/pam.d/password-auth:23",
        ],
    },
    SetUp {
        name: "an image script: pam_access before all, ours after password-auth",
        base: Tree::redhat,
        edits: &[
            Instead(""),
            NoSession,
            Replace(
                "/etc/pam.d/sshd",
                "account    required     pam_sepermit.so",
                "account sufficient pam_access.so\n\
                account required pam_sepermit.so",
            ),
            Write("/etc/security/access.conf", "+:(lyoko):ALL\n-:ALL:ALL\n"),
            Replace(
                "/etc/pam.d/sshd",
                "account    include      password-auth\n",
                "account    include      password-auth\n\
                -account required pam_slurm_adopt.so\n",
            ),
        ],
        found: &[
            "SA110 warning /etc/pam.d/sshd:8",
            "SA111 warning /etc/pam.d/sshd:8",
            "SA224 failure /etc/pam.d/password-auth:11",
            "SA226 note /etc/pam.d/password-auth:12",
            "SA226 note /etc/pam.d/sshd:4",
            "SA250 failure /etc/pam.d/password-auth:23",
        ],
    },
    SetUp {
        name: "a cloud cluster's script: pam_access between common-account and ours",
        base: Tree::debian,
        edits: &[
            Instead(""),
            Replace(
                "/etc/pam.d/sshd",
                "@include common-account\n",
                "@include common-account\n\
                account sufficient pam_access.so\n\
                account required pam_slurm_adopt.so action_adopt_failure=deny \
                action_generic_failure=deny\n",
            ),
            Write("/etc/security/access.conf", "+:(wheel):ALL\n-:ALL:ALL\n"),
        ],
        found: &[
            "SA226 note /etc/pam.d/sshd:4",
            "SA230 warning /etc/pam.d/common-account:1",
        ],
    },
    SetUp {
        name: "access.conf allows the login node's network",
        base: Tree::debian,
        edits: &[
            Before("account sufficient pam_access.so"),
            Write(
                "/etc/security/access.conf",
                "+:ALL:10.1.0.0/16\n-:ALL:ALL\n",
            ),
        ],
        found: &["SA225 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "access.conf without a last line that denies",
        base: Tree::debian,
        edits: &[
            Before("account sufficient pam_access.so"),
            Write(
                "/etc/security/access.conf",
                "+:root:ALL\n+:(hpcadmin):ALL\n",
            ),
        ],
        found: &["SA225 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "access.conf with another separator than fieldsep=",
        base: Tree::debian,
        edits: &[
            Before("account sufficient pam_access.so fieldsep=|"),
            Write("/etc/security/access.conf", "+:hpcadmin:ALL\n-:ALL:ALL\n"),
        ],
        found: &["SA225 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "pam_time without rules",
        base: Tree::debian,
        edits: &[
            Before("account sufficient pam_time.so"),
            Write("/etc/security/time.conf", "# none\n"),
        ],
        found: &["SA223 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "a script decides who is an admin",
        base: Tree::debian,
        edits: &[
            Before("account sufficient pam_exec.so quiet /usr/local/sbin/check-admin"),
            Program(
                "/usr/local/sbin/check-admin",
                "#!/bin/sh\nid -nG \"$PAM_USER\" | grep -qw admins\n",
            ),
        ],
        found: &["SA227 warning /etc/pam.d/sshd:3"],
    },
];

const PAM_CONTROLS: &[SetUp] = &[
    SetUp {
        name: "required pam_access whose file is gone: root too",
        base: Tree::redhat,
        edits: &[Before(
            "account required pam_access.so \
            accessfile=/etc/security/access-slurm.conf",
        )],
        found: &["SA203 failure /etc/pam.d/sshd:6"],
    },
    SetUp {
        name: "sufficient pam_access whose file is gone",
        base: Tree::debian,
        edits: &[Before(
            "account sufficient pam_access.so \
            accessfile=/etc/security/access-slurm.conf",
        )],
        found: &["SA239 warning /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "a list of admins that is gone",
        base: Tree::debian,
        edits: &[Before(
            "account sufficient pam_listfile.so item=user sense=allow \
            file=/etc/ssh/admins onerr=fail",
        )],
        found: &["SA239 warning /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "pam_ldap sufficient as the first line",
        base: Tree::debian,
        edits: &[Prepend(
            "/etc/pam.d/sshd",
            "account sufficient pam_ldap.so\n",
        )],
        found: &["SA223 failure /etc/pam.d/sshd:1"],
    },
    SetUp {
        name: "default=die takes root's ignore for a failure",
        base: Tree::debian,
        edits: &[Instead(
            "account [success=ok default=die] pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny",
        )],
        found: &["SA235 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "blanks in brackets, and root's ignore is bad",
        base: Tree::debian,
        edits: &[Instead(
            "account [success=ok default = bad] pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny",
        )],
        found: &["SA235 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "sufficient, and pam_deny behind it",
        base: Tree::debian,
        edits: &[
            Instead(""),
            Replace(
                "/etc/pam.d/sshd",
                "@include common-account\n",
                "@include common-account\n\
                account sufficient pam_slurm_adopt.so action_adopt_failure=deny \
                action_generic_failure=deny\n\
                account required pam_deny.so\n",
            ),
        ],
        found: &[
            "SA230 warning /etc/pam.d/common-account:1",
            "SA235 failure /etc/pam.d/sshd:5",
        ],
    },
    SetUp {
        name: "a no-break space from a web page",
        base: Tree::debian,
        edits: &[Instead(
            "account required\u{a0}pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny",
        )],
        found: &["SA201 failure /etc/pam.d/sshd:3"],
    },
    SetUp {
        name: "options with a comma",
        base: Tree::debian,
        edits: &[Instead(
            "account required pam_slurm_adopt.so \
            action_adopt_failure=deny,action_generic_failure=deny",
        )],
        found: &[
            "SA102 warning /etc/pam.d/sshd:3",
            "SA111 warning /etc/pam.d/sshd:3",
            "SA258 warning /etc/pam.d/sshd:16",
        ],
    },
    SetUp {
        name: "an option in quotes",
        base: Tree::debian,
        edits: &[Instead(
            "account required pam_slurm_adopt.so \"action_adopt_failure=deny\" action_generic_failure=deny",
        )],
        found: &[
            "SA100 warning /etc/pam.d/sshd:3",
            "SA110 warning /etc/pam.d/sshd:3",
            "SA258 warning /etc/pam.d/sshd:16",
        ],
    },
    SetUp {
        name: "the line in /etc/pam.d/ssh",
        base: Tree::debian,
        edits: &[
            Instead(""),
            Write(
                "/etc/pam.d/ssh",
                "account    required     pam_slurm_adopt.so \
                action_adopt_failure=deny action_generic_failure=deny\n",
            ),
        ],
        found: &["SA221 failure /etc/pam.d/ssh:1"],
    },
];
