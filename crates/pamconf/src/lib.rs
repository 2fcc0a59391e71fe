//! PAM's configuration as Linux-PAM reads it, and a walk through a stack as Linux-PAM walks it.
//!
//! [`Service::read`] turns the files of a service into its four stacks of [`Handler`]s. Each handler knows its
//! [`Line`], and each line its file and number. A fault in a file is a [`Problem`] with its place.
//! [`Service::walk`] says which modules run for given results, and what the application gets; [`Ways`] follows
//! every result at once. A function of the caller reads the files: this crate does no I/O.
//!
//! Words are bytes, as in libpam: a file need not be UTF-8.
//!
//! Sources: pam.conf(5) and Linux-PAM 1.4.0 to 1.7.2: `pam_handlers.c` (files, lines, includes), `pam_line.c`
//! (continued lines; before 1.6 in `pam_handlers.c`), `pam_misc.c` (words, controls), `pam_dispatch.c` (the
//! walk); Debian's patch `031_pam_include`. Where releases differ, this follows 1.6 and later, and a
//! [`Problem`] says that older ones read something else.
#![forbid(unsafe_code)]

mod codes;
mod control;
mod finder;
mod layout;
mod lines;
mod model;
mod problem;
mod reader;
mod walk;
mod ways;
mod words;

pub use crate::codes::Code;
pub use crate::control::{Action, Control, ControlError};
pub use crate::layout::{Flavor, Layout, MOST_FILES, ReadFile, ReadOther};
pub use crate::model::{Facility, Handler, Item, Line, Place, Role, Service};
pub use crate::problem::{Problem, ProblemKind};
pub use crate::walk::{Step, Verdict, Walk};
pub use crate::ways::{Bypass, MOST_WAYS, Ways};

/// Limit on the depth of files that include each other, and of substacks within each other, the service itself
/// included: `PAM_SUBSTACK_MAX_LEVEL`, pam_private.h. Before 1.6 it limited only substacks.
pub const MAX_LEVEL: usize = 16;
