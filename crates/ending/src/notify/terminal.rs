//! Writes a line to a user's terminal, as wall(1) does.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, major, openat};

/// The device numbers of pseudoterminals (Linux, `Documentation/admin-guide/devices.txt`).
const PTYS: std::ops::RangeInclusive<u32> = 136..=143;
/// What mesg(1) takes away.
const MESSAGES: u32 = 0o020;

/// Writes a line to the pseudoterminal `pts/N` of this user.
///
/// # Errors
/// `NotFound` if it is not this user's, or no such terminal; `PermissionDenied` if the user wants no messages (mesg(1));
/// `WouldBlock` if the terminal takes nothing now.
pub fn write_line(dir: &Path, tty: &str, uid: u32, text: &str) -> io::Result<()> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let number: u32 = tty
        .strip_prefix("pts/")
        .and_then(|it| it.parse().ok())
        .ok_or_else(missing)?;
    // Neither waits for a terminal, nor makes it this process's own, nor follows what somebody has put there.
    let flags =
        OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = dir.join(number.to_string());
    let mut terminal = File::from(openat(CWD, &path, flags, Mode::empty())?);
    let found = terminal.metadata()?;
    let is_terminal = found.file_type().is_char_device() && PTYS.contains(&major(found.rdev()));
    if !is_terminal || found.uid() != uid {
        return Err(missing());
    }
    if found.mode() & MESSAGES == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // In one write: half a line helps nobody.
    terminal.write_all(format!("\r\n{text}\r\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Read as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// A pseudoterminal, and the path of its other end.
    fn terminal() -> (File, String) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("pty");
        grantpt(&master).expect("grant");
        unlockpt(&master).expect("unlock");
        let name = ptsname(&master, Vec::new()).expect("name");
        let name = name.to_str().expect("a name").to_owned();
        fs::set_permissions(&name, Permissions::from_mode(0o620)).expect("mode");
        (File::from(master), name)
    }

    /// As after Ctrl-S, or with a program at the other end that does not read.
    #[test]
    fn a_terminal_that_takes_nothing_holds_nobody_up() {
        let (_master, name) = terminal();
        let tty = name.strip_prefix("/dev/").expect("below /dev");
        let write = |_| write_line(Path::new("/dev/pts"), tty, sys::effective_uid(), "ends now");
        let full = (0..1_000_000).map(write).find_map(Result::err);
        assert_eq!(full.expect("full").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn only_the_users_own_terminal_is_written_to() {
        let pts = Path::new("/dev/pts");
        let (mut master, name) = terminal();
        let tty = name.strip_prefix("/dev/").expect("below /dev");
        let own = sys::effective_uid();
        let mode = |mode| fs::set_permissions(&name, Permissions::from_mode(mode)).expect("mode");
        mode(0o620);
        write_line(pts, tty, own, "ends now").expect("write");
        let mut bytes = [0; 64];
        let count = master.read(&mut bytes).expect("read");
        assert!(
            bytes[..count].ends_with(b"ends now\r\r\n")
                || bytes[..count].ends_with(b"ends now\r\n")
        );
        let kind = |dir: &Path, tty: &str, uid| {
            write_line(dir, tty, uid, "x")
                .expect_err("not written")
                .kind()
        };
        assert_eq!(kind(pts, tty, own + 1), io::ErrorKind::NotFound);
        for bad in ["pts/ptmx", "pts/../null", "tty1", "pts/", "pts/4000000"] {
            assert_eq!(kind(pts, bad, own), io::ErrorKind::NotFound, "{bad}");
        }
        mode(0o600);
        assert_eq!(kind(pts, tty, own), io::ErrorKind::PermissionDenied);
        mode(0o620);
        // What is not the kernel's own directory is not believed.
        let scratch = std::env::temp_dir().join(format!("pts-{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir(&scratch).expect("make it");
        symlink(&name, scratch.join("7")).expect("link");
        fs::write(scratch.join("8"), "").expect("write");
        assert!(write_line(&scratch, "pts/7", own, "x").is_err(), "a link");
        assert_eq!(kind(&scratch, "pts/8", own), io::ErrorKind::NotFound);
        fs::remove_dir_all(&scratch).expect("clean up");
    }
}
