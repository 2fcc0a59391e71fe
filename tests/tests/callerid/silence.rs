//! Who does not answer: the source's slurmd, a slurmstepd here, munged.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::Module;

use crate::changes::with_line;
use crate::site::{IPV4, Landing, Site, Source, Theirs};
use crate::{ASKED, NODE2};

/// A slurmd that is stopped, and one whose packets are lost.
pub fn silent_source(site: &mut Site) -> Result<()> {
    let jobs = [site.job("alice", &[1, 2])?, site.job("alice", &[2])?];
    let slurmd = site.cluster.node(1).read_text("/run/slurmd.pid")?;
    let slurmd: u32 = slurmd.trim().parse().context("slurmd's pid")?;
    let lost = "nft add table inet t; nft add chain inet t c '{ type filter hook input priority 0; }'; \
                nft add rule inet t c tcp dport 6818 drop";
    for (case, stop, go_on, wait) in [
        (
            "stopped",
            format!("kill -STOP {slurmd}"),
            format!("kill -CONT {slurmd}"),
            9,
        ),
        (
            "dropped",
            lost.to_owned(),
            "nft delete table inet t".to_owned(),
            1,
        ),
    ] {
        site.cluster.node(1).sh(&stop)?;
        let done = silence(site, case, jobs, Duration::from_secs(wait));
        site.cluster.node(1).sh(&go_on)?;
        done?;
    }
    // Once it answers again it counts again.
    let here = Landing::Job(jobs[0]);
    site.both(Source::Job(1, jobs[0]), NODE2, "", here, Theirs::Same)
        .map(drop)
}

fn silence(site: &mut Site, case: &str, jobs: [u32; 2], wait: Duration) -> Result<()> {
    // In no job: a stopped slurmd starts no step.
    let source = Source::Host(1);
    let any = jobs.map(Landing::Job);
    let theirs = site.call(source, IPV4, Module::SchedMd, "")?;
    let newest = Landing::Job(jobs[1]);
    site.judge_theirs(case, &theirs, newest, Theirs::Differs(ASKED, &any))?;
    site.expect(
        theirs.in_pam > Some(wait),
        format!("{case}: SchedMD's took {theirs:?}"),
    );
    for (options, ours, most) in [
        ("callerid_timeout=1", newest, 1.9),
        (
            "callerid_timeout=1 action_unknown=deny",
            Landing::KeptOut,
            1.9,
        ),
        ("", newest, 2.9),
        ("callerid_skip=192.168.7.0/24,10.88.0.0/24", newest, 0.9),
        (
            "callerid_skip=10.88.0.1 action_unknown=deny",
            Landing::KeptOut,
            0.9,
        ),
        // The time for the whole login counts as well.
        ("timeout=4 callerid_timeout=30", newest, 4.9),
    ] {
        let what = format!("{case}, '{options}'");
        let most = Duration::from_secs_f64(most);
        let login = site.quick(&what, most, |site| {
            site.call(source, IPV4, Module::Ours, options)
        })?;
        site.judge(&what, &login, ours);
        let reason = match options.contains("skip") {
            true => "callerid_skip= lists 10.88.0.1",
            false => "does not answer",
        };
        site.says(case, &login, reason);
    }
    let login = site.ssh(source, NODE2, Module::Ours, "callerid_timeout=1")?;
    site.judge(&format!("{case}, by ssh"), &login, newest);
    Ok(())
}

/// The job that the connection comes from has a slurmstepd here that does not answer: it can't say
/// whose it is. (SchedMD's module waits for ever, as compliance shows.)
pub fn silent_stepd(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let jobs = [site.job("alice", &[2])?, site.job("alice", &[2])?];
    let stepd = site.target().pid_of_stepd(job)?;
    site.target().signal(stepd, "STOP")?;
    let logins = [
        ("timeout=4", Landing::Job(jobs[1])),
        ("timeout=4 action_unknown=deny", Landing::KeptOut),
    ]
    .map(|(options, expected)| {
        let login = site.call(Source::Job(1, job), IPV4, Module::Ours, options);
        (options, expected, login)
    });
    site.target().signal(stepd, "CONT")?;
    for (options, expected, login) in logins {
        let login = login?;
        site.judge(options, &login, expected);
        let reason = format!("slurmstepd of job {job} does not answer");
        site.says(options, &login, &reason);
    }
    Ok(())
}

/// AuthInfo=socket=PATH, on node2 alone.
pub fn munged_elsewhere(site: &mut Site) -> Result<()> {
    let away = "mkdir /run/elsewhere; mv /run/munge/munge.socket.2 /run/elsewhere/munged";
    site.target().sh(away)?;
    let line = "AuthInfo=cred_expire=120,socket=/run/elsewhere/munged";
    let done = with_line(site, line, |site| {
        site.target().restart_slurmd()?;
        let job = site.job("alice", &[1, 2])?;
        let _newer = site.job("alice", &[2])?;
        let (source, here) = (Source::Job(1, job), Landing::Job(job));
        site.both(source, NODE2, "action_unknown=deny", here, Theirs::Same)?;
        // A stepd that can't find munged would never end.
        site.cluster.cancel_all()
    });
    let back = "mv /run/elsewhere/munged /run/munge/munge.socket.2; rmdir /run/elsewhere";
    site.target().sh(back)?;
    site.target().restart_slurmd()?;
    done
}

/// No munged on node2, and one that is stopped: nobody can be asked.
pub fn without_munged(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    let munged = site.target().sh("pidof munged")?;
    let (source, most) = (Source::Job(1, job), Duration::from_millis(1900));
    for (what, stop, go_on, reason) in [
        (
            "no munged",
            "mv /run/munge/munge.socket.2 /run/munge/away".to_owned(),
            "mv /run/munge/away /run/munge/munge.socket.2".to_owned(),
            "/run/munge/munge.socket.2",
        ),
        (
            "munged stopped",
            format!("kill -STOP {munged}"),
            format!("kill -CONT {munged}"),
            "munged",
        ),
    ] {
        site.target().sh(&stop)?;
        let login = site.quick(what, most, |site| {
            site.call(source, IPV4, Module::Ours, "callerid_timeout=1")
        });
        site.target().sh(&go_on)?;
        let login = login?;
        site.judge(what, &login, Landing::Job(newer));
        site.says(what, &login, reason);
    }
    Ok(())
}
