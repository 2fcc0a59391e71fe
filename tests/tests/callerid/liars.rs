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
        let signed = Signed::of(jobs.older).by(by);
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

/// An answer in slurmd's form that is not slurmd's word.
struct Word<'a> {
    what: &'static str,
    signed: Signed<'a>,
    /// What SchedMD's module makes of it.
    theirs: Theirs<'a>,
    /// What the log of ours says.
    reason: String,
}

impl<'a> Word<'a> {
    fn new(what: &'static str, signed: Signed<'a>, theirs: Theirs<'a>, reason: &str) -> Self {
        Self {
            what,
            signed,
            theirs,
            reason: reason.to_owned(),
        }
    }

    /// The hash of version 36 is none, but the message's type; and not all of its slurmds restrict their credentials.
    fn is_believed(&self, suite: Suite) -> bool {
        suite == Suite::Bullseye && ["for another message", "for everybody"].contains(&self.what)
    }
}

fn false_words(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let suite = site.suite();
    let any = [jobs.older, jobs.newer].map(Landing::Job);
    let unknown = Theirs::Differs(NEWEST, &any);
    let into_older = [Landing::Job(jobs.older)];
    let into_older = Theirs::Differs(CHECKED, &into_older);
    let into_bobs = [Landing::Job(jobs.bobs)];
    let into_bobs = Theirs::Differs(CHECKED, &into_bobs);
    let by_hash = match suite {
        Suite::Bullseye => into_older,
        _ => unknown,
    };
    let mut words = words_of_others(jobs, into_older, into_bobs);
    words.extend(words_for_others(jobs, into_older, by_hash, unknown));
    words.extend(words_of_other_jobs(jobs, into_bobs, unknown));
    for word in words {
        let believed = word.is_believed(suite);
        let (ours, reason) = match believed {
            true => (Landing::Job(jobs.older), KNOWN),
            false => (Landing::Job(jobs.newer), word.reason.as_str()),
        };
        let answer = |site: &Site| word.signed.answers(site);
        let login = both_with(site, word.what, answer, "", ours, Some(word.theirs))?;
        site.says(word.what, &login, reason);
        if !believed {
            let deny = "action_unknown=deny";
            let login = both_with(site, word.what, answer, deny, Landing::KeptOut, None)?;
            site.says(word.what, &login, reason);
        }
    }
    Ok(())
}

/// Signed by users.
fn words_of_others<'a>(
    jobs: &Jobs,
    into_older: Theirs<'a>,
    into_bobs: Theirs<'a>,
) -> Vec<Word<'a>> {
    let bobs = Signed::of(jobs.bobs).by("carol");
    let carols = Signed::of(jobs.older).by("carol");
    let own = Signed::of(jobs.older).by("alice");
    vec![
        Word::new(
            "bob's job, carol's word",
            bobs,
            into_bobs,
            "is from uid 2003",
        ),
        Word::new(
            "own job, carol's word",
            carols,
            into_older,
            "is from uid 2003",
        ),
        Word::new("own job, own word", own, into_older, "is from uid 2001"),
    ]
}

/// Signed by root, for others than the module, or for another message than the answer.
fn words_for_others<'a>(
    jobs: &Jobs,
    into_older: Theirs<'a>,
    by_hash: Theirs<'a>,
    unknown: Theirs<'a>,
) -> Vec<Word<'a>> {
    let everybody = Signed::of(jobs.older).for_everybody();
    let message = Signed::of(jobs.older).signed_for(jobs.newer);
    let kind = Signed::of(jobs.older).of_kind(8001);
    let other = "is for another message";
    vec![
        Word::new("for everybody", everybody, into_older, "is not for us"),
        Word::new("for another message", message, by_hash, other),
        Word::new("for another kind", kind, unknown, other),
    ]
}

/// Signed by root, of jobs that are not the user's here.
fn words_of_other_jobs<'a>(
    jobs: &Jobs,
    into_bobs: Theirs<'a>,
    unknown: Theirs<'a>,
) -> Vec<Word<'a>> {
    let word = |what, job, theirs| {
        let reason = format!("names job {job}, which is not a job of");
        Word::new(what, Signed::of(job), theirs, &reason)
    };
    vec![
        word("bob's job, root's word", jobs.bobs, into_bobs),
        word("a job elsewhere", jobs.elsewhere, unknown),
        word("no such job", 4_000_000, unknown),
    ]
}

/// Bytes that are no answer of slurmd's.
struct Nonsense<'a> {
    what: &'static str,
    bytes: Vec<u8>,
    then: Then,
    /// What SchedMD's module makes of it; `None` where it is not asked.
    theirs: Option<Theirs<'a>>,
    /// What the log of ours says.
    reason: &'static str,
}

impl<'a> Nonsense<'a> {
    /// Then the connection ends.
    fn closed(
        what: &'static str,
        bytes: Vec<u8>,
        theirs: Option<Theirs<'a>>,
        reason: &'static str,
    ) -> Self {
        Self {
            what,
            bytes,
            then: Then::Close,
            theirs,
            reason,
        }
    }

    /// More seems to come. SchedMD's module would wait.
    fn open(what: &'static str, bytes: Vec<u8>, then: Then) -> Self {
        Self {
            what,
            bytes,
            then,
            theirs: None,
            reason: "does not answer",
        }
    }
}

fn nonsense(site: &mut Site, jobs: &Jobs) -> Result<()> {
    let (older, newer) = (jobs.older, jobs.newer);
    let version = site.suite().protocol();
    let any = [Landing::Job(older), Landing::Job(newer)];
    let unknown = Theirs::Differs(NEWEST, &any);
    let into_older = [Landing::Job(older)];
    // From 23.02 on SchedMD's module takes a message without a credential.
    let bare = match site.suite() {
        Suite::Bullseye | Suite::Bookworm => unknown,
        _ => Theirs::Differs(CHECKED, &into_older),
    };
    let ours = Landing::Job(newer);
    let mut all = broken_off(version, older, unknown);
    all.extend(bad_credentials(version, older, unknown, bare));
    all.extend(other_protocols(version, older, unknown));
    all.extend(return_codes(version, unknown));
    for it in all {
        let answer = Answer {
            to: None,
            bytes: it.bytes,
            then: it.then,
        };
        let answers = |_: &Site| Ok(vec![answer.clone()]);
        // Who answers at once has the usual time for it.
        let options = match it.then {
            Then::Hang | Then::Drip => "callerid_timeout=1",
            Then::Close => "",
        };
        let login = site.quick(it.what, Duration::from_millis(1900), |site| {
            both_with(site, it.what, answers, options, ours, it.theirs)
        })?;
        site.says(it.what, &login, NOT_KNOWN);
        site.says(it.what, &login, it.reason);
    }
    let nameless = Signed::of(older).by("carol").without_node();
    let killed = [Landing::Killed(11)];
    let killed = Theirs::Differs(CHECKED, &killed);
    let answers = |site: &Site| nameless.answers(site);
    let login = both_with(site, "no node's name", answers, "", ours, Some(killed))?;
    site.says("no node's name", &login, NOT_KNOWN);
    Ok(())
}

/// What slurmd's answer says of the job.
fn body(version: u16, job: u32) -> Vec<u8> {
    fake::body(version, job, Some("node3"))
}

/// Parts of an answer.
fn broken_off(version: u16, job: u32, unknown: Theirs<'_>) -> Vec<Nonsense<'_>> {
    let whole = fake::without_credential(version, RESPONSE_CALLERID, &body(version, job));
    let half = whole[..whole.len() / 2].to_vec();
    let drops = fake::return_code(version, 0);
    let unknown = Some(unknown);
    vec![
        Nonsense::closed("nothing", Vec::new(), unknown, "closed the connection"),
        Nonsense::open("silence", Vec::new(), Then::Hang),
        Nonsense::closed("half an answer", half.clone(), unknown, ""),
        Nonsense::open("half an answer, then silence", half, Then::Hang),
        Nonsense::open("an answer in drops", drops, Then::Drip),
    ]
}

/// Answers that nobody signed; `bare` is what SchedMD's module makes of one without any credential.
fn bad_credentials<'a>(
    version: u16,
    job: u32,
    unknown: Theirs<'a>,
    bare: Theirs<'a>,
) -> Vec<Nonsense<'a>> {
    let body = body(version, job);
    let rubbish = (fake::MUNGE, "MUNGE:AwQFAAC0cmFzaA==:".to_owned());
    let without = fake::message(version, RESPONSE_CALLERID, None, &body);
    let rubbish = fake::message(version, RESPONSE_CALLERID, Some(&rubbish), &body);
    let none = fake::by_auth_none(version, RESPONSE_CALLERID, &body);
    let missing = fake::without_credential(version, RESPONSE_CALLERID, &body);
    let unknown = Some(unknown);
    let (munged, plugin) = (
        "the credential of its answer: munged",
        "authentication plugin",
    );
    vec![
        Nonsense::closed("no credential", without, Some(bare), "no credential"),
        Nonsense::closed("a credential of nonsense", rubbish, unknown, munged),
        Nonsense::closed("root by auth/none", none, unknown, plugin),
        Nonsense::closed("a credential that is missing", missing, unknown, plugin),
    ]
}

/// What other programs would say.
fn other_protocols(version: u16, job: u32, unknown: Theirs<'_>) -> Vec<Nonsense<'_>> {
    let http = b"HTTP/1.1 405 NOT ALLOWED\r\nContent-Length: 0\r\n\r\n".to_vec();
    let garbage: Vec<u8> = (0..=255).rev().collect();
    let alert = vec![0x15, 3, 3, 0, 2, 2, 40];
    let bare = fake::message(version, RESPONSE_CALLERID, None, &body(version, job));
    let huge = [&[0x7f, 0xff, 0xff, 0xff][..], &bare[4..]].concat();
    let unknown = Some(unknown);
    let length = "invalid length of the answer";
    vec![
        Nonsense::closed("HTTP", http, unknown, "HTTP"),
        Nonsense::closed("garbage", garbage, unknown, length),
        Nonsense::closed("a TLS alert", alert, unknown, ""),
        Nonsense::closed("a huge length", huge, unknown, length),
    ]
}

/// slurmd's refusals.
fn return_codes(version: u16, unknown: Theirs<'_>) -> Vec<Nonsense<'_>> {
    let code = |code| fake::return_code(version, code);
    let unknown = Some(unknown);
    vec![
        Nonsense::closed("TLS required", code(13000), unknown, "requires TLS"),
        Nonsense::closed("code 2017", code(2017), unknown, "Slurm error 2017"),
        // SchedMD's module up to 25.11 takes what happens to be on its stack for a job's number.
        Nonsense::closed("code 0", code(0), None, "Slurm error 0"),
    ]
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
