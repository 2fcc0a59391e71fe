//! The step of the job that relays on the node: what srun starts there, and the relay itself.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::dup;

use crate::callback::call_back;
use crate::queue::Job;
use crate::relay::{connect, relay, relay_between};
use crate::slurm::Slurm;

/// What runs in the job's step: slurm-adopt if the node has it, or else bash, which ends once either side has closed its
/// half of the connection. Debian's nc would go on after the end of its input, and sshd with it. `$1` is the node, `$2` sshd's
/// port, `$3` slurm-adopt's path on the host of the user.
/// The address is an IPv4 one where there is one, because slurmd listens on no other by default and could not be asked.
const STEP: &str = r#"PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
for it in "$3" slurm-adopt; do
    if "$it" relay --help >/dev/null 2>&1; then exec "$it" relay "$1" "$2"; fi
done
read -r _ && echo 'slurm-adopt: by srun' || exit
at=$(getent ahostsv4 "$1") && at=${at%% *} || at=127.0.0.1
exec bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit
exec 2>/dev/null
# Each in a group of its own. Not wait -n, which can miss what ends before it is called.
set -m
cat <&3 & down=$!
{ cat; kill "$down"; } >&3 & up=$!
wait "$down"
kill -- "-$up"
exit 0' "$at" "$2""#;

/// The command that runs [`STEP`] on that node, in a step of the job that takes nothing from its other steps.
pub(crate) fn srun(job: &Job, node: &str, port: u16, program: &Path) -> Command {
    let mut srun = Slurm.command("srun");
    srun.args([
        // Or srun holds back what is no whole line.
        "--unbuffered",
        "--quiet",
        "--overlap",
        "--nodes=1",
        "--ntasks=1",
        "--mem=0",
        "--gres=none",
        "--cpu-bind=none",
        "--mpi=none",
        // Nothing of this host is of use there: directory, variables, limits.
        "--chdir=/",
        "--export=NONE",
        "--propagate=NONE",
        "--job-name=ssh",
    ]);
    srun.arg(format!("--nodelist={node}"));
    match job.part() {
        // Only a leader's number is taken, srun's man page on --het-group.
        (leader, Some(('+', offset))) => {
            srun.args([format!("--jobid={leader}"), format!("--het-group={offset}")])
        }
        _ => srun.arg(format!("--jobid={}", job.number)),
    };
    srun.args(["/bin/sh", "-c", STEP, "sh", node, &port.to_string()]);
    srun.arg(program);
    srun.stdin(Stdio::piped()).stdout(Stdio::piped());
    srun
}

/// Connects to the sshd of this node: by the node's name, or else by localhost. slurmd is asked at the address from which the
/// connection comes, and listens on IPv4 addresses alone unless slurm.conf says otherwise (`EnableIPv6`).
///
/// # Errors
/// That of the last address.
pub fn connect_here(node: &str, port: u16) -> io::Result<TcpStream> {
    connect(node, port).or_else(|_| connect("localhost", port))
}

/// Relays between the proxy and this node's sshd: by a connection of its own if there can be one, or else by srun.
///
/// # Errors
/// The proxy has gone, or a connection broke.
pub fn relay_in_job(sshd: TcpStream) -> io::Result<()> {
    // Not by std's buffer, which would take more than the first line.
    let mut input = File::from(dup(io::stdin())?);
    // srun's man page: where it was called.
    let proxy = std::env::var("SLURM_LAUNCH_NODE_IPADDR").ok();
    match call_back(&mut input, io::stdout(), proxy.as_deref())? {
        Some(ssh) => relay_between(&ssh, &sshd, input),
        None => relay(sshd),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::callback::DECLINES;
    use crate::queue::samples::QUEUE;

    fn arguments(number: u32) -> Vec<String> {
        let jobs = Job::parse(QUEUE);
        let job = jobs.iter().find(|it| it.number == number).expect("a job");
        let command = srun(job, "node1", 2222, Path::new("/opt/it"));
        let arguments = command.get_args();
        arguments
            .map(|it| it.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_step_is_in_the_job_that_is_named() {
        let of_task = arguments(12);
        assert!(of_task.contains(&"--jobid=12".to_owned()), "{of_task:?}");
        assert!(of_task.contains(&"--nodelist=node1".to_owned()));
        assert_eq!(
            of_task[of_task.len() - 4..],
            ["sh", "node1", "2222", "/opt/it"]
        );
        let of_component = arguments(9);
        let leader = ["--jobid=8".to_owned(), "--het-group=1".to_owned()];
        assert!(
            of_component.windows(2).any(|it| it == leader),
            "{of_component:?}"
        );
    }

    /// A server that sends back what it gets until the end of its input, and then a word more.
    fn echo() -> u16 {
        use std::io::Read as _;
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = server.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a connection");
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).expect("input");
            stream.write_all(&bytes).expect("output");
        });
        port
    }

    /// The step on a node that has no slurm-adopt.
    fn step(port: u16) -> std::process::Child {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", STEP, "sh", "localhost", &port.to_string()]);
        shell.arg("/nonexistent").env("PATH", "/usr/bin:/bin");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("a shell");
        let stdin = shell.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"2222 secret\n").expect("input");
        shell
    }

    #[test]
    fn a_node_without_slurm_adopt_lets_go_of_sshd_once_ssh_is_gone() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = server.local_addr().expect("an address").port();
        // A shell that notices it by chance is caught.
        for _ in 0..100 {
            let mut shell = step(port);
            let (mut sshd, _) = server.accept().expect("a connection");
            drop(shell.stdin.take());
            let limit = Some(std::time::Duration::from_secs(20));
            sshd.set_read_timeout(limit).expect("a limit");
            let end = io::Read::read(&mut sshd, &mut [0]);
            let _ = shell.kill();
            shell.wait().expect("its end");
            assert_eq!(end.expect("the end of the connection"), 0);
        }
    }

    #[test]
    fn a_node_without_slurm_adopt_relays_by_other_programs() {
        let mut shell = step(echo());
        let mut stdin = shell.stdin.take().expect("a pipe");
        stdin.write_all(b"hello").expect("input");
        // The other end closes the connection: it ends although its input stays open.
        let output = shell.wait_with_output().expect("its end");
        drop(stdin);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{DECLINES}hello")
        );
    }

    #[test]
    fn localhost_is_tried_where_the_name_leads_nowhere() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = server.local_addr().expect("an address").port();
        assert!(connect_here("name.invalid", port).is_ok());
        drop(server);
        assert!(connect_here("localhost", port).is_err());
    }
}
