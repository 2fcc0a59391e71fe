//! The module's side of libpam: one handle, items, environment, messages, syslog, and an entry point
//! that lets no panic out.
//!
//! This crate and `sys` are the only ones with `unsafe` code. Contracts are those of Linux-PAM's
//! man pages pam_get_item(3), pam_set_data(3), pam_getenv(3), pam_putenv(3), pam_prompt(3), pam_syslog(3) and
//! of the PAM module writers' guide.

#[cfg(feature = "app")]
pub mod app;
mod codes;
mod entry;
mod ffi;
mod handle;

pub use codes::{Code, ItemError, MessageStyle, ReturnCode, Severity};
pub use entry::{RawArgs, RawHandle, enter};
pub use handle::{Handle, Item};
