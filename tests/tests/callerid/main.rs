//! The caller ID: which job a login comes from, asked of the slurmd at its source. Logins between
//! nodes with SchedMD's module and ours, on live clusters of all four versions.

#![forbid(unsafe_code)]

mod fake;
mod site;

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fake::{Answer, Credential, Fake, RESPONSE_CALLERID, Then};
use lab::Suite;
use site::{IPV4, IPV6, LOOPBACK, Landing, Login, MAPPED, Site, Source, Theirs};
use tests::{Call, Matrix, Module};

/// Its IPv4 address: a name would lead to the other one first.
const NODE2: &str = "10.88.0.2";
/// In the log: the source's slurmd was asked, and its answer counted.
const KNOWN: &str = "the connection comes from it, says slurmd at ";
/// In the log: it was asked, or should have been, and that came to nothing.
const NOT_KNOWN: &str = "where the connection comes from is not known: ";

// Headings of docs/differences.md.
const NEWEST: &str = "newest-is-the-newest";
const CHECKED: &str = "the-caller-is-checked";
const ASKED: &str = "the-caller-is-asked-for-a-moment";

type Test = fn(&mut Site) -> Result<()>;

/// Each starts without jobs and leaves none behind.
const TESTS: &[(&str, Test)] = &[
    ("from a job", from_a_job),
    ("from another job", from_another_job),
    ("from a login host", from_a_login_host),
    ("from another user's job", from_anothers_job),
    ("from the node itself", from_the_node_itself),
    ("another connection", another_connection),
    ("one job only", one_job_only),
    ("a silent source", silent_source),
    ("a silent stepd", silent_stepd),
    ("munged elsewhere", munged_elsewhere),
    ("without munged", without_munged),
    ("liars", liars),
    ("other versions", other_versions),
];

/// A job on two nodes, and a newer one on the second: the login is the first one's.
fn from_a_job(site: &mut Site) -> Result<()> {
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
fn from_another_job(site: &mut Site) -> Result<()> {
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
fn from_a_login_host(site: &mut Site) -> Result<()> {
    let jobs = [site.job("alice", &[2])?, site.job("alice", &[2])?];
    unknown(site, Source::Host(3), jobs)?;
    without_slurmd(site, 3, |site| {
        unknown(site, Source::Host(3), jobs)?;
        for module in [Module::SchedMd, Module::Ours] {
            let login = site.call(Source::Host(3), IPV4, module, "")?;
            // Not a measurement: who waits for something here waits for 2 s at least.
            let quick = login.in_pam.is_some_and(|it| it < Duration::from_secs(1));
            site.expect(quick, format!("{module:?}: waited: {login:?}"));
        }
        Ok(())
    })
}

/// Does that while no slurmd runs on the node.
fn without_slurmd(
    site: &mut Site,
    number: usize,
    act: impl FnOnce(&mut Site) -> Result<()>,
) -> Result<()> {
    site.cluster.node(number).stop_slurmd()?;
    let done = act(site);
    site.cluster.node(number).start_slurmd()?;
    done
}

/// Who has alice's key and comes from a job of bob's: it is no job of alice's.
fn from_anothers_job(site: &mut Site) -> Result<()> {
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
fn from_the_node_itself(site: &mut Site) -> Result<()> {
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
fn another_connection(site: &mut Site) -> Result<()> {
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

fn one_job_only(site: &mut Site) -> Result<()> {
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
    site.says(
        "one job, not asked",
        &login,
        "the only job of this user here",
    );
    Ok(())
}

/// A slurmd that is stopped, and one whose packets are lost.
fn silent_source(site: &mut Site) -> Result<()> {
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
        ("timeout=1 callerid_timeout=30", newest, 1.9),
    ] {
        let login = site.call(source, IPV4, Module::Ours, options)?;
        site.judge(&format!("{case}, «{options}»"), &login, ours);
        // Not a measurement: theirs waits for 10 s, or 2 s.
        let most = Duration::from_secs_f64(most);
        site.expect(
            login.in_pam < Some(most),
            format!("{case}, «{options}»: took {login:?}"),
        );
        let reason = match options.contains("skip") {
            true => "callerid_skip= has 10.88.0.1",
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
fn silent_stepd(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let jobs = [site.job("alice", &[2])?, site.job("alice", &[2])?];
    let stepd = site.target().pid_of_stepd(job)?;
    site.target().signal(stepd, "STOP")?;
    let logins = [
        ("timeout=2", Landing::Job(jobs[1])),
        ("timeout=2 action_unknown=deny", Landing::KeptOut),
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
fn munged_elsewhere(site: &mut Site) -> Result<()> {
    let target = site.target();
    target.sh(
        "mkdir /run/elsewhere; mv /run/munge/munge.socket.2 /run/elsewhere/munged; \
         cp /etc/slurm/slurm.conf /etc/slurm/kept; \
         echo AuthInfo=cred_expire=120,socket=/run/elsewhere/munged >>/etc/slurm/slurm.conf",
    )?;
    target.restart_slurmd()?;
    let done = (|| {
        let job = site.job("alice", &[1, 2])?;
        let _newer = site.job("alice", &[2])?;
        let (source, here) = (Source::Job(1, job), Landing::Job(job));
        site.both(source, NODE2, "action_unknown=deny", here, Theirs::Same)?;
        // A stepd that can't find munged would never end.
        site.cluster.cancel_all()
    })();
    site.target().sh(
        "mv /run/elsewhere/munged /run/munge/munge.socket.2; rmdir /run/elsewhere; \
         mv /etc/slurm/kept /etc/slurm/slurm.conf",
    )?;
    site.target().restart_slurmd()?;
    done
}

/// No munged on node2, and one that is stopped: nobody can be asked.
fn without_munged(site: &mut Site) -> Result<()> {
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
        let login = site.call(source, IPV4, Module::Ours, "callerid_timeout=1");
        site.target().sh(&go_on)?;
        let login = login?;
        site.judge(what, &login, Landing::Job(newer));
        site.says(what, &login, reason);
        site.expect(login.in_pam < Some(most), format!("{what}: took {login:?}"));
    }
    Ok(())
}

// ---- fakes ----

/// Who asks a liar, and what about.
struct Jobs {
    /// Alice's older one on node2.
    older: u32,
    /// Alice's newer one there.
    newer: u32,
    /// Bob's there.
    bobs: u32,
    /// Alice's on node1.
    elsewhere: u32,
}

/// On a host without slurmd anybody may listen on its port. What is not slurmd's word counts as
/// unknown; SchedMD's module believes much of it.
fn liars(site: &mut Site) -> Result<()> {
    let jobs = Jobs {
        older: site.job("alice", &[2])?,
        newer: site.job("alice", &[2])?,
        bobs: site.job("bob", &[2])?,
        elsewhere: site.job("alice", &[1])?,
    };
    without_slurmd(site, 3, |site| {
        believed(site, &jobs)?;
        false_words(site, &jobs)?;
        nonsense(site, &jobs)?;
        said_before(site, &jobs)
    })
}

/// Starts the fake anew for each of the two modules: a credential is good once. SchedMD's has no
/// turn where it is not said what it does. The login with ours.
fn both_with(
    site: &mut Site,
    what: &str,
    answers: impl Fn(&Site) -> Result<Vec<Answer>>,
    options: &str,
    ours: Landing,
    theirs: Option<Theirs<'_>>,
) -> Result<Login> {
    let login = |site: &Site, module| {
        let fake = Fake::start(site.cluster.node(3), "carol", &answers(site)?)?;
        let login = site.call(Source::Host(3), IPV4, module, options);
        fake.stop()?;
        login.with_context(|| what.to_owned())
    };
    if let Some(theirs) = theirs {
        let login = login(site, Module::SchedMd)?;
        site.judge_theirs(what, &login, ours, theirs)?;
    }
    let login = login(site, Module::Ours)?;
    site.judge(what, &login, ours);
    Ok(login)
}

/// An answer in the suite's own version with a credential as slurmd makes it, or nearly.
struct Signed<'a> {
    job: u32,
    by: &'a str,
    restricted: bool,
    /// The credential is for an answer that names this job.
    signed_for: u32,
    kind: u16,
    node: Option<&'a str>,
    /// Its token is made one of root's: signed for other claims (`Some(false)`), or not at all.
    forged: Option<bool>,
}

impl Signed<'_> {
    fn of(job: u32) -> Self {
        Signed {
            job,
            by: "root",
            restricted: true,
            signed_for: job,
            kind: RESPONSE_CALLERID,
            node: Some("node3"),
            forged: None,
        }
    }

    fn bytes(&self, site: &Site) -> Result<Vec<u8>> {
        self.bytes_of(site, site.suite().protocol())
    }

    fn bytes_of(&self, site: &Site, version: u16) -> Result<Vec<u8>> {
        let signed = fake::body(version, self.signed_for, self.node);
        let credential = Credential {
            by: self.by,
            restricted: self.restricted,
            payload: fake::payload(version, self.kind, &signed),
        };
        // The slurmd of node3 does not run.
        let conf = site.target().read_text("/etc/slurm/slurm.conf")?;
        let credential = match conf.contains("AuthType=auth/slurm") {
            true => credential.sack(site.cluster.node(1))?,
            false => credential.munge(site.cluster.node(3))?,
        };
        let credential = match self.forged {
            None => credential,
            Some(unsigned) => fake::forged(&credential, unsigned)?,
        };
        let body = fake::body(version, self.job, self.node);
        let answer = fake::message(version, RESPONSE_CALLERID, Some(&credential), &body);
        Ok(answer)
    }
}

/// The fake's answers as slurmd would give them: they are believed, so the frames are right.
fn believed(site: &mut Site, jobs: &Jobs) -> Result<()> {
    for by in ["root", "slurm"] {
        let signed = Signed {
            by,
            ..Signed::of(jobs.older)
        };
        both_with(
            site,
            &format!("the word of {by}"),
            |site| Ok(vec![Answer::new(signed.bytes(site)?)]),
            "",
            Landing::Job(jobs.older),
            Some(Theirs::Same),
        )?;
    }
    Ok(())
}

fn false_words(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let suite = site.suite();
    let (older, bobs, newer) = (jobs.older, jobs.bobs, jobs.newer);
    let any = [Landing::Job(older), Landing::Job(newer)];
    let unknown = Theirs::Differs(NEWEST, &any);
    let into_older = [Landing::Job(older)];
    let into_older = Theirs::Differs(CHECKED, &into_older);
    let into_bobs = [Landing::Job(bobs)];
    let into_bobs = Theirs::Differs(CHECKED, &into_bobs);
    let by_hash = match suite {
        Suite::Bullseye => into_older,
        _ => unknown,
    };
    let elsewhere = format!("says job {}, which is none of", jobs.elsewhere);
    let of_bob = format!("says job {bobs}, which is none of");
    let cases = [
        (
            "bob's job, carol's word",
            Signed {
                by: "carol",
                ..Signed::of(bobs)
            },
            into_bobs,
            "is of uid 2003",
        ),
        (
            "bob's job, root's word",
            Signed::of(bobs),
            into_bobs,
            &of_bob,
        ),
        (
            "own job, carol's word",
            Signed {
                by: "carol",
                ..Signed::of(older)
            },
            into_older,
            "is of uid 2003",
        ),
        (
            "own job, own word",
            Signed {
                by: "alice",
                ..Signed::of(older)
            },
            into_older,
            "is of uid 2001",
        ),
        (
            "for everybody",
            Signed {
                restricted: false,
                ..Signed::of(older)
            },
            into_older,
            "is not for us",
        ),
        (
            "for another message",
            Signed {
                signed_for: newer,
                ..Signed::of(older)
            },
            by_hash,
            "is for another message",
        ),
        (
            "for another kind",
            Signed {
                kind: 8001,
                ..Signed::of(older)
            },
            unknown,
            "is for another message",
        ),
        (
            "a job elsewhere",
            Signed::of(jobs.elsewhere),
            unknown,
            &elsewhere,
        ),
        (
            "no such job",
            Signed::of(4_000_000),
            unknown,
            "says job 4000000, which is none of",
        ),
    ];
    for (what, signed, theirs, reason) in cases {
        // The hash of version 36 is none, but the message's type; and not all of its slurmds
        // restrict their credentials.
        let believed =
            suite == Suite::Bullseye && ["for another message", "for everybody"].contains(&what);
        let (ours, reason) = match believed {
            true => (Landing::Job(older), KNOWN),
            false => (Landing::Job(newer), reason),
        };
        let answer = |site: &Site| Ok(vec![Answer::new(signed.bytes(site)?)]);
        let login = both_with(site, what, answer, "", ours, Some(theirs))?;
        site.says(what, &login, reason);
        if !believed {
            let deny = "action_unknown=deny";
            let login = both_with(site, what, answer, deny, Landing::KeptOut, None)?;
            site.says(what, &login, reason);
        }
    }
    Ok(())
}

fn nonsense(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let (older, newer) = (jobs.older, jobs.newer);
    let version = site.suite().protocol();
    let any = [Landing::Job(older), Landing::Job(newer)];
    let unknown = Theirs::Differs(NEWEST, &any);
    let ours = Landing::Job(newer);
    let body = fake::body(version, older, Some("node3"));
    let rubbish = (fake::MUNGE, "MUNGE:AwQFAAC0cmFzaA==:".to_owned());
    let bare = fake::message(version, RESPONSE_CALLERID, None, &body);
    let missing = fake::without_credential(version, RESPONSE_CALLERID, &body);
    let nameless = Signed {
        by: "carol",
        node: None,
        ..Signed::of(older)
    };
    let nameless = |site: &Site| nameless.bytes(site);
    let into_older = [Landing::Job(older)];
    // From 23.02 on SchedMD's module takes a message without a credential.
    let bare_theirs = match site.suite() {
        Suite::Bullseye | Suite::Bookworm => unknown,
        _ => Theirs::Differs(CHECKED, &into_older),
    };
    let killed = [Landing::Killed(11)];
    let killed = Theirs::Differs(CHECKED, &killed);
    let http = b"HTTP/1.1 405 NOT ALLOWED\r\nContent-Length: 0\r\n\r\n".to_vec();
    let half = missing[..missing.len() / 2].to_vec();
    let garbage: Vec<u8> = (0..=255).rev().collect();
    let huge = [&[0x7f, 0xff, 0xff, 0xff][..], &bare[4..]].concat();
    for (what, bytes, then, theirs, reason) in [
        (
            "nothing",
            Vec::new(),
            Then::Close,
            Some(unknown),
            "closed the connection",
        ),
        ("silence", Vec::new(), Then::Hang, None, "does not answer"),
        (
            "half an answer",
            half.clone(),
            Then::Close,
            Some(unknown),
            "",
        ),
        (
            "half an answer, then silence",
            half,
            Then::Hang,
            None,
            "does not answer",
        ),
        (
            "an answer in drops",
            fake::return_code(version, 0),
            Then::Drip,
            None,
            "does not answer",
        ),
        (
            "no credential",
            bare,
            Then::Close,
            Some(bare_theirs),
            "no credential",
        ),
        (
            "a credential of nonsense",
            fake::message(version, RESPONSE_CALLERID, Some(&rubbish), &body),
            Then::Close,
            Some(unknown),
            "the credential of its answer: munged",
        ),
        (
            "root by auth/none",
            fake::by_auth_none(version, RESPONSE_CALLERID, &body),
            Then::Close,
            Some(unknown),
            "authentication plugin",
        ),
        (
            "a credential that is missing",
            missing,
            Then::Close,
            Some(unknown),
            "authentication plugin",
        ),
        ("HTTP", http, Then::Close, Some(unknown), "HTTP"),
        (
            "garbage",
            garbage,
            Then::Close,
            Some(unknown),
            "bytes can't be",
        ),
        (
            "a TLS alert",
            vec![0x15, 3, 3, 0, 2, 2, 40],
            Then::Close,
            Some(unknown),
            "",
        ),
        (
            "TLS required",
            fake::return_code(version, 13000),
            Then::Close,
            Some(unknown),
            "wants TLS",
        ),
        (
            "a huge length",
            huge,
            Then::Close,
            Some(unknown),
            "bytes can't be",
        ),
        (
            "code 2017",
            fake::return_code(version, 2017),
            Then::Close,
            Some(unknown),
            "Slurm's error 2017",
        ),
        // SchedMD's module up to 25.11 takes what happens to be on its stack for a job's number.
        (
            "code 0",
            fake::return_code(version, 0),
            Then::Close,
            None,
            "Slurm's error 0",
        ),
    ] {
        let answer = Answer {
            to: None,
            bytes,
            then,
        };
        let answers = |_: &Site| Ok(vec![answer.clone()]);
        let login = both_with(site, what, answers, "callerid_timeout=1", ours, theirs)?;
        site.says(what, &login, NOT_KNOWN);
        site.says(what, &login, reason);
        let most = Duration::from_millis(1900);
        site.expect(login.in_pam < Some(most), format!("{what}: took {login:?}"));
    }
    let answers = |site: &Site| Ok(vec![Answer::new(nameless(site)?)]);
    let login = both_with(site, "no node's name", answers, "", ours, Some(killed))?;
    site.says("no node's name", &login, NOT_KNOWN);
    Ok(())
}

/// slurmd's own word, a second time: munged knows it.
fn said_before(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let answer = Answer::new(Signed::of(jobs.older).bytes(site)?);
    let fake = Fake::start(site.cluster.node(3), "carol", &[answer])?;
    for (what, expected, reason) in [
        ("said once", jobs.older, KNOWN),
        ("said twice", jobs.newer, "used before"),
    ] {
        let login = site.call(Source::Host(3), IPV4, Module::Ours, "")?;
        site.judge(what, &login, Landing::Job(expected));
        site.says(what, &login, reason);
    }
    fake.stop()
}

/// A slurmd of another release says so, in its own version, or just hangs up.
fn other_versions(site: &mut Site) -> Result<()> {
    let older = site.job("alice", &[2])?;
    let newer = site.job("alice", &[2])?;
    without_slurmd(site, 3, |site| {
        let suite = site.suite();
        let any = [Landing::Job(older), Landing::Job(newer)];
        let theirs = Theirs::Differs(ASKED, &any);
        let [before, after] = [fake::version_before(suite), suite.protocol() + 0x100];
        for (version, code) in [(before, 1005), (before, 1007), (after, 1007)] {
            let answers = |site: &Site| {
                Ok(vec![
                    Answer::new(Signed::of(older).bytes_of(site, version)?).to(version),
                    Answer::new(fake::return_code(version, code)),
                ])
            };
            let what = format!("version {version:#06x}, return code {code}");
            let ours = Landing::Job(older);
            both_with(site, &what, answers, "", ours, Some(theirs))?;
        }
        // Slurm 25.11 and later take what they don't know for HTTP.
        let http = b"HTTP/1.1 405 NOT ALLOWED\r\n\r\n";
        for (what, other) in [("hangs up", &[][..]), ("speaks HTTP", http)] {
            let answers = |site: &Site| {
                Ok(vec![
                    Answer::new(Signed::of(older).bytes_of(site, before)?).to(before),
                    Answer::new(other),
                ])
            };
            let ours = Landing::Job(older);
            both_with(site, what, answers, "", ours, Some(theirs))?;
        }
        // Asked in this version, it answers in one in which a credential is for any message.
        if suite > Suite::Bullseye {
            let old = Suite::Bullseye.protocol();
            let answers = |site: &Site| {
                let answer = Signed::of(older).bytes_of(site, old)?;
                Ok(vec![Answer::new(answer)])
            };
            let login = both_with(
                site,
                "answers in 36",
                answers,
                "",
                Landing::Job(newer),
                None,
            )?;
            site.says("answers in 36", &login, NOT_KNOWN);
        }
        // It is not asked for ever.
        let unsaid = [Answer::new(fake::return_code(before, 1005))];
        let fake = Fake::start(site.cluster.node(3), "carol", &unsaid)?;
        let login = site.call(Source::Host(3), IPV4, Module::Ours, "")?;
        let asked = fake.versions()?;
        fake.stop()?;
        site.judge("always another version", &login, Landing::Job(newer));
        let twice = asked.len() == 2 && asked[1] == before;
        site.expect(
            twice,
            format!("it was asked with the versions {asked:04x?}"),
        );
        Ok(())
    })
}

// ---- clusters of their own ----

/// slurmd listens on IPv6 too.
fn ipv6(suite: Suite) -> Result<()> {
    let mut site = Site::start(suite, "CommunicationParameters=EnableIPv6")?;
    let job = site.job("alice", &[1, 2])?;
    let _newer = site.job("alice", &[2])?;
    let deny = "action_unknown=deny";
    let (there, itself) = (Source::Job(1, job), Source::Job(2, job));
    let here = Landing::Job(job);
    for (source, to) in [
        (there, "fd88::2"),
        (there, "10.88.0.2"),
        (itself, "fd88::2"),
        (itself, "::1"),
        (itself, "127.0.0.1"),
    ] {
        site.both(source, to, deny, here, Theirs::Same)?;
    }
    site.both_called(there, IPV6, deny, here, Theirs::Same)?;
    mapped(&mut site, there, here)?;
    // An address that is good on one interface only.
    let show = "ip -6 -o address show dev eth0 scope link | sed 's,.* inet6 ,,; s,/.*,,'";
    let local = site.target().sh(show)?;
    let local = format!("{}%eth0", local.trim());
    let theirs = Theirs::Differs(ASKED, &[Landing::KeptOut]);
    site.both(there, &local, deny, here, theirs)?;
    site.finish()
}

/// Over IPv4 into a socket of IPv6.
fn mapped(site: &mut Site, source: Source, ours: Landing) -> Result<()> {
    let theirs = [Landing::KeptOut];
    let theirs = Theirs::Differs(ASKED, &theirs);
    site.both_called(source, MAPPED, "action_unknown=deny", ours, theirs)
        .map(drop)
}

/// Without EnableIPv6: no slurmd listens there, which is soon known.
fn only_ipv4(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    let source = Source::Job(1, job);
    mapped(site, source, Landing::Job(job))?;
    let any = [Landing::Job(job), Landing::Job(newer)];
    let theirs = Theirs::Differs(NEWEST, &any);
    let login = site.both(source, "fd88::2", "", Landing::Job(newer), theirs)?;
    site.says("only IPv4", &login, "onnection refused");
    Ok(())
}

/// Another SlurmdPort, `Port=` of a node, and two slurmds on one host.
fn ports(suite: Suite) -> Result<()> {
    let nodes = "NodeName=node1 NodeAddr=10.88.0.1 CPUs=2 Port=7002\n\
                 NodeName=node2 NodeAddr=10.88.0.2 CPUs=2\n\
                 NodeName=node3 NodeAddr=10.88.0.3 CPUs=2\n\
                 NodeName=c NodeHostname=node3 NodeAddr=10.88.0.3 CPUs=2 Port=7003";
    let conf = "SlurmdPort=7001\nSlurmdPidFile=/run/slurmd-%n.pid\n\
                SlurmdLogFile=/var/log/slurm/slurmd-%n.log";
    let cluster = tests::cluster(suite)?.nodes(3).node_lines(nodes);
    let mut site = Site::of(cluster.slurm_conf(conf))?;
    site.cluster.node(3).sh("slurmd -N c")?;
    let job = site.job("alice", &[1, 2, 3])?;
    let on_c = ["--nodes=2", "--nodelist=node2,c"];
    let on_c = site.cluster.submit_only("alice", &on_c)?;
    for (number, socket) in [(2, "node2"), (3, "c")] {
        let socket = format!("/var/spool/slurmd/{socket}_{on_c}.4294967292");
        let listens = || Ok(site.cluster.node(number).unix_sockets()?.contains(&socket));
        lab::poll::until_true(&socket, Duration::from_secs(60), listens)?;
    }
    let _newest = site.job("alice", &[2])?;
    let (deny, here) = ("action_unknown=deny", Landing::Job(job));
    site.both(Source::Job(3, job), NODE2, deny, here, Theirs::Same)?;
    let theirs = Theirs::Differs(ASKED, &[Landing::KeptOut]);
    for (source, job) in [
        (Source::Job(1, job), job),
        (Source::Slurmd(3, "c", on_c), on_c),
    ] {
        // A slurmd of 20.11 with a port of its own can't tell: it asks whoever has SlurmdPort.
        let (ours, reason) = match suite {
            Suite::Bullseye => (Landing::KeptOut, "no telling which"),
            _ => (Landing::Job(job), KNOWN),
        };
        let login = site.both(source, NODE2, deny, ours, theirs)?;
        site.says("ports", &login, reason);
    }
    site.finish()
}

/// The source's slurmd is of an older release than everything here: it hangs up on a newer version.
fn older_release(suite: Suite, old: Suite) -> Result<()> {
    let mut site = Site::of(tests::cluster(suite)?.nodes(3).beside(old))?;
    older_slurmd(&site, 3, old)?;
    let job = site.job("alice", &[2, 3])?;
    let newer = site.job("alice", &[2])?;
    let from = Source::Older(3, old, job);
    let any = [Landing::Job(job), Landing::Job(newer)];
    let theirs = Theirs::Differs(ASKED, &any);
    let login = site.both_called(from, IPV4, "", Landing::Job(job), theirs)?;
    site.says("an older slurmd", &login, KNOWN);
    let (deny, kept_out) = ("action_unknown=deny", [Landing::KeptOut]);
    let theirs = Theirs::Differs(ASKED, &kept_out);
    site.both_called(from, IPV4, deny, Landing::Job(job), theirs)?;
    site.finish()
}

/// The steps here are of an older release than the source's slurmd: it is asked in theirs. (What
/// SchedMD's module does with such steps, mixed shows.)
fn older_steps(suite: Suite, old: Suite) -> Result<()> {
    let mut site = Site::of(tests::cluster(suite)?.nodes(3).beside(old))?;
    older_slurmd(&site, 2, old)?;
    let job = site.job("alice", &[1, 2])?;
    let _newer = site.job("alice", &[2])?;
    let deny = "action_unknown=deny";
    let login = site.call(Source::Job(1, job), IPV4, Module::Ours, deny)?;
    site.judge("older steps", &login, Landing::Job(job));
    site.says("older steps", &login, KNOWN);
    site.finish()
}

/// Puts the other suite's slurmd in the place of that node's.
fn older_slurmd(site: &Site, number: usize, old: Suite) -> Result<()> {
    let node = site.cluster.node(number);
    node.stop_slurmd()?;
    let root = lab::Node::beside(old);
    let start = format!("{}\nslurmd -N {}", lab::builder::FOR_SLURM, node.name());
    node.run(&["chroot", &root, "/bin/sh", "-ec", &start])?
        .ok()
        .map(drop)
}

/// A cluster that speaks TLS alone: ours does not, and says so. SchedMD's module would need the plugin.
fn tls(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    site.target()
        .sh("cp /etc/slurm/slurm.conf /etc/slurm/kept; \
                      echo TLSType=tls/s2n >>/etc/slurm/slurm.conf")?;
    let login = site.call(Source::Job(1, job), IPV4, Module::Ours, "");
    site.target()
        .sh("mv /etc/slurm/kept /etc/slurm/slurm.conf")?;
    let login = login?;
    site.judge("TLS", &login, Landing::Job(newer));
    site.says("TLS", &login, "TLSType is tls/s2n");
    Ok(())
}

const KEY: &str = "a key of thirty-two bytes or more: for a test";

/// Tokens instead of munge's credentials.
fn auth_slurm(suite: Suite) -> Result<()> {
    auth_slurm_with(suite, "slurm.key", KEY.as_bytes())
}

/// The same from a set of keys.
fn auth_slurm_jwks(suite: Suite) -> Result<()> {
    // The keys are base64url of KEY.
    let jwks = r#"{ "keys": [
        { "alg": "HS256", "kty": "oct", "kid": "other", "k": "b3RoZXIga2V5IG9mIG1vcmUgdGhhbiB0aGlydHktdHdvIGJ5dGVz" },
        { "alg": "HS256", "kty": "oct", "kid": "test", "use": "default",
          "k": "YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyBvciBtb3JlOiBmb3IgYSB0ZXN0" } ] }"#;
    auth_slurm_with(suite, "slurm.jwks", jwks.as_bytes())
}

fn auth_slurm_with(suite: Suite, file: &str, key: &[u8]) -> Result<()> {
    let conf = "AuthType=auth/slurm\nCredType=cred/slurm\nSlurmUser=root";
    let path = format!("/etc/slurm/{file}");
    let mut site = Site::of(
        tests::cluster(suite)?
            .nodes(3)
            .slurm_conf(conf)
            .file(&path, key, 0o600),
    )?;
    let older = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    let bobs = site.job("bob", &[2])?;
    let (source, here) = (Source::Job(1, older), Landing::Job(older));
    let deny = "action_unknown=deny";
    site.both(source, NODE2, deny, here, Theirs::Same)?;
    without_slurmd(&mut site, 3, |site| {
        let jobs = Jobs {
            older,
            newer,
            bobs,
            elsewhere: 4_000_000,
        };
        believed_tokens(site, &jobs)
    })?;
    // Without the socket the key is at hand.
    site.target()
        .sh("cp /etc/slurm/slurm.conf /etc/slurm/kept; \
                      echo AuthInfo=disable_sack >>/etc/slurm/slurm.conf")?;
    site.both(source, NODE2, deny, here, Theirs::Same)?;
    site.target()
        .sh("mv /etc/slurm/kept /etc/slurm/slurm.conf")?;
    site.target().stop_slurmd()?;
    site.target().sh("rm -f /run/slurm/sack.socket")?;
    let theirs = Theirs::Differs(ASKED, &[Landing::KeptOut]);
    site.both(source, NODE2, deny, here, theirs)?;
    site.target().start_slurmd()?;
    site.finish()
}

fn believed_tokens(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let any = [Landing::Job(jobs.older), Landing::Job(jobs.newer)];
    let unknown = Theirs::Differs(NEWEST, &any);
    let into_older = [Landing::Job(jobs.older)];
    let into_older = Theirs::Differs(CHECKED, &into_older);
    let into_bobs = [Landing::Job(jobs.bobs)];
    let into_bobs = Theirs::Differs(CHECKED, &into_bobs);
    let older = jobs.older;
    for (what, signed, ours, theirs) in [
        ("root's token", Signed::of(older), older, Theirs::Same),
        (
            "carol's",
            Signed {
                by: "carol",
                ..Signed::of(older)
            },
            jobs.newer,
            into_older,
        ),
        (
            "for everybody",
            Signed {
                restricted: false,
                ..Signed::of(older)
            },
            jobs.newer,
            into_older,
        ),
        ("bob's job", Signed::of(jobs.bobs), jobs.newer, into_bobs),
        (
            "another message's",
            Signed {
                signed_for: jobs.newer,
                ..Signed::of(older)
            },
            jobs.newer,
            unknown,
        ),
        (
            "carol's with another uid",
            Signed {
                by: "carol",
                forged: Some(false),
                ..Signed::of(older)
            },
            jobs.newer,
            unknown,
        ),
        (
            "carol's with another uid, unsigned",
            Signed {
                by: "carol",
                forged: Some(true),
                ..Signed::of(older)
            },
            jobs.newer,
            unknown,
        ),
    ] {
        let answers = |site: &Site| Ok(vec![Answer::new(signed.bytes(site)?)]);
        both_with(site, what, answers, "", Landing::Job(ours), Some(theirs))?;
    }
    Ok(())
}

/// One suite's cluster, started by the first test that needs it.
struct Stage {
    suite: Suite,
    site: Option<Result<Site, String>>,
}

impl Stage {
    fn run(&mut self, test: Test) -> Result<()> {
        let suite = self.suite;
        let site = self
            .site
            .get_or_insert_with(|| Site::start(suite, "").map_err(|error| format!("{error:#}")));
        match site {
            Ok(site) => {
                let result = test(site);
                let end = site.finish();
                result.and(end)
            }
            Err(error) => Err(anyhow!("the cluster did not come up: {error}")),
        }
    }
}

fn main() {
    let mut matrix = Matrix::new(|suite| Stage { suite, site: None });
    for (name, test) in TESTS {
        matrix.add(name, |_, stage: &mut Stage| stage.run(*test));
    }
    matrix.add("only IPv4", |_, stage| stage.run(only_ipv4));
    matrix.add_on(&[Suite::Forky], "TLS", |_, stage| stage.run(tls));
    matrix.add("IPv6", |suite, _| ipv6(suite));
    matrix.add("ports", |suite, _| ports(suite));
    // 24.11 knows no slurmd of 22.05 any more.
    for (suite, old) in [
        (Suite::Bookworm, Suite::Bullseye),
        (Suite::Forky, Suite::Trixie),
    ] {
        matrix.add_on(&[suite], "a slurmd of an older release", move |_, _| {
            older_release(suite, old)
        });
        matrix.add_on(&[suite], "steps of an older release", move |_, _| {
            older_steps(suite, old)
        });
    }
    // There is no such plugin before 23.11.
    let with_it = [Suite::Trixie, Suite::Forky];
    matrix.add_on(&with_it, "auth/slurm", |suite, _| auth_slurm(suite));
    matrix.add_on(&with_it, "auth/slurm with slurm.jwks", |suite, _| {
        auth_slurm_jwks(suite)
    });
    matrix.run();
}
