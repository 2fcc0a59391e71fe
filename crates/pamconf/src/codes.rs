//! Return values of modules.

use std::fmt;

/// A return value of a module or of libpam, by its number in `_pam_types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u8);

impl Code {
    /// `PAM_SUCCESS`
    pub const SUCCESS: Self = Self(0);
    /// `PAM_SERVICE_ERR`
    pub const SERVICE_ERR: Self = Self(3);
    /// `PAM_PERM_DENIED`: also libpam's own answer for a line that it cannot use.
    pub const PERM_DENIED: Self = Self(6);
    /// `PAM_AUTH_ERR`
    pub const AUTH_ERR: Self = Self(7);
    /// `PAM_NEW_AUTHTOK_REQD`
    pub const NEW_AUTHTOK_REQD: Self = Self(12);
    /// `PAM_SESSION_ERR`
    pub const SESSION_ERR: Self = Self(14);
    /// `PAM_IGNORE`
    pub const IGNORE: Self = Self(25);
    /// `PAM_ABORT`: also what pam_start(3) returns if libpam gives up on the files.
    pub const ABORT: Self = Self(26);
    /// `PAM_MODULE_UNKNOWN`: also libpam's own answer for a module that it cannot load.
    pub const MODULE_UNKNOWN: Self = Self(28);
    /// `PAM_INCOMPLETE`: ends the call at this point; the application calls again.
    pub const INCOMPLETE: Self = Self(31);

    /// The number of return values: `_PAM_RETURN_VALUES`.
    pub const COUNT: usize = NAMES.len();

    /// All return values, in the order of their numbers.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        // PAM_INCOMPLETE is the last one.
        (0..=Self::INCOMPLETE.0).map(Self)
    }

    /// The return value with this number; `None` if libpam has none, which it treats as a failure.
    #[must_use]
    pub fn new(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < Self::COUNT).then_some(Self(number))
    }

    /// The return value with exactly this name in brackets, such as `perm_denied`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|it| it.name() == name)
    }

    /// Its number in `_pam_types.h`.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// Its name in brackets (pam_tokens.h).
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.index()).copied().unwrap_or_default()
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const NAMES: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];
