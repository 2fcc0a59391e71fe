//! `pam_slurm_adopt.so` with a panic where the module's work would begin, to show that the host
//! survives it and what the user meets then. For the tests alone, never shipped.
#![deny(unsafe_code)]

use std::ffi::c_int;

use adopt::Entry;
use pam::{RawArgs, RawHandle};

/// The account phase, of which nothing comes.
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
    pam::enter(
        handle,
        argc,
        argv,
        |_, _| panic!("forced by the build, to show that the host survives it"),
        |handle, args, cause| adopt::after_panic(Entry::Account, handle, args, cause),
    )
}
