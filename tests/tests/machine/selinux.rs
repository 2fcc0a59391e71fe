//! SELinux, enforcing Debian's policy with the modules of packaging/selinux. It enforces in the tests of [`crate::rows`]
//! too. After each, nothing that sshd needs may have been denied.

use anyhow::{Context, Result, ensure};
use lab::{Policy, Status};
use tests::CLI;
use tests::session::{Lines, Method};

use crate::Test;
use crate::site::{AS_ADVISED, Job, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("SELinux allows what options need", options),
    ("SELinux without the policy", without_policy),
    ("SELinux without /run/slurm-adopt", without_state),
    ("SELinux and a job with its own /tmp", containers),
    ("SELinux and a runtime directory that is left", runtime_dirs),
];

const STATE_TYPE: &str = "slurm_adopt_runtime_t";
/// Prints a process's or a file's type.
const TYPE: &str = "cut -d : -f 3";

/// Caller ID, limits and the runtime directory, each with the domain that it happens in.
fn options(site: &mut Site) -> Result<()> {
    ensure!(site.sh("getenforce")? == "Enforcing\n", "SELinux enforces");
    state_made_at_boot(site)?;
    site.set_up(AS_ADVISED)?;
    site.add_options("action_unknown=deny limits=job environment=allocation runtime_dir=create")?;
    site.without_pam_systemd()?;
    let done = login_from_job(site);
    site.with_pam_systemd()?;
    done
}

/// systemd-tmpfiles makes /run/slurm-adopt with the type that logins use, at boot and again.
fn state_made_at_boot(site: &mut Site) -> Result<()> {
    let look = "echo $(stat --format '%a %U' /run/slurm-adopt) $(stat --format %C /run/slurm-adopt | cut -d : -f 3)";
    let made = site.sh(&format!(
        "{look}; rm -rf /run/slurm-adopt; systemd-run --quiet --wait systemd-tmpfiles --create slurm-adopt.conf; {look}
         # The logins of this test make it themselves.
         rm -rf /run/slurm-adopt"
    ))?;
    let line = format!("700 root {STATE_TYPE}\n");
    ensure!(made == line.repeat(2), "{made}");
    Ok(())
}

/// One of two jobs, with a limit of its own, logs in to the node.
fn login_from_job(site: &mut Site) -> Result<()> {
    site.submit()?;
    site.sh(&format!(
        "cat >/home/alice/job <<'END'
#!/bin/sh
until [ -e /home/alice/go ]; do sleep 0.2; done
ssh -p {} node1 'cat /proc/self/cgroup; ulimit -Sn; echo $SLURM_JOB_NODELIST
    stat --format %C $XDG_RUNTIME_DIR | {TYPE}; ps -C sshd-session -o label= | {TYPE} | sort -u
' >.told 2>&1
mv .told told
sleep 100000
END
         rm -f /home/alice/told /home/alice/go; chown -R alice: /home/alice",
        Method::PublicKey.port()
    ))?;
    let job = site.submit_with(
        "--chdir=/home/alice /home/alice/job",
        "prlimit --nofile=777:888",
    )?;
    let told = site.sh(
        "touch /home/alice/go; until [ -e /home/alice/told ]; do sleep 0.2; done
         cat /home/alice/told",
    )?;
    let lines: Vec<&str> = told.lines().collect();
    let [cgroup, "777", "node1", "user_runtime_t", "sshd_t"] = lines[..] else {
        anyhow::bail!("{told}{}", site.log()?);
    };
    ensure!(job.has(cgroup), "{told}");
    let label = site.sh(&format!(
        "stat --format %C /run/slurm-adopt /run/slurm-adopt/node | {TYPE} | sort -u"
    ))?;
    ensure!(label == format!("{STATE_TYPE}\n"), "{label}");
    // From elsewhere neither job is meant.
    let login = site.client(Method::PublicKey, &["ssh", "node1", "true"])?;
    ensure!(login.status == Status::Exited(255), "{login}");
    Ok(())
}

/// A user with a job is kept out; the log and `slurm-adopt check` say that SELinux is the cause, and what to load.
fn without_policy(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.submit()?;
    site.sh(&format!("rm -rf /run/slurm-adopt; {}", Policy::SWITCH))?;
    let done = kept_out(site);
    // The denials are meant.
    site.sh(&format!("{}dmesg --clear", Policy::SWITCH))?;
    done?;
    let login = site.log_in(Method::PublicKey)?;
    ensure!(login.shell.is_some(), "with the policy: {login}");
    Ok(())
}

fn kept_out(site: &mut Site) -> Result<()> {
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        let login = site.client(method, &["ssh", "node1", "true"])?;
        ensure!(login.status == Status::Exited(255), "{method}: {login}");
        let text = login.to_string();
        ensure!(text.contains("tell your administrator"), "{text}");
        let log = site.log()?;
        let text = "reason=\"spool directory: read /var/spool/slurmd: Permission denied (os error 13); \
                    SELinux is enforcing: is slurm_adopt.cil loaded?";
        ensure!(log.contains(text), "{method}: {log}");
    }
    let told = site.sh(&format!(
        "journalctl --sync; {CLI} check --only SA700,SA701,SA702 || echo status $?"
    ))?;
    // Its lines are folded.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "SA700 SELinux enforces a policy without the rules",
        "SA701 SELinux denied sshd",
        "semodule -i /usr/share/selinux/packages/slurm-adopt/*.cil",
        "status 2",
    ] {
        ensure!(told.contains(text), "not told: {text}\n{told}");
    }
    Ok(())
}

/// Where notes cannot be kept, a login whose phases share a process needs none; another one is denied, with the reason.
fn without_state(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let job = site.submit()?;
    // As if no rule of the policy named the directory.
    site.sh("rm -rf /run/slurm-adopt; mkdir -m 700 /run/slurm-adopt; chcon -t shadow_t /run/slurm-adopt")?;
    let done = logins_without_state(site, &job);
    site.sh("rm -rf /run/slurm-adopt; dmesg --clear")?;
    done
}

fn logins_without_state(site: &mut Site, job: &Job) -> Result<()> {
    for method in Method::ALL {
        let login = site.log_in(method)?;
        let log = site.log()?;
        let reason = "/run/slurm-adopt: Permission denied (os error 13); SELinux is enforcing";
        match method.is_keyboard_interactive() {
            false => {
                let shell = login.shell.as_ref().with_context(|| login.to_string())?;
                ensure!(job.has(&shell.cgroup), "{login}");
            }
            true => ensure!(
                login.shell.is_none() && log.contains(reason),
                "{login}\n{log}"
            ),
        }
    }
    let told = site.sh(&format!("{CLI} check --only SA702 || echo status $?"))?;
    let text = "/run/slurm-adopt is shadow_t, not slurm_adopt_runtime_t";
    ensure!(told.contains(text), "not told: {text}\n{told}");
    Ok(())
}

/// Logins enter the job's mount namespace.
fn containers(site: &mut Site) -> Result<()> {
    site.sh(
        "cp /etc/slurm/slurm.conf /root/slurm.conf
         echo JobContainerType=job_container/tmpfs >>/etc/slurm/slurm.conf
         printf 'AutoBasePath=true\\nBasePath=/var/lib/containers\\n' >/etc/slurm/job_container.conf",
    )?;
    site.restart_slurm()?;
    let done = login_into_container(site);
    site.sh(
        "scancel --user=alice; while [ \"$(squeue --noheader)\" ]; do sleep 0.2; done
             cp /root/slurm.conf /etc/slurm/slurm.conf; rm /etc/slurm/job_container.conf",
    )?;
    site.restart_slurm()?;
    done
}

fn login_into_container(site: &mut Site) -> Result<()> {
    let lines = [Lines::Account, Lines::Both];
    for lines in lines {
        site.set_up(Setup {
            lines,
            ..AS_ADVISED
        })?;
        let job = site.submit_with(
            "--chdir=/tmp --wrap='touch /tmp/of-job; sleep 100000'",
            "env",
        )?;
        for method in [Method::PublicKey, Method::KeyboardInteractive] {
            if lines == Lines::Account && method.is_keyboard_interactive() {
                continue;
            }
            let login = site.client(method, &["ssh", "node1", "ls /tmp"])?;
            ensure!(
                login.stdout == "of-job\n",
                "{method}: {login}{}",
                site.log()?
            );
        }
        site.cancel(&job)?;
    }
    Ok(())
}

/// The runtime directory of a user whose job has ended is unmounted and removed by the next login.
fn runtime_dirs(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.add_options("runtime_dir=create")?;
    site.without_pam_systemd()?;
    let done = leave_runtime_dir(site);
    site.with_pam_systemd()?;
    done
}

fn leave_runtime_dir(site: &mut Site) -> Result<()> {
    // Without logind nobody has made the parent.
    site.sh("for dir in /run/user/*; do umount -q $dir || true; done; rm -rf /run/user")?;
    let job = site.submit()?;
    let script = format!("stat --format %C /run/user $XDG_RUNTIME_DIR | {TYPE}");
    let login = site.client(Method::PublicKey, &["ssh", "node1", &script])?;
    ensure!(
        login.stdout == "user_runtime_root_t\nuser_runtime_t\n",
        "{login}{}",
        site.log()?
    );
    site.cancel(&job)?;
    site.sh("while pgrep -u alice; do sleep 0.2; done; ls -d /run/user/2001")?;
    let left = site.sh(&format!(
        "runuser -u bob -- sbatch --chdir=/tmp --output=/dev/null --wrap='sleep 100000' >&2
         until pgrep -u bob sleep >/dev/null; do sleep 0.2; done
         runuser -u bob -- ssh -p {} node1 ls /run/user
         scancel --user=bob; while pgrep -u bob >/dev/null; do sleep 0.2; done
         umount /run/user/2002; rmdir /run/user/2002",
        Method::PublicKey.port()
    ))?;
    ensure!(left == "2002\n", "{left}{}", site.log()?);
    Ok(())
}
