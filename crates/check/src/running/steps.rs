//! The slurmstepds of extern steps: which answer, and how fast.

use std::time::Duration;

use adopt::survey::{Answer, StepSeen, StepState, StepsSeen};
use procfs::process::Process;
use proto::Version;

use crate::host::Host;
use crate::running::shown;
use crate::running::users::Users;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const SILENT: Check = Check {
    id: "SA521",
    severity: Severity::Failure,
    title: "a slurmstepd does not answer",
    why: "The module counts a job as a user's only if the job's slurmstepd says so. While this one is silent its job \
          counts as nobody's: the owner is denied unless another job of theirs is here (action_no_jobs), and every \
          login that depends on it waits until the module's timeout. A slurmstepd hangs when it is stopped by a \
          signal or a debugger, frozen with its cgroup, waits for a file system that does not answer, or starves.",
    fix: "See what it waits for (cat /proc/PID/status /proc/PID/wchan /proc/PID/stack). If it is stopped, run kill -CONT \
          PID; if it cannot go on, cancel the job: scancel JOB.",
};

pub(super) const SLOW: Check = Check {
    id: "SA522",
    severity: Severity::Warning,
    title: "a slurmstepd answers slowly",
    why: "A slurmstepd that is well answers within a few milliseconds. One that takes a second or more delays the \
          logins of its job's owner, and others' first ones; beyond the module's timeout (5 s by default) it counts \
          as silent and its owner is denied.",
    fix: "Look for what keeps the node busy: memory (swapping), a file system that hangs, or a debugger on the \
          slurmstepd.",
};

pub(super) const STALE: Check = Check {
    id: "SA523",
    severity: Severity::Note,
    title: "a slurmstepd is gone and has left its socket",
    why: "Nobody listens on the socket: the extern step's slurmstepd was killed (by the kernel for lack of memory, or by \
          hand), or the node went down with the job. The module passes over such a socket. If other steps of the job run \
          on, its owner is denied, and this is a failure.",
    fix: "If the job still runs, requeue or cancel it. slurmd removes such a socket itself after some time.",
};

pub(super) const FAILED: Check = Check {
    id: "SA524",
    severity: Severity::Failure,
    title: "a slurmstepd cannot be asked for its job's owner",
    why: "The job counts as nobody's: its owner is denied unless another job of theirs is here (action_no_jobs). The \
          cause is a permission that is missing on the way to the socket (SELinux, a mode), a process of another user \
          that listens there, or an answer that is not Slurm's.",
    fix: "Remove the cause that the detail names; then look with slurm-adopt explain USER.",
};

pub(super) const NOT_SOCKETS: Check = Check {
    id: "SA525",
    severity: Severity::Note,
    title: "a file is named like an extern step's socket but is not one",
    why: "The module asks only sockets of root or SlurmdUser. A plain file with such a name is usually left over from a \
          copy or a backup of the spool directory. A socket of another owner (then this is a failure) was changed by \
          hand: the owner of its job is denied.",
    fix: "Remove the file if no job of that number runs; give a socket back to root (chown root SOCKET).",
};

pub(super) const DIRECTORY: Check = Check {
    id: "SA526",
    severity: Severity::Failure,
    title: "slurmd's spool directory cannot be used",
    why: "The sockets of slurmstepds are in SlurmdSpoolDir. If that or a directory above it belongs to another user than \
          root, SlurmUser or SlurmdUser, or is writable by others, a user could pose as a slurmstepd, so the module \
          finds no job there: every user is denied.",
    fix: "Make the directory root's and writable only by its owner, and restart slurmd.",
};

pub(super) const NO_EXTERN: Check = Check {
    id: "SA527",
    severity: Severity::Failure,
    title: "a job here has no extern step",
    why: "Only the extern step takes logins in. Jobs that began before PrologFlags=contain was set (or before slurmd was \
          restarted with it) have none, nor has a job whose extern slurmstepd was killed: their owners are denied until \
          the job ends.",
    fix: "Set PrologFlags=contain (slurm.conf(5)), restart slurmctld and slurmd, and let the jobs end or requeue them.",
};

/// From then on an answer is slow.
const SLOW_FROM: Duration = Duration::from_secs(1);

/// The number of jobs of which each finding of one kind tells by itself.
const TOLD: usize = 4;
/// The number of other jobs that are listed.
const LISTED: usize = 20;

pub(super) fn judge(host: &Host, seen: &StepsSeen, notes: &mut Notes) {
    let mut users = Users::of(host);
    let of_steps = seen.steps.iter().filter_map(|step| {
        let found = finding(step, || job_of(&mut users, step))?;
        Some((step.job, found))
    });
    let mut found: Vec<_> = of_steps.collect();
    found.extend(seen.unreachable.iter().map(|(job, problem)| {
        let detail = format!("job {job}: {problem}");
        (*job, Finding::of(&FAILED, detail))
    }));
    found.extend(seen.without_extern.iter().map(|step| {
        let job = job_of(&mut users, step);
        let detail = format!("{job} runs here; the socket is another step's");
        let finding = Finding::of(&NO_EXTERN, detail).at(socket_of(step));
        (step.job, finding)
    }));
    for check in [&SILENT, &SLOW, &STALE, &FAILED, &NO_EXTERN] {
        let of_check = found.iter().filter(|(_, it)| it.check == check);
        tell(&of_check.collect::<Vec<_>>(), notes);
    }
    judge_directory(seen, notes);
    if let Some(text) = summary(&seen.steps) {
        notes.measured(text);
    }
}

/// Tells of the first jobs one by one, and of all others together: a node on which everything hangs has many.
pub(super) fn tell(found: &[&(u32, Finding)], notes: &mut Notes) {
    let (first, rest) = found.split_at(found.len().min(TOLD));
    first.iter().for_each(|(_, it)| notes.find(it.clone()));
    let Some((_, one)) = rest.first() else { return };
    let worst = rest.iter().map(|(_, it)| it.severity).max();
    let listed: Vec<_> = rest
        .iter()
        .take(LISTED)
        .map(|(job, _)| job.to_string())
        .collect();
    let more = if rest.len() > LISTED { ", ..." } else { "" };
    let (count, listed) = (rest.len(), listed.join(", "));
    let all = Finding::of(one.check, format!("{count} more jobs: {listed}{more}"));
    notes.find(all.as_severe_as(worst.unwrap_or(one.severity)));
}

fn judge_directory(seen: &StepsSeen, notes: &mut Notes) {
    if let Some(junk) = &seen.not_sockets {
        let others = match junk.count {
            1 => String::new(),
            count => format!("; the first of {count}"),
        };
        let (kind, severity) = match junk.is_socket {
            true => ("a socket", Severity::Failure),
            false => ("not a socket", Severity::Note),
        };
        let detail = format!("{kind}, owner uid {}{others}", junk.owner);
        let spot = Spot::file(junk.first.to_string_lossy());
        let finding = Finding::of(&NOT_SOCKETS, detail);
        notes.find(finding.as_severe_as(severity).at(spot));
    }
    // Before slurmd's first start there is no directory.
    if let Some(problem) = seen.problem.as_ref().filter(|it| !it.means_no_slurm()) {
        let spot = Spot::file(problem.path().to_string_lossy());
        notes.find(Finding::of(&DIRECTORY, problem.to_string()).at(spot));
    }
}

/// What is wrong with a step; `job_of` names its job.
fn finding(step: &StepSeen, job_of: impl FnOnce() -> String) -> Option<Finding> {
    let is_slow = step.took >= SLOW_FROM;
    if matches!(step.answer, Answer::Step { version, .. } if !is_slow && is_slurms(version)) {
        return None;
    }
    let job = job_of();
    let took = step.took.as_millis();
    let process = || process_of(step);
    let finding = match &step.answer {
        Answer::Silent => Finding::of(
            &SILENT,
            format!("{job}, {}: no answer within {took} ms", process()),
        ),
        Answer::Stale if step.owner.is_some() => {
            let detail = format!("{job}: nobody listens, and other steps of the job run");
            Finding::of(&STALE, detail).as_severe_as(Severity::Failure)
        }
        Answer::Stale => Finding::of(&STALE, format!("{job}: nobody listens")),
        Answer::Failed(cause) => Finding::of(&FAILED, format!("{job}, {}: {cause}", process())),
        Answer::Step { version, .. } if !is_slurms(*version) => Finding::of(
            &FAILED,
            format!(
                "job {}, {}: the answer is not Slurm's (it begins with no protocol version)",
                step.job,
                process()
            ),
        ),
        Answer::Step { .. } => Finding::of(
            &SLOW,
            format!("{job}, {}: answered after {took} ms", process()),
        ),
    };
    Some(finding.at(socket_of(step)))
}

/// Whether a slurmstepd speaks this version. The module takes any number as that of a later release.
pub(super) fn is_slurms(version: Version) -> bool {
    version >= Version::OLDEST && version.for_messages().is_some()
}

fn socket_of(step: &StepSeen) -> Spot {
    Spot::file(step.socket.to_string_lossy())
}

fn job_of(users: &mut Users, step: &StepSeen) -> String {
    match step.owner {
        Some(owner) => format!("job {} of {}", step.job, users.shown(owner)),
        None => format!("job {}", step.job),
    }
}

/// The stepd's process, and why it may hang.
fn process_of(step: &StepSeen) -> String {
    let Some(pid) = step.pid else {
        return "pid unknown".to_owned();
    };
    let process = i32::try_from(pid).ok().and_then(|it| Process::new(it).ok());
    let state = process.and_then(|it| it.stat().ok()).map(|it| it.state);
    match state.and_then(state_word) {
        Some(word) => format!("pid {pid} ({word})"),
        None => format!("pid {pid}"),
    }
}

/// A process's state that keeps it from answering, proc_pid_stat(5).
fn state_word(state: char) -> Option<&'static str> {
    match state {
        'T' => Some("stopped"),
        't' => Some("held by a debugger"),
        'D' => Some("waiting for a device or file system"),
        'Z' => Some("dead"),
        _ => None,
    }
}

/// `2 stepds answered within 1 ms, 1 of a suspended job`; None without a stepd.
fn summary(steps: &[StepSeen]) -> Option<String> {
    let mut states = steps.iter().filter_map(|it| match it.answer {
        Answer::Step { state, version } if is_slurms(version) => Some((it.took, state)),
        _ => None,
    });
    let slowest = states.clone().map(|(took, _)| took).max();
    let Some(slowest) = slowest else {
        return match steps.is_empty() {
            true => Some("no jobs".to_owned()),
            false => None,
        };
    };
    let (count, took) = (states.clone().count(), shown(slowest));
    let stepds = if count == 1 { "stepd" } else { "stepds" };
    let suspended = states
        .clone()
        .filter(|(_, it)| *it == StepState::Suspended)
        .count();
    let of_them = match suspended {
        0 => String::new(),
        count => format!(", {count} suspended"),
    };
    states
        .next()
        .map(|_| format!("{count} {stepds} answered within {took}{of_them}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(answer: Answer, millis: u64) -> StepSeen {
        StepSeen {
            job: 7,
            socket: "/var/spool/slurmd/n1_7.4294967292".into(),
            started: 0,
            pid: None,
            took: Duration::from_millis(millis),
            answer,
            owner: Some(2001),
            cgroup: None,
        }
    }

    #[test]
    fn each_answer_is_judged() {
        let running = Answer::Step {
            state: StepState::Running,
            version: Version::V26_05,
        };
        let foreign = Answer::Step {
            state: StepState::Ending,
            version: Version::from_stepd(0x2d48_5353).expect("a number"),
        };
        for (step, id, detail) in [
            (step(running.clone(), 999), "", ""),
            (
                step(running, 1000),
                "SA522",
                "job 7, pid unknown: answered after 1000 ms",
            ),
            (
                step(Answer::Silent, 2000),
                "SA521",
                "job 7, pid unknown: no answer within 2000 ms",
            ),
            (
                step(Answer::Stale, 0),
                "SA523",
                "job 7: nobody listens, and other steps of the job run",
            ),
            (
                step(foreign, 0),
                "SA524",
                "job 7, pid unknown: the answer is not Slurm's (it begins with no protocol version)",
            ),
            (
                step(Answer::Failed("it closed the connection".into()), 0),
                "SA524",
                "job 7, pid unknown: it closed the connection",
            ),
        ] {
            let found = finding(&step, || "job 7".to_owned());
            let found = found.map(|it| (it.check.id, it.detail));
            let expected = (!id.is_empty()).then(|| (id, detail.to_owned()));
            assert_eq!(found, expected, "{step:?}");
        }
    }

    #[test]
    fn a_socket_without_a_job_is_only_a_note() {
        let of = |owner| {
            let stale = StepSeen {
                owner,
                ..step(Answer::Stale, 0)
            };
            finding(&stale, || "job 7".to_owned()).map(|it| it.severity)
        };
        assert_eq!(of(None), Some(Severity::Note));
        assert_eq!(of(Some(2001)), Some(Severity::Failure));
    }

    #[test]
    fn the_summary_counts_what_answers() {
        let answer = |state| Answer::Step {
            state,
            version: Version::V26_05,
        };
        let running = || step(answer(StepState::Running), 0);
        for (steps, text) in [
            (vec![], Some("no jobs")),
            (vec![step(Answer::Silent, 2000)], None),
            (vec![running()], Some("1 stepd answered within 1 ms")),
            (
                vec![
                    running(),
                    step(Answer::Silent, 2000),
                    step(answer(StepState::Suspended), 12),
                ],
                Some("2 stepds answered within 12 ms, 1 suspended"),
            ),
        ] {
            assert_eq!(summary(&steps).as_deref(), text);
        }
    }
}
