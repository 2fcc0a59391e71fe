//! User look-ups through NSS.

use std::ffi::{CString, c_int};
use std::fmt;
use std::io;
use std::ptr;

/// Largest buffer for a passwd entry.
const MAX_ENTRY: usize = 1 << 20;

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

fn ids_of_user(name: &[u8]) -> Result<(u32, u32), UserLookupError> {
    let name = CString::new(name).map_err(|_| UserLookupError::Unknown)?;
    // On the stack and large enough for most entries: a look-up of root must not fail for lack of memory.
    let mut small = [0u8; 1024];
    let mut large = Vec::new();
    let mut buffer = &mut small[..];
    loop {
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
        match code {
            0 if found.is_null() => return Err(UserLookupError::Unknown),
            0 => return Ok((entry.pw_uid, entry.pw_gid)),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < MAX_ENTRY => {
                let length = buffer.len() * 4;
                large.resize(length, 0);
                buffer = &mut large;
            }
            // getpwnam_r(3), NOTES: these too mean that there is no such name.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => {
                return Err(UserLookupError::Unknown);
            }
            code => return Err(UserLookupError::Failed(io::Error::from_raw_os_error(code))),
        }
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
}
