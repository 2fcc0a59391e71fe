//! Users' names, and who is spared whatever it has left.

use std::cell::RefCell;
use std::path::Path;

use adopt::exempt::{self, Exemption};
use adopt::log::{Log, Severity, Sink};
use adopt::login::{Account, Login};
use adopt::options::{self, Exempt, LogLevel, Options};
use check::host::Host;
use check::host::users::{Ordinary, users};

use crate::sweep::{CannotSweep, Doubt};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The uid.
    pub uid: u32,
    /// The name; None if the user database does not know one, or does not answer.
    pub name: Option<String>,
}

/// The reason why a user is spared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// Root, a system user, or nobody: below UID_MIN of login.defs(5), or a uid of systemd's.
    SystemUser,
    /// By this option.
    Exempt(Exemption),
}

/// Who is spared, by the options of sshd's PAM stack and of the options file.
#[derive(Debug)]
pub struct Sparing<'a> {
    /// The host.
    pub host: &'a Host,
    /// Which uids may be people's.
    pub ordinary: Ordinary,
    /// Those of each line, or the reason why they are not known.
    exempt: Result<Vec<Exempt>, Doubt>,
}

/// Keeps the faults that a look-up logs.
#[derive(Debug, Default)]
struct Faults(RefCell<Vec<String>>);

impl Sink for Faults {
    fn line(&self, severity: Severity, text: &str) {
        if severity == Severity::Error {
            self.0.borrow_mut().push(text.to_owned());
        }
    }
}

/// Finds a user by name or uid.
///
/// # Errors
/// [`CannotSweep::NoUser`].
pub fn find(name: &str, host: &Host) -> Result<User, CannotSweep> {
    if let Ok(uid) = name.parse() {
        return Ok(by_uid(uid, host));
    }
    // getent(1) takes what begins with a dash for an option.
    let entry = match name.starts_with('-') {
        true => None,
        false => entry(name, host),
    };
    let unknown = || CannotSweep::NoUser(name.to_owned());
    let found = entry.and_then(|text| {
        let mut users = users(&text).filter(|it| it.name == name);
        users.next().map(|it| it.uid)
    });
    let uid = found.ok_or_else(unknown)?;
    let name = Some(name.to_owned());
    Ok(User { uid, name })
}

/// The user with this uid.
pub fn by_uid(uid: u32, host: &Host) -> User {
    let named = |text: &str| {
        let mut users = users(text).filter(|it| it.uid == uid);
        users.next().map(|it| it.name.to_owned())
    };
    let local = host.tree.text("/etc/passwd").unwrap_or_default();
    let name = named(&local).or_else(|| named(&entry(&uid.to_string(), host)?));
    User { uid, name }
}

/// The line of passwd(5) that getent(1) prints.
fn entry(key: &str, host: &Host) -> Option<String> {
    let printed = host.run_briefly("getent", &["passwd", key]).ok()?;
    printed.is_success().then_some(printed.out)
}

impl<'a> Sparing<'a> {
    /// Reads the options.
    pub fn of(host: &'a Host) -> Self {
        Self {
            host,
            ordinary: Ordinary::read(&host.tree),
            exempt: exempt_of(host),
        }
    }

    /// Whether the uid may be a person's.
    pub fn is_ordinary(&self, uid: u32) -> bool {
        self.ordinary.has(uid)
    }

    /// Why a user is spared; None if it is not.
    ///
    /// # Errors
    /// [`Doubt`] if it is not known.
    pub fn spares(&self, user: &User) -> Result<Option<Spared>, Doubt> {
        if !self.is_ordinary(user.uid) {
            return Ok(Some(Spared::SystemUser));
        }
        for exempt in self.exempt.as_ref().map_err(Clone::clone)? {
            if let Some(exemption) = exemption(exempt, user, self.host)? {
                return Ok(Some(Spared::Exempt(exemption)));
            }
        }
        Ok(None)
    }
}

/// The exempt users of each line of sshd's PAM stack that calls the module, with the options file; without a line
/// those of the file.
fn exempt_of(host: &Host) -> Result<Vec<Exempt>, Doubt> {
    let file = host.options_file();
    let path = Path::new(options::FILE);
    if let Some(fault) = file.fault {
        return Err(Doubt::OptionsFile(fault.to_string()));
    }
    let mut lines: Vec<_> = host.own_lines("sshd").into_iter().collect();
    let (of_file, bad) = Options::of_text::<&str>(path, &file.text, &[]);
    let mut bad: Vec<_> = bad.into_iter().collect();
    bad.extend(lines.iter_mut().flat_map(|it| it.bad.drain(..)));
    // A mistyped list of exempt users may have lost one.
    let is_of_exempt = |it: &String| it.contains("exempt_");
    let mut faults = bad.iter().map(ToString::to_string).filter(is_of_exempt);
    if let Some(fault) = faults.next() {
        return Err(Doubt::Exempt(fault));
    }
    let mut exempt = vec![of_file.exempt];
    exempt.extend(lines.into_iter().map(|it| it.options.exempt));
    exempt.dedup();
    Ok(exempt)
}

/// Finds out as a login does, but a login whose groups are not known is not exempt, whereas nobody is to lose processes
/// because a directory is down.
fn exemption(exempt: &Exempt, user: &User, host: &Host) -> Result<Option<Exemption>, Doubt> {
    let is_by_name = !exempt.users.is_empty() || !exempt.groups.is_empty();
    if is_by_name && user.name.is_none() {
        return Err(Doubt::NoName { uid: user.uid });
    }
    let login = Login {
        service: Ok("sshd".to_owned()),
        user: user.name.clone().unwrap_or_default(),
        account: Account::Known { uid: user.uid },
        pid: std::process::id(),
    };
    let faults = Faults::default();
    let found = exempt::find(
        exempt,
        &login,
        &host.deadline,
        Log::new(&faults, LogLevel::Error),
    );
    let fault = faults.0.into_inner().into_iter().next();
    match (found, fault) {
        (None, Some(fault)) => Err(Doubt::LookUp(fault)),
        (found, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use check::host::tree::Tree;
    use sys::Deadline;

    use super::*;

    fn host() -> Host {
        Host::new(Tree::live(), Deadline::after(Duration::from_secs(10)))
    }

    fn user(uid: u32, name: Option<&str>) -> User {
        let name = name.map(str::to_owned);
        User { uid, name }
    }

    fn sparing(host: &Host, exempt: Result<Vec<Exempt>, Doubt>) -> Sparing<'_> {
        let ordinary = Ordinary { first: 1000 };
        Sparing {
            host,
            ordinary,
            exempt,
        }
    }

    #[test]
    fn who_is_spared() {
        let host = host();
        let exempt = |users: &[&str], groups: &[&str], uid_below| Exempt {
            users: users.iter().map(|it| (*it).to_owned()).collect(),
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
            uid_below,
        };
        let by_user = exempt(&["carol", "2007"], &[], 1500);
        let sparing_all = sparing(&host, Ok(vec![exempt(&[], &[], 0), by_user]));
        let spares = |uid, name| sparing_all.spares(&user(uid, name));
        for uid in [0, 33, 999, 65534, 61200, u32::MAX] {
            assert_eq!(
                spares(uid, Some("x")),
                Ok(Some(Spared::SystemUser)),
                "{uid}"
            );
        }
        let of_list = Ok(Some(Spared::Exempt(Exemption::User)));
        assert_eq!(spares(2003, Some("carol")), of_list, "of the second line");
        assert_eq!(spares(2007, Some("x")), of_list);
        let below = Ok(Some(Spared::Exempt(Exemption::Uid { below: 1500 })));
        assert_eq!(spares(1400, Some("x")), below);
        assert_eq!(spares(2001, Some("alice")), Ok(None));
        // Carol may be the user without a name.
        assert!(spares(2003, None).is_err());
        let nobody = sparing(&host, Ok(vec![Exempt::default()]));
        assert_eq!(nobody.spares(&user(2003, None)), Ok(None));
        // What the module would log counts as unknown here.
        let lost = exempt(&[], &["no-such-group-here"], 0);
        let unclear = sparing(&host, Ok(vec![lost]));
        assert!(unclear.spares(&user(2003, Some("root"))).is_err());
        let broken = sparing(&host, Err(Doubt::OptionsFile("broken".into())));
        assert!(broken.spares(&user(2003, Some("carol"))).is_err());
        assert_eq!(broken.spares(&user(0, None)), Ok(Some(Spared::SystemUser)));
    }

    #[test]
    fn a_user_by_name_or_number() {
        let host = host();
        assert_eq!(find("root", &host), Ok(user(0, Some("root"))));
        assert_eq!(find("0", &host), Ok(user(0, Some("root"))));
        assert_eq!(find("4294960007", &host), Ok(user(4294960007, None)));
        for name in ["no-such-user-here", "-s", "", "root:x"] {
            assert!(find(name, &host).is_err(), "{name}");
        }
    }
}
