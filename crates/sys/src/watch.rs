//! Waits for changes in directories, inotify(7).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::socket::Interest;

/// Directories that are watched for new and changed entries, and for being removed themselves.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Those of inotify_init1(2): `EMFILE` if root has too many instances (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        Ok(Self(inotify::init(flags)?))
    }

    /// Watches a directory. It may be watched already.
    ///
    /// # Errors
    /// Those of inotify_add_watch(2); `InvalidInput` for a relative path.
    pub fn add(&self, dir: &Path) -> io::Result<()> {
        crate::files::absolute(dir)?;
        let of_entries = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
        let of_itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.0, dir, of_entries | of_itself)?;
        Ok(())
    }

    /// Is ready when something has changed since [`Watch::forget`].
    #[must_use]
    pub fn changes(&self) -> Interest<'_> {
        Interest::readable(&self.0)
    }

    /// Forgets what has changed so far.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn forget(&self) -> io::Result<()> {
        // What does not fit is there at the next call. To read on might have no end.
        let mut events = [0; 4096];
        match rustix::io::read(&self.0, &mut events) {
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::socket::poll;

    const LONG: Duration = Duration::from_secs(60);

    fn waits(watch: &Watch, timeout: Duration) -> Duration {
        let start = Instant::now();
        poll(&mut [watch.changes()], timeout).expect("it waits");
        watch.forget().expect("it reads");
        start.elapsed()
    }

    #[test]
    fn each_change_ends_one_wait() {
        let dir = std::env::temp_dir().join(format!("sys-{}-watch", std::process::id()));
        fs::create_dir(&dir).expect("a directory");
        let watch = Watch::new().expect("inotify");
        watch.add(&dir).expect("a watch");
        watch.add(&dir).expect("the same again");
        let short = Duration::from_millis(30);
        assert!(waits(&watch, short) >= short, "nothing has changed");
        fs::write(dir.join("new"), "").expect("a file");
        assert!(waits(&watch, LONG) < LONG, "a new entry");
        assert!(waits(&watch, short) >= short, "it was told once");
        let file = fs::File::open(dir.join("new")).expect("the file");
        let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        file.set_permissions(read_only).expect("chmod");
        assert!(waits(&watch, LONG) < LONG, "an entry's mode");
        drop(file);
        fs::remove_dir_all(&dir).expect("removal");
        assert!(waits(&watch, LONG) < LONG, "the directory itself");
        let error = watch.add(&dir).expect_err("it is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = watch.add(Path::new("tmp")).expect_err("relative");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
