//! The application's conversation with modules, pam_conv(3).

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::slice;

use crate::ffi;

/// A module's message through the conversation, pam_conv(3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its style: "error", "info", or "prompt" (answered with PAM_CONV_ERR).
    pub style: &'static str,
    /// The text, with U+FFFD for bytes that are not UTF-8.
    pub text: String,
}

/// `struct pam_conv`, `_pam_types.h`.
#[repr(C)]
pub(super) struct Conversation {
    pub conv: Option<Converse>,
    pub appdata: *mut c_void,
}

/// The conversation function: records every message and answers no prompt. A panic in it would end
/// the process, because it cannot unwind into C.
pub(super) extern "C" fn converse(
    count: c_int,
    messages: *mut *const RawMessage,
    responses: *mut *mut RawResponse,
    appdata: *mut c_void,
) -> c_int {
    const PAM_CONV_ERR: c_int = 19;
    let Ok(count) = usize::try_from(count) else {
        return PAM_CONV_ERR;
    };
    if count == 0 || messages.is_null() || responses.is_null() || appdata.is_null() {
        return PAM_CONV_ERR;
    }
    // SAFETY: pam_start(3) passes on what Transaction::start put there: the RefCell in its box,
    // alive until pam_end(3) is through.
    let said = unsafe { &*appdata.cast::<RefCell<Vec<Message>>>() };
    // SAFETY: pam_conv(3): Linux-PAM passes an array of `count` pointers.
    let messages = unsafe { slice::from_raw_parts(messages, count) };
    let mut prompted = false;
    for message in messages {
        // SAFETY: pam_conv(3): each points at a pam_message with a NUL-terminated text.
        let (style, text) = unsafe { ((**message).style, CStr::from_ptr((**message).text)) };
        let style = match style {
            3 => "error",
            4 => "info",
            _ => "prompt",
        };
        prompted |= style == "prompt";
        said.borrow_mut().push(Message {
            style,
            text: text.to_string_lossy().into_owned(),
        });
    }
    if prompted {
        return PAM_CONV_ERR;
    }
    // SAFETY: pam_conv(3): the responses are allocated with calloc(3) and the caller frees them;
    // all-zero means an empty answer each.
    let answers = unsafe { libc::calloc(count, size_of::<RawResponse>()) };
    if answers.is_null() {
        return PAM_CONV_ERR;
    }
    // SAFETY: where to store the array, checked above.
    unsafe { *responses = answers.cast() };
    ffi::PAM_SUCCESS
}

#[repr(C)]
pub(super) struct RawMessage {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
pub(super) struct RawResponse {
    text: *mut c_char,
    code: c_int,
}

pub(super) type Converse =
    extern "C" fn(c_int, *mut *const RawMessage, *mut *mut RawResponse, *mut c_void) -> c_int;

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn messages_are_noted_and_prompts_refused() {
        let said = RefCell::new(Vec::<Message>::new());
        let appdata: *mut c_void = (&raw const said).cast_mut().cast();
        let ask = |style| {
            let message = RawMessage {
                style,
                text: c"hello".as_ptr(),
            };
            let mut list: [*const RawMessage; 1] = [&raw const message];
            let mut answers: *mut RawResponse = ptr::null_mut();
            let code = converse(1, list.as_mut_ptr(), &raw mut answers, appdata);
            let given = !answers.is_null();
            // SAFETY: converse allocates with calloc(3), or leaves NULL, which free(3) takes.
            unsafe { libc::free(answers.cast()) };
            (code, given)
        };
        assert_eq!(ask(3), (0, true));
        assert_eq!(ask(4), (0, true));
        assert_eq!(ask(1), (19, false));
        let styles: Vec<_> = said.borrow().iter().map(|it| it.style).collect();
        assert_eq!(styles, ["error", "info", "prompt"]);
    }
}
