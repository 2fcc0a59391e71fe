//! The application's side of libpam: what sshd does around a module, for `slurm-adopt check --as`, tests and
//! benchmarks.
//!
//! Never part of the shipped module (feature `app`). Contracts are those of pam_start(3),
//! pam_set_item(3), pam_acct_mgmt(3), pam_setcred(3), pam_open_session(3), pam_getenvlist(3), pam_conv(3),
//! pam_end(3).

mod answer;
mod conversation;
mod process;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::app::conversation::{Conversation, converse};
use crate::ffi;

pub use crate::app::answer::Answer;
pub use crate::app::conversation::Message;
pub use crate::app::process::{
    NoMemory, close_log, close_standard_streams, default_sigpipe, interrupt_every_millisecond,
    open_log,
};

/// The start of a transaction, pam_start(3).
#[derive(Debug, Clone, Copy)]
pub struct Start<'text> {
    /// The name of the stack's file.
    pub service: &'text str,
    /// PAM_USER.
    pub user: &'text str,
    /// The directory of the stack's file; `None` for /etc/pam.d, as in every application.
    pub confdir: Option<&'text Path>,
    /// Whether the application has a conversation. Without one it cannot show messages.
    pub conversation: bool,
}

/// Items that an application sets, pam_set_item(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppItem {
    /// PAM_RHOST: the host that the user comes from.
    RemoteHost,
    /// PAM_TTY: "ssh" with sshd.
    Tty,
    /// PAM_USER, which an application may change between the phases.
    User,
}

/// What to do with the user's credentials, pam_setcred(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// PAM_ESTABLISH_CRED
    Establish,
    /// PAM_DELETE_CRED
    Delete,
}

/// One transaction, from pam_start(3) to pam_end(3).
#[derive(Debug)]
pub struct Transaction {
    raw: NonNull<ffi::OpaqueHandle>,
    /// Boxed: libpam keeps a pointer to it, which must not move with the transaction.
    said: Box<RefCell<Vec<Message>>>,
    last: Answer,
}

impl Transaction {
    /// pam_start(3) with a conversation. Needs nothing newer than Linux-PAM 1.0, unlike [`Transaction::start`].
    ///
    /// # Errors
    /// libpam's answer; PAM_BUF_ERR also for a NUL in a text.
    pub fn begin(service: &str, user: &str) -> Result<Self, Answer> {
        Self::by(
            service,
            user,
            true,
            |service, user, conversation, handle| {
                // SAFETY: pam_start(3): three readable strings or structures, of which libpam keeps copies, and where to
                // store the handle. What the conversation points at lives in the same Transaction, so as long as the
                // handle.
                unsafe { pam_start(service.as_ptr(), user.as_ptr(), conversation, handle) }
            },
        )
    }

    /// pam_start(3), or pam_start_confdir(3) if a directory is given.
    ///
    /// # Errors
    /// libpam's answer; PAM_BUF_ERR also for a NUL in a text.
    pub fn start(how: Start<'_>) -> Result<Self, Answer> {
        let dir = match how.confdir {
            Some(dir) => Some(c_string(&dir.to_string_lossy())?),
            None => None,
        };
        let call = |service: &CStr, user: &CStr, conversation, handle| match &dir {
            // SAFETY: as in Transaction::begin.
            None => unsafe { pam_start(service.as_ptr(), user.as_ptr(), conversation, handle) },
            // SAFETY: as above; the directory's name is copied too (pam_start.c).
            Some(dir) => unsafe {
                pam_start_confdir(
                    service.as_ptr(),
                    user.as_ptr(),
                    conversation,
                    dir.as_ptr(),
                    handle,
                )
            },
        };
        Self::by(how.service, how.user, how.conversation, call)
    }

    fn by(
        service: &str,
        user: &str,
        has_conversation: bool,
        call: impl FnOnce(&CStr, &CStr, *const Conversation, *mut *mut ffi::OpaqueHandle) -> c_int,
    ) -> Result<Self, Answer> {
        let (service, user) = (c_string(service)?, c_string(user)?);
        let said = Box::new(RefCell::new(Vec::new()));
        let conversation = Conversation {
            conv: match has_conversation {
                true => Some(converse),
                false => None,
            },
            appdata: (&raw const *said).cast_mut().cast(),
        };
        let mut handle: *mut ffi::OpaqueHandle = ptr::null_mut();
        let code = call(&service, &user, &raw const conversation, &raw mut handle);
        match NonNull::new(handle) {
            Some(raw) if code == ffi::PAM_SUCCESS => Ok(Self {
                raw,
                said,
                last: Answer(code),
            }),
            _ => Err(Answer(code)),
        }
    }

    /// pam_set_item(3).
    ///
    /// # Errors
    /// libpam's answer; PAM_BUF_ERR also for a NUL in the text.
    pub fn set(&mut self, item: AppItem, value: &str) -> Result<(), Answer> {
        let kind = match item {
            AppItem::RemoteHost => ffi::PAM_RHOST,
            AppItem::Tty => ffi::PAM_TTY,
            AppItem::User => ffi::PAM_USER,
        };
        let value = c_string(value)?;
        // SAFETY: live handle; both items are strings, which pam_set_item(3) copies.
        match unsafe { pam_set_item(self.raw.as_ptr(), kind, value.as_ptr().cast()) } {
            ffi::PAM_SUCCESS => Ok(()),
            code => Err(Answer(code)),
        }
    }

    /// The account phase, pam_acct_mgmt(3).
    pub fn account(&mut self) -> Answer {
        // SAFETY: live handle; no flags.
        self.last = Answer(unsafe { pam_acct_mgmt(self.raw.as_ptr(), 0) });
        self.last
    }

    /// Makes the user's credentials, or deletes them, pam_setcred(3).
    pub fn set_credentials(&mut self, credentials: Credentials) -> Answer {
        let flag = match credentials {
            Credentials::Establish => 0x2,
            Credentials::Delete => 0x4,
        };
        // SAFETY: live handle; a flag of _pam_types.h.
        self.last = Answer(unsafe { pam_setcred(self.raw.as_ptr(), flag) });
        self.last
    }

    /// The first half of the session phase, pam_open_session(3).
    pub fn open_session(&mut self) -> Answer {
        // SAFETY: live handle; no flags.
        self.last = Answer(unsafe { pam_open_session(self.raw.as_ptr(), 0) });
        self.last
    }

    /// The second half of the session phase, pam_close_session(3).
    pub fn close_session(&mut self) -> Answer {
        // SAFETY: live handle; no flags.
        self.last = Answer(unsafe { pam_close_session(self.raw.as_ptr(), 0) });
        self.last
    }

    /// The environment that the modules left for the login, pam_getenvlist(3).
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        // SAFETY: live handle.
        let list = unsafe { pam_getenvlist(self.raw.as_ptr()) };
        let mut pairs = Vec::new();
        if list.is_null() {
            return pairs;
        }
        for index in 0.. {
            // SAFETY: pam_getenvlist(3): a NULL-terminated array, and we stop at its NULL.
            let entry = unsafe { *list.add(index) };
            if entry.is_null() {
                break;
            }
            // SAFETY: each entry is a NUL-terminated string.
            let text = unsafe { CStr::from_ptr(entry) }
                .to_string_lossy()
                .into_owned();
            // SAFETY: pam_getenvlist(3): the caller frees the strings and the array.
            unsafe { libc::free(entry.cast()) };
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            pairs.push((name.to_owned(), value.to_owned()));
        }
        // SAFETY: as above; not used after this.
        unsafe { libc::free(list.cast()) };
        pairs
    }

    /// The modules' messages so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.said.borrow().clone()
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: live handle, not used after this; pam_end(3) wants the last answer.
        unsafe { pam_end(self.raw.as_ptr(), self.last.0) };
    }
}

fn c_string(text: &str) -> Result<CString, Answer> {
    const PAM_BUF_ERR: i32 = 5;
    CString::new(text).map_err(|_| Answer(PAM_BUF_ERR))
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        handle: *mut *mut ffi::OpaqueHandle,
    ) -> c_int;
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        confdir: *const c_char,
        handle: *mut *mut ffi::OpaqueHandle,
    ) -> c_int;
    fn pam_set_item(pamh: *mut ffi::OpaqueHandle, item_type: c_int, item: *const c_void) -> c_int;
    fn pam_acct_mgmt(pamh: *mut ffi::OpaqueHandle, flags: c_int) -> c_int;
    fn pam_setcred(pamh: *mut ffi::OpaqueHandle, flags: c_int) -> c_int;
    fn pam_open_session(pamh: *mut ffi::OpaqueHandle, flags: c_int) -> c_int;
    fn pam_close_session(pamh: *mut ffi::OpaqueHandle, flags: c_int) -> c_int;
    fn pam_getenvlist(pamh: *mut ffi::OpaqueHandle) -> *mut *mut c_char;
    fn pam_end(pamh: *mut ffi::OpaqueHandle, status: c_int) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_of_libpams_own_modules_answers() {
        let dir = std::env::temp_dir().join(format!("pam-app-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the directory");
        std::fs::write(
            dir.join("echo"),
            "account [default=done] pam_deny.so\nsession required pam_permit.so\n",
        )
        .expect("write the stack");
        let how = Start {
            service: "echo",
            user: "nobody",
            confdir: Some(&dir),
            conversation: true,
        };
        let mut transaction = Transaction::start(how).expect("pam_start_confdir");
        transaction
            .set(AppItem::RemoteHost, "192.0.2.1")
            .expect("set RHOST");
        assert_eq!(transaction.account().name(), "PAM_AUTH_ERR");
        // The stack has no line for it.
        assert_ne!(
            transaction.set_credentials(Credentials::Establish),
            Answer::SUCCESS
        );
        assert_eq!(transaction.open_session(), Answer::SUCCESS);
        assert_eq!(transaction.close_session(), Answer::SUCCESS);
        assert_eq!(
            (transaction.environment(), transaction.messages()),
            (vec![], vec![])
        );
        std::fs::remove_dir_all(&dir).expect("remove the directory");
    }
}
