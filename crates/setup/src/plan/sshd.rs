//! sshd's configuration: it must ask PAM, and not shut out others for what PAM answers.

mod penalties;

use std::path::Path;

use check::host::sshd::config::{Config, Setting};
use check::host::sshd::daemon::{Effective, Sshd};
use pamconf::Facility;

use crate::plan::lines::Lines;
use crate::plan::{FileRefusal, Refusal, SettingRefusal, Work, pam, units};

/// A new file of lines, where sshd_config includes its directory.
const DROP_IN: &str = "/etc/ssh/sshd_config.d/10-slurm-adopt.conf";
/// The file that overrides the vendor's.
const MAIN: &str = "/etc/ssh/sshd_config";

/// A line of sshd_config that is to count for every connection.
struct Line {
    text: &'static str,
    /// A comment above it, if it does not explain itself.
    comment: Option<&'static str>,
    why: &'static str,
    /// Whether it counts.
    counts: fn(&Sshd, &Config) -> bool,
}

const USE_PAM: Line = Line {
    text: "UsePAM yes",
    comment: None,
    why: "without UsePAM sshd asks no PAM module who may log in",
    counts: asks_pam,
};

/// Plans the lines for each sshd.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), Refusal> {
    let host = work.host();
    for sshd in host.sshds() {
        let Ok(config) = &sshd.config else {
            if host.tree.exists(&sshd.server.program) {
                let title = format!("there is no {}: sshd does not start", sshd.file);
                work.advise(
                    title,
                    &["Restore the file from the distribution's package."],
                );
            }
            continue;
        };
        if !asks_pam(sshd, config) {
            turn_on(work, sshd, config)?;
        }
        penalties::plan(work, sshd, config)?;
        keyboard(work, sshd, config);
    }
    Ok(())
}

fn asks_pam(sshd: &Sshd, config: &Config) -> bool {
    Effective::global(config, &sshd.reader, None).is_yes("usepam")
}

/// Sets UsePAM where it counts: of several lines the first one does.
fn turn_on(work: &mut Work<'_>, sshd: &Sshd, config: &Config) -> Result<(), Refusal> {
    if let Some(fault) = config.faults.first() {
        return Err(SettingRefusal::Faulty(fault.place.clone()).into());
    }
    match Effective::global(config, &sshd.reader, None).setting("usepam") {
        Some(line) if sshd.server.options.contains(&line.place) => {
            let title = format!(
                "{} is started with \"{}\"",
                sshd.server.program, line.place.text
            );
            work.advise(
                title,
                &["Take the option out of the command that starts it."],
            );
            return Ok(());
        }
        Some(line) if !line.place.file.starts_with("/usr/") => correct(work, sshd, line)?,
        _ => add(work, sshd, &USE_PAM)?,
    }
    make_count(work, sshd);
    Ok(())
}

/// Corrects the line that counts.
fn correct(work: &mut Work<'_>, sshd: &Sshd, line: &Setting) -> Result<(), Refusal> {
    let place = &line.place;
    let text = work.host().tree.read(&*place.file);
    let text = text.map_err(|it| FileRefusal::io("read", &*place.file, it))?;
    let old = Lines::of(&text).line(place.line).to_vec();
    let new = with_yes(&old, line).ok_or_else(|| SettingRefusal::Line(place.clone()))?;
    let file = Path::new(&*place.file);
    work.draft.edit(file, USE_PAM.why)?.replace(place.line, new);
    verify(work, sshd, file, &USE_PAM)
}

/// The line with `yes` in the place of its value.
fn with_yes(line: &[u8], setting: &Setting) -> Option<Vec<u8>> {
    let find = |part: &str, from: usize| {
        let rest = line.get(from..)?;
        let found = rest
            .windows(part.len().max(1))
            .position(|it| it == part.as_bytes());
        Some(from + found?)
    };
    let behind = find(&setting.written, 0)? + setting.written.len();
    let start = find(setting.value(), behind)?;
    let end = start + setting.value().len();
    Some([line.get(..start)?, b"yes", line.get(end..)?].concat())
}

/// Adds a line: in a file of its own if the main file includes it, else before the first Match line of that.
fn add(work: &mut Work<'_>, sshd: &Sshd, line: &Line) -> Result<(), Refusal> {
    let tree = &work.host().tree;
    let drop_in = Path::new(DROP_IN);
    let own = work.draft.bytes(drop_in).unwrap_or_default();
    let own = [&own[..], b"\n", line.text.as_bytes()].concat();
    let with_drop_in = sshd.with_file(tree, DROP_IN, &own);
    if with_drop_in.is_ok_and(|it| (line.counts)(sshd, &it)) {
        insert(work.draft.edit(drop_in, line.why)?, None, line);
        return Ok(());
    }
    let file = Path::new(&sshd.file);
    if sshd.file.starts_with("/usr/") {
        let why = format!("{MAIN} overrides {}, the package's", sshd.file);
        work.draft.copy(file, Path::new(MAIN), &why)?;
        // Before all that says otherwise.
        let lines = work.draft.edit(Path::new(MAIN), line.why)?;
        insert(lines, Some(1), line);
        return Ok(());
    }
    let lines = work.draft.edit(file, line.why)?;
    let is_match = |number: &usize| {
        let line = lines.line(*number).trim_ascii_start().to_ascii_lowercase();
        line.starts_with(b"match ") || line.starts_with(b"match\t") || line.starts_with(b"match=")
    };
    let place = (1..=lines.count()).find(is_match);
    insert(lines, place, line);
    verify(work, sshd, file, line)
}

/// Inserts a line with its comment before another, or at the end.
fn insert(lines: &mut Lines, before: Option<usize>, line: &Line) {
    let before = before.unwrap_or(lines.count() + 1);
    for text in line.comment.into_iter().chain([line.text]) {
        lines.insert(before, text.as_bytes());
    }
}

/// Makes sure that sshd will take it.
fn verify(work: &Work<'_>, sshd: &Sshd, file: &Path, line: &Line) -> Result<(), Refusal> {
    let bytes = work.draft.bytes(file);
    let shown = file.display().to_string();
    let config = bytes.and_then(|it| sshd.with_file(&work.host().tree, &shown, &it));
    match config.is_ok_and(|it| it.faults.is_empty() && (line.counts)(sshd, &it)) {
        true => Ok(()),
        false => {
            let (file, line) = (shown, line.text);
            Err(SettingRefusal::Sshd { file, line }.into())
        }
    }
}

/// Has sshd judge its configuration, and read it again.
fn make_count(work: &mut Work<'_>, sshd: &Sshd) {
    let is_idle = sshd.server.pid.is_none() && work.host().is_live();
    // -t wants /run/sshd, which systemd makes when it starts sshd.
    let judge = match is_idle && sshd.reader.is_at_least((9, 3)) {
        true => "-G",
        false => "-t",
    };
    let mut arguments = vec![judge];
    if let Some(file) = &sshd.server.file {
        arguments.extend(["-f", file]);
    }
    let program = &sshd.server.program;
    work.command(program, &arguments, "sshd itself judges its configuration");
    let names = ["ssh.service", "sshd.service"];
    let unit = names.into_iter().find(|it| units::has(work.host(), it));
    let is_own = sshd.server.file.is_none();
    match unit.filter(|_| is_own && units::has_systemd(work.host())) {
        Some(unit) => {
            let arguments = ["try-reload-or-restart", unit];
            work.command(
                "systemctl",
                &arguments,
                "sshd reads its configuration when it starts",
            );
        }
        // A tree that does not run has no daemon.
        None if !work.host().is_live() => {}
        None => {
            let pid = sshd
                .server
                .pid
                .map_or("PID".to_owned(), |it| it.to_string());
            let title = format!("{program} reads its configuration when it starts");
            work.advise(title, &[&format!("kill -HUP {pid}")]);
        }
    }
}

/// Says what becomes of keyboard-interactive logins without a session line.
fn keyboard(work: &mut Work<'_>, sshd: &Sshd, config: &Config) {
    let has_keyboard = Effective::global(config, &sshd.reader, None).has_keyboard();
    let has_line = |name: &str, facility| pam::has_line(work, name, facility);
    let is_left =
        |name: &str| has_line(name, Facility::Account) && !has_line(name, Facility::Session);
    if has_keyboard && sshd.services().iter().any(|(name, _)| is_left(name)) {
        work.advise(
            "sshd offers keyboard-interactive authentication, and there is no session line: such logins cannot be \
             taken into their job, and action_adopt_failure decides about them",
            &[
                &work.again("--session"),
                "or, in sshd_config: KbdInteractiveAuthentication no",
            ],
        );
    }
}

#[cfg(test)]
mod tests {
    use check::host::sshd::config::{Config, Reader};

    use super::*;

    #[test]
    fn the_value_of_a_line_is_replaced_and_nothing_else() {
        for (line, expected) in [
            ("UsePAM no\r\n", "UsePAM yes\r\n"),
            ("\tusepam=NO # no", "\tusepam=yes # no"),
            ("UsePAM \"no\"\n", "UsePAM \"yes\"\n"),
        ] {
            let bytes = line.as_bytes();
            let config = Config::read(&Reader::default(), &[], "f", bytes, &mut |_| Vec::new());
            let setting = config.settings.first().expect("a setting");
            let found = with_yes(bytes, setting).expect("a line");
            assert_eq!(String::from_utf8_lossy(&found), expected);
        }
    }
}
