//! What a prolog or epilog does to logins, as far as its text tells: shell or any other language with the same
//! words.

/// Something in a script that concerns logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Ends all processes of a user.
    KillsByUser,
    /// Lets a user have a service manager without a login.
    EnablesLinger,
}

/// A deed and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) deed: Deed,
    /// From 1.
    pub(super) line: usize,
    pub(super) text: &'a str,
    /// The word that does it.
    pub(super) word: &'a str,
}

/// Words that ask Slurm, or its cgroups, for the user's other jobs.
const ASKS_SLURM: [&str; 4] = ["squeue", "listpids", "/uid_$", "show step"];
/// Commands that only print.
const PRINTS: [&str; 5] = ["echo", "printf", "logger", "print", "log"];
/// Commands that end processes.
const KILLERS: [&str; 7] = [
    "kill",
    "killall",
    "loginctl",
    "pkill",
    "skill",
    "slay",
    "systemctl",
];
/// Lines that are looked at.
const MOST_LINES: usize = 20_000;

/// The deeds of a script. A script that asks Slurm first, as Slurm's own example does, is taken to spare a user
/// who has another job.
pub(super) fn deeds(text: &str) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    if text.contains('\0') {
        return found;
    }
    let mut has_asked = false;
    let mut listed = Vec::new();
    for (index, text) in text.lines().take(MOST_LINES).enumerate() {
        let code = code(text);
        has_asked |= ASKS_SLURM.iter().any(|it| code.contains(it));
        let mut add = |deed, word| {
            found.push(Found {
                deed,
                line: index + 1,
                text,
                word,
            });
        };
        if let Some(word) = lingers(code) {
            add(Deed::EnablesLinger, word);
        }
        let kill = kills(code).or_else(|| kills_listed(code, &listed));
        listed.extend(list_of_processes(code));
        if let Some(word) = kill.filter(|_| !has_asked) {
            add(Deed::KillsByUser, word);
        }
    }
    found
}

/// A line without its comment.
fn code(line: &str) -> &str {
    let line = line.trim_end();
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.split(" #").next().unwrap_or_default()
}

/// The commands of a line, as far as words between separators are commands; what is only printed is left out.
fn commands(code: &str) -> impl Iterator<Item = Vec<&str>> {
    let prints = |it: &Vec<&str>| it.first().is_some_and(|it| PRINTS.contains(it));
    let parts = code.split([';', '&', '|', '(', ')', '`']);
    parts
        .map(words)
        .filter(move |it| !it.is_empty() && !prints(it))
}

fn words(part: &str) -> Vec<&str> {
    let words = part.split_whitespace();
    words.map(|it| it.trim_matches(['"', '\''])).collect()
}

/// The last part of a path.
fn name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn lingers(code: &str) -> Option<&str> {
    commands(code).find_map(|words| {
        let has_variable = words.iter().any(|it| it.contains('$'));
        let verb = words.iter().find(|it| **it == "enable-linger");
        if let Some(verb) = verb.filter(|_| words.iter().any(|it| name(it) == "loginctl")) {
            // Without a name it is root's own.
            return has_variable.then_some(*verb);
        }
        let touches = words.iter().any(|it| name(it) == "touch");
        let mut files = words
            .iter()
            .filter(|it| it.starts_with("/var/lib/systemd/linger/"));
        files
            .next()
            .filter(|it| touches && it.contains('$'))
            .copied()
    })
}

fn kills(code: &str) -> Option<&str> {
    let all: Vec<Vec<&str>> = commands(code).collect();
    let direct = all.iter().find_map(|words| killer(words));
    // kill $(pgrep -u USER), ps -u USER | xargs kill
    let kill = all.iter().flatten().find(|it| name(it) == "kill");
    direct.or_else(|| kill.copied().filter(|_| all.iter().any(|it| lists(it))))
}

/// Whether a command lists a user's processes.
fn lists(words: &[&str]) -> bool {
    let is_list = words
        .iter()
        .any(|it| ["pgrep", "ps", "lsof"].contains(&name(it)));
    is_list && names_user(words)
}

/// The variable that a line gives a list of a user's processes: `pids=$(pgrep -u USER)`, `for pid in`, `read pid`.
fn list_of_processes(code: &str) -> Option<&str> {
    if !commands(code).any(|it| lists(&it)) {
        return None;
    }
    let mut words = code.split_whitespace();
    let assigned = code.trim_start().split_once('=').map(|(name, _)| name);
    let after = words.find(|it| ["for", "read"].contains(it));
    let variable = after.and_then(|_| words.next()).or(assigned)?;
    let variable = variable.trim_end_matches(';');
    let is_name = variable
        .bytes()
        .all(|it| it.is_ascii_alphanumeric() || it == b'_');
    (is_name && !variable.is_empty()).then_some(variable)
}

/// The command that ends processes that were listed before.
fn kills_listed<'a>(code: &'a str, listed: &[&str]) -> Option<&'a str> {
    let is_listed = |word: &str| {
        let variable = word.trim_start_matches('$').trim_matches(['{', '}']);
        word.starts_with('$') && listed.contains(&variable)
    };
    commands(code).find_map(|words| {
        let kill = words.iter().find(|it| name(it) == "kill")?;
        words.iter().any(|it| is_listed(it)).then_some(*kill)
    })
}

/// The command that ends all processes of a user.
fn killer<'a>(words: &[&'a str]) -> Option<&'a str> {
    let mut places = words.iter().enumerate();
    let (at, command) = places.find(|(_, it)| KILLERS.contains(&name(it)))?;
    let rest = &words[at + 1..];
    let has = |names: &[&str]| rest.iter().any(|it| names.contains(it));
    let variable = |prefix: &str| {
        rest.iter()
            .any(|it| it.starts_with(prefix) && it.contains('$'))
    };
    let kills = match name(command) {
        "loginctl" => has(&["terminate-user", "kill-user"]) && variable(""),
        "systemctl" => has(&["stop", "kill"]) && (variable("user@") || variable("user-")),
        // kill -9 -1, as the user: every process that it may signal.
        "kill" => rest.len() > 1 && rest.last() == Some(&"-1") && rest[0].starts_with('-'),
        "slay" => variable(""),
        _ => names_user(rest),
    };
    kills.then_some(*command)
}

/// Whether options select the processes of a user that a variable names.
fn names_user(words: &[&str]) -> bool {
    let is_option = |it: &&str| {
        let long = ["--user", "--uid", "--euid"]
            .iter()
            .any(|name| it.starts_with(name));
        let short = ["-u", "-U"].iter().any(|name| {
            let rest = it.strip_prefix(name);
            rest.is_some_and(|it| it.is_empty() || it.starts_with(['$', '"', '\'']))
        });
        long || short
    };
    let mut from_option = words.iter().skip_while(|it| !is_option(it)).take(2);
    from_option.any(|it| it.contains('$'))
}

/// The directories that a script may run all files of: absolute names that end in `.d`.
pub(super) fn directories(text: &str) -> Vec<&str> {
    let sign = |sign: char| !(sign.is_ascii_alphanumeric() || "/._-*".contains(sign));
    let mut found: Vec<&str> = Vec::new();
    if text.contains('\0') {
        return found;
    }
    let lines = text.lines().take(MOST_LINES).map(code);
    for word in lines
        .flat_map(|it| it.split(sign))
        .filter(|it| it.starts_with('/'))
    {
        // The pattern of its files does not belong to it.
        let dir = word.split_once('*').map_or(word, |(dir, _)| dir);
        let dir = dir.trim_end_matches('/');
        if dir.ends_with(".d") && !found.contains(&dir) {
            found.push(dir);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Deed, &str)> {
        deeds(text)
            .into_iter()
            .map(|it| (it.deed, it.word))
            .collect()
    }

    #[test]
    fn ways_to_kill_by_user() {
        for (text, word) in [
            ("pkill -u $SLURM_JOB_USER", "pkill"),
            ("/usr/bin/pkill -9 -U \"$SLURM_JOB_UID\"", "/usr/bin/pkill"),
            ("pkill -KILL -u$SLURM_UID", "pkill"),
            ("pkill --euid=${SLURM_JOB_USER}", "pkill"),
            ("if true; then killall -9 -u $USER; fi", "killall"),
            ("sudo loginctl terminate-user $SLURM_JOB_USER", "loginctl"),
            ("loginctl kill-user \"${SLURM_JOB_USER}\"", "loginctl"),
            ("systemctl stop user@$SLURM_JOB_UID.service", "systemctl"),
            ("systemctl kill user-${SLURM_JOB_UID}.slice", "systemctl"),
            ("su $SLURM_JOB_USER -c 'kill -9 -1'", "kill"),
            ("kill -9 $(pgrep -u $SLURM_JOB_USER)", "kill"),
            ("ps -u $SLURM_UID -o pid= | xargs kill -9", "kill"),
            (
                "pids=$(pgrep -u $SLURM_JOB_USER)\n[ -z \"$pids\" ] || kill -9 $pids",
                "kill",
            ),
            (
                "for p in $(ps -u $U -o pid=); do\n  kill -9 \"$p\"\ndone",
                "kill",
            ),
            ("for p in `ps -u $U -o pid=`; do kill $p; done", "kill"),
        ] {
            assert_eq!(found(text), [(Deed::KillsByUser, word)], "{text}");
        }
    }

    #[test]
    fn what_looks_like_it() {
        for text in [
            "# pkill -u $SLURM_JOB_USER",
            "echo pkill -u $SLURM_JOB_USER",
            "true # pkill -u $SLURM_JOB_USER",
            "pkill -u nobody foo",
            "pkill -F /run/x.pid",
            "pkill -USR1 foo$X",
            "kill -1 $PID",
            "kill -9 $PID",
            "ps -u $USER",
            "pids=$(pgrep -u $U)\nkill $other",
            "pid=$(pgrep nhc)\nkill $pid",
            "loginctl disable-linger $SLURM_JOB_USER",
            "loginctl enable-linger",
            "loginctl enable-linger slurm",
            "loginctl list-sessions",
            "systemctl stop nvidia-dcgm",
            "if squeue -h -u $U -w $N | grep -q .; then exit; fi\npkill -u $U",
            "\x7fELF\0pkill -u $U",
            "",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn ways_to_let_users_linger() {
        for (text, word) in [
            ("loginctl enable-linger $SLURM_JOB_USER", "enable-linger"),
            (
                "/bin/loginctl enable-linger \"${SLURM_JOB_USER}\" || true",
                "enable-linger",
            ),
            (
                "touch /var/lib/systemd/linger/$SLURM_JOB_USER",
                "/var/lib/systemd/linger/$SLURM_JOB_USER",
            ),
        ] {
            assert_eq!(found(text), [(Deed::EnablesLinger, word)], "{text}");
        }
    }

    #[test]
    fn directories_of_scripts() {
        let text = "for f in /etc/slurm/prolog.d/*; do . $f; done\nrun-parts /etc/slurm/epilog.d\n\
                    for f in /opt/x.d/*.sh; do :; done\n# /x.d\n/a/b";
        assert_eq!(
            directories(text),
            ["/etc/slurm/prolog.d", "/etc/slurm/epilog.d", "/opt/x.d"]
        );
    }
}
