//! The user and the service of a login; reads every PAM item.

use std::io;
use std::net::IpAddr;

use pam::{Handle, Item, ItemError};
use sys::{Connection, UserLookupError};

/// The entry point that libpam called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// pam_sm_acct_mgmt(3): decides whether the user may in, and into which job.
    Account,
    /// pam_sm_open_session(3): makes the session run in that job.
    OpenSession,
    /// pam_sm_close_session(3).
    CloseSession,
}

impl Entry {
    /// The phase's name, as pam_syslog(3) has it.
    #[must_use]
    pub fn phase(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::OpenSession | Self::CloseSession => "session",
        }
    }
}

/// The account behind PAM_USER.
#[derive(Debug)]
pub enum Account {
    /// The user database knows it.
    Known {
        /// Its uid.
        uid: u32,
    },
    /// The user database does not know it, or cannot be asked.
    Unknown(UserLookupError),
    /// PAM_USER is not available.
    Missing(ItemError),
}

/// One login, as the application describes it.
#[derive(Debug)]
pub struct Login {
    /// PAM_SERVICE.
    pub service: Result<String, ItemError>,
    /// PAM_USER, for log lines; empty if there is none.
    pub user: String,
    /// The account of that user.
    pub account: Account,
    /// The process to adopt.
    pub pid: u32,
}

impl Login {
    /// Reads the items of a PAM transaction; the process is this one.
    ///
    /// The user database is asked only if `service` is one that the module acts for.
    pub fn from_pam(handle: &Handle, acts_for: &dyn Fn(&str) -> bool) -> Self {
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

    /// An sshd login by the named user, for `slurm-adopt explain`.
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

    /// The TCP connection of the login: of this process's connections the one from PAM_RHOST, else the one
    /// that has been open longest, which has the lowest descriptor. (The others belong to clients of
    /// the user database.)
    ///
    /// # Errors
    /// The system's error.
    pub fn connection(handle: &Handle) -> io::Result<Option<Connection>> {
        let connections = sys::tcp_connections()?;
        Ok(choose(&connections, Self::remote_address(handle)))
    }

    /// PAM_RHOST; None if it is no address but a name (`UseDNS`), which is not looked up.
    pub fn remote_address(handle: &Handle) -> Option<IpAddr> {
        let told = handle.item(Item::RemoteHost).ok()?;
        address(&told)
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

fn address(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

fn choose(connections: &[Connection], source: Option<IpAddr>) -> Option<Connection> {
    let is_told = |it: &&Connection| Some(it.peer.ip()) == source;
    let first = || connections.first();
    connections.iter().find(is_told).or_else(first).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_among_others() {
        let connection = |local: &str, peer: &str| Connection {
            local: local.parse().expect("address"),
            peer: peer.parse().expect("address"),
        };
        let ssh = connection("10.0.0.1:22", "10.0.0.9:40000");
        let ldap = connection("10.0.0.1:50000", "10.0.0.2:636");
        let six = connection("[2001:db8::1]:22", "[2001:db8::9]:40000");
        for (connections, told, chosen) in [
            (&[][..], None, None),
            (&[][..], Some("10.0.0.9"), None),
            (&[ssh], None, Some(ssh)),
            (&[ssh], Some("login1.example.org"), Some(ssh)),
            (&[ssh, ldap], None, Some(ssh)),
            (&[ldap, ssh], Some("10.0.0.9"), Some(ssh)),
            (&[ldap, ssh], Some("::ffff:10.0.0.9"), Some(ssh)),
            (&[ldap, six], Some("2001:db8::9"), Some(six)),
            (&[ssh, ldap], Some("UNKNOWN"), Some(ssh)),
        ] {
            let source = told.and_then(|it: &str| address(it.as_bytes()));
            assert_eq!(choose(connections, source), chosen, "{told:?}");
        }
    }
}
