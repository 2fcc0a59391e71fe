//! slurm.conf and cgroup.conf: they belong to the controller, so that their lines are told unless the admin wants them
//! changed here.

mod text;
mod wanted;

use std::path::{Path, PathBuf};

use check::host::Host;
use check::host::slurm_conf::SlurmConf;
use proto::conf;

use crate::plan::lines::Lines;
use crate::plan::slurm::text::Pair;
use crate::plan::slurm::wanted::{Setting, Wanted};
use crate::plan::{FileRefusal, Refusal, SettingRefusal, Work};

/// From this release on `scontrol reconfigure` replaces the daemons, and keeps the old ones if the new ones do not
/// start: scontrol(1).
const RECONFIGURES: u16 = 2311;
/// slurmd fetched it from the controller.
const FETCHED: &str = "/run/";

/// Plans the settings that jobs need to take logins in and hold them.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), Refusal> {
    let host = work.host();
    let conf = match host.slurm_conf() {
        Ok(conf) => conf,
        Err(why) => {
            let title =
                format!("slurm.conf cannot be seen here ({why}); on the controller it needs");
            work.advise(title, &wanted::USUAL);
            let lines = wanted::CONSTRAINTS.map(|it| format!("{it}=yes"));
            work.advise("and cgroup.conf", &lines.each_ref().map(String::as_str));
            return Ok(());
        }
    };
    if let Some(fault) = &conf.fault {
        work.advise(
            format!("{fault}: Slurm does not start"),
            &["Correct the line."],
        );
        return Ok(());
    }
    let wanted = Wanted::of(host, conf);
    for finding in &wanted.left {
        work.leave(finding);
    }
    if wanted.slurm.is_empty() && wanted.cgroup.is_empty() {
        return Ok(());
    }
    let is_asked = work.wish.slurm_conf && !conf.path.starts_with(FETCHED);
    match is_asked.then(|| refuse_unsafe(work, conf)) {
        Some(Ok(())) => change(work, conf, &wanted)?,
        Some(Err(why)) => {
            work.advise(format!("slurm.conf is not changed here. {why}"), &[]);
            tell(work, conf, &wanted);
        }
        None => tell(work, conf, &wanted),
    }
    take_up(work, &wanted);
    Ok(())
}

/// Refuses files whose directories others than root can change: a file there may become another one at any moment.
fn refuse_unsafe(work: &Work<'_>, conf: &SlurmConf) -> Result<(), FileRefusal> {
    let real = work.host().tree.resolve(&conf.path);
    let dirs = [
        conf.path.parent(),
        real.as_deref().ok().and_then(Path::parent),
    ];
    let mut dirs = dirs.into_iter().flatten();
    dirs.try_for_each(|it| work.draft.refuse_unsafe(it))
}

/// The lines for the admin.
fn tell(work: &mut Work<'_>, conf: &SlurmConf, wanted: &Wanted) {
    let texts = |settings: &[Setting]| settings.iter().map(Setting::to_string).collect::<Vec<_>>();
    let beside = beside(conf);
    for (file, settings) in [(&conf.path, &wanted.slurm), (&beside, &wanted.cgroup)] {
        let lines = texts(settings);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if !lines.is_empty() {
            let file = file.display();
            work.advise(
                format!("{file} needs, on the controller and on all nodes"),
                &lines,
            );
        }
    }
}

/// The commands after which the settings count, with what becomes of jobs.
fn take_up(work: &mut Work<'_>, wanted: &Wanted) {
    let mut lines = match wanted.release {
        Some(release) if release >= RECONFIGURES => vec!["scontrol reconfigure"],
        Some(_) => vec![
            "systemctl restart slurmctld",
            "systemctl restart slurmd   # on all nodes",
        ],
        None => vec![
            "scontrol reconfigure   # Slurm 23.11 and newer",
            "systemctl restart slurmctld, then slurmd on all nodes   # before",
        ],
    };
    if wanted.changes("PrologFlags") {
        lines.push("# Jobs that run by then have no extern step: nobody is adopted into them.");
    }
    if wanted.changes("ProctrackType") {
        lines.push("# Drain the nodes first: running jobs are tracked by the old plugin.");
    }
    work.advise("Then, so that Slurm takes it up", &lines);
}

/// Changes the files on this host.
fn change(work: &mut Work<'_>, conf: &SlurmConf, wanted: &Wanted) -> Result<(), Refusal> {
    for setting in &wanted.slurm {
        let last = conf.setting(setting.key).map(|(line, _)| line);
        set(work, &conf.path, last, setting)?;
    }
    let cgroup = beside(conf);
    let lines = settings_of(work, &cgroup);
    for setting in &wanted.cgroup {
        let is_it = |it: &&conf::Setting| it.key().eq_ignore_ascii_case(setting.key);
        set(work, &cgroup, lines.iter().rfind(is_it), setting)?;
    }
    verify(work, &conf.path, &wanted.slurm)?;
    verify(work, &cgroup, &wanted.cgroup)?;
    judge(work, conf);
    Ok(())
}

/// Sets a key in its last line, which counts, or in a new one at the end of the file.
fn set(
    work: &mut Work<'_>,
    file: &Path,
    last: Option<&conf::Setting>,
    setting: &Setting,
) -> Result<(), Refusal> {
    let Some(last) = last else {
        let lines = work.draft.edit_of_others(file, setting.why)?;
        let end = lines.count() + 1;
        lines.insert(end, setting.to_string().as_bytes());
        return Ok(());
    };
    let path = PathBuf::from(&last.file);
    let shown = format!("{}:{}", last.file, last.line);
    let of = |place: String| (place, setting.to_string());
    if last.pairs.len() != 1 {
        let (place, setting) = of(shown);
        return Err(SettingRefusal::SeveralKeys { place, setting }.into());
    }
    let bytes = work.host().tree.read(&path);
    let bytes = bytes.map_err(|it| FileRefusal::io("read", &path, it))?;
    let pair = Pair::at(&Lines::of(&bytes), last.line);
    let pair = pair.ok_or_else(|| {
        let (place, setting) = of(shown);
        SettingRefusal::Odd { place, setting }
    })?;
    let lines = work.draft.edit_of_others(&path, setting.why)?;
    lines.remove(pair.numbers.start + 1..pair.numbers.end);
    lines.replace(pair.numbers.start, pair.with(&setting.value));
    Ok(())
}

/// cgroup.conf, which Slurm looks for beside slurm.conf.
fn beside(conf: &SlurmConf) -> PathBuf {
    conf.path.with_file_name("cgroup.conf")
}

/// The lines of a file as it is to be.
fn settings_of(work: &Work<'_>, file: &Path) -> Vec<conf::Setting> {
    let bytes = work.draft.bytes(file).unwrap_or_default();
    let mut include = |name: &str, _: &str| {
        let file = file.with_file_name(name);
        Ok(conf::Included {
            bytes: work.draft.bytes(&file)?,
            file: file.to_string_lossy().into_owned(),
        })
    };
    conf::settings(&file.to_string_lossy(), &bytes, &mut include).0
}

/// Makes sure that the settings count as the file is to be.
fn verify(work: &Work<'_>, file: &Path, settings: &[Setting]) -> Result<(), Refusal> {
    let lines = settings_of(work, file);
    let counts = |setting: &&Setting| {
        let mut values = lines.iter().rev().filter_map(|it| it.value(setting.key));
        values.next() == Some(&setting.value)
    };
    match settings.iter().find(|it| !counts(it)) {
        None => Ok(()),
        Some(setting) => {
            let (file, setting) = (file.to_owned(), setting.to_string());
            Err(SettingRefusal::Slurm { file, setting }.into())
        }
    }
}

/// Has Slurm's own parser judge slurm.conf: `scontrol show daemons` reads it and asks nobody.
fn judge(work: &mut Work<'_>, conf: &SlurmConf) {
    let Some(program) = scontrol(work.host(), conf) else {
        return;
    };
    let variable = format!("SLURM_CONF={}", conf.path.display());
    let arguments = [&variable, program.as_str(), "show", "daemons"];
    work.command("env", &arguments, "Slurm's own parser judges slurm.conf");
}

/// scontrol: on the path, or where slurm.conf's directory is below that of the programs.
fn scontrol(host: &Host, conf: &SlurmConf) -> Option<String> {
    let above = conf.path.parent().and_then(Path::parent);
    let dirs = ["/usr/bin", "/usr/local/bin", "/opt/slurm/bin"].map(PathBuf::from);
    let mut programs = above.map(|it| it.join("bin")).into_iter().chain(dirs);
    let program = programs.find(|it| host.tree.exists(it.join("scontrol")))?;
    Some(program.join("scontrol").to_string_lossy().into_owned())
}
