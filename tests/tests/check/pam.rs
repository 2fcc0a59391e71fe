//! sshd's PAM stack: who gets in without a job, and who is kept out.
//!
//! The lab's stack has the account line as its fourth; a line that is put before it is then the fourth.

use crate::case::{CASE, Case, Proof};

pub const CASES: &[Case] = &[
    Case {
        name: "the account line is removed",
        breaks: "keep /etc/pam.d/sshd; sed -i /pam_slurm_adopt/d /etc/pam.d/sshd",
        found: &["SA220 failure /etc/pam.d/sshd"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "the account line is commented out",
        breaks: "keep /etc/pam.d/sshd; sed -i '/pam_slurm_adopt/s/^/# /' /etc/pam.d/sshd",
        found: &["SA220 failure /etc/pam.d/sshd"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "the account line is in a file with a mistyped name",
        breaks: "keep /etc/pam.d/sshd; grep pam_slurm_adopt /etc/pam.d/sshd >/etc/pam.d/ssh
            sed -i /pam_slurm_adopt/d /etc/pam.d/sshd",
        restores: "rm /etc/pam.d/ssh",
        found: &["SA221 failure /etc/pam.d/ssh:1"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "the account line is in a file that sshd does not include",
        breaks: "keep /etc/pam.d/sshd /etc/pam.d/common-account
            grep pam_slurm_adopt /etc/pam.d/sshd | cat - /etc/pam.d/common-account >/etc/pam.d/new
            mv /etc/pam.d/new /etc/pam.d/common-account; sed -i /pam_slurm_adopt/d /etc/pam.d/sshd",
        found: &["SA221 failure /etc/pam.d/common-account:1"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a sufficient pam_localuser before the account line",
        breaks: "keep /etc/pam.d/sshd; sed -i '4i account sufficient pam_localuser.so' /etc/pam.d/sshd",
        found: &["SA224 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a sufficient pam_unix before the account line",
        breaks: "keep /etc/pam.d/sshd; sed -i '3s/required/sufficient/' /etc/pam.d/sshd",
        found: &["SA223 failure /etc/pam.d/sshd:3"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a sufficient pam_succeed_if of ordinary uids before the account line",
        breaks: "keep /etc/pam.d/sshd
            sed -i '4i account sufficient pam_succeed_if.so uid >= 1000 quiet' /etc/pam.d/sshd",
        found: &["SA223 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a jump over the account line",
        breaks: "keep /etc/pam.d/sshd
            sed -i '4i account [success=1 default=ignore] pam_permit.so' /etc/pam.d/sshd",
        found: &["SA223 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a jump of pam_unix over the account line",
        breaks: "keep /etc/pam.d/sshd; echo 'account required pam_permit.so' >>/etc/pam.d/sshd
            sed -i '3s/required/[success=1 default=bad]/' /etc/pam.d/sshd",
        found: &["SA223 failure /etc/pam.d/sshd:3"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a jump of pam_unix to the end of the account stack",
        jobs: &["alice"],
        // No line has said yes then.
        breaks: "keep /etc/pam.d/sshd; sed -i '3s/required/[success=1 default=bad]/' /etc/pam.d/sshd",
        found: &["SA203 failure /etc/pam.d/sshd:3"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a sufficient pam_access without rules",
        breaks: "keep /etc/pam.d/sshd /etc/security/access.conf; : >/etc/security/access.conf
            sed -i '4i account sufficient pam_access.so' /etc/pam.d/sshd",
        found: &["SA225 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a sufficient pam_access, and no newline after the last rule",
        breaks: "keep /etc/pam.d/sshd /etc/security/access.conf
            printf '+:root:ALL\\n-:ALL:ALL' >/etc/security/access.conf
            sed -i '4i account sufficient pam_access.so' /etc/pam.d/sshd",
        found: &["SA225 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a sufficient pam_listfile with onerr=succeed and no file",
        breaks:
            "keep /etc/pam.d/sshd; line='item=user sense=allow file=/etc/ssh/admins onerr=succeed'
            sed -i \"4i account sufficient pam_listfile.so $line\" /etc/pam.d/sshd",
        found: &["SA223 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "an optional account line",
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/required/optional/' /etc/pam.d/sshd",
        found: &["SA228 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "an account line whose denials are ignored",
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/required/[success=ok default=ignore]/' /etc/pam.d/sshd",
        found: &["SA228 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "a sufficient account line after pam_unix",
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/required/sufficient/' /etc/pam.d/sshd",
        found: &["SA228 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "service= of the account line leaves sshd out",
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/$/ service=ssh/' /etc/pam.d/sshd",
        found: &["SA222 failure /etc/pam.d/sshd:4"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "an expired password before the account line",
        // As in Debian's common-account.
        breaks: "keep /etc/pam.d/sshd /etc/shadow; chage -d 0 bob
            sed -i '3s/required/[success=ok new_authtok_reqd=done default=bad]/' /etc/pam.d/sshd",
        found: &["SA230 warning /etc/pam.d/sshd:3"],
        proof: Proof::ChangesPassword("bob"),
        ..CASE
    },
    Case {
        name: "a mistyped name of the module",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/slurm_adopt/slurm_adapt/' /etc/pam.d/sshd",
        found: &["SA202 failure /etc/pam.d/sshd:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a dash before a line whose module is missing",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd; sed -i '4i -account required pam_sss.so' /etc/pam.d/sshd",
        found: &["SA202 failure /etc/pam.d/sshd:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "an include of a missing file",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd; sed -i '4i account include system-auth' /etc/pam.d/sshd",
        found: &["SA201 failure /etc/pam.d/sshd:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "an @include of a missing file",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd; sed -i '4i @include common-acount' /etc/pam.d/sshd",
        found: &["SA200 failure /etc/pam.d/sshd:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a mistyped control of the account line",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/required/requird/' /etc/pam.d/sshd",
        found: &["SA201 failure /etc/pam.d/sshd:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a jump behind the end of the account stack",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd; sed -i '3s/required/[success=2 default=bad]/' /etc/pam.d/sshd",
        found: &["SA203 failure /etc/pam.d/sshd:3"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "no account line but the module's",
        breaks: "keep /etc/pam.d/sshd; sed -i '2,3d' /etc/pam.d/sshd",
        found: &["SA235 failure /etc/pam.d/sshd:2"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "an account line that denies whom the module ignores",
        breaks: "keep /etc/pam.d/sshd; sed -i '4s/required/[success=ok default=bad]/' /etc/pam.d/sshd",
        found: &["SA235 failure /etc/pam.d/sshd:4"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "pam_access keeps out users with a job",
        jobs: &["alice"],
        breaks: "keep /etc/pam.d/sshd /etc/security/access.conf
            printf '+:root:ALL\\n-:ALL:ALL\\n' >/etc/security/access.conf
            sed -i '4i account required pam_access.so' /etc/pam.d/sshd",
        found: &["SA203 failure /etc/pam.d/sshd:4"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
];
