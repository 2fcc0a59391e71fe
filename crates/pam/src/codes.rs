//! Linux-PAM's numbers as types. Source: `_pam_types.h` of Linux-PAM 1.4 to 1.7, syslog(3).

use std::fmt;

/// The return codes of a module's entry points, `_pam_types.h`.
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
    /// The code's number in libpam.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self as i32
    }
}

/// The style of a message, `_pam_types.h`. sshd passes both on in the account phase.
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

/// A return code of libpam, `_pam_types.h`; displayed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub(crate) i32);

impl Code {
    /// No memory, or a text that C cannot represent.
    pub(crate) const BUFFER: Self = Self(5);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(i32, &str); 13] = [
            (0, "PAM_SUCCESS"),
            (3, "PAM_SERVICE_ERR"),
            (4, "PAM_SYSTEM_ERR"),
            (5, "PAM_BUF_ERR"),
            (6, "PAM_PERM_DENIED"),
            (14, "PAM_SESSION_ERR"),
            (18, "PAM_NO_MODULE_DATA"),
            (19, "PAM_CONV_ERR"),
            (25, "PAM_IGNORE"),
            (26, "PAM_ABORT"),
            (29, "PAM_BAD_ITEM"),
            (30, "PAM_CONV_AGAIN"),
            (31, "PAM_INCOMPLETE"),
        ];
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "PAM code {}", self.0),
        }
    }
}

/// The reason why libpam does not return an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemError {
    /// The application did not set it.
    Missing,
    /// libpam refused.
    Refused(Code),
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the application did not set it"),
            Self::Refused(code) => write!(f, "pam_get_item: {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_by_name() {
        assert_eq!(Code::BUFFER.to_string(), "PAM_BUF_ERR");
        assert_eq!(Code(99).to_string(), "PAM code 99");
        for code in [
            ReturnCode::Success,
            ReturnCode::ServiceError,
            ReturnCode::PermissionDenied,
            ReturnCode::SessionError,
            ReturnCode::Ignore,
            ReturnCode::BadItem,
        ] {
            let name = Code(code.as_raw()).to_string();
            assert!(name.starts_with("PAM_"), "{code:?}: {name}");
        }
    }
}
