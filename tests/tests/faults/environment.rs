//! What is wrong with the node or the process: its files, its descriptors, its memory. The stepds are
//! fakes in health.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Node;
use tests::{Call, End, Module};

use crate::case::{self, Case};
use crate::fake::{Fake, Peer, Reads, ints};
use crate::policy::Means;
use crate::stepd::{self, DIR, FINE, JOB, OTHER};

const IN: Means = Means::Adopted(JOB);

const LONG: &str = "a link to a long name";

/// A script of the shell that spoils the spool directory, what the man page says, the reason.
const SPOOLS: &[(&str, &str, Means, &str)] = &[
    (
        "gone",
        "rm -r $D",
        Means::NoJob,
        "No such file or directory",
    ),
    (
        "a file",
        "rm -r $D; echo >$D",
        Means::NoJob,
        "not a directory",
    ),
    (
        "a loop of links",
        "rm -r $D; ln -s $D $D",
        Means::NoJob,
        "Too many levels of symbolic links",
    ),
    (
        "a dangling link",
        "rm -r $D; ln -s /nowhere $D",
        Means::NoJob,
        "No such file or directory",
    ),
    ("a link", "mv $D $D.real; ln -s $D.real $D", IN, FINE),
    ("no rights at all", "chmod 0 $D", IN, FINE),
    (
        "writable for all",
        "chmod 777 $D",
        Means::NoJob,
        "is not safe: owner uid 0, mode 777",
    ),
    (
        "sticky and writable",
        "chmod 1777 $D",
        Means::NoJob,
        "is not safe: owner uid 0, mode 1777",
    ),
    (
        "another's",
        "chown 2002 $D",
        Means::NoJob,
        "is not safe: owner uid 2002",
    ),
    // The socket was made, and is found, by a short name; the one behind the link is too long for an address.
    (
        LONG,
        "L=$D.long/$(printf %0100d 0); mkdir -p -m 755 $D.long; mv $D $L; ln -s $L $D",
        IN,
        FINE,
    ),
];

/// The spool directory.
pub fn spool_directory(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    let names: Vec<String> = (0..SPOOLS.len()).map(|it| format!("s{it}")).collect();
    let peers: Vec<_> = names.iter().map(|it| stepd::healthy(it, JOB)).collect();
    let _fake = Fake::start(node, &peers)?;
    let mut cases = Vec::new();
    for (name, (what, script, means, reason)) in names.iter().zip(SPOOLS) {
        node.sh(&format!("D={DIR}/{name}; {script}"))?;
        let title = format!("spool directory: {what}");
        cases.push(Case::new(title, stepd::options(name), *means, reason));
        if *what == LONG {
            let title = format!("spool directory: {what}, no /proc");
            let reason =
                "slurmstepd of job 7: path too long for a socket, and no /proc to shorten it";
            let mut case = Case::new(title, stepd::options(name), Means::NoJob, reason);
            case.wrapper = Some(NO_PROC.to_owned());
            cases.push(case);
        }
    }
    // An address of a socket has room for 107 bytes and a NUL.
    let name = "n".repeat(40);
    let peer = stepd::healthy(&name, 17);
    ensure!(peer.at.len() == 107, "{} bytes", peer.at.len());
    cases.push(Case::new(
        "the longest path of a socket",
        stepd::options(&name),
        Means::Adopted(17),
        FINE,
    ));
    let _longest = Fake::start(node, &[peer])?;
    case::run(node, &cases)
}

/// A script that writes a slurm.conf $C for a spool directory with a stepd in health ($D is the spool
/// directory), what the man page says, the reason.
const CONFS: &[(&str, &str, Means, &str)] = &[
    ("missing", "", Means::Generic, "No such file or directory"),
    (
        "a directory",
        "mkdir $C",
        Means::Generic,
        "not a regular file",
    ),
    ("a FIFO", "mkfifo $C", Means::Generic, "not a regular file"),
    (
        "a device",
        "ln -s /dev/zero $C",
        Means::Generic,
        "not a regular file",
    ),
    (
        "a loop of links",
        "ln -s $C $C",
        Means::Generic,
        "Too many levels of symbolic links",
    ),
    ("empty", ": >$C", Means::Generic, "parse slurm.conf"),
    (
        "cut in a line",
        "good | head -c -10 >$C",
        Means::Generic,
        "parse slurm.conf",
    ),
    ("unreadable for others", "good >$C; chmod 0 $C", IN, FINE),
    (
        "100 MB",
        "good >$C; yes '# a comment' | head -c 100M >>$C",
        IN,
        FINE,
    ),
    (
        "300 MB",
        "good >$C; truncate -s 300M $C",
        Means::Generic,
        "larger than",
    ),
    (
        "it includes itself",
        "good >$C; echo Include $C >>$C",
        Means::Generic,
        "too many or too deep Includes",
    ),
    (
        "two include each other",
        "good >$C; echo Include $C.b >>$C; echo Include $C >$C.b",
        Means::Generic,
        "too many or too deep Includes",
    ),
    (
        "a missing Include",
        "good >$C; echo Include $C.b >>$C",
        Means::Generic,
        "No such file or directory",
    ),
    (
        "noise",
        "good >$C; head -c 4096 /dev/urandom >>$C; echo x >>$C",
        Means::Generic,
        "parse slurm.conf",
    ),
];

/// slurm.conf.
pub fn slurm_conf(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    let _fake = Fake::start(node, &[stepd::healthy("f", JOB)])?;
    let mut cases = Vec::new();
    for (number, (what, script, means, reason)) in CONFS.iter().enumerate() {
        let conf = format!("{DIR}/f{number}.conf");
        node.sh(&format!(
            "C={conf}; good() {{ printf 'ClusterName=faults\\nSlurmctldHost=node1\\nSlurmdSpoolDir={DIR}/f\\n\
             # The end of a file of some length.\\nSlurmctldPort=6817\\n'; }}; {script}"
        ))?;
        let options = format!("slurm_conf={conf} nodename=f");
        let mut case = Case::new(format!("slurm.conf: {what}"), options, *means, reason);
        // Nobody can bound the disk and the parser; on a machine with much to do 100 MB take seconds.
        case.timeout = 20.0;
        cases.push(case);
    }
    case::run(node, &cases)?;
    node.sh(&format!("rm -rf {DIR}/f*.conf*")).map(drop)
}

/// slurm.conf is replaced all the time while logins read it.
pub fn slurm_conf_replaced(node: &Node) -> Result<()> {
    const LOGINS: usize = 40;
    stepd::prepare(node)?;
    let _fake = Fake::start(node, &[stepd::healthy("r", JOB)])?;
    let conf = format!("{DIR}/r.conf");
    let script = format!(
        "printf 'ClusterName=a\\nSlurmdSpoolDir={DIR}/r\\n' >{conf}; i=0; while :; do i=$((i+1)); \
         {{ printf 'ClusterName=a%d\\nSlurmdSpoolDir={DIR}/r\\n' $i; head -c $((i % 7 * 9000)) /dev/zero | tr '\\0' '#'; echo; }} >{conf}.new; \
         mv {conf}.new {conf}; done"
    );
    let _writer = node.command(&["/bin/sh", "-ec", &script]).spawn()?;
    lab::poll::until_true("the first slurm.conf", Duration::from_secs(10), || {
        Ok(node.read(&conf).is_ok())
    })?;
    let options = format!("slurm_conf={conf} nodename=r");
    let case = Case::new("slurm.conf: replaced meanwhile", options, IN, FINE);
    case::run(node, &vec![case; LOGINS / 2])
}

/// Runs the call without a /proc; as the test program needs it it is elsewhere.
const NO_PROC: &str = "exec unshare -m /bin/sh -ec 'mkdir -p /run/proc; mount --bind /proc /run/proc; \
     mount -t tmpfs none /proc; exec \"$@\" --proc /run/proc/self' sh \"$@\"";

/// The process that makes the call.
pub fn process(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    let peers = [
        stepd::healthy("p", JOB),
        stepd::healthy("q", JOB),
        stepd::healthy("q", OTHER),
    ];
    let _fake = Fake::start(node, &peers)?;
    let mut cases = Vec::new();
    let mut add = |what: &str, means, reason: &str, arguments: &[&str], wrapper: Option<&str>| {
        let mut case = Case::new(what, stepd::options("p"), means, reason);
        case.arguments = arguments.iter().map(|it| it.to_string()).collect();
        case.wrapper = wrapper.map(str::to_owned);
        if means == Means::Root {
            case.user = "root";
        }
        cases.push(case);
    };
    let root = "root always passes";
    add(
        "no descriptors 0 to 2",
        IN,
        FINE,
        &["--close-streams"],
        None,
    );
    add("SIGPIPE ignored", IN, FINE, &["--ignore-sigpipe"], None);
    add("SIGPIPE deadly", IN, FINE, &[], None);
    add("no /proc", IN, FINE, &[], Some(NO_PROC));
    add("no /proc, root", Means::Root, root, &[], Some(NO_PROC));
    let few = Some("ulimit -n 64; exec \"$@\"");
    let too_many = "Too many open files";
    add(
        "1 descriptor",
        Means::Generic,
        too_many,
        &["--descriptors", "1"],
        few,
    );
    // As a rule of AppArmor or SELinux does: whether this is sshd's helper can't be seen.
    tests::bring_strace(node)?;
    let hidden = format!(
        "exec {} -f -o /dev/null -P /proc/self/cmdline -e inject=openat:error=EACCES \"$@\"",
        tests::STRACE
    );
    add(
        "a title that can't be read",
        Means::NotAdopted,
        "read /proc/self/cmdline: Permission denied",
        &[],
        Some(&hidden),
    );
    // Whether the slurmstepd takes this process's number for another's can't be seen then.
    let hidden = format!(
        "exec {} -f -o /dev/null -P /proc/self/ns/pid -e inject=readlink,readlinkat:error=EACCES \"$@\"",
        tests::STRACE
    );
    add(
        "a pid namespace that can't be seen",
        Means::NotAdopted,
        "readlink /proc/self/ns/pid: Permission denied",
        &[],
        Some(&hidden),
    );
    for left in ["2", "3", "4", "8"] {
        add(
            &format!("{left} descriptors"),
            IN,
            FINE,
            &["--descriptors", left],
            few,
        );
    }
    add(
        "1 descriptor, root",
        Means::Root,
        root,
        &["--descriptors", "1"],
        few,
    );
    let mut two = Case::new(
        "no /proc, two jobs",
        stepd::options("q"),
        Means::Unknown(OTHER),
        "list open descriptors: ",
    );
    two.wrapper = Some(NO_PROC.to_owned());
    cases.push(two);
    case::run(node, &cases)
}

/// Almost all memory is taken. libpam itself wants a kilobyte.
pub fn memory(node: &Node) -> Result<()> {
    stepd::prepare(node)?;
    // Else libpam reads its files, and loads the module, once more at the second call.
    let other = "session required pam_deny.so\n";
    node.write("/run/pamcall/Ours/other", other, 0o644)?;
    let _fake = Fake::start(node, &[stepd::healthy("o", JOB)])?;
    let mut cases = Vec::new();
    for (left, user, means) in [
        ("1536", "root", Means::Root),
        ("4096", "root", Means::Root),
        ("65536", "root", Means::Root),
        ("65536", "alice", IN),
    ] {
        let mut case = Case::new(
            format!("{left} bytes, {user}"),
            stepd::options("o"),
            means,
            "",
        );
        case.user = user;
        case.arguments = vec!["--memory".into(), left.into()];
        cases.push(case);
    }
    case::run(node, &cases)?;
    little_memory(node)
}

/// From what libpam needs to what a login needs. Who has a job is adopted or kept out, be it that the
/// process ends: Rust's allocator calls abort(3). Root always passes.
fn little_memory(node: &Node) -> Result<()> {
    /// PAM_BUF_ERR of libpam itself, which has not come as far as to the module.
    const NOT_CALLED: End = End::Code(5);
    const ABORTED: End = End::Killed(6);
    let strict = "action_adopt_failure=deny action_generic_failure=deny";
    let options = format!("{} {strict}", stepd::options("o"));
    let mut ends = BTreeMap::<String, usize>::new();
    for left in (512..48 * 1024).step_by(512) {
        for user in ["root", "alice"] {
            let mut call = Call::new(user, &options);
            call.arguments = vec!["--memory".into(), left.to_string()];
            let login = call.make(node, Module::Ours)?;
            let is_right = match (user, login.end) {
                (_, NOT_CALLED) => left < 2048,
                ("root", end) => end == End::Code(25),
                (_, End::Code(0)) => login.env.contains_key("SLURM_JOB_ID"),
                (_, end) => end == End::Code(6) || end == ABORTED,
            };
            ensure!(is_right, "{left} bytes, {user}: {login}");
            *ends.entry(format!("{user} {:?}", login.end)).or_default() += 1;
        }
    }
    println!("with 0.5 to 48 KB: {ends:?}");
    let adopted = ends.get("alice Code(0)").copied().unwrap_or(0);
    ensure!(adopted > 0, "never adopted: {ends:?}");
    Ok(())
}

/// Files of no meaning in the spool directory: twenty thousand, and a million in a long run.
pub fn junk(node: &Node) -> Result<()> {
    let count = match std::env::var_os("SLURM_ADOPT_LONG") {
        Some(_) => 1_000_000,
        None => {
            println!(
                "20,000 junk files; a million only with SLURM_ADOPT_LONG=1: they take a minute"
            );
            20_000
        }
    };
    stepd::prepare(node)?;
    let _fake = Fake::start(node, &[stepd::healthy("j", JOB)])?;
    let make = format!("for (1 .. {count}) {{ open(my $f, '>', \"{DIR}/j/job$_\") or die $! }}");
    let made = node.command(&["perl", "-e", &make]);
    made.time_limit(Duration::from_secs(300)).output()?.ok()?;
    let case = Case::new(format!("{count} junk files"), stepd::options("j"), IN, FINE);
    let done = case::run(node, &[case]);
    node.remove(&format!("{DIR}/j"))?;
    done
}

/// Two thousand jobs on the node, one of them alice's: more than the descriptors of a process. At the
/// first login none is known.
pub fn many_steps(node: &Node) -> Result<()> {
    const STEPS: u32 = 2000;
    stepd::prepare(node)?;
    let others = (0..STEPS - 1).map(|number| {
        let at = stepd::socket("t", 1000 + number);
        Peer::new(
            at,
            Reads::Owner,
            vec![ints(&[stepd::VERSION, 2002, stepd::RUNNING])],
        )
    });
    let peers: Vec<_> = others.chain([stepd::healthy("t", JOB)]).collect();
    let _fake = Fake::start(node, &peers)?;
    let mut case = Case::new("2,000 extern steps", stepd::options("t"), IN, FINE);
    case.wrapper = Some("ulimit -n 1024; exec \"$@\"".into());
    // As many questions as steps, on a machine that may have others to answer.
    case.timeout = 20.0;
    case::run(node, &[case])?;
    let nobody = Case {
        user: "carol",
        means: Means::NoJob,
        reason: format!("no job on this node ({STEPS} jobs of other users"),
        timeout: 20.0,
        ..Case::new("2,000 steps of others", stepd::options("t"), IN, "")
    };
    case::run(node, &[nobody])
}

/// The spool directory is on a file system whose server does not answer. Nobody can bound that: the
/// login waits until the server is gone. Root does not come near it.
pub fn hung_file_system(node: &Node) -> Result<()> {
    const SECONDS: u64 = 3;
    stepd::prepare(node)?;
    let dir = format!("{DIR}/h");
    let server = format!(
        "$^F = 255; -e '/dev/fuse' or system('mknod', '/dev/fuse', 'c', 10, 229); open(my $f, '+<', '/dev/fuse') or die $!; mkdir '{dir}', 0755; my $n = fileno $f; \
         system('mount', '-i', '-t', 'fuse', '-o', \"fd=$n,rootmode=40755,user_id=0,group_id=0\", 'hung', '{dir}') \
         and die 'mount'; $| = 1; print \"ready\\n\"; sleep {SECONDS}"
    );
    let serve = || -> Result<_> {
        let mut running = node.command(&["perl", "-e", &server]).spawn()?;
        lab::poll::until_true("the file system", Duration::from_secs(10), || {
            ensure!(running.is_running()?, "it ended: {}", running.stderr()?);
            Ok(running.stdout()?.contains("ready"))
        })?;
        Ok(running)
    };
    let running = serve()?;
    let mut root = Case::new(
        "a hung spool directory, root",
        stepd::options("h"),
        Means::Root,
        "",
    );
    root.user = "root";
    let done = case::run(node, &[root]);
    let mut slow = Case::new(
        "a hung spool directory",
        stepd::options("h"),
        Means::NoJob,
        "spool directory: ",
    );
    // Until the server ends: so all of them must be there before.
    ensure!(slow.means.settings().len() <= case::AT_A_TIME);
    slow.also = |outcome| outcome.micros > 500_000;
    let done = done.and_then(|()| case::run(node, &[slow]));
    drop(running);
    node.sh(&format!("umount -l {dir}"))?;
    done?;
    // SchedMD's module waits too.
    let conf = "/etc/slurm/slurm.conf";
    node.sh(&format!(
        "cp {conf} {conf}.kept; sed -i 's|^SlurmdSpoolDir=.*|SlurmdSpoolDir={dir}|' {conf}"
    ))?;
    let theirs = serve().and_then(|_running| schedmd(node, ""));
    node.sh(&format!("mv {conf}.kept {conf}; umount -l {dir}"))?;
    let theirs = theirs?;
    ensure!(theirs.micros > 500_000, "SchedMD's does not wait: {theirs}");
    Ok(())
}

/// SchedMD's module, on the node's own Slurm.
pub fn schedmd(node: &Node, options: &str) -> Result<tests::Outcome> {
    Call::new("alice", options).make(node, Module::SchedMd)
}
