//! Look-ups of users and groups through NSS.

use std::ffi::{CString, c_int};
use std::fmt;
use std::io;
use std::ptr;

/// Reason why a name has no uid.
#[derive(Debug)]
pub enum UserLookupError {
    /// The user database has no such name.
    Unknown,
    /// The look-up failed.
    Failed(io::Error),
}

impl fmt::Display for UserLookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such user"),
            Self::Failed(cause) => write!(f, "getpwnam: {cause}"),
        }
    }
}

/// The uid of a user name, getpwnam_r(3).
///
/// There is no limit to how long NSS takes.
///
/// # Errors
/// [`UserLookupError`].
pub fn uid_of_user(name: &[u8]) -> Result<u32, UserLookupError> {
    ids_of_user(name).map(|(uid, _)| uid)
}

/// The gid of a user's primary group, as [`uid_of_user`].
///
/// # Errors
/// [`UserLookupError`].
pub fn gid_of_user(name: &[u8]) -> Result<u32, UserLookupError> {
    ids_of_user(name).map(|(_, gid)| gid)
}

pub(crate) fn ids_of_user(name: &[u8]) -> Result<(u32, u32), UserLookupError> {
    /// Enough for any entry.
    const MAX_ENTRY: usize = 1 << 20;
    let name = CString::new(name).map_err(|_| UserLookupError::Unknown)?;
    let mut ids = None;
    let mut ask = |buffer: &mut [u8]| {
        // SAFETY: passwd consists of integers and pointers, for which all-zero is valid, mem::zeroed.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::passwd = ptr::null_mut();
        // SAFETY: getpwnam_r(3) reads the NUL-terminated name, writes the entry, at most `buffer.len()`
        // bytes of the buffer, and to `found` a pointer to the entry or NULL. All are valid for the call.
        let code: c_int = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        ids = (code == 0 && !found.is_null()).then_some((entry.pw_uid, entry.pw_gid));
        code
    };
    until_it_fits(MAX_ENTRY, &mut ask).map_err(UserLookupError::Failed)?;
    ids.ok_or(UserLookupError::Unknown)
}

/// The gid of a group name, getgrnam_r(3); None if there is no such group.
///
/// There is no limit to how long NSS takes.
///
/// # Errors
/// The system's error.
pub fn gid_of_group(name: &[u8]) -> io::Result<Option<u32>> {
    /// Enough for a group with 100,000 members.
    const MAX_GROUP: usize = 4 << 20;
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    let mut gid = None;
    let mut ask = |buffer: &mut [u8]| {
        // SAFETY: group consists of an integer and pointers, for which all-zero is valid, mem::zeroed.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::group = ptr::null_mut();
        // SAFETY: getgrnam_r(3) reads the NUL-terminated name, writes the entry, at most `buffer.len()` bytes of
        // the buffer, and to `found` a pointer to the entry or NULL. All are valid for the call.
        let code: c_int = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        gid = (code == 0 && !found.is_null()).then_some(entry.gr_gid);
        code
    };
    until_it_fits(MAX_GROUP, &mut ask)?;
    Ok(gid)
}

/// Makes a look-up with a larger and larger buffer, up to `most` bytes, until the entry fits. `ask` returns the code of
/// the look-up.
fn until_it_fits(most: usize, ask: &mut dyn FnMut(&mut [u8]) -> c_int) -> io::Result<()> {
    // On the stack and large enough for most entries: a look-up of root must not fail for lack of memory.
    let mut small = [0u8; 1024];
    let mut large = Vec::new();
    let mut buffer = &mut small[..];
    loop {
        match ask(buffer) {
            // getpwnam_r(3), NOTES: the others too mean that there is no such name.
            0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(()),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < most => {
                let length = buffer.len() * 4;
                large.resize(length, 0);
                buffer = &mut large;
            }
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// The gids of all groups of a user, including the primary one, getgrouplist(3). NSS does not say if it could not
/// ask a directory: groups may be missing.
///
/// There is no limit to how long NSS takes.
///
/// # Errors
/// `Other` if the user has more than 65,536 groups, the kernel's limit; `InvalidInput` for a name with a NUL.
pub fn groups_of_user(name: &[u8], primary: u32) -> io::Result<Vec<u32>> {
    const MOST: usize = 1 << 16;
    let name = CString::new(name)?;
    let mut groups = vec![0; 64];
    loop {
        let mut count = groups.len() as c_int;
        // SAFETY: getgrouplist(3) reads the NUL-terminated name and writes at most `count` gids to the vector, which
        // is that long, and how many there are to `count`.
        let code = unsafe {
            libc::getgrouplist(name.as_ptr(), primary, groups.as_mut_ptr(), &raw mut count)
        };
        let found = usize::try_from(count).unwrap_or_default();
        if code >= 0 {
            groups.truncate(found);
            return Ok(groups);
        }
        if groups.len() >= MOST {
            return Err(io::Error::other("too many groups"));
        }
        groups.resize(found.max(groups.len() * 2).min(MOST), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_uid_zero() {
        assert_eq!(uid_of_user(b"root").ok(), Some(0));
        assert_eq!(gid_of_user(b"root").ok(), Some(0));
    }

    #[test]
    fn no_such_user() {
        for name in [&b"no-such-user-here"[..], b"", b"a\0b"] {
            assert!(
                matches!(uid_of_user(name), Err(UserLookupError::Unknown)),
                "{name:?}"
            );
        }
    }

    #[test]
    fn groups() {
        assert_eq!(gid_of_group(b"root").expect("look up"), Some(0));
        for name in [&b"no-such-group-here"[..], b"", b"a\0b"] {
            assert_eq!(gid_of_group(name).expect("look up"), None, "{name:?}");
        }
        let groups = groups_of_user(b"root", 4_000_000_000).expect("look up");
        assert!(groups.contains(&4_000_000_000), "{groups:?}");
    }
}
