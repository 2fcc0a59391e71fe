//! What a fake slurmd on node3 says of a job, and both modules' logins with it.

use anyhow::{Context, Result};

use crate::fake::{self, Answer, Credential, Fake, RESPONSE_CALLERID};
use crate::site::{IPV4, Landing, Login, Site, Source, Theirs};

/// Who asks a liar, and what about.
pub struct Jobs {
    /// Alice's older one on node2.
    pub older: u32,
    /// Alice's newer one there.
    pub newer: u32,
    /// Bob's there.
    pub bobs: u32,
    /// Alice's on node1.
    pub elsewhere: u32,
}

/// Both modules' logins, with the fake started anew for each: a credential is good once. The login with ours.
pub fn both_with(
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
    site.both_by(what, login, ours, theirs)
}

/// An answer in the suite's own version with a credential as slurmd makes it, or nearly.
pub struct Signed<'a> {
    /// The job that it names.
    job: u32,
    by: &'a str,
    /// Only root may decode its credential.
    restricted: bool,
    signed_for: u32,
    kind: u16,
    /// The node's name in the answer.
    node: Option<&'a str>,
    /// Its token is made one of root's: signed for other claims (`Some(false)`), or not at all.
    forged: Option<bool>,
}

impl<'a> Signed<'a> {
    /// As slurmd of node3 makes it.
    pub fn of(job: u32) -> Self {
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

    /// That user has the credential made.
    pub fn by(self, by: &'a str) -> Self {
        Self { by, ..self }
    }

    /// Everybody may decode it.
    pub fn for_everybody(self) -> Self {
        Self {
            restricted: false,
            ..self
        }
    }

    /// The credential is for an answer that names this job.
    pub fn signed_for(self, signed_for: u32) -> Self {
        Self { signed_for, ..self }
    }

    /// The credential is for an answer of this type.
    pub fn of_kind(self, kind: u16) -> Self {
        Self { kind, ..self }
    }

    /// The answer names no node.
    pub fn without_node(self) -> Self {
        Self { node: None, ..self }
    }

    /// Its token is made one of root's, signed for other claims.
    pub fn forged(self) -> Self {
        Self {
            forged: Some(false),
            ..self
        }
    }

    /// Its token is made one of root's, unsigned.
    pub fn forged_unsigned(self) -> Self {
        Self {
            forged: Some(true),
            ..self
        }
    }

    /// The fake's only answer, to every message; in the suite's own version.
    pub fn answers(&self, site: &Site) -> Result<Vec<Answer>> {
        let bytes = self.bytes_of(site, site.suite().protocol())?;
        Ok(vec![Answer::new(bytes)])
    }

    /// The answer in that version.
    pub fn bytes_of(&self, site: &Site, version: u16) -> Result<Vec<u8>> {
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
