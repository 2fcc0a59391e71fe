//! A made-up tree and plan, which have all kinds of changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use setup::Site;
use setup::change::{Change, Content};
use setup::plan::{Command, Plan};

/// The tree's files.
pub const FILES: [(&str, &str); 6] = [
    ("etc/os-release", "ID=debian\n"),
    (
        "etc/pam.d/sshd",
        "account required pam_nologin.so\n@include common-account\nsession required pam_limits.so\n",
    ),
    ("etc/pam.d/common-account", "account required pam_unix.so\n"),
    (
        "etc/ssh/real.conf",
        "Port 22\nUsePAM no\nX11Forwarding no\n",
    ),
    ("etc/old", "to go\n"),
    ("var/lib/other", ""),
];
/// What the plan puts before sshd's account stack: nothing that check knows of.
pub const LINE: &str = "account required pam_warn.so\n";

/// A directory of its own, in memory where there is such a place: there fsync(2) takes no time.
pub fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    dir.expect("a directory")
}

/// Makes the tree.
pub fn tree() -> tempfile::TempDir {
    let dir = directory();
    for (path, text) in FILES {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make it");
        fs::write(path, text).expect("write");
    }
    symlink("real.conf", dir.path().join("etc/ssh/sshd_config")).expect("link");
    symlink("common-account", dir.path().join("etc/pam.d/alias")).expect("link");
    dir
}

/// A file of this process's owner.
pub fn file(text: &str) -> Content {
    let own = fs::metadata("/proc/self").expect("our own");
    Content::File {
        bytes: text.into(),
        mode: 0o644,
        uid: own.uid(),
        gid: own.gid(),
    }
}

/// A change of a file, by its texts.
pub fn change(path: &str, before: Option<&str>, after: Option<&str>) -> Change {
    Change {
        path: path.into(),
        before: before.map(file),
        after: after.map(file),
        why: "a test".into(),
    }
}

/// The plan.
pub fn plan() -> Plan {
    let link = |target: &str| {
        let target = target.into();
        Some(Content::Link { target })
    };
    let [_, (_, sshd), _, (_, config), (_, old), _] = FILES;
    let drop_in = "/etc/systemd/system/user@.service.d/10-slurm.conf";
    Plan {
        changes: vec![
            change("/etc/security/slurm_adopt.conf", None, Some("strict\n")),
            change(
                "/etc/pam.d/sshd",
                Some(sshd),
                Some(&format!("{LINE}{sshd}")),
            ),
            change(drop_in, None, Some("[Service]\n")),
            change(
                "/etc/ssh/sshd_config",
                Some(config),
                Some(&config.replace("UsePAM no", "UsePAM yes")),
            ),
            Change {
                path: "/etc/pam.d/alias".into(),
                before: link("common-account"),
                after: link("sshd"),
                why: "a test".into(),
            },
            change("/etc/old", Some(old), None),
        ],
        // Of a tree that does not run, nothing is.
        commands: vec![Command {
            program: "false".into(),
            arguments: Vec::new(),
            why: "a test".into(),
        }],
        advice: Vec::new(),
        accepted: Vec::new(),
    }
}

/// The tree as something to set up.
pub fn site(root: &Path) -> Site {
    Site::open(Some(root.to_owned())).expect("a tree")
}

/// All files and directories with what a change must keep.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("list") {
            let path = entry.expect("an entry").path();
            let status = fs::symlink_metadata(&path).expect("stat");
            let rights = (status.mode(), status.uid(), status.gid());
            let text = if status.is_symlink() {
                format!("{:?}", fs::read_link(&path).expect("a link"))
            } else if status.is_dir() {
                open.push(path.clone());
                String::new()
            } else {
                let times = (status.mtime(), status.mtime_nsec());
                format!("{times:?} {:?}", fs::read(&path).expect("read"))
            };
            found.insert(path, format!("{rights:?} {text}"));
        }
    }
    found
}
