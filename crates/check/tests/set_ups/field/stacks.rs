//! Session lines of recipes, and stacks that work.

use super::edits::Edit::*;
use super::edits::{SetUp, expect};
use crate::tree::Tree;

#[test]
fn session_lines() {
    expect(SESSIONS);
}

#[test]
fn stacks_that_work() {
    expect(GOOD);
}

const SESSIONS: &[SetUp] = &[
    SetUp {
        name: "common-session once more behind ours",
        base: Tree::debian,
        edits: &[Replace(
            "/etc/pam.d/sshd",
            "session    required     pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny\n",
            "session    required     pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny\n\
            @include common-session\n",
        )],
        found: &["SA253 failure /etc/pam.d/common-session:6"],
    },
    SetUp {
        name: "pam_cgfs behind ours",
        base: Tree::debian,
        edits: &[
            Replace(
                "/etc/pam.d/common-session",
                "session\toptional\tpam_systemd.so",
                "session\toptional\tpam_systemd.so\n\
                session optional pam_cgfs.so -c freezer,memory",
            ),
            NoSession,
            Replace(
                "/etc/pam.d/sshd",
                "@include common-session\n",
                "session    required     pam_slurm_adopt.so \
                action_adopt_failure=deny action_generic_failure=deny\n\
                @include common-session\n",
            ),
        ],
        found: &["SA253 failure /etc/pam.d/common-session:7"],
    },
    SetUp {
        name: "pam_limits is sufficient",
        base: Tree::debian,
        edits: &[Replace(
            "/etc/pam.d/sshd",
            "session    required     pam_limits.so",
            "session    sufficient     pam_limits.so",
        )],
        found: &["SA254 failure /etc/pam.d/sshd:13"],
    },
    SetUp {
        name: "the session line in common-session-noninteractive",
        base: Tree::debian,
        edits: &[
            NoSession,
            Append(
                "/etc/pam.d/common-session-noninteractive",
                "session    required     pam_slurm_adopt.so \
                action_adopt_failure=deny action_generic_failure=deny\n",
            ),
        ],
        found: &[
            "SA252 failure /etc/pam.d/common-session-noninteractive:6",
            "SA274 warning /etc/pam.d/common-session-noninteractive:6",
        ],
    },
    SetUp {
        name: "Duo by keyboard-interactive, the account line alone",
        base: Tree::redhat,
        edits: &[
            NoSession,
            Replace(
                "/etc/ssh/sshd_config.d/50-redhat.conf",
                "ChallengeResponseAuthentication no",
                "ChallengeResponseAuthentication yes",
            ),
            Append(
                "/etc/ssh/sshd_config",
                "AuthenticationMethods publickey,keyboard-interactive:pam\n",
            ),
        ],
        found: &[
            "SA250 failure /etc/pam.d/password-auth:23",
            "SA310 failure /etc/ssh/sshd_config:4",
        ],
    },
];

const GOOD: &[SetUp] = &[
    SetUp {
        name: "pam_faillock as STIG has it",
        base: Tree::redhat,
        edits: &[Replace(
            "/etc/pam.d/password-auth",
            "account     required                                     pam_unix.so",
            "account     required                                     pam_faillock.so\n\
            account     required                                     pam_unix.so",
        )],
        found: &[],
    },
    SetUp {
        name: "a second factor by keyboard-interactive, with both lines",
        base: Tree::debian,
        edits: &[
            Replace(
                "/etc/pam.d/common-auth",
                "auth\t[success=1 default=ignore]\tpam_unix.so nullok",
                "auth [success=1 default=ignore] pam_duo.so",
            ),
            Replace(
                "/etc/ssh/sshd_config",
                "KbdInteractiveAuthentication no",
                "KbdInteractiveAuthentication yes\n\
                AuthenticationMethods publickey,keyboard-interactive",
            ),
        ],
        found: &[],
    },
    SetUp {
        name: "sssd's host-based access before ours",
        base: Tree::debian,
        edits: &[Before(
            "account [default=bad success=ok user_unknown=ignore] pam_sss.so",
        )],
        found: &[],
    },
    SetUp {
        name: "password-auth as a substack before ours",
        base: Tree::redhat,
        edits: &[
            Instead(""),
            Replace(
                "/etc/pam.d/sshd",
                "account    include      password-auth\n",
                "account    substack     password-auth\n\
                account    required     pam_slurm_adopt.so \
                action_adopt_failure=deny action_generic_failure=deny\n",
            ),
        ],
        found: &[],
    },
    SetUp {
        name: "homes are made behind ours",
        base: Tree::debian,
        edits: &[Replace(
            "/etc/pam.d/sshd",
            "session    required     pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny\n",
            "session    required     pam_slurm_adopt.so \
            action_adopt_failure=deny action_generic_failure=deny\n\
            session required pam_mkhomedir.so skel=/etc/skel umask=0077\n",
        )],
        found: &[],
    },
    SetUp {
        name: "rules for root alone in access.d",
        base: Tree::debian,
        edits: &[
            Before("account sufficient pam_access.so"),
            Write(
                "/etc/security/access.d/10-site.conf",
                "+:root:ALL\n-:ALL:ALL\n",
            ),
        ],
        found: &[],
    },
    SetUp {
        name: "a line that is continued",
        base: Tree::debian,
        edits: &[Instead(
            "account required pam_slurm_adopt.so \\\n   action_adopt_failure=deny \\\n   action_generic_failure=deny",
        )],
        found: &[],
    },
    SetUp {
        name: "capital letters, a comment behind the options",
        base: Tree::debian,
        edits: &[Instead(
            "Account Required pam_slurm_adopt.so action_adopt_failure=deny \
            action_generic_failure=deny # by ansible",
        )],
        found: &[],
    },
    SetUp {
        name: "admins in a substack of their own",
        base: Tree::debian,
        edits: &[
            Before("account substack admins"),
            Write(
                "/etc/pam.d/admins",
                "account sufficient pam_succeed_if.so user ingroup hpcadmin\n\
                account required pam_permit.so\n",
            ),
        ],
        found: &[],
    },
];
