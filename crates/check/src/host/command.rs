//! Programs of the host that tell something, such as `sshd -T`.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sys::Deadline;

/// The directories of the system's programs; the caller's PATH does not count.
const DIRS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The largest output that is kept, in bytes.
const LARGEST: u64 = 16 << 20;
/// The time in which the output of a program that has ended comes, on a busy host too.
const REST: Duration = Duration::from_secs(1);

/// What a program printed.
#[derive(Debug)]
pub struct Printed {
    /// Its exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub errors: String,
}

impl Printed {
    /// Whether it succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == Some(0)
    }
}

/// Runs a program, by its name or absolute path, until the deadline; without input, in the C locale.
///
/// # Errors
/// Those of exec(3); `TimedOut`.
pub fn run(program: &str, args: &[&str], deadline: &Deadline) -> io::Result<Printed> {
    let path = match program.starts_with('/') {
        true => program.to_owned(),
        false => find(program)?,
    };
    let mut child = Command::new(path)
        .args(args)
        .env_clear()
        .env("PATH", DIRS.join(":"))
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (out, errors) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let ended = wait(&mut child, deadline);
    if ended.is_err() {
        // It may be gone by now, or in a state that no signal ends.
        let _ = child.kill();
    }
    let status = ended?;
    // A child of its own may hold the pipe open. What is not whole must not pass for an empty answer.
    let text = |from: mpsc::Receiver<Vec<u8>>| {
        let bytes = from.recv_timeout(REST);
        let cut = |_| io::Error::new(io::ErrorKind::TimedOut, "its output does not end");
        bytes
            .map(|it| String::from_utf8_lossy(&it).into_owned())
            .map_err(cut)
    };
    Ok(Printed {
        status: status.code(),
        out: text(out)?,
        errors: text(errors)?,
    })
}

fn find(program: &str) -> io::Result<String> {
    let paths = DIRS.iter().map(|dir| format!("{dir}/{program}"));
    let mut paths = paths.filter(|it| std::fs::metadata(it).is_ok_and(|it| it.is_file()));
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no program {program}"));
    paths.next().ok_or_else(missing)
}

fn reader(from: Option<impl io::Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            // Keeps what was read before an error.
            let _ = from.take(LARGEST).read_to_end(&mut bytes);
        }
        // The caller may have given up.
        let _ = sender.send(bytes);
    });
    receiver
}

fn wait(child: &mut Child, deadline: &Deadline) -> io::Result<std::process::ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if deadline.has_passed() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "does not end"));
        }
        thread::sleep(Duration::from_millis(2));
    }
}
