//! Where logins are to land with either module. What does not is noted, and the test goes on.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::Module;

use crate::site::{Address, Landing, Login, Site, Source};

/// What SchedMD's module does.
#[derive(Debug, Clone, Copy)]
pub enum Theirs<'a> {
    /// What ours does.
    Same,
    /// One of these; docs/differences.md has the reason under that heading.
    Differs(&'a str, &'a [Landing]),
}

impl Site {
    /// Both modules, by ssh; the login with ours.
    pub fn both(
        &mut self,
        source: Source,
        to: &str,
        options: &str,
        ours: Landing,
        theirs: Theirs<'_>,
    ) -> Result<Login> {
        let what = format!("ssh {to} from {source:?}, '{options}'");
        let login = |site: &Self, module| site.ssh(source, to, module, options);
        self.both_by(&what, login, ours, Some(theirs))
    }

    /// Both modules, without sshd; the login with ours.
    pub fn both_called(
        &mut self,
        source: Source,
        to: Address,
        options: &str,
        ours: Landing,
        theirs: Theirs<'_>,
    ) -> Result<Login> {
        let what = format!("{} from {source:?}, '{options}'", to.connect);
        let login = |site: &Self, module| site.call(source, to, module, options);
        self.both_by(&what, login, ours, Some(theirs))
    }

    /// Both modules, by such a login; the one with ours. SchedMD's has no turn where it is not said what it does.
    pub fn both_by(
        &mut self,
        what: &str,
        login: impl Fn(&Self, Module) -> Result<Login>,
        ours: Landing,
        theirs: Option<Theirs<'_>>,
    ) -> Result<Login> {
        if let Some(theirs) = theirs {
            let login = login(self, Module::SchedMd)?;
            self.judge_theirs(what, &login, ours, theirs)?;
        }
        let login = login(self, Module::Ours)?;
        self.judge(what, &login, ours);
        Ok(login)
    }

    /// Notes it if ours landed elsewhere.
    pub fn judge(&mut self, what: &str, login: &Login, expected: Landing) {
        if login.landing != expected {
            self.fail(format!(
                "{what}: ours: {:?}, expected {expected:?}: {}",
                login.landing, login.log
            ));
        }
    }

    /// Notes it if SchedMD's landed elsewhere.
    pub fn judge_theirs(
        &mut self,
        what: &str,
        login: &Login,
        ours: Landing,
        theirs: Theirs<'_>,
    ) -> Result<()> {
        let same = [ours];
        let (expected, heading) = match theirs {
            Theirs::Same => (&same[..], None),
            Theirs::Differs(heading, landings) => (landings, Some(heading)),
        };
        if let Some(heading) = heading {
            let known = include_str!("../../../../docs/differences.md");
            let anchor = format!("<a id=\"{heading}\"></a>");
            ensure!(
                known.contains(&anchor),
                "docs/differences.md has no {anchor}"
            );
        }
        if !expected.contains(&login.landing) {
            self.fail(format!(
                "{what}: SchedMD's: {:?}, expected one of {expected:?}: {}",
                login.landing, login.log
            ));
        }
        Ok(())
    }

    /// Notes it unless our line in the log has that.
    pub fn says(&mut self, what: &str, login: &Login, text: &str) {
        self.expect(
            login.log.contains(text),
            format!("{what}: the log lacks '{text}': {}", login.log),
        );
    }

    /// Makes a PAM call, and notes it if that took so long. Not a measurement: who waits where it should not, waits
    /// for a second more at least. On a busy host the quickest of several counts.
    pub fn quick(
        &mut self,
        what: &str,
        limit: Duration,
        login: impl Fn(&mut Self) -> Result<Login>,
    ) -> Result<Login> {
        let mut last = login(self)?;
        for _ in 0..5 {
            if last.in_pam.is_some_and(|it| it < limit) {
                return Ok(last);
            }
            last = login(self)?;
        }
        self.fail(format!("{what}: took {last:?}"));
        Ok(last)
    }

    /// Notes that something is not as it should be; the test goes on.
    pub fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Notes it unless it is so.
    pub fn expect(&mut self, so: bool, what: impl fmt::Display) {
        if !so {
            self.fail(what.to_string());
        }
    }

    /// What was noted, as an error; and no jobs are left.
    pub fn finish(&mut self) -> Result<()> {
        let failures = std::mem::take(&mut self.failures);
        self.cluster.cancel_all().context("clean up after a test")?;
        ensure!(failures.is_empty(), "\n{}", failures.join("\n"));
        Ok(())
    }
}
