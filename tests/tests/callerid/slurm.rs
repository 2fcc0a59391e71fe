//! AuthType=auth/slurm: tokens instead of munge's credentials.

use anyhow::Result;
use lab::Suite;

use crate::changes::{with_line, without_slurmd};
use crate::site::{Landing, Site, Source, Theirs};
use crate::words::{Jobs, Signed, both_with};
use crate::{ASKED, CHECKED, NEWEST, NODE2};

const KEY: &str = "a key of thirty-two bytes or more: for a test";

/// Tokens instead of munge's credentials.
pub fn auth_slurm(suite: Suite) -> Result<()> {
    auth_slurm_with(suite, "slurm.key", KEY.as_bytes())
}

/// The same from a set of keys.
pub fn auth_slurm_jwks(suite: Suite) -> Result<()> {
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
    with_line(&mut site, "AuthInfo=disable_sack", |site| {
        site.both(source, NODE2, deny, here, Theirs::Same)
    })?;
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
    let (older, newer, same) = (jobs.older, jobs.newer, Theirs::Same);
    let roots = || Signed::of(older);
    let carols = || roots().by("carol");
    let (other, unsigned) = (carols().forged(), carols().forged_unsigned());
    for (what, signed, ours, theirs) in [
        ("root's token", roots(), older, same),
        ("carol's", carols(), newer, into_older),
        ("for everybody", roots().for_everybody(), newer, into_older),
        ("bob's job", Signed::of(jobs.bobs), newer, into_bobs),
        (
            "another message's",
            roots().signed_for(newer),
            newer,
            unknown,
        ),
        ("carol's with another uid", other, newer, unknown),
        (
            "carol's with another uid, unsigned",
            unsigned,
            newer,
            unknown,
        ),
    ] {
        let answers = |site: &Site| signed.answers(site);
        both_with(site, what, answers, "", Landing::Job(ours), Some(theirs))?;
    }
    Ok(())
}
