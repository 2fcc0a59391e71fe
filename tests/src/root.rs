//! Runs programs in one of the lab's roots, without a cluster. Needs root, for the mounts.

use std::path::Path;

/// Script that makes the root read-only, with the test's files at /mnt.
const IN_ROOT: &str = "mount --bind \"$1\" \"$1\"
mount -o remount,bind,ro \"$1\"
mount --bind \"$2\" \"$1/mnt\"
mount -t proc proc \"$1/proc\"
root=$1
shift 2
exec chroot \"$root\" \"$@\"";

/// Words to put before a program and its arguments to run it in a root that has `files` at /mnt.
#[must_use]
pub fn in_root(root: &Path, files: &Path) -> Vec<String> {
    let prefix = [
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-ec",
        IN_ROOT,
        "sh",
    ];
    let paths = [root, files].map(|it| it.to_string_lossy().into_owned());
    prefix.map(str::to_owned).into_iter().chain(paths).collect()
}
