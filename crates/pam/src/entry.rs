//! The boundary to libpam: checks raw pointers, and lets no panic out.

use std::ffi::{CStr, c_char, c_int};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::codes::ReturnCode;
use crate::ffi;
use crate::handle::Handle;

/// `pam_handle_t *` as libpam passes it. Only libpam can make one, so an entry point that
/// takes it may be a safe function.
#[derive(Debug)]
#[repr(transparent)]
pub struct RawHandle(*mut ffi::OpaqueHandle);

/// `const char **argv` as libpam passes it; only libpam can make one.
#[derive(Debug)]
#[repr(transparent)]
pub struct RawArgs(*const *const c_char);

/// Limit on the arguments of a PAM line: a call with more is damaged.
const MAX_ARGS: usize = 4096;

/// Runs `body` with a checked handle and a copy of the module's arguments.
///
/// If `body` panics, returns the result of `on_panic` for the same handle and arguments and the panic's text
/// and place; if that panics too, PAM_SERVICE_ERR. The panic hook prints nothing: stderr is the
/// application's. Leaves nothing behind: no thread, no signal handler.
pub fn enter(
    handle: RawHandle,
    argc: c_int,
    argv: RawArgs,
    body: impl FnOnce(&Handle, &[Vec<u8>]) -> ReturnCode,
    on_panic: impl FnOnce(&Handle, &[Vec<u8>], &str) -> ReturnCode,
) -> c_int {
    // This copy of std belongs to the .so alone, so the hook is ours to replace.
    panic::set_hook(Box::new(keep_place));
    let answer = catch(|| {
        let Some(raw) = NonNull::new(handle.0) else {
            return ReturnCode::ServiceError;
        };
        let handle = Handle::new(raw);
        let args = copy_args(argc, &argv);
        catch(|| body(&handle, &args)).unwrap_or_else(|cause| on_panic(&handle, &args, &cause))
    });
    answer.unwrap_or(ReturnCode::ServiceError).as_raw()
}

/// Place of the last panic. Not thread-local: std would leave a destructor in the application's
/// thread. If two threads panic at once, the log may name the wrong one's place.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

fn keep_place(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map(|it| format!("{}:{}", it.file(), it.line()));
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
}

/// Returns the result of `body`, or the text and place of its panic.
fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).take();
        match place {
            Some(place) => format!("{text} ({place})"),
            None => text.to_owned(),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_text_and_place() {
        let before = panic::take_hook();
        panic::set_hook(Box::new(keep_place));
        let line = line!() + 1;
        let caught: Result<(), _> = catch(|| panic!("out of {}", "luck"));
        panic::set_hook(before);
        let place = format!("{}:{line}", file!());
        assert_eq!(caught, Err(format!("out of luck ({place})")));
        assert_eq!(catch(|| 7), Ok(7));
    }
}
