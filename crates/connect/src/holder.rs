//! The script of a job that holds an allocation.

use std::time::Duration;

/// The signal after which it ends at once if nobody is connected.
pub(crate) const SIGNAL: &str = "USR1";
/// The time for the first connection: sshd's own for a login (LoginGraceTime), who may be fetched for a password after hours.
/// A proxy makes it within its pause between two looks.
const FIRST: Duration = Duration::from_secs(120);
/// The longest pause between two counts. Before the first connection it is a second, so that the first may be short.
const PAUSE: Duration = Duration::from_secs(10);

/// A script of sh that ends so long after the last connection: a sshd of the user's among the processes of the job on its
/// first node, which each adopted login has. `scontrol listpids` asks the node's slurmstepds and not slurmctld. While they cannot be
/// asked, somebody counts as connected.
pub(crate) fn script(keep: Duration) -> String {
    let pause = (keep / 4).clamp(Duration::from_secs(1), PAUSE).as_secs();
    let (keep, first) = (keep.as_secs(), FIRST.as_secs());
    format!(
        r#"# Holds an allocation for logins by slurm-adopt proxy, and ends it {keep} seconds after the last one.
PATH=${{PATH:-/usr/bin:/bin}}:/usr/local/bin:/usr/bin:/bin
export PATH
is_used() {{
    pids=$(scontrol listpids "$SLURM_JOB_ID" "$SLURMD_NODENAME" 2>/dev/null | sed -n 's/^ *\([0-9][0-9]*\) .*/\1/p')
    test -n "$pids" || return 0
    for pid in $pids; do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        sshd*) return 0 ;;
        esac
    done
    return 1
}}
trap 'is_used || exit 0' {SIGNAL}
idle=0 limit={first} pause=1
while :; do
    sleep $pause &
    wait $!
    if is_used; then
        idle=0 limit={keep} pause={pause}
    else
        idle=$((idle + pause))
        test "$idle" -lt "$limit" || exit 0
    fi
done
"#
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// The script below a scontrol that lists a process of this name, of which `pid` has the number, and notes in `asked`
    /// each time that it is asked.
    fn hold(dir: &Path, keep: u64, comm: &str) -> Child {
        fs::copy("/bin/sleep", dir.join(comm)).expect("a program");
        let scontrol = format!(
            "#!/bin/sh\necho 'PID JOBID STEPID LOCALID GLOBALID'\ncat {0}/pid\necho >>{0}/asked\n",
            dir.display()
        );
        fs::write(dir.join("scontrol"), scontrol).expect("scontrol");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.join("scontrol"), mode).expect("its mode");
        let start = format!(
            "{0}/{comm} 600 & echo \"$!  7  extern - -\" >{0}/pid\n{1}",
            dir.display(),
            script(Duration::from_secs(keep))
        );
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &start]).stdin(Stdio::null());
        shell.env("PATH", format!("{}:/usr/bin:/bin", dir.display()));
        shell.spawn().expect("sh")
    }

    /// Ends the process that scontrol lists.
    fn disconnect(dir: &Path) {
        let pid = fs::read_to_string(dir.join("pid")).expect("its number");
        let pid = pid.split_whitespace().next().expect("a number").to_owned();
        Command::new("kill").arg(pid).status().expect("kill");
    }

    fn until(what: &str, mut check: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !check() {
            assert!(Instant::now() < end, "in vain: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn it_ends_after_the_last_connection() {
        for (keep, least) in [(2, 1), (0, 0)] {
            let dir = tempfile::tempdir().expect("a directory");
            let mut shell = hold(dir.path(), keep, "sshd-session");
            let asked = || fs::read(dir.path().join("asked")).map_or(0, |it| it.len());
            // With the second question the first one has its answer.
            until("two questions", || asked() > 1);
            assert_eq!(shell.try_wait().expect("its status"), None);
            let start = Instant::now();
            disconnect(dir.path());
            let mut status = None;
            until("its end", || {
                status = shell.try_wait().expect("its status");
                status.is_some()
            });
            assert!(status.is_some_and(|it| it.success()), "{keep}: {status:?}");
            let time = start.elapsed();
            assert!(time >= Duration::from_secs(least), "{keep}: {time:?}");
        }
    }

    /// At its later pace it would not ask so often within the limit.
    #[test]
    fn it_looks_often_before_the_first_connection() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut shell = hold(dir.path(), 600, "other");
        let questions = LIMIT.as_secs() / PAUSE.as_secs() + 1;
        let asked = || fs::read_to_string(dir.path().join("asked")).unwrap_or_default();
        until("many questions", || {
            asked().lines().count() as u64 > questions
        });
        let _ = shell.kill();
        shell.wait().expect("its end");
        disconnect(dir.path());
    }

    #[test]
    fn the_time_for_the_first_connection_is_that_of_sshd() {
        for keep in [0, 600] {
            let script = script(Duration::from_secs(keep));
            assert!(script.contains("limit=120 "), "{keep}: {script}");
        }
    }

    /// Whether the shell has set its trap; till then the signal would end it.
    fn catches(pid: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
        let caught = status.lines().find_map(|it| it.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.expect("signals").trim(), 16).expect("a number");
        caught & (1 << (Signal::USR1.as_raw() - 1)) != 0
    }

    #[test]
    fn a_signal_ends_it_if_nobody_is_connected() {
        for (comm, is_used) in [("other", false), ("sshd", true)] {
            let dir = tempfile::tempdir().expect("a directory");
            let mut shell = hold(dir.path(), 600, comm);
            until("the trap", || catches(shell.id()));
            let pid = Pid::from_child(&shell);
            kill_process(pid, Signal::USR1).expect("a signal");
            let mut status = None;
            if is_used {
                until("a question", || dir.path().join("asked").exists());
                std::thread::sleep(Duration::from_secs(1));
                status = shell.try_wait().expect("its status");
                let _ = shell.kill();
                shell.wait().expect("its end");
            } else {
                until("its end", || {
                    status = shell.try_wait().expect("its status");
                    status.is_some()
                });
            }
            assert_eq!(
                status.map(|it| it.success()),
                (!is_used).then_some(true),
                "{comm}"
            );
            disconnect(dir.path());
        }
    }
}
