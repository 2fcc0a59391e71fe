//! Suspended jobs, as Slurm suspends them with cgroup v2.

use anyhow::{Result, ensure};
use tests::session::Method;
use tests::suspended::{as_before, begin, freeze_when_asked, frozen, resume};

use crate::Test;
use crate::site::{AS_ADVISED, Site};

pub const TESTS: &[(&str, Test)] = &[("suspended jobs", suspended)];

/// Who has a suspended job alone is told so; who has another gets into that, also where the first is
/// suspended in the very moment.
fn suspended(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let job = site.submit()?;
    site.sh(&begin(job.id))?;
    site.sh(&frozen(job.id))?;
    let told = format!("adoption failure (job {} is suspended)", job.id);
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        let output = site.client(method, &["ssh", "node1", "true"])?;
        ensure!(output.stderr.contains(&told), "{method}: {output}");
    }
    site.sh(&resume(job.id))?;

    let newest = site.submit()?;
    site.sh(&freeze_when_asked(newest.id))?;
    let login = site.log_in(Method::PublicKey);
    site.sh(&as_before(newest.id))?;
    let login = login?;
    let shell = login.shell.as_ref();
    ensure!(shell.is_some_and(|it| job.has(&it.cgroup)), "{login}");
    let login = site.log_in(Method::PublicKey)?;
    let shell = login.shell.as_ref();
    ensure!(shell.is_some_and(|it| newest.has(&it.cgroup)), "{login}");
    Ok(())
}
