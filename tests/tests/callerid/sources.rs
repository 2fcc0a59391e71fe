//! Where a connection comes from: jobs here and elsewhere, a login host, another user, the node itself.

use std::time::Duration;

use anyhow::Result;
use lab::Suite;
use tests::{CLI, Call, Module};

use crate::changes::without_slurmd;
use crate::site::{IPV4, LOOPBACK, Landing, Site, Source, Theirs};
use crate::{ASKED, CHECKED, KNOWN, NEWEST, NODE1, NODE2, NOT_KNOWN};

/// A job on two nodes, and a newer one on the second: the login is the first one's.
pub fn from_a_job(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let _newer = site.job("alice", &[2])?;
    let here = Landing::Job(job);
    for options in ["", "action_unknown=deny", "action_unknown=allow"] {
        let login = site.both(Source::Job(1, job), NODE2, options, here, Theirs::Same)?;
        site.says("from a job", &login, KNOWN);
        site.says("from a job", &login, &format!("job={job} "));
    }
    site.both_called(Source::Job(1, job), IPV4, "", here, Theirs::Same)?;
    from_its_script(site)
}

/// explain --from asks about the open connection of a login from there; without one the job is unknown.
pub fn explained(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    site.sshd_stack(Module::Ours, "action_unknown=newest")?;
    let explain = |site: &Site| {
        site.target()
            .run(&[CLI, "explain", "alice", "--from", NODE1])
    };
    let told = explain(site)?;
    let text = format!("would be adopted into job {newer}: the newest of 2 jobs here");
    site.expect(
        told.stdout.contains(&text),
        format!("no connection is open: {told}"),
    );
    let wait = "touch /tmp/in; until [ -e /tmp/go ]; do sleep 0.05; done";
    let ssh = ["ssh", "-o", "BatchMode=yes", "-l", "alice", NODE2, wait];
    let login = site.at(Source::Job(1, job), &ssh).spawn()?;
    let target = site.target();
    lab::poll::until_true("the login", Duration::from_secs(30), || {
        Ok(target.list("/tmp")?.iter().any(|name| name == "in"))
    })?;
    let told = explain(site)?;
    site.target().sh("touch /tmp/go; rm /tmp/in")?;
    drop(login);
    let text = format!("would be adopted into job {job}: {KNOWN}{NODE1})");
    site.expect(
        told.stdout.contains(&text),
        format!("from job {job}: {told}"),
    );
    Ok(())
}

/// The batch script itself logs in.
fn from_its_script(site: &mut Site) -> Result<()> {
    for module in [Module::SchedMd, Module::Ours] {
        site.sshd_stack(module, "action_unknown=deny")?;
        let script = "--wrap=until [ -e /tmp/go ]; do sleep 0.05; done; \
                      ssh -o BatchMode=yes 10.88.0.2 cat /proc/self/cgroup >/tmp/said 2>&1; \
                      touch /tmp/done; sleep 1000";
        let nodes = ["--nodes=2", "--nodelist=node1,node2"];
        let job = site
            .cluster
            .submit("alice", &[&nodes[..], &[script]].concat())?;
        let _newer = site.job("alice", &[2])?;
        let source = site.cluster.node(1);
        source.sh("touch /tmp/go")?;
        lab::poll::until_true("the script's login", Duration::from_secs(30), || {
            Ok(source.list("/tmp")?.iter().any(|name| name == "done"))
        })?;
        let said = source.read_text("/tmp/said")?;
        source.sh("rm /tmp/go /tmp/done /tmp/said")?;
        let inside = tests::job_of_cgroup(site.target(), &said)?;
        site.expect(
            inside == Some(job),
            format!("{module:?}: the script of job {job} logs in: {said}"),
        );
    }
    Ok(())
}

/// From a job that is not here: that counts as unknown.
pub fn from_another_job(site: &mut Site) -> Result<()> {
    let elsewhere = site.job("alice", &[1])?;
    let jobs = [site.job("alice", &[2])?, site.job("alice", &[2])?];
    let source = Source::Job(1, elsewhere);
    unknown(site, source, jobs)
}

/// What comes of a source that nothing is known of, with two jobs here.
fn unknown(site: &mut Site, source: Source, jobs: [u32; 2]) -> Result<()> {
    let any = jobs.map(Landing::Job);
    let theirs = Theirs::Differs(NEWEST, &any);
    let newest = Landing::Job(jobs[1]);
    let login = site.both(source, NODE2, "", newest, theirs)?;
    site.says("unknown", &login, NOT_KNOWN);
    let (deny, allow) = ("action_unknown=deny", "action_unknown=allow");
    site.both(source, NODE2, deny, Landing::KeptOut, Theirs::Same)?;
    site.both(source, NODE2, allow, Landing::NoJob, Theirs::Same)?;
    Ok(())
}

/// A host whose slurmd knows no such job, and one that has no slurmd: its port refuses.
pub fn from_a_login_host(site: &mut Site) -> Result<()> {
    let jobs = [site.job("alice", &[2])?, site.job("alice", &[2])?];
    unknown(site, Source::Host(3), jobs)?;
    without_slurmd(site, 3, |site| {
        unknown(site, Source::Host(3), jobs)?;
        for module in [Module::SchedMd, Module::Ours] {
            site.quick(&format!("{module:?}"), Duration::from_secs(1), |site| {
                site.call(Source::Host(3), IPV4, module, "")
            })?;
        }
        Ok(())
    })
}

/// Who has alice's key and comes from a job of bob's: it is no job of alice's.
pub fn from_anothers_job(site: &mut Site) -> Result<()> {
    let bobs = site.job("bob", &[1, 2])?;
    let first = site.job("alice", &[2])?;
    let source = Source::BobsJob(1, bobs);
    let theirs = [Landing::Job(bobs)];
    let theirs = Theirs::Differs(CHECKED, &theirs);
    let asked = "single_job_skip_rpc=0";
    site.both(source, NODE2, asked, Landing::Job(first), theirs)?;
    let second = site.job("alice", &[2])?;
    for (options, ours) in [
        ("", Landing::Job(second)),
        ("action_unknown=deny", Landing::KeptOut),
        ("action_unknown=allow", Landing::NoJob),
    ] {
        site.both(source, NODE2, options, ours, theirs)?;
    }
    Ok(())
}

/// Under the node's own addresses.
pub fn from_the_node_itself(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[2])?;
    let _newer = site.job("alice", &[2])?;
    let (source, here) = (Source::Job(2, job), Landing::Job(job));
    for to in [NODE2, "127.0.0.1"] {
        site.both(source, to, "action_unknown=deny", here, Theirs::Same)?;
    }
    site.both_called(source, LOOPBACK, "action_unknown=deny", here, Theirs::Same)
        .map(drop)
}

/// The application has another connection, to a directory server for example, and had it before.
pub fn another_connection(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let _newer = site.job("alice", &[2])?;
    let call = |rhost: Option<&str>| {
        let mut call = Call::new("alice", "action_unknown=deny");
        let script = "exec bash -c 'exec 3<>/dev/tcp/10.88.0.3/22; exec \"$@\"' bash \"$@\"";
        call.wrapper = Some(script.to_owned());
        call.rhost = rhost.map(str::to_owned);
        call
    };
    let source = Source::Job(1, job);
    let here = Landing::Job(job);
    for rhost in ["10.88.0.1", "::ffff:10.88.0.1"] {
        let login = site.call_with(source, IPV4, Module::Ours, call(Some(rhost)))?;
        site.judge(rhost, &login, here);
    }
    // SchedMD's module takes the first one whatever PAM_RHOST says; ours, where it says nothing.
    let told = call(Some("10.88.0.1"));
    let login = site.call_with(source, IPV4, Module::SchedMd, told)?;
    let theirs = Theirs::Differs(ASKED, &[Landing::KeptOut]);
    site.judge_theirs("another connection", &login, here, theirs)?;
    for rhost in [None, Some("login1.example.org")] {
        let login = site.call_with(source, IPV4, Module::Ours, call(rhost))?;
        site.judge("no PAM_RHOST", &login, Landing::KeptOut);
        site.says(
            "no PAM_RHOST",
            &login,
            "slurmd at 10.88.0.3:6818 knows no job",
        );
    }
    Ok(())
}

pub fn one_job_only(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let elsewhere = site.job("alice", &[1])?;
    let here = Landing::Job(job);
    for options in ["", "action_unknown=deny", "action_unknown=allow"] {
        let asked = format!("single_job_skip_rpc=0 {options}");
        site.both(Source::Job(1, job), NODE2, &asked, here, Theirs::Same)?;
        site.both(
            Source::Job(1, elsewhere),
            NODE2,
            options,
            here,
            Theirs::Same,
        )?;
        let unknown = match (site.suite(), options) {
            (Suite::Forky, _) => here,
            (_, "action_unknown=deny") => Landing::KeptOut,
            (_, "action_unknown=allow") => Landing::NoJob,
            _ => here,
        };
        let unknown = [unknown];
        let theirs = Theirs::Differs("one-job-needs-no-caller", &unknown);
        site.both(Source::Job(1, elsewhere), NODE2, &asked, here, theirs)?;
    }
    let asked = "single_job_skip_rpc=0";
    let login = site.ssh(Source::Job(1, job), NODE2, Module::Ours, asked)?;
    site.says("one job, asked", &login, KNOWN);
    let login = site.ssh(Source::Job(1, job), NODE2, Module::Ours, "")?;
    site.says("one job, not asked", &login, "the user's only job here");
    Ok(())
}

/// The host is not called what its node is: SchedMD's module up to 25.11 looks for the caller's job under
/// the host's name, `nodename=` or not.
pub fn node_name_given(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let _newer = site.job("alice", &[2])?;
    let here = Landing::Job(job);
    let theirs = match site.suite() {
        Suite::Forky => Theirs::Same,
        _ => Theirs::Differs(ASKED, &[Landing::KeptOut]),
    };
    let mut call = Call::new("alice", "nodename=node2 action_unknown=deny");
    let script = "exec unshare --uts sh -ec 'hostname stranger; exec \"$@\"' sh \"$@\"";
    call.wrapper = Some(script.to_owned());
    let source = Source::Job(1, job);
    let login = site.call_with(source, IPV4, Module::SchedMd, call.clone())?;
    site.judge_theirs("nodename=", &login, here, theirs)?;
    let login = site.call_with(source, IPV4, Module::Ours, call)?;
    site.judge("nodename=", &login, here);
    site.says("nodename=", &login, KNOWN);
    Ok(())
}
