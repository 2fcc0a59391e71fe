//! Linux-PAM's numbers as types. Source: `_pam_types.h` of Linux-PAM 1.4 to 1.7, syslog(3).

use std::fmt;

/// What a module's entry point may answer, `_pam_types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ReturnCode {
    /// PAM_SUCCESS
    Success = 0,
    /// PAM_SERVICE_ERR
    ServiceError = 3,
    /// PAM_PERM_DENIED
    PermissionDenied = 6,
    /// PAM_SESSION_ERR
    SessionError = 14,
    /// PAM_IGNORE
    Ignore = 25,
    /// PAM_BAD_ITEM
    BadItem = 29,
}

impl ReturnCode {
    /// The number that libpam knows it by.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self as i32
    }
}

/// How a message is shown, `_pam_types.h`. sshd passes both on in the account phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum MessageStyle {
    /// PAM_ERROR_MSG
    Error = 3,
    /// PAM_TEXT_INFO
    Info = 4,
}

/// Priority of a line in the admin's log, syslog(3); the facility is always AUTHPRIV,
/// pam_syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Severity {
    /// LOG_ERR
    Error = 3,
    /// LOG_INFO
    Info = 6,
    /// LOG_DEBUG
    Debug = 7,
}

/// An item could not be had from libpam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemError {
    /// libpam has the item but it was never set.
    Missing,
    /// libpam refused, with its own return code.
    Refused(i32),
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the application did not set it"),
            Self::Refused(code) => write!(f, "libpam refused with code {code}"),
        }
    }
}
