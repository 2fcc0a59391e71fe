//! `pam_slurm_adopt.so`: the entry points that libpam calls, and nothing else.
//!
//! What they do is in `adopt`; the wall around them in `pam::enter`.
#![deny(unsafe_code)]

use std::ffi::c_int;

use adopt::Entry;
use pam::{RawArgs, RawHandle};

/// The account phase: may this user in, and into which job.
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

/// The session phase: into the job for good, whatever came between.
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

/// The session's end.
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
