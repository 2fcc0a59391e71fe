//! False answers and nonsense, from a program that has slurmd's port.

use std::time::Duration;

use anyhow::Result;
use lab::Suite;
use tests::Module;

use crate::changes::without_slurmd;
use crate::fake::{self, Answer, Fake, RESPONSE_CALLERID, Then};
use crate::site::{IPV4, Landing, Site, Source, Theirs};
use crate::words::{Jobs, Signed, both_with};
use crate::{CHECKED, KNOWN, NEWEST, NOT_KNOWN};

/// On a host without slurmd anybody may listen on its port. What is not slurmd's word counts as
/// unknown; SchedMD's module believes much of it.
pub fn liars(site: &mut Site) -> Result<()> {
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
            |site| signed.answers(site),
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
    let elsewhere = format!("names job {}, which is not a job of", jobs.elsewhere);
    let of_bob = format!("names job {bobs}, which is not a job of");
    let cases = [
        (
            "bob's job, carol's word",
            Signed {
                by: "carol",
                ..Signed::of(bobs)
            },
            into_bobs,
            "is from uid 2003",
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
            "is from uid 2003",
        ),
        (
            "own job, own word",
            Signed {
                by: "alice",
                ..Signed::of(older)
            },
            into_older,
            "is from uid 2001",
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
            "names job 4000000, which is not a job of",
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
        let answer = |site: &Site| signed.answers(site);
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
            "invalid length of the answer",
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
            "requires TLS",
        ),
        (
            "a huge length",
            huge,
            Then::Close,
            Some(unknown),
            "invalid length of the answer",
        ),
        (
            "code 2017",
            fake::return_code(version, 2017),
            Then::Close,
            Some(unknown),
            "Slurm error 2017",
        ),
        // SchedMD's module up to 25.11 takes what happens to be on its stack for a job's number.
        (
            "code 0",
            fake::return_code(version, 0),
            Then::Close,
            None,
            "Slurm error 0",
        ),
    ] {
        let answer = Answer {
            to: None,
            bytes,
            then,
        };
        let answers = |_: &Site| Ok(vec![answer.clone()]);
        // Who answers at once has the usual time for it.
        let options = match then {
            Then::Hang | Then::Drip => "callerid_timeout=1",
            _ => "",
        };
        let login = site.quick(what, Duration::from_millis(1900), |site| {
            both_with(site, what, answers, options, ours, theirs)
        })?;
        site.says(what, &login, NOT_KNOWN);
        site.says(what, &login, reason);
    }
    let answers = |site: &Site| nameless.answers(site);
    let login = both_with(site, "no node's name", answers, "", ours, Some(killed))?;
    site.says("no node's name", &login, NOT_KNOWN);
    Ok(())
}

/// slurmd's own word, a second time: munged knows it.
fn said_before(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let answers = Signed::of(jobs.older).answers(site)?;
    let fake = Fake::start(site.cluster.node(3), "carol", &answers)?;
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
