//! `pam_slurm_adopt.so`: the entry point that libpam calls, and nothing else.
//!
//! What they do is in `adopt::account`; the wall around them in `pam::enter`.
#![deny(unsafe_code)]

use std::ffi::c_int;

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
    pam::enter(
        handle,
        argc,
        argv,
        adopt::account,
        adopt::account_after_panic,
    )
}
