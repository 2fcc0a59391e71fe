//! The answers of well-known modules.

use pamconf::{Code, Facility};

use crate::host::Host;
use crate::host::users::Ordinary;
use crate::pam::access::Access;
use crate::pam::listfile::ListFile;
use crate::pam::person::Person;
use crate::pam::stack::{Call, Own};
use crate::pam::succeed_if;

/// The answer of a module for a kind of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This code.
    Is(Code),
    /// Success for some of them, failure for others.
    Either,
    /// Success, unless something is wrong with the account.
    Usually,
    /// Not known.
    Unknown,
}

impl Outcome {
    /// Success or, if the condition of a module does not hold, a failure.
    pub fn when(holds: Option<bool>) -> Self {
        match holds {
            Some(true) => Self::Is(Code::SUCCESS),
            Some(false) => Self::Is(Code::AUTH_ERR),
            None => Self::Either,
        }
    }
}

/// Account modules that let in everyone whose account is in order.
const ACCOUNTS: [&str; 16] = [
    "pam_unix.so",
    "pam_unix2.so",
    "pam_sss.so",
    "pam_ldap.so",
    "pam_ldapd.so",
    "pam_krb5.so",
    "pam_winbind.so",
    "pam_centrifydc.so",
    "pam_vas3.so",
    "pam_lsass.so",
    "pam_himmelblau.so",
    "pam_time.so",
    "pam_faillock.so",
    "pam_tally2.so",
    "pam_lastlog.so",
    "pam_shells.so",
];

/// The answer of a module in sshd, as root.
pub(super) fn outcome(
    host: &Host,
    call: &Call,
    facility: Facility,
    service: &str,
    person: Person,
) -> Outcome {
    let has = |word: &str| call.arguments.iter().any(|it| it == word);
    match call.name.as_str() {
        // A user without a job; root passes.
        _ if call.own == Own::Acts => match person {
            Person::Root if facility == Facility::Account => Outcome::Is(Code::IGNORE),
            Person::Root => Outcome::Is(Code::SUCCESS),
            _ => Outcome::Unknown,
        },
        "pam_permit.so" => Outcome::Is(Code::SUCCESS),
        "pam_deny.so" => Outcome::Is(Code::AUTH_ERR),
        // The process's own uid: sshd's.
        "pam_rootok.so" => Outcome::Is(Code::SUCCESS),
        "pam_nologin.so" if has("successok") => Outcome::Is(Code::SUCCESS),
        "pam_nologin.so" | "pam_sepermit.so" => Outcome::Is(Code::IGNORE),
        "pam_localuser.so" => Outcome::when(Some(person.is_local())),
        "pam_usertype.so" if has("issystem") => Outcome::when(Some(person.is_system())),
        "pam_usertype.so" if has("isregular") => Outcome::when(Some(!person.is_system())),
        "pam_succeed_if.so" => {
            let people = Ordinary::read(&host.tree);
            let login = succeed_if::Login {
                service,
                person,
                people,
            };
            Outcome::when(succeed_if::holds(&call.arguments, login))
        }
        "pam_access.so" => Access::read(&host.tree, &call.arguments).outcome(person),
        "pam_listfile.so" => ListFile::read(&host.tree, &call.arguments).outcome(person),
        "pam_wheel.so" => Outcome::when(Some(person == Person::Named)),
        // It asks slurmctld for the user's jobs.
        "pam_slurm.so" if person != Person::Root => Outcome::Either,
        "pam_slurm.so" => Outcome::Is(Code::SUCCESS),
        name if ACCOUNTS.contains(&name) => Outcome::Usually,
        name if facility == Facility::Session && name != "pam_exec.so" => Outcome::Usually,
        _ => Outcome::Unknown,
    }
}
