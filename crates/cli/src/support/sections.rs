//! The sections of the text.

use std::fmt::Write as _;
use std::io;

use check::host::users::{Ordinary, users};
use check::{Host, Report, Request};
use proto::conf::Setting;
use status::Status;

use crate::support::LIMIT;
use crate::{check as checking, explain, status as showing};

/// The most lines of the log.
const LINES: usize = 300;
/// The files that may have the module's lines where there is no journal.
const LOGS: [&str; 3] = ["/var/log/auth.log", "/var/log/secure", "/var/log/syslog"];
/// As much as is read of each.
const TAIL: u64 = 4 << 20;
/// Lines of slurm.conf about other nodes: there may be thousands.
const LISTS: [&str; 6] = [
    "NodeName",
    "PartitionName",
    "NodeSet",
    "DownNodes",
    "SwitchName",
    "FrontendName",
];

/// The text, and the names in it.
pub(super) struct Gathered {
    pub text: String,
    pub names: Vec<String>,
}

/// Looks at everything.
pub(super) fn gather(user: Option<&str>) -> Gathered {
    let request = Request {
        limit: LIMIT,
        ..Request::default()
    };
    // Neither root nor IDs can be wrong.
    let report = check::run(&request, &mut |_| {}).ok();
    let shown = status::look(&status::Request {
        is_mine: false,
        limit: LIMIT,
    });
    let mut text = String::new();
    section(
        &mut text,
        "slurm-adopt",
        &format!("version {}", env!("CARGO_PKG_VERSION")),
    );
    if let Some(report) = &report {
        section(&mut text, "versions", &versions(&report.host));
        section(&mut text, "check", &checking::text(report));
    }
    let told = shown.as_ref().map(showing::json_text);
    section(
        &mut text,
        "status",
        &told.unwrap_or_else(ToString::to_string),
    );
    if let Some(user) = user {
        section(&mut text, &format!("explain {user}"), &explain::text(user));
    }
    if let Some(report) = &report {
        of_files(&mut text, &report.host);
    }
    let names = names(report.as_ref(), shown.as_ref().ok(), user, &text);
    Gathered { text, names }
}

fn section(text: &mut String, title: &str, content: &str) {
    // Writing to a String cannot fail.
    let _ = write!(text, "==== {title}\n{}\n\n", content.trim_end());
}

fn versions(host: &Host) -> String {
    let first = |program: &str, argument: &str| {
        let told = host.run(program, &[argument]).map(|it| it.out + &it.errors);
        let told = told.unwrap_or_else(|error| format!("{program}: {error}"));
        told.lines().next().unwrap_or_default().to_owned()
    };
    [
        host.distribution().name.clone(),
        first("uname", "-srm"),
        first("sshd", "-V"),
        first("slurmd", "-V"),
        first("systemctl", "--version"),
    ]
    .join("\n")
}

fn of_files(text: &mut String, host: &Host) {
    for service in host.ssh_services() {
        let read = host.service(&service);
        let lines = read.lines().iter().map(|it| {
            let line = String::from_utf8_lossy(&it.text);
            format!("{}: {}", it.place, line.trim_end())
        });
        let lines: Vec<_> = lines.collect();
        section(text, &format!("PAM service {service}"), &lines.join("\n"));
    }
    let file = adopt::options::FILE;
    let options = host.tree.text(file);
    section(
        text,
        file,
        &options.unwrap_or_else(|error| error.to_string()),
    );
    let told = host.run("sshd", &["-T"]).map(|it| it.out + &it.errors);
    section(
        text,
        "sshd -T",
        &told.unwrap_or_else(|error| error.to_string()),
    );
    match host.slurm_conf() {
        Ok(conf) => {
            let path = conf.path.display().to_string();
            section(text, &path, &settings(&conf.settings));
            let cgroup = conf.path.with_file_name("cgroup.conf");
            let read = host.tree.text(&cgroup);
            let read = read.unwrap_or_else(|error| error.to_string());
            section(text, &cgroup.display().to_string(), &read);
        }
        Err(cause) => section(text, "slurm.conf", &cause.to_string()),
    }
    section(text, "log", &log(host));
}

/// The lines of slurm.conf, without those about other nodes.
fn settings(settings: &[Setting]) -> String {
    let is_list = |it: &Setting| LISTS.iter().any(|key| it.key().eq_ignore_ascii_case(key));
    let (lists, others): (Vec<_>, Vec<_>) = settings.iter().partition(|it| is_list(it));
    let line = |it: &&Setting| {
        let pairs: Vec<_> = it
            .pairs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("{}:{}: {}", it.file, it.line, pairs.join(" "))
    };
    let mut lines: Vec<String> = others.iter().map(line).collect();
    lines.push(format!(
        "({} lines of nodes and partitions left out)",
        lists.len()
    ));
    lines.join("\n")
}

/// The module's last lines.
fn log(host: &Host) -> String {
    let arguments = [
        "--no-pager",
        "--quiet",
        "--since=-24h",
        "--output=short-iso",
    ];
    let is_ours = |it: &&str| it.contains("pam_slurm_adopt");
    let last = |text: &str| {
        let lines: Vec<_> = text.lines().filter(is_ours).collect();
        let start = lines.len().saturating_sub(LINES);
        lines.get(start..).unwrap_or_default().join("\n")
    };
    let journal = host.run("journalctl", &arguments).map(|it| last(&it.out));
    if let Some(lines) = journal.ok().filter(|it| !it.is_empty()) {
        return lines;
    }
    let read = |path: &&str| -> io::Result<String> {
        let bytes = host.tree.tail(path, TAIL)?;
        Ok(last(&String::from_utf8_lossy(&bytes)))
    };
    let mut found = LOGS
        .iter()
        .filter_map(|it| read(it).ok())
        .filter(|it| !it.is_empty());
    found
        .next()
        .unwrap_or_else(|| "no line of the module".to_owned())
}

/// All names that may stand in the text.
fn names(
    report: Option<&Report>,
    shown: Option<&Status>,
    user: Option<&str>,
    text: &str,
) -> Vec<String> {
    let mut names: Vec<String> = user.map(str::to_owned).into_iter().collect();
    if let Ok(host) = sys::hostname() {
        names.extend(host.split('.').next().map(str::to_owned));
        names.push(host);
    }
    if let Some(report) = report {
        let passwd = report.host.tree.text("/etc/passwd").unwrap_or_default();
        let people = Ordinary::read(&report.host.tree);
        let people = users(&passwd).filter(|it| people.has(it.uid));
        names.extend(people.map(|it| it.name.to_owned()));
        if let Some(Ok(node)) = report.host.node() {
            names.extend(node.names.clone());
        }
    }
    if let Some(shown) = shown {
        names.extend(shown_users(shown));
    }
    names.extend(logged_users(text));
    names
}

/// The users of what status shows.
fn shown_users(shown: &Status) -> Vec<String> {
    let jobs = shown.jobs.iter();
    let owners = jobs.clone().filter_map(|it| it.user.as_ref());
    let outside = shown.outside.iter();
    let logins = jobs.flat_map(|it| &it.logins);
    let logins = logins.chain(outside.clone().flat_map(|it| &it.logins));
    let accounts = owners.chain(logins.map(|it| &it.user));
    let accounts = accounts.chain(outside.map(|it| &it.user));
    let refused = shown.refused.iter().flatten();
    accounts
        .map(|it| it.name.clone())
        .chain(refused.map(|it| it.user.clone()))
        .collect()
}

/// The users in the module's lines of the log: they may be known to a directory service alone.
fn logged_users(text: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let is_end = |it: char| it.is_whitespace() || it == '"' || it == ',';
        let after = |key: &str| line.split_once(key).map(|(_, rest)| rest);
        let rest = after("user=\"")
            .or_else(|| after("user="))
            .or_else(|| after("\"user\":\""))?;
        rest.split(is_end).next().map(str::to_owned)
    };
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::samples::usual;

    #[test]
    fn the_users_of_the_table_are_known() {
        let mut shown = shown_users(&usual());
        shown.sort();
        shown.dedup();
        assert_eq!(shown, ["alice", "bob", "carol", "dave", "erin"]);
    }

    #[test]
    fn names_come_from_the_log() {
        let log =
            "a: user=bob uid=1\nb: {\"user\":\"carol\",\"uid\":2}\nc: user=\"d e\" uid=3\nno\n";
        assert_eq!(logged_users(log), ["bob", "carol", "d"]);
    }

    #[test]
    fn lines_of_nodes_are_counted_alone() {
        let text = b"ClusterName=c\nNodeName=n[1-4] CPUs=2\nPartitionName=p Nodes=ALL\n";
        let (found, _) =
            proto::conf::settings("/s", text, &mut |_, _| Err(io::ErrorKind::NotFound.into()));
        let lines = settings(&found);
        assert_eq!(
            lines,
            "/s:1: ClusterName=c\n(2 lines of nodes and partitions left out)"
        );
    }
}
