//! Who logs in through which service: the only reader of PAM items.

use pam::{Handle, Item, ItemError};
use sys::UserLookupError;

/// The account behind PAM_USER.
#[derive(Debug)]
pub enum Account {
    /// The user database knows it.
    Known {
        /// Its uid.
        uid: u32,
    },
    /// It does not, or can't be asked.
    Unknown(UserLookupError),
    /// PAM_USER is not to be had.
    Missing(ItemError),
}

/// One login, as the application describes it.
#[derive(Debug)]
pub struct Login {
    /// PAM_SERVICE.
    pub service: Result<String, ItemError>,
    /// PAM_USER, for log lines; empty if there is none.
    pub user: String,
    /// What that user is here.
    pub account: Account,
    /// The process to adopt.
    pub pid: u32,
}

impl Login {
    /// Reads the items of a PAM transaction; the process is this one.
    ///
    /// The user database is asked only if `service` is one that the module acts for.
    pub fn from_pam(handle: &Handle, acts_for: impl FnOnce(&str) -> bool) -> Self {
        let service = handle
            .item(Item::Service)
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        let pid = std::process::id();
        let not_asked = Account::Missing(ItemError::Missing);
        if !service.as_deref().is_ok_and(acts_for) {
            return Self {
                service,
                user: String::new(),
                account: not_asked,
                pid,
            };
        }
        match handle.item(Item::User) {
            Ok(name) => Self {
                service,
                pid,
                ..Self::of_user(&name)
            },
            Err(error) => Self {
                service,
                user: String::new(),
                account: Account::Missing(error),
                pid,
            },
        }
    }

    /// A login by sshd of the named user, for `slurm-adopt explain`.
    #[must_use]
    pub fn of_user(name: &[u8]) -> Self {
        let account = match sys::uid_of_user(name) {
            Ok(uid) => Account::Known { uid },
            Err(error) => Account::Unknown(error),
        };
        Self {
            service: Ok("sshd".into()),
            user: String::from_utf8_lossy(name).into_owned(),
            account,
            pid: std::process::id(),
        }
    }

    /// The uid, if the account is known.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        match self.account {
            Account::Known { uid } => Some(uid),
            _ => None,
        }
    }
}
