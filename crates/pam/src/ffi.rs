//! libpam's functions as C declares them: `security/pam_modules.h`, `security/pam_ext.h`.

use std::ffi::{c_char, c_int, c_void};

/// libpam's `struct pam_handle`, opaque here.
#[repr(C)]
pub(crate) struct OpaqueHandle {
    _private: [u8; 0],
}

pub(crate) const PAM_SUCCESS: c_int = 0;
pub(crate) const PAM_SERVICE: c_int = 1;
pub(crate) const PAM_USER: c_int = 2;
pub(crate) const PAM_TTY: c_int = 3;
pub(crate) const PAM_RHOST: c_int = 4;

#[link(name = "pam")]
unsafe extern "C" {
    pub(crate) fn pam_get_item(
        pamh: *const OpaqueHandle,
        item_type: c_int,
        item: *mut *const c_void,
    ) -> c_int;
    pub(crate) fn pam_get_data(
        pamh: *const OpaqueHandle,
        module_data_name: *const c_char,
        data: *mut *const c_void,
    ) -> c_int;
    pub(crate) fn pam_set_data(
        pamh: *mut OpaqueHandle,
        module_data_name: *const c_char,
        data: *mut c_void,
        cleanup: Option<unsafe extern "C" fn(*mut OpaqueHandle, *mut c_void, c_int)>,
    ) -> c_int;
    pub(crate) fn pam_getenv(pamh: *mut OpaqueHandle, name: *const c_char) -> *const c_char;
    pub(crate) fn pam_putenv(pamh: *mut OpaqueHandle, name_value: *const c_char) -> c_int;
    pub(crate) fn pam_prompt(
        pamh: *mut OpaqueHandle,
        style: c_int,
        response: *mut *mut c_char,
        fmt: *const c_char,
        ...
    ) -> c_int;
    pub(crate) fn pam_syslog(pamh: *const OpaqueHandle, priority: c_int, fmt: *const c_char, ...);
}
