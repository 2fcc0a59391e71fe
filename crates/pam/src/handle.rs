//! The handle that libpam lends to a module for the duration of one call.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{self, NonNull};

use crate::codes::{Code, ItemError, MessageStyle, Severity};
use crate::ffi;

/// The items that the module reads, pam_get_item(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// PAM_SERVICE: the name of the stack, "sshd".
    Service,
    /// PAM_USER: the user who logs in.
    User,
    /// PAM_RHOST: the remote host, a name or an address.
    RemoteHost,
    /// PAM_TTY: the terminal; "ssh" with sshd, also without one.
    Tty,
}

/// libpam's handle, valid for the duration of the call into the module.
#[derive(Debug)]
pub struct Handle {
    raw: NonNull<ffi::OpaqueHandle>,
}

impl Handle {
    pub(crate) fn new(raw: NonNull<ffi::OpaqueHandle>) -> Self {
        Self { raw }
    }

    /// Copies an item's bytes (without the NUL).
    ///
    /// # Errors
    /// [`ItemError::Missing`] if the application did not set it, [`ItemError::Refused`] with
    /// libpam's code.
    pub fn item(&self, item: Item) -> Result<Vec<u8>, ItemError> {
        let kind = match item {
            Item::Service => ffi::PAM_SERVICE,
            Item::User => ffi::PAM_USER,
            Item::RemoteHost => ffi::PAM_RHOST,
            Item::Tty => ffi::PAM_TTY,
        };
        let mut value: *const c_void = ptr::null();
        // SAFETY: the handle is libpam's and live for this call (entry.rs); pam_get_item(3)
        // stores a pointer into its own memory through the third argument.
        let code = unsafe { ffi::pam_get_item(self.raw.as_ptr(), kind, &raw mut value) };
        if code != ffi::PAM_SUCCESS {
            return Err(ItemError::Refused(Code(code)));
        }
        if value.is_null() {
            return Err(ItemError::Missing);
        }
        // SAFETY: pam_get_item(3): these items are NUL-terminated strings that stay valid
        // until the item is set again, which can't happen before we have copied it.
        Ok(unsafe { CStr::from_ptr(value.cast()) }.to_bytes().to_vec())
    }

    /// Keeps a text for the later phases of this transaction in this process, and replaces an earlier one with
    /// that name; only modules can read it, pam_set_data(3).
    ///
    /// # Errors
    /// libpam's code; PAM_BUF_ERR also for a NUL in the text.
    pub fn keep(&self, name: &CStr, text: &str) -> Result<(), Code> {
        let text = CString::new(text).map_err(|_| Code::BUFFER)?.into_raw();
        // SAFETY: live handle, NUL-terminated name, which libpam copies. From success on libpam owns the
        // text and calls `free_text` for it exactly once, pam_set_data(3); the module is not unloaded
        // before that (pam_end(3) frees data first, and it is linked with -z nodelete).
        let code = unsafe {
            ffi::pam_set_data(
                self.raw.as_ptr(),
                name.as_ptr(),
                text.cast(),
                Some(free_text),
            )
        };
        if code == ffi::PAM_SUCCESS {
            return Ok(());
        }
        // SAFETY: into_raw made it a few lines above, and libpam did not take it.
        drop(unsafe { CString::from_raw(text) });
        Err(Code(code))
    }

    /// Copies the text that [`Handle::keep`] has stored, pam_get_data(3); `None` also if it is not UTF-8.
    #[must_use]
    pub fn kept(&self, name: &CStr) -> Option<String> {
        let mut data: *const c_void = ptr::null();
        // SAFETY: live handle, NUL-terminated name; the pointer is stored through the third argument.
        let code = unsafe { ffi::pam_get_data(self.raw.as_ptr(), name.as_ptr(), &raw mut data) };
        if code != ffi::PAM_SUCCESS || data.is_null() {
            return None;
        }
        // SAFETY: only `keep` sets data of our names: a NUL-terminated text, which stays until it is set
        // again, and that can't happen before we have copied it.
        let text = unsafe { CStr::from_ptr(data.cast()) };
        text.to_str().ok().map(str::to_owned)
    }

    /// Copies a variable of the environment that the login will get, pam_getenv(3); `None` also
    /// if it is not UTF-8.
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
    /// libpam's code; PAM_BUF_ERR also for a NUL in the text.
    pub fn put_env(&self, name: &str, value: &str) -> Result<(), Code> {
        let pair = CString::new(format!("{name}={value}")).map_err(|_| Code::BUFFER)?;
        // SAFETY: live handle, NUL-terminated text; pam_putenv(3) copies it.
        match unsafe { ffi::pam_putenv(self.raw.as_ptr(), pair.as_ptr()) } {
            ffi::PAM_SUCCESS => Ok(()),
            code => Err(Code(code)),
        }
    }

    /// Shows one line to the user through the application's conversation, pam_prompt(3).
    ///
    /// # Errors
    /// libpam's code, such as PAM_CONV_ERR if the application has no conversation.
    pub fn tell(&self, style: MessageStyle, text: &str) -> Result<(), Code> {
        let text = CString::new(text).map_err(|_| Code::BUFFER)?;
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
            Err(Code(code))
        }
    }

    /// Writes one line to the admin's log, pam_syslog(3) (facility AUTHPRIV, prefixed with the names of the
    /// module, the service and the phase). A NUL in the text ends it there.
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

/// Frees a text of [`Handle::keep`].
unsafe extern "C" fn free_text(_: *mut ffi::OpaqueHandle, text: *mut c_void, _: c_int) {
    // SAFETY: libpam passes what `keep` gave it, once.
    drop(unsafe { CString::from_raw(text.cast()) });
}
