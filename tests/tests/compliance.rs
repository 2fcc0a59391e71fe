//! The same call to SchedMD's module and to ours, on the same live cluster, for each of the four
//! Slurm versions: PAM code, messages, environment, cgroup.
//!
//! Every case states what ours does. SchedMD's does the same, or what the case states with the name
//! of the difference in docs/differences.md.

#![forbid(unsafe_code)]

mod worlds;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::cgroup::{self, Version};
use lab::{Node, Status, Suite};
use tests::{CLI, Call, End, Matrix, Module, Outcome};
use worlds::{Jobs, Stage, World};

const SUCCESS: End = End::Code(0);
const PERM_DENIED: End = End::Code(6);
const SESSION_ERR: End = End::Code(14);
const IGNORE: End = End::Code(25);

const NO_STEPS: &str = "No Slurm jobs found on node.";
const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const UNKNOWN: &str = "Access denied by pam_slurm_adopt: unable to determine source job";
const FAILURE: &str = "Access denied by pam_slurm_adopt: adoption failure";
const FAILURE_TO_24_11: &str = "Access denied by pam_slurm_adopt: failed to adopt process into cgroup, \
                                denying access because action_adopt_failure=deny";
const NO_CONF: &str = "Access denied by pam_slurm_adopt: this node's Slurm configuration can't be read; \
                       tell your administrator";

/// The job in which a login is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    None,
    /// The user's only job, or the one that started last.
    Newest,
    /// One of the user's.
    AnyOwn,
    /// Nowhere, but `SLURM_JOB_ID` says otherwise: the stepd reported success.
    ToldOnly,
}

/// What a module is to do. `{bob}` and `{alice}` in a message stand for the number of their job.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    end: End,
    message: Option<&'static str>,
    inside: Inside,
}

fn ends(end: End) -> Expected {
    Expected {
        end,
        message: None,
        inside: Inside::None,
    }
}

fn denied(message: &'static str) -> Expected {
    Expected {
        end: PERM_DENIED,
        message: Some(message),
        inside: Inside::None,
    }
}

fn adopted(inside: Inside) -> Expected {
    Expected {
        end: SUCCESS,
        message: None,
        inside,
    }
}

/// One call, in one world.
#[derive(Clone)]
struct Case {
    name: &'static str,
    world: World,
    call: Call,
    ours: Expected,
    difference: Option<Difference>,
    /// How long SchedMD's module is watched before it counts as hanging.
    patience: Duration,
    by: By,
}

/// What of Slurm's release may matter for a case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Each may have its own way.
    Release,
    /// What is new in 24.11: SchedMD's module then waits for ten seconds, so not on each.
    Branch,
    /// Nothing.
    Nothing,
}

/// Where SchedMD's module does something else, and under which heading the reason stands.
#[derive(Clone, Copy)]
struct Difference {
    heading: &'static str,
    theirs: fn(Suite, &Case) -> Expected,
}

fn case(name: &'static str, world: World, user: &str, options: &str, ours: Expected) -> Case {
    let call = Call::new(user, options);
    Case {
        name,
        world,
        call,
        ours,
        difference: None,
        patience: tests::HANG,
        // Where nothing is set, what is in the world is all that matters.
        by: match options.is_empty() && world.is_by_release() {
            true => By::Release,
            false => By::Nothing,
        },
    }
}

impl World {
    /// Whether it has something that releases of Slurm may hold otherwise. Thirty jobs are as two.
    fn is_by_release(self) -> bool {
        !matches!(self, Self::Empty | Self::ThirtyJobs)
    }
}

impl Case {
    fn service(mut self, service: &str) -> Self {
        self.call.service = service.into();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.call.env.push((name.into(), value.into()));
        self
    }

    /// Runs the call from within a script; its `"$@"` is the call.
    fn within(mut self, script: &str) -> Self {
        self.call.wrapper = Some(script.into());
        self
    }

    fn differs(mut self, heading: &'static str, theirs: fn(Suite, &Case) -> Expected) -> Self {
        self.difference = Some(Difference { heading, theirs });
        // The difference may be the release's.
        if self.world != World::ThirtyJobs {
            self.by = By::Release;
        }
        self
    }

    /// SchedMD's module hangs here.
    fn hangs(mut self, heading: &'static str) -> Self {
        self.patience = Duration::from_secs(if tests::is_long() { 8 } else { 2 });
        self.differs(heading, |_, _| ends(End::Hung))
    }
}

/// All cases, those of one world together.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for table in [
        action_no_jobs,
        other_options,
        users,
        services,
        jobs_of_others,
    ] {
        cases.extend(table());
    }
    cases.extend(without_slurm_conf());
    cases.extend(one_job());
    cases.extend(several_jobs());
    cases.extend(kinds_of_jobs());
    cases.extend(silent_stepds());
    cases
}

/// The values of action_no_jobs=, on a node without jobs.
fn action_no_jobs() -> Vec<Case> {
    use World::Empty;
    vec![
        case("no steps", Empty, "alice", "", denied(NO_JOBS)),
        case(
            "no steps, deny",
            Empty,
            "alice",
            "action_no_jobs=deny",
            denied(NO_JOBS),
        ),
        case(
            "no steps, ignore",
            Empty,
            "alice",
            "action_no_jobs=ignore",
            ends(IGNORE),
        ),
        case(
            "any case, any tail",
            Empty,
            "alice",
            "ACTION_NO_JOBS=IGNOREd_x",
            ends(IGNORE),
        ),
        case(
            "a shortened value",
            Empty,
            "alice",
            "action_no_jobs=ign",
            denied(NO_JOBS),
        ),
        case(
            "a value of others",
            Empty,
            "alice",
            "action_no_jobs=allow",
            denied(NO_JOBS),
        ),
        case(
            "a bad value after a good one",
            Empty,
            "alice",
            "action_no_jobs=ignore action_no_jobs=x",
            ends(IGNORE),
        ),
        case(
            "the last setting wins",
            Empty,
            "alice",
            "action_no_jobs=ignore action_no_jobs=deny",
            denied(NO_JOBS),
        ),
    ]
}

/// Options that change nothing there.
fn other_options() -> Vec<Case> {
    use World::Empty;
    vec![
        case(
            "unknown options",
            Empty,
            "alice",
            "debug bogus=1 =x",
            denied(NO_JOBS),
        ),
        case(
            "log_level",
            Empty,
            "alice",
            "log_level=debug5",
            denied(NO_JOBS),
        ),
        case(
            "a bad log_level",
            Empty,
            "alice",
            "log_level=loud",
            denied(NO_JOBS),
        ),
        case(
            "actions for other things",
            Empty,
            "alice",
            "action_unknown=allow",
            denied(NO_JOBS),
        ),
        case(
            "generic failure is something else",
            Empty,
            "alice",
            "action_generic_failure=allow",
            denied(NO_JOBS),
        ),
    ]
}

/// Users whom no job decides about.
fn users() -> Vec<Case> {
    use World::Empty;
    vec![
        case(
            "root",
            Empty,
            "root",
            "action_generic_failure=deny",
            ends(IGNORE),
        ),
        case(
            "ignore_root=0",
            Empty,
            "root",
            "ignore_root=0",
            ends(IGNORE),
        ),
        case("unknown user", Empty, "nobodyhere", "", ends(SESSION_ERR)),
        case(
            "unknown user, all allowed",
            Empty,
            "nobodyhere",
            "action_no_jobs=ignore action_generic_failure=allow action_unknown=allow",
            ends(SESSION_ERR),
        ),
    ]
}

/// service= and PAM_SERVICE.
fn services() -> Vec<Case> {
    use World::Empty;
    vec![
        case("another service", Empty, "alice", "", ends(IGNORE)).service("su"),
        case(
            "the service given",
            Empty,
            "alice",
            "service=su",
            denied(NO_JOBS),
        )
        .service("su"),
        case(
            "not the service given",
            Empty,
            "alice",
            "service=su",
            ends(IGNORE),
        ),
        case("service=*", Empty, "alice", "service=*", denied(NO_JOBS)).service("login"),
        case(
            "service is exact",
            Empty,
            "alice",
            "service=SSHD",
            ends(IGNORE),
        ),
        case(
            "an empty service",
            Empty,
            "alice",
            "service=",
            denied(NO_JOBS),
        )
        .differs("an-empty-service-is-sshds", |_, _| ends(IGNORE)),
    ]
}

/// Jobs that are not the user's, and what is no job.
fn jobs_of_others() -> Vec<Case> {
    use World::{BobsJob, Empty, Junk};
    vec![
        case(
            "options separated by a comma",
            Empty,
            "alice",
            "action_no_jobs=ignore,action_no_jobs=deny",
            ends(IGNORE),
        ),
        case(
            "another node's name",
            BobsJob,
            "bob",
            "nodename=other",
            denied(NO_JOBS),
        ),
        case("another's job", BobsJob, "alice", "", denied(NO_JOBS)),
        case(
            "another's job, ignore",
            BobsJob,
            "alice",
            "action_no_jobs=ignore",
            ends(IGNORE),
        ),
        case(
            "another's job, any unknown",
            BobsJob,
            "alice",
            "action_unknown=allow",
            denied(NO_JOBS),
        ),
        case("its owner", BobsJob, "bob", "", adopted(Inside::Newest)),
        case("junk and stale sockets", Junk, "alice", "", denied(NO_JOBS)),
        case(
            "junk beside a job",
            Junk,
            "bob",
            "",
            adopted(Inside::Newest),
        ),
    ]
}

fn without_slurm_conf() -> Vec<Case> {
    const NO_FILE: &str = "exec unshare --mount sh -ec \
                           'mount -t tmpfs none /etc/slurm; exec \"$@\"' sh \"$@\"";
    const STRANGER: &str = "exec unshare --uts sh -ec 'hostname stranger; exec \"$@\"' sh \"$@\"";
    const NO_SPOOL: &str = "sed s,/var/spool/slurmd,/nonexistent, /etc/slurm/slurm.conf \
                            >/run/no-spool.conf; exec \"$@\"";
    const FILE_FOR_SPOOL: &str = "sed s,/var/spool/slurmd,/etc/passwd, /etc/slurm/slurm.conf \
                                  >/run/file-spool.conf; exec \"$@\"";
    const BROKEN: &str =
        "(cat /etc/slurm/slurm.conf; echo Nonsense) >/run/broken.conf; exec \"$@\"";
    const NO_INCLUDE: &str =
        "(cat /etc/slurm/slurm.conf; echo Include none.conf) >/run/include.conf; exec \"$@\"";
    // SchedMD's module ends sshd's process at a slurm.conf that is missing or broken.
    let died = |_: Suite, _: &Case| ends(End::Died);
    // Up to 22.05 a host that slurm.conf does not know was a generic failure.
    fn stranger(suite: Suite, case: &Case) -> Expected {
        let end = match case.call.options.as_str() {
            _ if suite >= Suite::Trixie => return case.ours.clone(),
            "action_generic_failure=allow" => SUCCESS,
            "action_generic_failure=deny" => PERM_DENIED,
            _ => IGNORE,
        };
        Expected {
            end,
            message: Some(NO_STEPS),
            inside: Inside::None,
        }
    }
    let mut cases = Vec::new();
    for (options, ours) in [
        ("", ends(IGNORE)),
        ("action_generic_failure=ignore", ends(IGNORE)),
        ("action_generic_failure=allow", ends(SUCCESS)),
        ("action_generic_failure=deny", denied(NO_CONF)),
    ] {
        let world = World::BobsJob;
        cases.push(
            case("no slurm.conf", world, "bob", options, ours.clone())
                .within(NO_FILE)
                .differs("a-broken-slurmconf-does-not-end-sshd", died),
        );
        cases.push(
            case("broken slurm.conf", world, "bob", options, ours.clone())
                .within(BROKEN)
                .env("SLURM_CONF", "/run/broken.conf")
                .differs("a-broken-slurmconf-does-not-end-sshd", died),
        );
        cases.push(
            case(
                "spool directory missing",
                world,
                "bob",
                options,
                denied(NO_JOBS),
            )
            .within(NO_SPOOL)
            .env("SLURM_CONF", "/run/no-spool.conf"),
        );
        cases.push(
            case(
                "spool directory is a file",
                world,
                "bob",
                options,
                denied(NO_JOBS),
            )
            .within(FILE_FOR_SPOOL)
            .env("SLURM_CONF", "/run/file-spool.conf"),
        );
        cases.push(
            case(
                "a host of another name than slurmd's",
                world,
                "bob",
                options,
                adopted(Inside::Newest),
            )
            .within(STRANGER)
            .differs("the-running-slurmds-name", |suite, case| match suite {
                Suite::Bullseye | Suite::Bookworm => stranger(suite, case),
                Suite::Trixie | Suite::Forky => denied(NO_JOBS),
            }),
        );
        cases.push(
            case("unknown host name", world, "bob", options, denied(NO_JOBS))
                .within(STRANGER)
                // Else the running slurmd's name counts.
                .env("SLURMD_NODENAME", "stranger")
                .differs("an-unknown-host-name-is-a-node-name", stranger),
        );
    }
    // Each action, before and since 24.11; each release without one.
    for case in cases.iter_mut().filter(|it| !it.call.options.is_empty()) {
        case.by = By::Branch;
    }
    cases.push(
        case(
            "SLURM_CONF names no file",
            World::BobsJob,
            "bob",
            "",
            ends(IGNORE),
        )
        .env("SLURM_CONF", "/nonexistent/slurm.conf")
        .hangs("a-broken-slurmconf-does-not-end-sshd"),
    );
    cases.push(
        case(
            "an Include of no file",
            World::BobsJob,
            "bob",
            "",
            ends(IGNORE),
        )
        .within(NO_INCLUDE)
        .env("SLURM_CONF", "/run/include.conf")
        .hangs("a-broken-slurmconf-does-not-end-sshd"),
    );
    cases
}

/// Makes the call in a pid namespace whose next process has a number that no process has in the
/// node: the stepd can't adopt it, and says so.
const UNKNOWN_PID: &str = "exec unshare --pid --fork --mount-proc sh -ec \
    'echo $(($(cat /proc/sys/kernel/pid_max) - 100)) >/proc/sys/kernel/ns_last_pid; \
     \"$@\"; exit $?' sh \"$@\"";

fn one_job() -> Vec<Case> {
    use World::OneJob;
    let inside = || adopted(Inside::Newest);
    let mut cases = vec![
        case("one job", OneJob, "alice", "", inside()),
        case(
            "one job, all actions deny",
            OneJob,
            "alice",
            ALL_DENY,
            inside(),
        ),
        case(
            "node name given",
            OneJob,
            "alice",
            "nodename=node1",
            inside(),
        ),
        case(
            "no container",
            OneJob,
            "alice",
            "join_container=false",
            inside(),
        ),
        case("no X11", OneJob, "alice", "disable_x11=1", inside()),
        case("the other user", OneJob, "bob", "", denied(NO_JOBS)),
        case(
            "another service, one job",
            OneJob,
            "alice",
            "",
            ends(IGNORE),
        )
        .service("su"),
        case(
            "any service, one job",
            OneJob,
            "alice",
            "service=*",
            inside(),
        )
        .service("cron"),
        case(
            "asked, newest",
            OneJob,
            "alice",
            "single_job_skip_rpc=0",
            inside(),
        ),
        case(
            "asked, allow",
            OneJob,
            "alice",
            "single_job_skip_rpc=0 action_unknown=allow",
            inside(),
        )
        .differs("one-job-needs-no-caller", |suite, case| match suite {
            Suite::Forky => case.ours.clone(),
            _ => ends(SUCCESS),
        }),
        case(
            "asked, deny",
            OneJob,
            "alice",
            "single_job_skip_rpc=0 action_unknown=deny",
            inside(),
        )
        .differs("one-job-needs-no-caller", |suite, case| match suite {
            Suite::Forky => case.ours.clone(),
            _ => denied(UNKNOWN),
        }),
    ];
    for (options, ours) in [
        ("", ends(SUCCESS)),
        ("action_adopt_failure=allow", ends(SUCCESS)),
        ("action_adopt_failure=deny", denied(FAILURE)),
        (
            "action_adopt_failure=deny action_no_jobs=ignore",
            denied(FAILURE),
        ),
    ] {
        cases.push(
            case("adoption refused", OneJob, "alice", options, ours)
                .within(UNKNOWN_PID)
                .differs("texts-are-those-of-2605", |suite, case| {
                    match (suite, case.ours.end) {
                        (Suite::Forky, _) | (_, End::Code(0)) => case.ours.clone(),
                        _ => denied(FAILURE_TO_24_11),
                    }
                }),
        );
    }
    cases
}

const ALL_DENY: &str = "action_no_jobs=deny action_unknown=deny action_adopt_failure=deny \
                        action_generic_failure=deny";

fn several_jobs() -> Vec<Case> {
    let mut cases = Vec::new();
    for world in [World::LateStarter, World::ThirtyJobs] {
        for options in [
            "",
            "action_unknown=newest",
            "action_unknown=newest nodename=node1",
        ] {
            cases.push(
                case("newest", world, "alice", options, adopted(Inside::Newest))
                    .differs("newest-is-the-newest", |_, _| adopted(Inside::AnyOwn)),
            );
        }
        cases.push(case(
            "allow",
            world,
            "alice",
            "action_unknown=allow",
            ends(SUCCESS),
        ));
        cases.push(case(
            "deny",
            world,
            "alice",
            "action_unknown=deny",
            denied(UNKNOWN),
        ));
        cases.push(case(
            "not theirs",
            world,
            "bob",
            "action_unknown=allow",
            denied(NO_JOBS),
        ));
    }
    cases.push(
        case(
            "adoption refused, several jobs",
            World::LateStarter,
            "alice",
            "action_adopt_failure=deny",
            denied(FAILURE),
        )
        .within(UNKNOWN_PID)
        .differs("texts-are-those-of-2605", |suite, case| match suite {
            Suite::Forky => case.ours.clone(),
            _ => ends(PERM_DENIED),
        }),
    );
    cases.push(
        case(
            "adoption refused, several jobs, allow",
            World::LateStarter,
            "alice",
            "action_adopt_failure=allow",
            ends(SUCCESS),
        )
        .within(UNKNOWN_PID),
    );
    cases
}

fn kinds_of_jobs() -> Vec<Case> {
    use World::{Array, Het, Salloc};
    let any = |_: Suite, _: &Case| adopted(Inside::AnyOwn);
    vec![
        case(
            "an array's task",
            Array,
            "alice",
            "",
            adopted(Inside::Newest),
        )
        .differs("newest-is-the-newest", any),
        case(
            "an array's tasks are jobs",
            Array,
            "alice",
            "action_unknown=deny",
            denied(UNKNOWN),
        ),
        case(
            "a het job's part",
            Het,
            "alice",
            "",
            adopted(Inside::Newest),
        ),
        case(
            "a het job's part, all actions deny",
            Het,
            "alice",
            ALL_DENY,
            adopted(Inside::Newest),
        ),
        case("salloc", Salloc, "alice", "", adopted(Inside::Newest)),
        case(
            "salloc, all actions deny",
            Salloc,
            "alice",
            ALL_DENY,
            adopted(Inside::Newest),
        ),
    ]
}

fn silent_stepds() -> Vec<Case> {
    use World::{BobStopped, OwnStopped};
    const HEADING: &str = "one-deadline-for-the-whole-login";
    const BOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node \
                        (slurmstepd of job {bob} does not answer)";
    const OWN: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node \
                       (slurmstepd of job {alice} does not answer)";
    vec![
        case("another's stepd stopped", BobStopped, "alice", "", adopted(Inside::Newest))
            .hangs(HEADING),
        case("another's stepd stopped, no job", BobStopped, "carol", "timeout=1", denied(BOBS))
            .hangs(HEADING),
        case("own stepd stopped", OwnStopped, "alice", "timeout=1", denied(OWN)).hangs(HEADING),
        case(
            "own stepd stopped, all allowed",
            OwnStopped,
            "alice",
            "timeout=1 action_unknown=allow action_adopt_failure=allow action_generic_failure=allow",
            denied(OWN),
        )
        .hangs(HEADING),
        case(
            "own stepd stopped, ignore",
            OwnStopped,
            "alice",
            "timeout=1 action_no_jobs=ignore",
            ends(IGNORE),
        )
        .hangs(HEADING),
    ]
}

/// What slurm-adopt explain says of a case is what the login met. It has no environment of sshd's, and does not know
/// that a stepd will refuse.
fn explained(case: &Case, ours: &Outcome, node: &Node) -> Result<()> {
    let Call {
        user,
        service,
        options,
        wrapper,
        env,
        ..
    } = &case.call;
    if !env.is_empty() || wrapper.as_deref() == Some(UNKNOWN_PID) {
        return Ok(());
    }
    let explain = [
        CLI,
        "explain",
        user,
        "--service",
        service,
        "--options",
        options,
    ];
    let argv: Vec<&str> = match wrapper {
        Some(script) => ["/bin/sh", "-ec", script, "sh"]
            .into_iter()
            .chain(explain)
            .collect(),
        None => explain.to_vec(),
    };
    let job = ours.job(node)?;
    let expected = match (ours.end, job) {
        (SUCCESS, Some(_)) => 0,
        (SUCCESS | IGNORE, None) => 1,
        _ => 2,
    };
    let told = node.run(&argv)?;
    ensure!(
        told.status == Status::Exited(expected),
        "{ours}, explained: {told}"
    );
    if let Some(job) = job {
        let text = format!("would be adopted into job {job}: ");
        ensure!(told.stdout.contains(&text), "{ours}, explained: {told}");
    }
    if let [text] = &ours.messages[..] {
        ensure!(told.stdout.contains(text), "{ours}, explained: {told}");
    }
    Ok(())
}

fn check(suite: Suite, case: &Case, stage: &mut Stage) -> Result<()> {
    let (cluster, jobs) = stage.set(case.world)?;
    let node = cluster.node(1);
    let ours = case.call.make(node, Module::Ours)?;
    if case.call.wrapper.as_deref() == Some(UNKNOWN_PID) && cgroup::version(suite)? == Version::V2 {
        // With cgroup v2 no stepd minds that there is no such process. A login whose pid stands for
        // nothing in the stepd's eyes is told "adopted" by both modules.
        let told = adopted(Inside::ToldOnly);
        expect(&told, &ours, jobs, node).with_context(|| format!("ours: {ours}"))?;
        let theirs = case.call.make(node, Module::SchedMd)?;
        return expect(&told, &theirs, jobs, node).with_context(|| format!("SchedMD's: {theirs}"));
    }
    expect(&case.ours, &ours, jobs, node).with_context(|| format!("ours: {ours}"))?;
    if suite == Suite::Forky {
        explained(case, &ours, node)?;
    }

    let mut expected = case.ours.clone();
    if let Some(difference) = case.difference {
        expected = (difference.theirs)(suite, case);
        let known = include_str!("../../docs/differences.md");
        let heading = format!("<a id=\"{}\"></a>", difference.heading);
        ensure!(
            known.contains(&heading),
            "docs/differences.md has no {heading}"
        );
    }
    let command = case
        .call
        .command(node, Module::SchedMd)?
        .time_limit(case.patience);
    let theirs = tests::outcome(command)?;
    expect(&expected, &theirs, jobs, node).with_context(|| format!("SchedMD's: {theirs}"))?;
    if ours.job(node)? == theirs.job(node)? && theirs.end != End::Died && theirs.end != End::Hung {
        ensure!(
            ours.cgroup == theirs.cgroup,
            "cgroups differ:\n{ours}\n{theirs}"
        );
        ensure!(
            ours.env == theirs.env,
            "environments differ:\n{ours}\n{theirs}"
        );
    }
    Ok(())
}

fn expect(expected: &Expected, outcome: &Outcome, jobs: &Jobs, node: &Node) -> Result<()> {
    ensure!(outcome.end == expected.end, "expected {expected:?}");
    let number = |job: Option<u32>| job.map(|job| job.to_string()).unwrap_or_default();
    let message = expected.message.map(|text| {
        text.replace("{alice}", &number(jobs.alice.first().copied()))
            .replace("{bob}", &number(jobs.bob))
    });
    ensure!(
        outcome.messages == message.into_iter().collect::<Vec<_>>(),
        "expected {expected:?}"
    );
    if expected.inside == Inside::ToldOnly {
        ensure!(
            tests::job_of_cgroup(node, &outcome.cgroup)?.is_none(),
            "in a job after all"
        );
        let newest = number(jobs.newest);
        ensure!(
            outcome.env.get("SLURM_JOB_ID") == Some(&newest),
            "expected job {newest}"
        );
        return Ok(());
    }
    let job = outcome.job(node)?;
    let right = match (expected.inside, job) {
        (Inside::None, None) => true,
        (Inside::Newest, Some(job)) => {
            Some(job) == jobs.newest || (jobs.newest.is_none() && Some(job) == jobs.bob)
        }
        (Inside::AnyOwn, Some(job)) => jobs.alice.contains(&job),
        _ => false,
    };
    if !right {
        bail!("expected {expected:?} with {jobs:?}");
    }
    Ok(())
}

fn main() {
    let mut matrix = Matrix::new(Stage::new);
    let mut branches = 0;
    for case in cases() {
        let name = format!("{:?}/{}/{}", case.world, case.name, case.call.options);
        let (by, world) = (case.by, case.world);
        let test = move |suite, stage: &mut Stage| check(suite, &case, stage);
        match (by, world) {
            (By::Release, _) => matrix.add(&name, test),
            (By::Branch, _) => {
                let (old, new) = Suite::ALL.split_at(2);
                // In one order all would come to 20.11 and 26.05, because each takes two turns.
                let is_even = branches / 2 % 2 == 0;
                branches += 1;
                for suites in if is_even { [old, new] } else { [new, old] } {
                    matrix.add_in_turn(suites, &name, test.clone());
                }
            }
            // It takes long to make: once for all of its cases.
            (By::Nothing, World::ThirtyJobs) => {
                let [others @ .., newest] = Suite::ALL;
                matrix.add_on(&[newest], &name, test.clone());
                matrix.add_long(&others, &name, test);
            }
            (By::Nothing, _) => matrix.add_in_turn(&Suite::ALL, &name, test),
        }
    }
    matrix.run();
}
