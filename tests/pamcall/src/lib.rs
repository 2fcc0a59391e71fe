//! Surroundings for calls on the host.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Words to put before a program on the host, so that the module's files below /run are private to it.
/// Empty without root, who alone could write there.
#[must_use]
pub fn private_run() -> &'static [&'static str] {
    const IN_MEMORY: &str = "mount -t tmpfs -o mode=0755 tmpfs /run; exec \"$@\"";
    let is_root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    match is_root {
        true => &[
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-ec",
            IN_MEMORY,
            "sh",
        ],
        false => &[],
    }
}
