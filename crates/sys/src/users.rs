//! The user database, through NSS.

use std::ffi::{CString, c_int};
use std::fmt;
use std::io;
use std::ptr;

/// A buffer beyond this is no passwd entry.
const MAX_ENTRY: usize = 1 << 20;

/// Why a name has no uid.
#[derive(Debug)]
pub enum UserLookupError {
    /// The user database knows no such name.
    Unknown,
    /// The user database could not be asked.
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
/// How long NSS takes is not ours to bound.
///
/// # Errors
/// [`UserLookupError::Unknown`] or the system's error.
pub fn uid_of_user(name: &[u8]) -> Result<u32, UserLookupError> {
    ids_of_user(name).map(|(uid, _)| uid)
}

/// The gid of a user's primary group, in the same way.
///
/// # Errors
/// As there.
pub fn gid_of_user(name: &[u8]) -> Result<u32, UserLookupError> {
    ids_of_user(name).map(|(_, gid)| gid)
}

fn ids_of_user(name: &[u8]) -> Result<(u32, u32), UserLookupError> {
    let name = CString::new(name).map_err(|_| UserLookupError::Unknown)?;
    // Enough for most, and nothing that can fail where memory is short: root must pass.
    let mut small = [0u8; 1024];
    let mut large = Vec::new();
    let mut buffer = &mut small[..];
    loop {
        // SAFETY: passwd is plain data for which all-zero is a valid value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::passwd = ptr::null_mut();
        // SAFETY: all pointers are valid for the call, the length is the buffer's own;
        // getpwnam_r(3) stores &entry or NULL in `found`.
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
