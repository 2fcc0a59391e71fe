//! libpam's answers and their names.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::ptr;

use crate::ffi;

/// libpam's answer, `_pam_types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer(pub i32);

impl Answer {
    /// PAM_SUCCESS.
    pub const SUCCESS: Self = Self(ffi::PAM_SUCCESS);

    /// The name of the number in `_pam_types.h`, such as `PAM_PERM_DENIED`.
    #[must_use]
    pub fn name(self) -> &'static str {
        usize::try_from(self.0)
            .ok()
            .and_then(|code| NAMES.get(code))
            .copied()
            .unwrap_or("unknown")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: {})", self.name(), self.0, strerror(self.0))
    }
}

impl std::error::Error for Answer {}

fn strerror(code: c_int) -> String {
    // SAFETY: pam_strerror(3) ignores the handle and returns a static text for any number.
    let text = unsafe { pam_strerror(ptr::null_mut(), code) };
    if text.is_null() {
        return String::from("no text");
    }
    // SAFETY: it is NUL-terminated and never freed.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

// Linux-PAM 1.4 to 1.7 number the codes from 0 without a gap.
const NAMES: [&str; 32] = [
    "PAM_SUCCESS",
    "PAM_OPEN_ERR",
    "PAM_SYMBOL_ERR",
    "PAM_SERVICE_ERR",
    "PAM_SYSTEM_ERR",
    "PAM_BUF_ERR",
    "PAM_PERM_DENIED",
    "PAM_AUTH_ERR",
    "PAM_CRED_INSUFFICIENT",
    "PAM_AUTHINFO_UNAVAIL",
    "PAM_USER_UNKNOWN",
    "PAM_MAXTRIES",
    "PAM_NEW_AUTHTOK_REQD",
    "PAM_ACCT_EXPIRED",
    "PAM_SESSION_ERR",
    "PAM_CRED_UNAVAIL",
    "PAM_CRED_EXPIRED",
    "PAM_CRED_ERR",
    "PAM_NO_MODULE_DATA",
    "PAM_CONV_ERR",
    "PAM_AUTHTOK_ERR",
    "PAM_AUTHTOK_RECOVERY_ERR",
    "PAM_AUTHTOK_LOCK_BUSY",
    "PAM_AUTHTOK_DISABLE_AGING",
    "PAM_TRY_AGAIN",
    "PAM_IGNORE",
    "PAM_ABORT",
    "PAM_AUTHTOK_EXPIRED",
    "PAM_MODULE_UNKNOWN",
    "PAM_BAD_ITEM",
    "PAM_CONV_AGAIN",
    "PAM_INCOMPLETE",
];

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_strerror(pamh: *mut ffi::OpaqueHandle, code: c_int) -> *const c_char;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names() {
        assert_eq!(Answer(25).name(), "PAM_IGNORE");
        assert_eq!(Answer(29).name(), "PAM_BAD_ITEM");
        assert_eq!(
            (Answer(32).name(), Answer(-1).name()),
            ("unknown", "unknown")
        );
    }
}
