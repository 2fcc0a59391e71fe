use super::*;

/// A process; `title` is its command line with blanks between the arguments.
fn process(pid: i32, parent: i32, uids: (u32, u32), name: &str, title: &str) -> Process {
    Process {
        pid,
        parent,
        uid: uids.0,
        effective_uid: uids.1,
        name: name.to_owned(),
        arguments: title.split('|').map(str::to_owned).collect(),
        tty: None,
        started: i64::from(pid),
        place: Place::Outside("/".to_owned()),
        cgroups: String::new(),
    }
}

const ROOT: (u32, u32) = (0, 0);
const ALICE: (u32, u32) = (2001, 2001);
const BOB: (u32, u32) = (2002, 2002);

/// Root's sshd with pid 10, alice's with pid 11, and what that one has started.
fn connection(children: Vec<Process>) -> Vec<Process> {
    let mut all = vec![
        process(
            10,
            1,
            ROOT,
            "sshd-session",
            "sshd-session: alice [postauth]",
        ),
        process(11, 10, ALICE, "sshd-session", "sshd-session: alice@notty"),
    ];
    all.extend(children);
    all
}

/// User, kind and pid of each login.
fn found(processes: &[Process]) -> Vec<String> {
    let found = find(processes, &|uid| uid >= 1000);
    let shown = |it: &Found| format!("{} {} {}", it.uid, it.kind.name(), it.pid);
    found.iter().map(shown).collect()
}

#[test]
fn sessions_are_told_apart_by_their_first_process() {
    for (name, title, kind) in [
        ("bash", "-bash", "shell"),
        ("bash", "bash|-c|sleep 50; true", "command"),
        ("sleep", "sleep|50", "command"),
        ("sftp-server", "/usr/lib/openssh/sftp-server", "sftp"),
        (
            "bash",
            "bash|-c|/usr/libexec/openssh/sftp-server -f A",
            "sftp",
        ),
        ("sshd-session", "sshd-session: alice@internal-sftp", "sftp"),
        ("scp", "scp|-t|/tmp/a", "scp"),
        ("tcsh", "tcsh|-c|scp -f a", "scp"),
        ("rsync", "rsync|--server|-e.LsfxC|.|a", "rsync"),
        ("bash", "bash|-c|", "command"),
    ] {
        let processes = connection(vec![process(12, 11, ALICE, name, title)]);
        assert_eq!(found(&processes), [format!("2001 {kind} 12")], "{title}");
    }
}

#[test]
fn a_connection_without_a_session_forwards_ports() {
    assert_eq!(found(&connection(Vec::new())), ["2001 forwarding 11"]);
    // sshd before it starts the shell.
    let begun = process(12, 11, ALICE, "sshd-session", "sshd-session: alice");
    assert_eq!(found(&connection(vec![begun])), ["2001 forwarding 11"]);
}

#[test]
fn each_session_of_a_shared_connection_counts() {
    let sessions = vec![
        process(12, 11, ALICE, "bash", "-bash"),
        process(13, 11, ALICE, "sftp-server", "sftp-server"),
        // Its child is no login of its own.
        process(14, 12, ALICE, "vim", "vim"),
    ];
    assert_eq!(
        found(&connection(sessions)),
        ["2001 shell 12", "2001 sftp 13"]
    );
}

#[test]
fn a_process_of_a_users_own_cannot_pass_for_sshd() {
    let processes = [
        process(10, 1, ALICE, "sshd", "sshd: bob [priv]"),
        process(11, 10, ALICE, "sshd", "sshd: bob@pts/0"),
        process(12, 11, ALICE, "bash", "-bash"),
        // su by another name: its real uid is the user's.
        process(20, 1, (2001, 0), "sshd", "sshd: bob [priv]"),
        process(21, 20, BOB, "sshd", "sshd: bob@pts/0"),
    ];
    assert_eq!(found(&processes), [""; 0]);
}

#[test]
fn root_and_system_users_have_no_logins_here() {
    let processes = [
        process(10, 1, ROOT, "sshd", "sshd: root@pts/0"),
        process(11, 10, ROOT, "bash", "-bash"),
        process(20, 1, ROOT, "sshd", "sshd: alice [priv]"),
        process(21, 20, (74, 74), "sshd", "sshd: alice [net]"),
    ];
    assert_eq!(found(&processes), [""; 0]);
}

#[test]
fn other_ways_in_are_named_by_their_program() {
    for (name, uids, kind) in [
        ("su", (2002, 0), "su"),
        ("su", ROOT, "su"),
        ("sudo", ROOT, "sudo"),
        ("login", ROOT, "login"),
        ("crond", ROOT, "cron"),
        ("atd", ROOT, "at"),
    ] {
        let mut processes = [
            process(10, 1, uids, name, name),
            process(11, 10, ALICE, "bash", "-bash"),
            process(12, 11, ALICE, "make", "make"),
        ];
        let without = found(&processes);
        processes[1].tty = Some("pts/1".to_owned());
        assert_eq!(found(&processes), [format!("2001 {kind} 11")]);
        // A script of root's may run a command as a user.
        assert_eq!(without.is_empty(), SWITCHES.contains(&kind), "{kind}");
    }
    let by_stepd = [
        process(10, 1, ROOT, "slurmstepd", "slurmstepd: [1.batch]"),
        process(11, 10, ALICE, "slurm_script", "/bin/sh"),
    ];
    assert_eq!(found(&by_stepd), [""; 0]);
}
