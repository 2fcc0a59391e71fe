//! What logs in while packages come and go, and a loop that looks for the module.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use lab::{Background, poll};

use crate::node::{MODULE, Site};

/// A user that logs in all the time, and a look at the module's file.
pub struct Watch<'a> {
    site: &'a Site,
    logins: Background,
    stop: Arc<AtomicBool>,
    look: JoinHandle<Seen>,
}

/// What was seen of the module's file.
#[derive(Debug, Default)]
struct Seen {
    /// The number of looks.
    looks: u64,
    /// The looks that found no file.
    missing: u64,
    /// The sizes of the files that were found.
    sizes: BTreeSet<u64>,
}

impl<'a> Watch<'a> {
    /// Starts it; alice must have a job.
    pub fn begin(site: &'a Site) -> Result<Self> {
        site.node().sh(&format!("rm -f {STOP}"))?;
        let script = format!("until [ -e {STOP} ]; do {SSH}; echo $?; done");
        let logins = site.node().command(&["/bin/sh", "-c", &script]);
        let stop = Arc::new(AtomicBool::new(false));
        let (path, until) = (
            site.root().join(MODULE.trim_start_matches('/')),
            Arc::clone(&stop),
        );
        Ok(Self {
            site,
            logins: logins.user("alice").spawn()?,
            stop,
            look: thread::spawn(move || look(&path, &until)),
        })
    }

    /// Waits for some more logins.
    pub fn wait(&self) -> Result<()> {
        let count = || Ok::<_, anyhow::Error>(self.logins.stdout()?.lines().count());
        let before = count()?;
        poll::until_true("more logins", Duration::from_secs(60), || {
            Ok(count()? > before + 1)
        })
    }

    /// Ends it, and checks that each login succeeded and that a whole module was there at every look.
    pub fn end(mut self, modules: &[&[u8]]) -> Result<()> {
        self.site.node().write(STOP, "", 0o644)?;
        let ended = self.logins.wait(Duration::from_secs(30))?;
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.look.join().map_err(|_| anyhow!("the look panicked"))?;
        ensure!(ended.is_some(), "a login hangs: {}", self.logins.stderr()?);
        let logins = self.logins.stdout()?;
        let failed = logins.lines().filter(|it| *it != "0").count();
        ensure!(
            failed == 0,
            "{failed} logins failed: {}",
            self.logins.stderr()?
        );
        ensure!(seen.missing == 0 && seen.looks > 1000, "{seen:?}");
        let whole: BTreeSet<u64> = modules.iter().map(|it| it.len() as u64).collect();
        ensure!(seen.sizes == whole, "{seen:?}, expected {whole:?}");
        Ok(())
    }
}

fn look(path: &PathBuf, until: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !until.load(Ordering::Relaxed) {
        seen.looks += 1;
        match fs::metadata(path) {
            Ok(file) => drop(seen.sizes.insert(file.len())),
            Err(_) => seen.missing += 1,
        }
    }
    seen
}

const STOP: &str = "/run/no-more-logins";
/// A login succeeds if it ends up in the job.
const SSH: &str =
    "ssh -o BatchMode=yes -o ConnectTimeout=20 node1 grep -q step_extern /proc/self/cgroup";
