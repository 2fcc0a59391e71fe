//! The wall between libpam and the rest: raw pointers are checked here, and no panic gets out.

use std::ffi::{CStr, c_char, c_int};
use std::panic::{self, AssertUnwindSafe};
use std::ptr::NonNull;

use crate::codes::ReturnCode;
use crate::ffi;
use crate::handle::Handle;

/// `pam_handle_t *` as libpam passes it. Only libpam can make one, so that an entry point which
/// takes it is safe to declare as a safe function.
#[derive(Debug)]
#[repr(transparent)]
pub struct RawHandle(*mut ffi::OpaqueHandle);

/// `const char **argv` as libpam passes it; only libpam can make one.
#[derive(Debug)]
#[repr(transparent)]
pub struct RawArgs(*const *const c_char);

/// More arguments than this on one PAM line are a damaged call.
const MAX_ARGS: usize = 4096;

/// Runs `body` with a checked handle and a copy of the module's arguments.
///
/// If `body` panics the host lives on and gets what `on_panic` makes of the same handle and
/// arguments; if that panics too, PAM_SERVICE_ERR. The panic hook is silenced: stderr is the
/// host's. Nothing is left behind: no thread, no signal handler.
pub fn enter(
    handle: RawHandle,
    argc: c_int,
    argv: RawArgs,
    body: impl FnOnce(&Handle, &[Vec<u8>]) -> ReturnCode,
    on_panic: impl FnOnce(&Handle, &[Vec<u8>], &str) -> ReturnCode,
) -> c_int {
    // This copy of std belongs to the .so alone, so the hook is ours to replace.
    panic::set_hook(Box::new(|_| {}));
    let answer = panic::catch_unwind(AssertUnwindSafe(|| {
        let Some(raw) = NonNull::new(handle.0) else {
            return ReturnCode::ServiceError;
        };
        let handle = Handle::new(raw);
        let args = copy_args(argc, &argv);
        match panic::catch_unwind(AssertUnwindSafe(|| body(&handle, &args))) {
            Ok(code) => code,
            Err(payload) => {
                let cause = payload
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("no text");
                on_panic(&handle, &args, cause)
            }
        }
    }));
    answer.unwrap_or(ReturnCode::ServiceError).as_raw()
}

fn copy_args(argc: c_int, argv: &RawArgs) -> Vec<Vec<u8>> {
    let count = usize::try_from(argc).unwrap_or(0).min(MAX_ARGS);
    if argv.0.is_null() {
        return Vec::new();
    }
    (0..count)
        .filter_map(|index| {
            // SAFETY: libpam passes argc pointers at argv (pam_sm_acct_mgmt(3)); index < argc.
            let arg = unsafe { *argv.0.add(index) };
            // SAFETY: each is NULL or a NUL-terminated string that lives as long as the call.
            (!arg.is_null()).then(|| unsafe { CStr::from_ptr(arg) }.to_bytes().to_vec())
        })
        .collect()
}
