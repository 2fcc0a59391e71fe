//! Logs for machines: lines of JSON, what slurm-adopt sums up of them, and the fields of the journal.

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node, Status};
use serde_json::Value;
use tests::{CLI, Call, End, Module, OURS};

use crate::{Test, by_stack, expect};

pub const TESTS: &[(&str, Test)] = &[
    ("each line of the log is one JSON object", json),
    ("foreign text stays within its JSON string", foreign_text),
    ("what slurm-adopt sums up of JSON lines", sums),
    ("the journal gets each line once, with fields", journal),
];

const SCHEMA: &str = include_str!("../../../docs/log.schema.json");
/// In the place of journald.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// What it got, each entry with a line of dashes behind it.
const ENTRIES: &str = "/run/journal.entries";
const LAST: &str = "LAST-ENTRY";

/// The lines that the module writes meanwhile, without what libpam puts before them.
fn lines(node: &Node, act: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
    let mark = node.syslog_mark()?;
    act()?;
    let log = node.syslog_since(mark)?;
    let ours = log.lines().filter(|it| it.contains("pam_slurm_adopt"));
    let text = |it: &str| it.split_once("): ").map(|(_, text)| text.to_owned());
    ours.map(|it| text(it).with_context(|| it.to_owned()))
        .collect()
}

/// Reads a line, and checks it against the schema: required names, no other, types, words.
fn parse(line: &str) -> Result<Value> {
    let schema: Value = serde_json::from_str(SCHEMA)?;
    ensure!(line.bytes().all(|it| (b' '..=b'~').contains(&it)), "{line}");
    let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
    let object = value.as_object().context("no object")?;
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let mut required = names(&schema["required"]);
    if object.contains_key("decision") {
        required.extend(names(&schema["dependentRequired"]["decision"]));
    }
    for name in &required {
        ensure!(object.contains_key(name), "no {name} in {line}");
    }
    for (name, found) in object {
        let property = schema["properties"].get(name);
        let property = property.with_context(|| format!("{name} is not in the schema: {line}"))?;
        let kind = match found {
            Value::Null => "null",
            Value::String(_) => "string",
            Value::Number(it) if it.is_u64() => "integer",
            Value::Number(_) => "number",
            _ => bail!("{name}: {line}"),
        };
        let of_schema = &property["type"];
        let kinds = [
            names(of_schema),
            names(&Value::Array(vec![of_schema.clone()])),
        ]
        .concat();
        let fits = kinds
            .iter()
            .any(|it| it == kind || (it == "number" && kind == "integer"));
        ensure!(fits, "{name} is of kind {kind}, not {kinds:?}: {line}");
        let words = property["enum"].as_array();
        ensure!(words.is_none_or(|it| it.contains(found)), "{name}: {line}");
        ensure!(
            property.get("const").is_none_or(|it| it == found),
            "{name}: {line}"
        );
    }
    Ok(value)
}

/// The one line that a login leaves.
fn line_of(node: &Node, user: &str, options: &str, code: i64, job: Option<u32>) -> Result<Value> {
    let act = || expect(node, user, &format!("log_format=json {options}"), code, job).map(drop);
    let lines = lines(node, act)?;
    let [line] = &lines[..] else {
        bail!("not one line: {lines:#?}");
    };
    let value = parse(line)?;
    ensure!(
        value["user"] == user && value["phase"] == "account",
        "{line}"
    );
    ensure!(value["service"] == "sshd", "{line}");
    Ok(value)
}

fn is(value: &Value, decision: &str, reason: &str) -> Result<()> {
    let found = (&value["decision"], &value["reason"]);
    ensure!(found == (&decision.into(), &reason.into()), "{value}");
    Ok(())
}

fn json(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let denied = line_of(node, "bob", "", 6, None)?;
    is(&denied, "denied", "no-job")?;
    ensure!(denied["job"].is_null() && denied["uid"] == 2002, "{denied}");
    ensure!(
        denied["node"] == node.name() && denied["level"] == "info",
        "{denied}"
    );
    let exempt = line_of(node, "bob", "exempt_users=bob", 0, None)?;
    is(&exempt, "allowed-without-adoption", "exempt")?;
    is(&line_of(node, "root", "", 25, None)?, "ignored", "root")?;
    is(
        &line_of(node, "nobody-at-all", "", 14, None)?,
        "no-such-user",
        "unknown-user",
    )?;
    is(
        &line_of(node, "bob", "mode=audit", 25, None)?,
        "audited",
        "no-job",
    )?;
    is(
        &line_of(node, "bob", "slurm_conf=/none strict", 6, None)?,
        "denied",
        "slurm-conf",
    )?;
    let job = cluster.submit("alice", &[])?;
    let adopted = line_of(node, "alice", "", 0, Some(job))?;
    is(&adopted, "adopted", "only-job")?;
    ensure!(
        adopted["job"] == job && adopted["ms"].as_f64() > Some(0.0),
        "{adopted}"
    );
    // A slurmstepd that hangs: also a line at error, which is an object too.
    let stepd = node.pid_of_stepd(job)?;
    node.signal(stepd, "STOP")?;
    node.remove("/run/slurm-adopt")?;
    let hung = lines(node, || {
        expect(node, "alice", "log_format=json timeout=0.5", 6, None).map(drop)
    });
    node.signal(stepd, "CONT")?;
    let hung: Vec<Value> = hung?.iter().map(|it| parse(it)).collect::<Result<_>>()?;
    let [error, login] = &hung[..] else {
        bail!("not two lines: {hung:#?}");
    };
    let silent = format!("slurmstepd of job {job} does not answer");
    ensure!(
        error["level"] == "error" && error["message"] == silent.as_str(),
        "{error}"
    );
    is(login, "denied", "stepd-silent")?;
    ensure!(login["ms"].as_f64() >= Some(250.0), "{login}");
    Ok(())
}

/// The client's owner may choose PAM_RHOST, and a directory may have any name.
fn foreign_text(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for text in [
        "x\",\"uid\":0,\"y\":\"\\",
        "a\nb\u{1b}[2J",
        "\u{e9}\u{1f600}",
        &"h".repeat(3000),
    ] {
        let mut call = Call::new("bob", "log_format=json debug [log_level=debug]");
        call.rhost = Some(text.to_owned());
        let found = lines(node, || {
            let outcome = call.make(node, Module::Ours)?;
            ensure!(outcome.end == End::Code(6), "{outcome}");
            Ok(())
        })?;
        let parsed: Vec<Value> = found.iter().map(|it| parse(it)).collect::<Result<_>>()?;
        ensure!(parsed.len() > 2, "no line but the login's: {found:#?}");
        let cut: String = text.chars().take(256).collect();
        let login = parsed.last().context("no line")?;
        ensure!(
            login["rhost"] == cut.as_str() && login["uid"] == 2002,
            "{login}"
        );
    }
    Ok(())
}

/// Both phases by sshd, and what slurm-adopt sums up of the file that syslog writes.
fn sums(cluster: &Cluster) -> Result<()> {
    const LOG: &str = "/run/log";
    let node = cluster.node(1);
    node.write(crate::FILE, "log_format = json\nstrict\n", 0o644)?;
    let job = cluster.submit("alice", &[])?;
    let mark = node.syslog_mark()?;
    let stack = format!("account required {OURS}\nsession required {OURS}\n");
    let (code, found) = by_stack(node, &stack, "alice", "both")?;
    ensure!((code, found) == (0, Some(job)), "{code}, in {found:?}");
    for user in ["bob", "carol"] {
        let outcome = node.ssh(user, node.name(), &["true"])?;
        ensure!(outcome.status == Status::Exited(255), "{outcome}");
    }
    node.write(LOG, node.syslog_since(mark)?, 0o600)?;
    node.sh("umask 077; mkdir -p /run/textfile")?;
    let out = "/run/textfile/slurm-adopt.prom";
    node.run(&[CLI, "stats", "--input", LOG, "--out", out])?
        .ok()?;
    let text = node.sh(&format!("cat {out}; stat -c %a {out}; ls -A /run/textfile"))?;
    for line in [
        "slurm_adopt_logins_total{decision=\"adopted\",reason=\"only-job\",phase=\"account\"} 1",
        "slurm_adopt_logins_total{decision=\"adopted\",reason=\"chosen-job\",phase=\"session\"} 1",
        "slurm_adopt_logins_total{decision=\"denied\",reason=\"no-job\",phase=\"account\"} 2",
        "slurm_adopt_login_duration_seconds_bucket{phase=\"account\",le=\"+Inf\"} 3",
        "slurm_adopt_login_duration_seconds_count{phase=\"session\"} 1",
    ] {
        ensure!(text.lines().any(|it| it == line), "no {line} in\n{text}");
    }
    ensure!(text.ends_with("\n644\nslurm-adopt.prom\n"), "{text}");
    // These nodes have no journal.
    let without = node.run(&[CLI, "stats"])?;
    ensure!(without.status == Status::Exited(3), "{without}");
    ensure!(without.stderr.contains("pass --input FILE"), "{without}");
    Ok(())
}

/// Has /dev/log be what systemd makes of it, with a reader in the place of journald.
fn begin(node: &Node) -> Result<()> {
    node.sh(&format!(
        "rm -rf /run/systemd/journal {ENTRIES}; mkdir -p /run/systemd/journal
         mv /dev/log /dev/log.lab
         ln -s /dev/log.lab /run/systemd/journal/dev-log
         ln -s /run/systemd/journal/dev-log /dev/log
         cd /; setsid nohup perl -MSocket -e '
             socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un(\"{JOURNAL}\")) or die;
             open(my $o, \">>\", \"{ENTRIES}\") or die;
             while (defined(recv($s, my $entry, 65536, 0))) {{ syswrite($o, \"$entry----\\n\") }}
         ' >/dev/null 2>&1 &
         echo $! >/run/journal.pid
         until [ -e {ENTRIES} ]; do sleep 0.05; done
         chmod 666 {JOURNAL}"
    ))
    .map(drop)
}

fn end(node: &Node) -> Result<()> {
    node.sh(
        "kill -KILL $(cat /run/journal.pid); rm -rf /run/systemd/journal /dev/log
         mv /dev/log.lab /dev/log",
    )
    .map(drop)
}

/// What the journal got up to now: all that came before a last entry of the test's own.
fn entries(node: &Node) -> Result<Vec<String>> {
    let text = node.sh(&format!(
        "perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die;
             send($s, \"{LAST}\", 0, sockaddr_un(\"{JOURNAL}\")) or die'
         until grep -q {LAST} {ENTRIES}; do sleep 0.05; done
         cat {ENTRIES}; : >{ENTRIES}"
    ))?;
    let entries = text.split_terminator("----\n").filter(|it| *it != LAST);
    Ok(entries.map(str::to_owned).collect())
}

fn journal(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    begin(node)?;
    let done = entries_with_fields(node, cluster).and_then(|()| fallback(node));
    end(node)?;
    done?;
    let lines = lines(node, || expect(node, "bob", "", 6, None).map(drop))?;
    ensure!(lines.len() == 1, "syslog without a journal: {lines:?}");
    Ok(())
}

fn entries_with_fields(node: &Node, cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let by_syslog = lines(node, || {
        let mut call = Call::new("alice", "unheard_of=1");
        call.rhost = Some("login1\n\u{1b}x".into());
        let outcome = call.make(node, Module::Ours)?;
        ensure!(outcome.end == End::Code(0), "{outcome}");
        ensure!(outcome.left_open.is_empty(), "left open: {outcome}");
        Ok(())
    })?;
    ensure!(by_syslog.is_empty(), "by both ways: {by_syslog:?}");
    let found = entries(node)?;
    let [error, login] = &found[..] else {
        bail!("not two entries: {found:#?}");
    };
    for part in [
        "MESSAGE=pam_slurm_adopt(sshd:account): ignoring unknown option \"unheard_of=1\"\n",
        "PRIORITY=3\n",
        "MESSAGE_ID=ac8d204961d34ff186638f12df00e161\n",
        "SLURM_ADOPT_USER=alice\n",
    ] {
        ensure!(error.contains(part), "no {part} in {error}");
    }
    let head = format!("user=alice uid=2001 decision=adopted job={job} ms=");
    for part in [
        &format!("MESSAGE=pam_slurm_adopt(sshd:account): {head}"),
        "PRIORITY=6\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=pamcall\nSYSLOG_PID=",
        "\nMESSAGE_ID=920474f1780a4f14b0ec59368fe407da\n",
        "\nSLURM_ADOPT_USER=alice\nSLURM_ADOPT_UID=2001\nSLURM_ADOPT_DECISION=adopted\n",
        &format!("\nSLURM_ADOPT_REASON=only-job\nSLURM_ADOPT_JOB={job}\nSLURM_ADOPT_MS="),
        "\nSLURM_ADOPT_RHOST=login1??x\nSLURM_ADOPT_PHASE=account\nSLURM_ADOPT_SERVICE=sshd\n",
        &format!("\nSLURM_ADOPT_NODE={}\n", node.name()),
    ] {
        ensure!(login.contains(part), "no {part} in {login}");
    }
    // By sshd.
    let ssh = node.ssh("bob", node.name(), &["true"])?;
    ensure!(ssh.status == Status::Exited(255), "{ssh}");
    let found = entries(node)?;
    let [denied] = &found[..] else {
        bail!("not one entry: {found:#?}");
    };
    let is_sshds = ["sshd", "sshd-session"]
        .iter()
        .any(|it| denied.contains(&format!("\nSYSLOG_IDENTIFIER={it}\n")));
    ensure!(
        is_sshds && denied.contains("_DECISION=denied\n"),
        "{denied}"
    );
    Ok(())
}

/// Where the journal can't take a line, or may not be trusted, syslog gets it.
fn fallback(node: &Node) -> Result<()> {
    let fill = format!(
        "perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die;
             1 while defined(send($s, \"x\", MSG_DONTWAIT, sockaddr_un(\"{JOURNAL}\")))'"
    );
    for (what, before, after) in [
        (
            "another's socket",
            format!("chown alice {JOURNAL}"),
            format!("chown root {JOURNAL}"),
        ),
        (
            "another's directory",
            "chmod o+w /run/systemd/journal".into(),
            "chmod o-w /run/systemd/journal".into(),
        ),
        (
            "no socket",
            format!("mv {JOURNAL} /run/aside"),
            format!("mv /run/aside {JOURNAL}"),
        ),
        (
            "a full queue",
            format!("kill -STOP $(cat /run/journal.pid); {fill}"),
            "kill -CONT $(cat /run/journal.pid)".into(),
        ),
        (
            "another syslog",
            "rm /dev/log; ln -s log.lab /dev/log".into(),
            "rm /dev/log; ln -s /run/systemd/journal/dev-log /dev/log".into(),
        ),
    ] {
        node.sh(&before)?;
        let found = lines(node, || {
            let bob = expect(node, "bob", "", 6, None)?;
            // The deadline is 5 s.
            ensure!(bob.micros < 4_000_000, "it waited: {bob}");
            ensure!(bob.left_open.is_empty(), "left open: {bob}");
            Ok(())
        });
        node.sh(&after)?;
        let found = found.with_context(|| what)?;
        ensure!(found.len() == 1, "{what}: {found:?}");
        let in_journal = entries(node)?;
        let ours = in_journal.iter().filter(|it| it.contains("MESSAGE="));
        ensure!(ours.count() == 0, "{what}: by both ways: {in_journal:?}");
    }
    Ok(())
}
