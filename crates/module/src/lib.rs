//! `pam_slurm_adopt.so`: the entry points that libpam calls, and nothing else.
//!
//! The work is in `adopt`, the boundary to libpam in `pam::enter`.
#![deny(unsafe_code)]

use std::ffi::c_int;

use adopt::Entry;
use pam::{RawArgs, RawHandle};

/// The account phase: decides whether the user may in, and into which job.
#[allow(
    unsafe_code,
    reason = "libpam finds the function by this name; no other code has it"
)]
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_acct_mgmt(
    handle: RawHandle,
    _flags: c_int,
    argc: c_int,
    argv: RawArgs,
) -> c_int {
    run(handle, argc, argv, Entry::Account)
}

/// The start of the session phase: makes the session run in the job, whatever happened since the account phase.
#[allow(
    unsafe_code,
    reason = "libpam finds the function by this name; no other code has it"
)]
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_open_session(
    handle: RawHandle,
    _flags: c_int,
    argc: c_int,
    argv: RawArgs,
) -> c_int {
    run(handle, argc, argv, Entry::OpenSession)
}

/// The end of the session.
#[allow(
    unsafe_code,
    reason = "libpam finds the function by this name; no other code has it"
)]
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_close_session(
    handle: RawHandle,
    _flags: c_int,
    argc: c_int,
    argv: RawArgs,
) -> c_int {
    run(handle, argc, argv, Entry::CloseSession)
}

fn run(handle: RawHandle, argc: c_int, argv: RawArgs, entry: Entry) -> c_int {
    pam::enter(
        handle,
        argc,
        argv,
        |handle, args| adopt::run(entry, handle, args),
        |handle, args, cause| adopt::after_panic(entry, handle, args, cause),
    )
}
