//! The application's side of libpam: what sshd does around a module, for `slurm-adopt check --as`, tests and
//! benchmarks.
//!
//! Never part of the shipped module (feature `app`). Contracts are those of pam_start(3),
//! pam_set_item(3), pam_acct_mgmt(3), pam_setcred(3), pam_open_session(3), pam_getenvlist(3), pam_conv(3),
//! pam_end(3).

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;

use crate::ffi;

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

/// A module's message through the conversation, pam_conv(3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its style: "error", "info", or "prompt" (answered with PAM_CONV_ERR).
    pub style: &'static str,
    /// The text, with U+FFFD for bytes that are not UTF-8.
    pub text: String,
}

/// libpam's answer, `_pam_types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer(pub i32);

impl Answer {
    /// PAM_SUCCESS.
    pub const SUCCESS: Self = Self(ffi::PAM_SUCCESS);

    /// The name of the number in `_pam_types.h`, such as `PAM_PERM_DENIED`.
    #[must_use]
    pub fn name(self) -> &'static str {
        usize::try_from(self.0)
            .ok()
            .and_then(|code| NAMES.get(code))
            .copied()
            .unwrap_or("unknown")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: {})", self.name(), self.0, strerror(self.0))
    }
}

impl std::error::Error for Answer {}

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

/// Opens this process's connection to syslog now, openlog(3), as sshd does before it starts PAM. Otherwise
/// the first line that a module logs leaves a new descriptor open, which is libc's.
pub fn open_log(ident: &'static CStr) {
    // SAFETY: openlog(3) keeps the pointer; a 'static text outlives every use.
    unsafe {
        libc::openlog(
            ident.as_ptr(),
            libc::LOG_PID | libc::LOG_NDELAY,
            libc::LOG_AUTHPRIV,
        )
    };
}

/// Closes what [`open_log`] opened, closelog(3).
pub fn close_log() {
    // SAFETY: closelog(3) has no arguments, and a later log line opens the log again.
    unsafe { libc::closelog() };
}

/// Loads a PAM module as libpam does, with everything that it needs and without looking up its functions;
/// it stays loaded. Like pam_start(3), this runs the file's constructors.
///
/// # Errors
/// dlerror(3).
pub fn load(module: &Path) -> Result<(), String> {
    let path = CString::new(module.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: a NUL-terminated path, with the flags of libpam's pam_dynamic.c.
    if unsafe { !libc::dlopen(path.as_ptr(), libc::RTLD_NOW).is_null() } {
        return Ok(());
    }
    // SAFETY: dlerror(3) returns NULL or a NUL-terminated text that lives until the next call of
    // its family.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return Err(String::from("no text"));
    }
    // SAFETY: as above.
    let text = unsafe { CStr::from_ptr(text) };
    Err(text.to_string_lossy().into_owned())
}

/// Writes one line to the system's log, syslog(3), as pam_syslog(3) does in the end.
pub fn log_line(text: &CStr) {
    // SAFETY: "%s" takes exactly the one NUL-terminated string that follows.
    unsafe {
        libc::syslog(
            libc::LOG_AUTHPRIV | libc::LOG_INFO,
            c"%s".as_ptr(),
            text.as_ptr(),
        )
    };
}

/// Lets SIGPIPE end this process. That is the system's default, which Rust's start-up code changes; not
/// every PAM application ignores the signal.
pub fn default_sigpipe() {
    // SAFETY: signal(2) with SIG_DFL installs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Interrupts this process every millisecond of wall time from now on: SIGALRM runs a handler without
/// SA_RESTART, so that every blocking call returns with EINTR, signal(7).
pub fn interrupt_every_millisecond() {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: sigaction is plain data for which all-zero is a valid value: no flags, nothing blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    // SAFETY: the handler does nothing, which any signal handler may; the pointers are valid.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the pointers are valid for the call.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
}

/// Closes standard input, output and error, as a daemon may. Later output to them goes nowhere, or into
/// the files that get their numbers.
///
/// # Errors
/// The system's error.
pub fn close_standard_streams() -> io::Result<()> {
    for fd in 0..=2 {
        // SAFETY: close(2) takes any number. std's handles of these three only hold their numbers,
        // and no OwnedFd is made of them here.
        if unsafe { libc::close(fd) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes all memory of this process but a rest, until it is dropped.
#[derive(Debug)]
pub struct NoMemory {
    blocks: *mut c_void,
    limit: libc::rlimit,
}

impl NoMemory {
    /// Stops the address space from growing (RLIMIT_AS) and takes everything that malloc(3) still has, except
    /// a block of `rest` bytes.
    ///
    /// # Errors
    /// The system's error, for example if there is no block of that size.
    pub fn but(rest: usize) -> io::Result<Self> {
        // SAFETY: malloc(3) takes any size; null is checked.
        let kept = unsafe { libc::malloc(rest.max(1)) };
        // Otherwise the compiler may leave out an allocation that nothing reads.
        let kept = std::hint::black_box(kept);
        if kept.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: rlimit is plain data for which all-zero is a valid value.
        let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is valid for the call.
        if unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let none = libc::rlimit {
            rlim_cur: 0,
            ..limit
        };
        // SAFETY: the pointer is valid for the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const none) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // A list linked through the blocks themselves.
        let mut blocks: *mut c_void = ptr::null_mut();
        for power in (4..24).rev() {
            loop {
                // SAFETY: malloc(3) takes any size; null is checked.
                let block = unsafe { libc::malloc(1 << power) };
                if block.is_null() {
                    break;
                }
                // SAFETY: the block is ours, of 16 bytes at least and aligned for any type.
                unsafe { block.cast::<*mut c_void>().write(blocks) };
                blocks = block;
            }
        }
        // SAFETY: it was allocated above and is used no more.
        unsafe { libc::free(kept) };
        Ok(Self { blocks, limit })
    }
}

impl Drop for NoMemory {
    fn drop(&mut self) {
        // SAFETY: the pointer is valid for the call.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const self.limit) };
        while !self.blocks.is_null() {
            // SAFETY: each block was allocated in NoMemory::but, and begins with a pointer to the next.
            let next = unsafe { self.blocks.cast::<*mut c_void>().read() };
            // SAFETY: as above; it is used no more.
            unsafe { libc::free(self.blocks) };
            self.blocks = next;
        }
    }
}

fn c_string(text: &str) -> Result<CString, Answer> {
    const PAM_BUF_ERR: i32 = 5;
    CString::new(text).map_err(|_| Answer(PAM_BUF_ERR))
}

fn strerror(code: c_int) -> String {
    // SAFETY: pam_strerror(3) ignores the handle and returns a static text for any number.
    let text = unsafe { pam_strerror(ptr::null_mut(), code) };
    if text.is_null() {
        return String::from("no text");
    }
    // SAFETY: it is NUL-terminated and never freed.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// The conversation function: records every message and answers no prompt. A panic in it would end
/// the process, because it cannot unwind into C.
extern "C" fn converse(
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
struct RawMessage {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct RawResponse {
    text: *mut c_char,
    code: c_int,
}

type Converse =
    extern "C" fn(c_int, *mut *const RawMessage, *mut *mut RawResponse, *mut c_void) -> c_int;

/// `struct pam_conv`, `_pam_types.h`.
#[repr(C)]
struct Conversation {
    conv: Option<Converse>,
    appdata: *mut c_void,
}

// Linux-PAM 1.4 to 1.7 number the codes from 0 without a gap.
const NAMES: [&str; 32] = [
    "PAM_SUCCESS",
    "PAM_OPEN_ERR",
    "PAM_SYMBOL_ERR",
    "PAM_SERVICE_ERR",
    "PAM_SYSTEM_ERR",
    "PAM_BUF_ERR",
    "PAM_PERM_DENIED",
    "PAM_AUTH_ERR",
    "PAM_CRED_INSUFFICIENT",
    "PAM_AUTHINFO_UNAVAIL",
    "PAM_USER_UNKNOWN",
    "PAM_MAXTRIES",
    "PAM_NEW_AUTHTOK_REQD",
    "PAM_ACCT_EXPIRED",
    "PAM_SESSION_ERR",
    "PAM_CRED_UNAVAIL",
    "PAM_CRED_EXPIRED",
    "PAM_CRED_ERR",
    "PAM_NO_MODULE_DATA",
    "PAM_CONV_ERR",
    "PAM_AUTHTOK_ERR",
    "PAM_AUTHTOK_RECOVERY_ERR",
    "PAM_AUTHTOK_LOCK_BUSY",
    "PAM_AUTHTOK_DISABLE_AGING",
    "PAM_TRY_AGAIN",
    "PAM_IGNORE",
    "PAM_ABORT",
    "PAM_AUTHTOK_EXPIRED",
    "PAM_MODULE_UNKNOWN",
    "PAM_BAD_ITEM",
    "PAM_CONV_AGAIN",
    "PAM_INCOMPLETE",
];

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
    fn pam_strerror(pamh: *mut ffi::OpaqueHandle, code: c_int) -> *const c_char;
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

    #[test]
    fn a_module_is_loaded_or_the_cause_told() {
        // This program's own libpam is there in any case.
        assert_eq!(load(Path::new("libpam.so.0")), Ok(()));
        let error = load(Path::new("/nonexistent.so")).expect_err("no such file");
        assert!(error.contains("/nonexistent.so"), "{error}");
    }

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

    #[test]
    fn numbers_have_names() {
        assert_eq!(Answer(25).name(), "PAM_IGNORE");
        assert_eq!(Answer(29).name(), "PAM_BAD_ITEM");
        assert_eq!(
            (Answer(32).name(), Answer(-1).name()),
            ("unknown", "unknown")
        );
    }
}
