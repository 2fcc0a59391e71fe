//! Opens paths that no link leads out of a directory.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

/// Opens a path below a directory, which is the root for its links, openat2(2).
///
/// # Errors
/// Those of openat2(2).
pub fn open_inside(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    match openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Linux before 5.6, or a container's filter of system calls that does not know it.
        Err(Errno::NOSYS | Errno::PERM) => walk(&root, path, flags),
        opened => Ok(opened?),
    }
}

/// The same component by component: none is opened through a link, and `..` is a directory that was opened before.
fn walk(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let root = root.as_fd();
    let mut left: VecDeque<OsString> = parts(path);
    // The directories below the root.
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            above.pop();
            continue;
        }
        let here = above.last().map_or(root, AsFd::as_fd);
        let is_last = left.is_empty();
        let found = openat(here, &part, LOOK | OFlags::NOFOLLOW, Mode::empty())?;
        let kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
        if kind == FileType::Symlink && !(is_last && flags.contains(OFlags::NOFOLLOW)) {
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            let target = readlinkat(&found, "", Vec::new())?.into_bytes();
            let target = PathBuf::from(OsString::from_vec(target));
            if target.is_absolute() {
                above.clear();
            }
            for part in parts(&target).into_iter().rev() {
                left.push_front(part);
            }
            continue;
        }
        if is_last {
            return Ok(openat(
                here,
                &part,
                flags | OFlags::NOFOLLOW,
                Mode::empty(),
            )?);
        }
        if kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        above.push(found);
    }
    let here = above.last().map_or(root, AsFd::as_fd);
    Ok(openat(here, ".", flags, Mode::empty())?)
}

/// The components of a path, without those that stay where they are; `.` if it names a directory by its last sign.
fn parts(path: &Path) -> VecDeque<OsString> {
    let name = |it: Component<'_>| match it {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    };
    let mut parts: VecDeque<OsString> = path.components().filter_map(name).collect();
    if path.as_os_str().as_bytes().ends_with(b"/") {
        parts.push_back(OsStr::new(".").to_owned());
    }
    parts
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// As the kernel's limit, path_resolution(7).
const MOST_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    /// A tree with links of all kinds, beside something that they must not lead to.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("usr/lib/deep")).expect("make it");
        fs::write(root.join("usr/lib/file"), "x").expect("write");
        fs::write(dir.path().join("file"), "outside").expect("write");
        for (target, name) in [
            ("usr/lib", "lib"),
            ("/usr/lib", "absolute"),
            ("../../../lib/deep/../file", "usr/up"),
            ("../file", "out"),
            ("../../../../..", "rootwards"),
            ("loop", "loop"),
            ("none", "dangling"),
            ("/", "slash"),
        ] {
            symlink(target, root.join(name)).expect("link");
        }
        dir
    }

    #[test]
    fn without_openat2_every_path_leads_where_the_kernel_leads_it() {
        let dir = tree();
        let root = File::open(dir.path().join("root")).expect("open");
        let paths = [
            "/",
            "",
            ".",
            "..",
            "../..",
            "usr",
            "lib",
            "lib/",
            "lib/file",
            "lib/file/x",
            "absolute/deep/../file",
            "usr/up",
            "usr/up/x",
            "out",
            "rootwards",
            "rootwards/usr/up",
            "loop",
            "loop/x",
            "dangling",
            "none/x",
            "slash/lib/deep",
            "../file",
            "lib/../../../file",
            "slash/slash/rootwards/absolute",
        ];
        let id = |it: io::Result<OwnedFd>| {
            let status = File::from(it?).metadata()?;
            Ok((status.dev(), status.ino()))
        };
        for path in paths {
            for flags in [
                LOOK,
                LOOK | OFlags::NOFOLLOW,
                LOOK | OFlags::DIRECTORY,
                OFlags::RDONLY,
            ] {
                let path = Path::new(path);
                let at = format!("{} {flags:?}", path.display());
                let text = |it: io::Result<(u64, u64)>| it.map_err(|it| it.to_string());
                let within = path.strip_prefix("/").unwrap_or(path);
                let kernels = text(id(open_inside(&root, path, flags)));
                assert_eq!(text(id(walk(&root, within, flags))), kernels, "{at}");
            }
        }
    }
}
