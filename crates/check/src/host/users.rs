//! Users as files have them: passwd(5), login.defs(5).

/// A line of passwd(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// The name.
    pub name: &'a str,
    /// The uid.
    pub uid: u32,
    /// The gid of the user's own group.
    pub gid: Option<u32>,
    /// The shell; empty for the default one.
    pub shell: &'a str,
}

/// The users of a passwd(5) or of what getent(1) prints, in its order: the first line of a name or uid counts. Lines
/// without a uid are left out.
pub fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        Some(User {
            name,
            uid: uid.parse().ok()?,
            gid: fields.next().and_then(|it| it.parse().ok()),
            shell: fields.nth(2).unwrap_or_default(),
        })
    })
}

/// A number in login.defs(5), such as UID_MIN.
#[must_use]
pub fn defined(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_uid_are_no_users() {
        let passwd = "root:x:0:0::/root:/bin/sh\n+::::::\na:x:7:8\nb:x:7:x::/:\nc:x\n\n";
        let user = |name, uid, gid, shell| User {
            name,
            uid,
            gid,
            shell,
        };
        assert_eq!(
            users(passwd).collect::<Vec<_>>(),
            [
                user("root", 0, Some(0), "/bin/sh"),
                user("a", 7, Some(8), ""),
                user("b", 7, None, "")
            ]
        );
    }

    #[test]
    fn numbers_of_login_defs() {
        let text = "# UID_MIN 5\nUID_MIN\t\t 500\nUID_MAX nonsense\n";
        assert_eq!(defined(text, "UID_MIN"), Some(500));
        assert_eq!(defined(text, "UID_MAX"), None);
        assert_eq!(defined(text, "GID_MIN"), None);
    }
}
