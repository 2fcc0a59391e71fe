//! Slurmds and steps of another release than those here, and a cluster that speaks TLS.

use anyhow::Result;
use lab::Suite;
use tests::Module;

use crate::changes::{with_line, without_slurmd};
use crate::fake::{self, Answer, Fake};
use crate::site::{IPV4, Landing, Site, Source, Theirs};
use crate::words::{Signed, both_with};
use crate::{ASKED, KNOWN, NOT_KNOWN};

/// A slurmd of another release says so, in its own version, or just hangs up.
pub fn other_versions(site: &mut Site) -> Result<()> {
    let older = site.job("alice", &[2])?;
    let newer = site.job("alice", &[2])?;
    without_slurmd(site, 3, |site| {
        asked_again(site, older, newer)?;
        if site.suite() > Suite::Bullseye {
            answered_in_36(site, older, newer)?;
        }
        not_asked_for_ever(site, newer)
    })
}

/// What it does not take makes the next question one in its version.
fn asked_again(site: &mut Site, older: u32, newer: u32) -> Result<()> {
    let suite = site.suite();
    let any = [Landing::Job(older), Landing::Job(newer)];
    let theirs = Theirs::Differs(ASKED, &any);
    let [before, after] = [fake::version_before(suite), suite.protocol() + 0x100];
    let codes = [(before, 1005), (before, 1007), (after, 1007)].map(|(version, code)| {
        let what = format!("version {version:#06x}, return code {code}");
        (what, version, fake::return_code(version, code))
    });
    // Slurm 25.11 and later take what they don't know for HTTP.
    let http = b"HTTP/1.1 405 NOT ALLOWED\r\n\r\n".to_vec();
    let others = [("hangs up", Vec::new()), ("speaks HTTP", http)]
        .map(|(what, bytes)| (what.to_owned(), before, bytes));
    for (what, version, refusal) in codes.into_iter().chain(others) {
        let answers = |site: &Site| {
            Ok(vec![
                Answer::new(Signed::of(older).bytes_of(site, version)?).to(version),
                Answer::new(refusal.as_slice()),
            ])
        };
        let ours = Landing::Job(older);
        both_with(site, &what, answers, "", ours, Some(theirs))?;
    }
    Ok(())
}

/// Asked in this version, it answers in one in which a credential is for any message.
fn answered_in_36(site: &mut Site, older: u32, newer: u32) -> Result<()> {
    let what = "answers in 36";
    let answers = |site: &Site| {
        let answer = Signed::of(older).bytes_of(site, Suite::Bullseye.protocol())?;
        Ok(vec![Answer::new(answer)])
    };
    let login = both_with(site, what, answers, "", Landing::Job(newer), None)?;
    site.says(what, &login, NOT_KNOWN);
    Ok(())
}

fn not_asked_for_ever(site: &mut Site, newer: u32) -> Result<()> {
    let before = fake::version_before(site.suite());
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
}

/// The source's slurmd is of an older release than everything here: it hangs up on a newer version.
pub fn older_release(suite: Suite, old: Suite) -> Result<()> {
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
pub fn older_steps(suite: Suite, old: Suite) -> Result<()> {
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
pub fn tls(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    let login = with_line(site, "TLSType=tls/s2n", |site| {
        site.call(Source::Job(1, job), IPV4, Module::Ours, "")
    })?;
    site.judge("TLS", &login, Landing::Job(newer));
    site.says("TLS", &login, "TLSType=tls/s2n is not supported");
    Ok(())
}
