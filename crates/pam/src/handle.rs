//! The handle that libpam lends to a module for the length of one call.

use std::ffi::{CStr, CString, c_int, c_void};
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

use crate::codes::{ItemError, MessageStyle, Severity};
use crate::ffi;

/// The items that the module reads, pam_get_item(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// PAM_SERVICE: the name of the stack, «sshd».
    Service,
    /// PAM_USER: who logs in.
    User,
    /// PAM_RHOST: where from, a name or an address.
    RemoteHost,
}

/// libpam's handle, valid for the length of the call into the module.
#[derive(Debug)]
pub struct Handle {
    raw: NonNull<ffi::OpaqueHandle>,
}

impl Handle {
    pub(crate) fn new(raw: NonNull<ffi::OpaqueHandle>) -> Self {
        Self { raw }
    }

    /// A copy of an item's bytes (without the NUL).
    ///
    /// # Errors
    /// [`ItemError::Missing`] where the application set none, [`ItemError::Refused`] with
    /// libpam's code.
    pub fn item(&self, item: Item) -> Result<Vec<u8>, ItemError> {
        let kind = match item {
            Item::Service => ffi::PAM_SERVICE,
            Item::User => ffi::PAM_USER,
            Item::RemoteHost => ffi::PAM_RHOST,
        };
        let mut value: *const c_void = ptr::null();
        // SAFETY: the handle is libpam's and live for this call (entry.rs); pam_get_item(3)
        // stores a pointer into its own memory through the third argument.
        let code = unsafe { ffi::pam_get_item(self.raw.as_ptr(), kind, &raw mut value) };
        if code != ffi::PAM_SUCCESS {
            return Err(ItemError::Refused(code));
        }
        if value.is_null() {
            return Err(ItemError::Missing);
        }
        // SAFETY: pam_get_item(3): these items are NUL-terminated strings that stay valid
        // until the item is set again, which can't happen before we have copied it.
        Ok(unsafe { CStr::from_ptr(value.cast()) }.to_bytes().to_vec())
    }

    /// Keeps a number for the later phases of this transaction in this process; only modules reach it,
    /// pam_set_data(3).
    ///
    /// # Errors
    /// libpam's code.
    pub fn keep(&self, name: &CStr, number: NonZeroUsize) -> Result<(), i32> {
        let data = ptr::without_provenance_mut(number.get());
        // SAFETY: live handle, NUL-terminated name, which libpam copies; the number is kept in the
        // place of a pointer that nobody follows, and without a clean-up function.
        match unsafe { ffi::pam_set_data(self.raw.as_ptr(), name.as_ptr(), data, None) } {
            ffi::PAM_SUCCESS => Ok(()),
            code => Err(code),
        }
    }

    /// What [`Handle::keep`] keeps, pam_get_data(3).
    #[must_use]
    pub fn kept(&self, name: &CStr) -> Option<NonZeroUsize> {
        let mut data: *const c_void = ptr::null();
        // SAFETY: live handle, NUL-terminated name; the pointer is stored through the third argument.
        let code = unsafe { ffi::pam_get_data(self.raw.as_ptr(), name.as_ptr(), &raw mut data) };
        NonZeroUsize::new(data.addr()).filter(|_| code == ffi::PAM_SUCCESS)
    }

    /// A copy of a variable of the environment that the login will get, pam_getenv(3); `None` also
    /// where it is not UTF-8.
    #[must_use]
    pub fn env(&self, name: &CStr) -> Option<String> {
        // SAFETY: live handle, NUL-terminated name.
        let value = unsafe { ffi::pam_getenv(self.raw.as_ptr(), name.as_ptr()) };
        if value.is_null() {
            return None;
        }
        // SAFETY: pam_getenv(3): a NUL-terminated string in libpam's memory, which nobody changes
        // before we have copied it.
        let value = unsafe { CStr::from_ptr(value) };
        value.to_str().ok().map(str::to_owned)
    }

    /// Sets `name=value` in the environment that the login will get, pam_putenv(3).
    ///
    /// # Errors
    /// libpam's code; 5 (PAM_BUF_ERR) also for a NUL in the text.
    pub fn put_env(&self, name: &str, value: &str) -> Result<(), i32> {
        const PAM_BUF_ERR: c_int = 5;
        let pair = CString::new(format!("{name}={value}")).map_err(|_| PAM_BUF_ERR)?;
        // SAFETY: live handle, NUL-terminated text; pam_putenv(3) copies it.
        match unsafe { ffi::pam_putenv(self.raw.as_ptr(), pair.as_ptr()) } {
            ffi::PAM_SUCCESS => Ok(()),
            code => Err(code),
        }
    }

    /// Shows one line to the user through the application's conversation, pam_prompt(3).
    ///
    /// # Errors
    /// libpam's code, such as 19 (PAM_CONV_ERR) where the application has no conversation.
    pub fn tell(&self, style: MessageStyle, text: &str) -> Result<(), i32> {
        const PAM_BUF_ERR: c_int = 5;
        let text = CString::new(text).map_err(|_| PAM_BUF_ERR)?;
        // SAFETY: live handle; "%s" takes exactly the one NUL-terminated string that follows;
        // pam_prompt(3) allows a NULL response for the two message styles.
        let code = unsafe {
            ffi::pam_prompt(
                self.raw.as_ptr(),
                style as c_int,
                ptr::null_mut(),
                c"%s".as_ptr(),
                text.as_ptr(),
            )
        };
        if code == ffi::PAM_SUCCESS {
            Ok(())
        } else {
            Err(code)
        }
    }

    /// Writes one line to the admin's log, pam_syslog(3) (facility AUTHPRIV, with the module's,
    /// the service's and the phase's name before it). A NUL in the text ends it there.
    pub fn log(&self, severity: Severity, line: &str) {
        let text = line.split('\0').next().unwrap_or_default();
        let Ok(text) = CString::new(text) else { return };
        // SAFETY: live handle; "%s" takes exactly the one NUL-terminated string that follows.
        unsafe {
            ffi::pam_syslog(
                self.raw.as_ptr(),
                severity as c_int,
                c"%s".as_ptr(),
                text.as_ptr(),
            );
        }
    }
}
