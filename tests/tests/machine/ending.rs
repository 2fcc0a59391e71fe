//! The end of jobs on a host with systemd: `slurm-adopt notify` by its timer, `slurm-adopt sweep` as slurmd's Epilog beside
//! users' service managers, and su from within one of two jobs.

use anyhow::{Context as _, Result, ensure};
use tests::session::{Lines, Method};
use tests::{CLI, Module, page};

use crate::Test;
use crate::site::{AS_ADVISED, Job, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("the timer tells a login that its job ends", |site| {
        site.set_up(AS_ADVISED)?;
        by_timer(site)?;
        site.sh(NO_TIMER).map(drop)
    }),
    ("sweep beside service managers", |site| {
        site.set_up(WITH_MANAGERS)?;
        with_epilog(site)?;
        swept(site, false)?;
        swept(site, true)?;
        without_epilog(site)
    }),
    ("su from within one of two jobs", su),
];

const PAGE: &str = "docs/tool.md";
/// Where the packages put it, and what stands in the units and the page.
const PACKAGED: &str = "/usr/sbin/slurm-adopt";
/// The packages' units, as shipped.
const UNITS: [(&str, &str); 2] = [
    (
        "/usr/share/slurm-adopt/systemd/slurm-adopt-notify.service",
        include_str!("../../../packaging/systemd/slurm-adopt-notify.service"),
    ),
    (
        "/usr/share/slurm-adopt/systemd/slurm-adopt-notify.timer",
        include_str!("../../../packaging/systemd/slurm-adopt-notify.timer"),
    ),
];
/// In this order: a timer whose unit goes while it runs is left as failed.
const NO_TIMER: &str = "systemctl stop slurm-adopt-notify.timer
                        systemctl disable slurm-adopt-notify.timer slurm-adopt-notify.service";
const EPILOG: &str = "/usr/local/sbin/epilog";
const EPILOG_LOG: &str = "/var/log/epilog";
/// Both lines, beside users' service managers.
const WITH_MANAGERS: Setup = Setup {
    module: Module::Ours,
    lines: Lines::Both,
    closed: false,
};

/// A job of three minutes: two of the three lines are due, the first of them when a login stands for sure.
fn by_timer(site: &mut Site) -> Result<()> {
    for (path, text) in UNITS {
        site.write(path, text)?;
    }
    let commands = page::commands(PAGE, "How long does the job last?")?;
    site.sh(&format!("ln -sf {CLI} {PACKAGED}; {}", commands.join("; ")))?;
    let options = "--time=3 --chdir=/tmp --wrap='exec sleep 100000'";
    let job = site.submit_with(options, "env")?.id;
    let end = site.sh(&format!("squeue --noheader --format=%e --jobs={job}"))?;
    let end = end.trim().rsplit('T').next().context("a time")?.to_owned();
    let script = "echo In; exec sleep 1000";
    let [out, err] = site.start_client(Method::PublicKey, &["ssh", "-tt", "node1", script])?;
    let told = site.sh(&format!(
        "while kill -0 $(cat {out}.pid) 2>/dev/null; do
             ! grep -q ' ends in 5 seconds' {out} || break
             sleep 1
         done
         cat {out} {err}"
    ))?;
    let log = site.sh("journalctl --sync; journalctl --unit=slurm-adopt-notify.service -n 30")?;
    let lines = told.lines().map(str::trim_end);
    let lines: Vec<&str> = lines.filter(|it| it.contains(" ends in ")).collect();
    let expected = ["1 minute", "5 seconds"]
        .map(|left| format!("job {job} on node1 ends in {left}, at {end}"));
    ensure!(lines == expected, "not {expected:?}: {told}{log}");
    let failed = site.sh("systemctl --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "{failed}{log}");
    Ok(())
}

/// Has slurmd run the Epilog of docs/tool.md, with a log and its status. Bob and root have service managers.
fn with_epilog(site: &mut Site) -> Result<()> {
    let commands = page::commands(PAGE, "What do users leave behind?")?;
    let shown = commands.iter().find_map(|it| it.strip_suffix(" || true"));
    let sweep = shown.context("the Epilog of docs/tool.md")?;
    let epilog = format!(
        "#!/bin/sh\nexec >>{EPILOG_LOG} 2>&1\n{sweep}\n\
         status=$?; echo \"status $status of job $SLURM_JOB_ID\"; exit $status\n"
    );
    site.write(EPILOG, &epilog)?;
    site.sh(&format!(
        "chmod 755 {EPILOG}; ln -sf {CLI} {PACKAGED}
         echo Epilog={EPILOG} >>/etc/slurm/slurm.conf
         loginctl enable-linger bob
         systemctl start user@0.service user@2002.service
         runuser -u bob -- env XDG_RUNTIME_DIR=/run/user/2002 \
             systemd-run --user --quiet --unit=bobs sleep 100000"
    ))?;
    site.restart_slurm()
}

fn without_epilog(site: &mut Site) -> Result<()> {
    site.sh("sed -i /^Epilog=/d /etc/slurm/slurm.conf
         loginctl disable-linger bob
         systemctl stop user@0.service user@2002.service
         scancel --user=alice; until [ -z \"$(squeue --noheader)\" ]; do sleep 0.2; done")?;
    site.restart_slurm()
}

/// Services of alice's manager, the second of which comes again and the third of which has to be killed, and a
/// process in the session that su(1) has opened.
const STRAYS: &str = "\
    systemd-run --user --quiet sleep 100001
    systemd-run --user --quiet --property=Restart=always --property=RestartSec=0 sleep 100002
    systemd-run --user --quiet sh -c 'trap \"\" TERM; while :; do sleep 1; done'
    echo alice-secret | su alice -c 'setsid sleep 100004 >/dev/null 2>&1 &' 2>/dev/null
    until pgrep -u alice -f '^sleep 100004'; do sleep 0.2; done";
/// What is to be spared: bob's service, and the two managers.
const OTHERS: &str = "pgrep -u bob -x sleep
    systemctl show --property=MainPID --property=ActiveState user@0.service user@2002.service";
const ALICES: &str = "ps -o stat=,pid=,args= -u alice | grep -v ^Z || true";

/// The last job's end is that of all that is outside, and no unit has failed for it.
fn swept(site: &mut Site, lingers: bool) -> Result<()> {
    if lingers {
        site.sh("loginctl enable-linger alice")?;
    }
    let first = site.submit()?;
    let second = site.submit()?;
    let login = site.log_in(Method::PublicKey)?;
    ensure!(login.shell.is_some(), "{login}");
    site.client(Method::PublicKey, &["ssh", "node1", STRAYS])?
        .ok()?;
    let before = site.sh(ALICES)?;
    let others = site.sh(OTHERS)?;
    site.cancel(&first)?;
    let told = epilog_of(site, &first)?;
    let spared = format!(
        "alice (uid 2001): spared: has job {} here\nstatus 0 ",
        second.id
    );
    ensure!(told.contains(&spared), "{told}");
    let alices = site.sh(ALICES)?;
    for text in [
        "systemd --user",
        "sleep 100001",
        "sleep 100002",
        "trap",
        "sleep 100004",
    ] {
        ensure!(alices.contains(text), "no {text}: {alices}, was {before}");
    }
    site.cancel(&second)?;
    let told = epilog_of(site, &second)?;
    let alices = site.sh(ALICES)?;
    ensure!(
        told.contains("alice (uid 2001): ended ") && told.contains("\nstatus 0 "),
        "{told}{alices}"
    );
    for text in ["systemd[", "(sd-pam)[", "sleep[", "sh["] {
        ensure!(told.contains(text), "no {text}: {told}");
    }
    ensure!(alices.is_empty(), "left: {alices}{told}");
    // logind keeps the runtime directory of a user who lingers.
    let kept = match lingers {
        true => "grep -v user-runtime-dir@ || true",
        false => "cat; ls -d /run/user/2001 2>/dev/null || true",
    };
    let units = format!(
        "systemctl --failed --plain --no-legend
         systemctl list-units --plain --no-legend 'user@2001*' 'user-runtime-dir@2001*' | {{ {kept}; }}"
    );
    let are_gone = site.wait_for(|site| Ok(site.sh(&units)?.is_empty()))?;
    ensure!(are_gone, "{}{told}", site.sh(&units)?);
    let after = site.sh(OTHERS)?;
    ensure!(
        others == after && after.matches("=active\n").count() == 2,
        "was {others}, is {after}: {told}"
    );
    let state = site.sh("sinfo --noheader --format=%T")?;
    ensure!(!state.contains("drain"), "{state}{told}");
    site.sh("loginctl disable-linger alice").map(drop)
}

/// What the Epilog of this job has printed.
fn epilog_of(site: &mut Site, job: &Job) -> Result<String> {
    let end = format!(" of job {}\n", job.id);
    let mut told = String::new();
    let has_come = site.wait_for(|site| {
        told = site.sh(&format!("cat {EPILOG_LOG} 2>/dev/null || true"))?;
        Ok(told.ends_with(&end))
    })?;
    ensure!(has_come, "no Epilog of job {}: {told}", job.id);
    site.sh(&format!("rm {EPILOG_LOG}"))?;
    Ok(told)
}

/// Waits for its time, then has su tell where it is.
const SU: &str = "#!/bin/bash
until [ -e /tmp/su.go ]; do sleep 0.2; done
for su in 'su alice' 'su - alice'; do
    echo alice-secret | $su -c 'cat /proc/self/cgroup; echo $XDG_SESSION_ID'
done >/tmp/su.$1 2>/tmp/su.$1.err
echo END >>/tmp/su.$1
exec sleep 100000
";

/// pam_systemd moves su into a session of its own. It comes back to the job that it was called in, and not to the one that a
/// login would take.
fn su(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.write("/usr/local/bin/in-job", SU)?;
    site.sh("chmod 755 /usr/local/bin/in-job; rm -f /tmp/su.*")?;
    let older = site.submit_with("--chdir=/tmp --wrap='exec in-job batch'", "env")?;
    let [_, err] = site.start_client(Method::PublicKey, &["ssh", "node1", "exec in-job login"])?;
    site.sh("until pgrep -u alice -f 'in-job login'; do sleep 0.2; done")?;
    let newer = site.submit()?;
    let login = site.log_in(Method::PublicKey)?;
    let shell = login
        .shell
        .as_ref()
        .with_context(|| format!("kept out: {login}"))?;
    ensure!(
        newer.has(&shell.cgroup),
        "a login is in the newest job: {login}"
    );
    site.sh("touch /tmp/su.go")?;
    for place in ["batch", "login"] {
        let file = format!("/tmp/su.{place}");
        let told = site.sh(&format!(
            "for turn in $(seq 200); do ! grep -qs ^END {file} || break; sleep 1; done; cat {file}"
        ))?;
        let errors = site.sh(&format!("cat {file}.err {err}"))?;
        let words: Vec<&str> = told.lines().collect();
        let [su, session, su_l, session_l, _] = words[..] else {
            anyhow::bail!("su from {place}: {told}{errors}");
        };
        for cgroup in [su, su_l] {
            ensure!(
                older.has(cgroup),
                "su from {place}, not in {}: {told}{errors}",
                older.step
            );
        }
        for session in [session, session_l] {
            ensure!(session.starts_with('c'), "no session of its own: {told}");
        }
    }
    site.sh("rm -f /tmp/su.*").map(drop)
}
