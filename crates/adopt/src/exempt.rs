//! Exempt users, and the kill switch that admits everyone.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sys::Deadline;

use crate::access;
use crate::log::Log;
use crate::login::Login;
use crate::options::Exempt;
use crate::text::shown;
use crate::trust;

/// The option that exempts a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exemption {
    /// `exempt_users=`
    User,
    /// `exempt_uid_below=`
    Uid {
        /// The bound.
        below: u32,
    },
    /// `exempt_groups=`
    Group(String),
    /// The account phase of this login found an exemption.
    Recorded,
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("exempt_users has the user"),
            Self::Uid { below } => write!(f, "exempt_uid_below={below}"),
            Self::Group(name) => write!(f, "member of the exempt group {}", shown(name)),
            Self::Recorded => f.write_str("found by the account phase"),
        }
    }
}

/// Checks whether the user is exempt. Groups come last: a directory service may be slow or down.
pub fn find(
    exempt: &Exempt,
    login: &Login,
    deadline: &Deadline,
    log: Log<'_>,
) -> Option<Exemption> {
    let uid = login.uid()?;
    let is_user = |it: &String| match it.parse::<u32>() {
        Ok(number) => number == uid,
        Err(_) => *it == login.user,
    };
    if exempt.users.iter().any(is_user) {
        return Some(Exemption::User);
    }
    if uid < exempt.uid_below {
        let below = exempt.uid_below;
        return Some(Exemption::Uid { below });
    }
    if exempt.groups.is_empty() {
        return None;
    }
    let group = local_group(&exempt.groups, &login.user, log);
    let group = group.or_else(|| group_anywhere(&exempt.groups, &login.user, deadline, log));
    group.map(|it| Exemption::Group(it.to_owned()))
}

/// The first of the groups that has the user as a member in /etc/group, group(5).
fn local_group<'a>(groups: &'a [String], user: &str, log: Log<'_>) -> Option<&'a str> {
    const LARGEST: u64 = 16 << 20;
    let path = Path::new("/etc/group");
    match sys::read_regular(path, LARGEST) {
        Ok(text) => group_in(&String::from_utf8_lossy(&text), groups, user),
        Err(error) => {
            let error = access::named(error);
            log.error(|| format!("exempt_groups: read {}: {error}", path.display()));
            None
        }
    }
}

fn group_in<'a>(text: &str, groups: &'a [String], user: &str) -> Option<&'a str> {
    let has_user = |line: &str| {
        let mut fields = line.split(':');
        let (name, gid) = (fields.next()?, fields.nth(1)?);
        let mut members = fields.next()?.split(',');
        let is_it = |it: &&String| match it.parse::<u32>() {
            Ok(_) => *it == gid,
            Err(_) => *it == name,
        };
        let group = groups.iter().find(is_it)?;
        members.any(|it| it == user).then_some(group.as_str())
    };
    text.lines().find_map(has_user)
}

/// The copied process's answers other than a group's index.
const NONE: u8 = u8::MAX;
const FAILED: u8 = u8::MAX - 1;
/// A group has no gid: it is mistyped, or its directory does not answer; NSS does not say which.
const NO_GROUP: u8 = u8::MAX - 2;

/// The first of the groups that has the user as a member, by NSS.
fn group_anywhere<'a>(
    groups: &'a [String],
    user: &str,
    deadline: &Deadline,
    log: Log<'_>,
) -> Option<&'a str> {
    // NSS has no timeout, so a copy of the process does the look-up.
    let found = sys::by_copy(deadline, &|| place_of_group(groups, user));
    let why = match found {
        Ok(FAILED) => "a look-up failed".to_owned(),
        Ok(NO_GROUP) => {
            "one of exempt_groups is not found (mistyped, or its directory is down)".to_owned()
        }
        Ok(place) => return groups.get(usize::from(place)).map(String::as_str),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "no answer in time".to_owned()
        }
        Err(error) => error.to_string(),
    };
    log.error(|| {
        let user = shown(user);
        format!("exempt_groups: find the groups of {user}: {why}; the user counts as not exempt")
    });
    None
}

fn place_of_group(groups: &[String], user: &str) -> u8 {
    let look_up = || {
        let user = user.as_bytes();
        let primary = sys::gid_of_user(user).map_err(|_| ())?;
        let of_user = sys::groups_of_user(user, primary).map_err(|_| ())?;
        let mut otherwise = NONE;
        for (place, name) in (0..NO_GROUP).zip(groups) {
            let gid = match name.parse() {
                Ok(gid) => Some(gid),
                Err(_) => sys::gid_of_group(name.as_bytes()).unwrap_or_default(),
            };
            match gid {
                Some(gid) if of_user.contains(&gid) => return Ok(place),
                Some(_) => {}
                None => otherwise = NO_GROUP,
            }
        }
        Ok::<_, ()>(otherwise)
    };
    look_up().unwrap_or(FAILED)
}

/// Whether the kill switch exists: a file that only root can have made.
#[must_use]
pub fn is_switched_off(path: &Path, log: Log<'_>) -> bool {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if access::is_absent(&error) => return false,
        Err(error) => {
            let error = access::named(error);
            log.error(|| format!("kill_switch: stat {}: {error}; ignoring it", path.display()));
            return false;
        }
    };
    let is_roots = |uid: u32| uid == sys::effective_uid();
    if !found.is_file() || !is_roots(found.uid()) || found.mode() & 0o022 != 0 {
        let (path, uid, mode) = (path.display(), found.uid(), found.mode() & 0o7777);
        log.error(|| {
            format!("kill_switch: ignoring {path}: must be a file of root that only root can write, but has owner uid {uid}, mode {mode:04o}")
        });
        return false;
    }
    let above = path.parent().unwrap_or(Path::new("/"));
    match trust::safe_directory(above, &is_roots) {
        Ok(_) => true,
        Err(problem) => {
            log.error(|| format!("kill_switch: ignoring {}: {problem}", path.display()));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Account;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    fn login(user: &str, uid: u32) -> Login {
        Login {
            account: Account::Known { uid },
            ..Login::of_user(user.as_bytes())
        }
    }

    fn exempt(users: &[&str], groups: &[&str], uid_below: u32) -> Exempt {
        let owned = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        Exempt {
            users: owned(users),
            groups: owned(groups),
            uid_below,
        }
    }

    #[test]
    fn by_name_number_or_bound() {
        let found = |exempt: &Exempt, user: &str, uid| {
            let deadline = Deadline::after(Duration::from_secs(10));
            find(exempt, &login(user, uid), &deadline, Log::silent())
        };
        let users = exempt(&["alice", "2002"], &[], 1000);
        assert_eq!(found(&users, "alice", 2001), Some(Exemption::User));
        assert_eq!(found(&users, "bob", 2002), Some(Exemption::User));
        assert_eq!(found(&users, "alic", 2001), None);
        assert_eq!(found(&users, "2002", 2001), None, "a number is a uid");
        assert_eq!(found(&users, "carol", 1000), None);
        let below = Some(Exemption::Uid { below: 1000 });
        assert_eq!(found(&users, "carol", 999), below);
        let unknown = Login {
            account: Account::Unknown(sys::UserLookupError::Unknown),
            ..login("alice", 0)
        };
        let deadline = Deadline::after(Duration::from_secs(10));
        assert_eq!(find(&users, &unknown, &deadline, Log::silent()), None);
    }

    #[test]
    fn by_the_members_in_a_file() {
        let text =
            "root:x:0:\nadmins:x:900:carol,alice\nbroken\nstaff:x:901:bob\nx:y:902\n903:x:902:dave";
        let groups = |names: &[&str]| exempt(&[], names, 0).groups;
        for (names, user, found) in [
            (&["admins"][..], "alice", Some("admins")),
            (&["staff", "900"], "alice", Some("900")),
            (&["admins"], "ali", None),
            (&["admins"], "bob", None),
            (&["x"], "", None),
            (&["902"], "dave", Some("902")),
            (&["903"], "dave", None),
            (&["admin"], "alice", None),
        ] {
            assert_eq!(
                group_in(text, &groups(names), user),
                found,
                "{names:?} {user}"
            );
        }
    }

    #[test]
    fn by_the_primary_group() {
        let groups = exempt(&[], &["no-such-group-here", "root"], 0).groups;
        assert_eq!(place_of_group(&groups, "root"), 1);
        assert_eq!(place_of_group(&groups[..1], "root"), NO_GROUP);
        assert_eq!(
            place_of_group(&exempt(&[], &["4000000000"], 0).groups, "root"),
            NONE
        );
        assert_eq!(place_of_group(&groups, "no-such-user-here"), FAILED);
    }

    #[test]
    fn a_copy_of_the_process_asks() {
        let groups = exempt(&[], &["no-such-group-here", "root"], 0).groups;
        let deadline = Deadline::after(Duration::from_secs(10));
        let found = group_anywhere(&groups, "root", &deadline, Log::silent());
        assert_eq!(found, Some("root"));
    }

    #[test]
    fn a_kill_switch_that_root_alone_can_have_made() {
        let dir = Path::new("/run").join(format!("adopt-{}-switch", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("make it");
        let switch = dir.join("off");
        let is_off = || is_switched_off(&switch, Log::silent());
        assert!(!is_off(), "absent");
        fs::write(&switch, "").expect("write");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
        };
        mode(&switch, 0o600);
        assert!(is_off());
        mode(&switch, 0o666);
        assert!(!is_off(), "others can write to it");
        mode(&switch, 0o600);
        mode(&dir, 0o777);
        assert!(!is_off(), "others can put it there");
        mode(&dir, 0o755);
        fs::remove_file(&switch).expect("remove");
        std::os::unix::fs::symlink("/etc/passwd", &switch).expect("link");
        assert!(!is_off(), "a link");
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
