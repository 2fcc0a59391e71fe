//! Names that are to split or forge the log's lines, or to be taken for something else.

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::{Call, End, Module};

use crate::{Got, STRICT, both, got};

/// What a name must not become: a line, a field, a format, an option, a command, another direction.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "alice\n<86>sshd[1]: Accepted publickey for root",
        "alice uid=0 decision=adopted job=1",
        "alice\" uid=0 decision=adopted reason=\"",
        "\r\u{1b}[2Kuser=root",
        "\u{1b}]0;title\u{7}",
        "%n%n%s%s%s",
        "-oProxyCommand=sh",
        "--user=root",
        "--",
        "$(reboot)",
        "`reboot`;reboot|reboot",
        "../../etc/passwd",
        "\u{202e}toor",
        "\u{85}next\u{2028}line",
        "\u{7f}\u{8}\u{8}\u{8}",
        "\\n\\x0a",
        "'",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(64 << 10));
    names.push("\n".repeat(64 << 10));
    names.push("%s".repeat(32 << 10));
    names
}

/// What follows the user's name in the one line that the login leaves in the log, which has no sign
/// that a terminal or a reader of logs would take for more than text.
fn behind_the_name<'a>(what: &str, log: &'a str) -> Result<&'a str> {
    // Libpam's own words: on a directory of stacks without `other`, and on AUDIT_FAILED.
    let not_ours = |line: &&str| {
        line.ends_with(": PAM _pam_init_handlers: no default config other")
            || line.ends_with(": PAM audit_log_acct_message() failed: Invalid argument")
    };
    let mut lines = log.split('\n').filter(|line| !not_ours(line));
    let line = lines.next().unwrap_or_default();
    ensure!(lines.next().is_none(), "'{what}': not one line: {log:?}");
    ensure!(line.starts_with("<86>"), "'{what}': {line:?}");
    let (head, _) = line.split_once(": user=").context("no user=")?;
    ensure!(head.contains("pam_slurm_adopt"), "'{what}': {line:?}");
    let plain = |sign: char| matches!(sign, ' '..='~');
    ensure!(line.chars().all(plain), "'{what}': {line:?}");
    ensure!(line.len() < 2048, "'{what}': {} bytes", line.len());
    let name = &line[head.len() + ": user=".len()..];
    let Some(name) = name.strip_prefix('"') else {
        let end = name.find(' ').context("nothing behind the name")?;
        return Ok(&name[end..]);
    };
    let mut escaped = false;
    let end = name.find(|sign| {
        let ends = sign == '"' && !escaped;
        escaped = sign == '\\' && !escaped;
        ends
    });
    let end = end.with_context(|| format!("'{what}': the name has no end: {line}"))?;
    Ok(&name[end + 1..])
}

/// Users that there are not, and such that are alice under another name.
pub fn users(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for name in names() {
        let shown: String = name.chars().take(30).collect();
        let call = Call::new(&name, STRICT);
        let log = both(node, &shown, &call, Got::NoUser, Got::NoUser)?;
        let rest = behind_the_name(&shown, &log)?;
        let right = " uid=- decision=no-such-user job=- ms=";
        ensure!(rest.starts_with(right), "'{shown}': {log}");
    }
    // A line of passwd takes more than useradd does.
    let alices = cluster.submit("alice", &[])?;
    let known = names().into_iter().filter(|name| {
        let length = name.len();
        // libc takes no name with a minus before it, and passes over white space there.
        length < 1000 && !name.contains([':', '\n', '/']) && !name.starts_with(['\r', '-'])
    });
    let known: Vec<_> = known.collect();
    ensure!(known.len() > 5, "{known:?}");
    let lines: String = known
        .iter()
        .map(|name| format!("{name}:x:2001:2001::/:/bin/sh\n"))
        .collect();
    let tee = node.command(&["tee", "-a", "/etc/passwd"]);
    tee.stdin(lines).output()?.ok()?;
    for name in known {
        let call = Call::new(&name, STRICT);
        let expected = Got::Job(alices);
        let log = both(node, &name, &call, expected, expected)?;
        let rest = behind_the_name(&name, &log)?;
        let right = format!(" uid=2001 decision=adopted job={alices} ms=");
        ensure!(rest.starts_with(&right), "'{name}': {log}");
    }
    Ok(())
}

/// PAM_SYSTEM_ERR, libpam's own: where the kernel keeps an audit log libpam writes a record of each
/// call, and fails if that is too long.
const AUDIT_FAILED: End = End::Code(4);

/// What sshd tells of the client may be a name that the client's owner chose.
pub fn hosts(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let older = cluster.submit("alice", &[])?;
    let newer = cluster.submit("alice", &[])?;
    let more = [
        "10.88.0.1\n",
        "10.88.0.1 ",
        "0x0a580001",
        "::1%lo",
        "UNKNOWN",
        "",
    ];
    for host in names().into_iter().chain(more.map(str::to_owned)) {
        let shown: String = host.chars().take(30).collect();
        let is_long = host.len() > 1024;
        let mut call = Call::new("alice", STRICT);
        call.rhost = Some(host);
        let mark = node.syslog_mark()?;
        let ours = call.make(node, Module::Ours)?;
        let log = node.syslog_since(mark)?;
        let theirs = call.make(node, Module::SchedMd)?;
        if is_long && ours.end == AUDIT_FAILED {
            ensure!(theirs.end == AUDIT_FAILED, "'{shown}': SchedMD's: {theirs}");
        } else {
            ensure!(got(node, &ours)? == Got::Job(newer), "'{shown}': {ours}");
            let theirs = got(node, &theirs)?;
            ensure!(
                [older, newer].map(Got::Job).contains(&theirs),
                "'{shown}': SchedMD's: {theirs:?}"
            );
        }
        let rest = behind_the_name(&shown, &log)?;
        let right = format!(" uid=2001 decision=adopted job={newer} ms=");
        let why = "source job unknown: sshd has no TCP connection open\"";
        ensure!(
            rest.starts_with(&right) && rest.ends_with(why),
            "'{shown}': {log}"
        );
    }
    Ok(())
}
