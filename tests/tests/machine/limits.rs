//! `limits=job` with cgroup v2, where a step's stepd is in the step's cgroup too.

use anyhow::{Result, ensure};
use tests::session::Method;

use crate::Test;
use crate::site::{AS_ADVISED, STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[("limits=job gives the job's limits", same)];

const LIMITS: &str = "for x in n l s; do ulimit -S$x; ulimit -H$x; done";

fn same(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let of_job = site.sh(&format!(
        "cat >/home/alice/job <<'END'
#!/bin/bash
({LIMITS}) >.limits
mv .limits limits
exec sleep 100000
END
         rm -f /home/alice/limits; chown -R alice: /home/alice
         runuser -u alice -- prlimit --nofile=777:888 sbatch --chdir=/home/alice \
             --output=/dev/null --mem=200 /home/alice/job
         until [ -e /home/alice/limits ]; do sleep 0.2; done
         tail -n +1 /home/alice/limits"
    ))?;
    // sbatch has a line of its own.
    let of_job = of_job
        .lines()
        .skip(1)
        .fold(String::new(), |all, it| all + it + "\n");
    ensure!(of_job.starts_with("777\n"), "of the job: {of_job}");
    site.sh(&format!(
        "sed -i '/^session.*{STRICT}/s/$/ limits=job/' /etc/pam.d/sshd; grep limits=job /etc/pam.d/sshd"
    ))?;
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        let login = site.client(method, &["ssh", "node1", LIMITS])?;
        ensure!(
            login.stdout == of_job,
            "{method}: {login}, the job's are {of_job}"
        );
    }
    Ok(())
}
