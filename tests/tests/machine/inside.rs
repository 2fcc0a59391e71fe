//! What a login has of its job and of systemd, and what both leave behind.

use anyhow::{Context, Result, ensure};
use lab::systemd_node::GPU;
use tests::session::Method;

use crate::Test;
use crate::site::{AS_ADVISED, SCHEDMDS, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("the job's memory, cores and devices", |site| {
        limits(site, AS_ADVISED)
    }),
    ("the job's memory, cores and devices, SchedMD's", |site| {
        limits(site, SCHEDMDS)
    }),
    ("what logind has", logind),
    ("copies and forwarding", forwarding),
    ("who keeps a service manager", managers),
];

/// A process of 400 MB in a job of 200 MB, one core of two and no GPU.
fn limits(site: &mut Site, setup: Setup) -> Result<()> {
    site.set_up(setup)?;
    site.submit()?;
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        let script = format!(
            "nproc; head -c 400M /dev/zero | tail >/dev/null; echo ${{PIPESTATUS[1]}}
             head -c 1 {GPU} >/dev/null; echo $?"
        );
        let output = site.client(method, &["ssh", "node1", &script])?;
        let expected = match setup == AS_ADVISED {
            true => "1\n137\n1\n",
            false => "2\n0\n0\n",
        };
        ensure!(output.stdout == expected, "{method}: {output}");
    }
    Ok(())
}

/// While alice is logged in she has a session and a directory, and afterwards neither.
fn logind(site: &mut Site) -> Result<()> {
    const LOOK: &str = "loginctl list-sessions --no-legend | grep -c alice || true
                        ls -d /run/user/2001 2>/dev/null || echo none";
    site.set_up(AS_ADVISED)?;
    let job = site.submit()?;
    let logins = [
        site.log_in(Method::PublicKey)?,
        site.log_in(Method::Password)?,
    ];
    for (login, left) in logins.iter().zip([1, 0]) {
        let shell = login.shell.as_ref().with_context(|| login.to_string())?;
        ensure!(job.has(&shell.cgroup), "{login}");
        ensure!(
            shell.env.contains("\nXDG_RUNTIME_DIR=/run/user/2001\n"),
            "{login}"
        );
        let looks = site.sh(LOOK)?;
        ensure!(
            looks == format!("{}\n/run/user/2001\n", left + 1),
            "{looks}"
        );
        let [_, _, shell_pid] = shell.pids;
        site.sh(&format!("kill -KILL {shell_pid}"))?;
        let after = match left {
            0 => "0\nnone\n".to_owned(),
            _ => format!("{left}\n/run/user/2001\n"),
        };
        ensure!(
            site.wait_for(|site| Ok(site.sh(LOOK)? == after))?,
            "after the login: {}",
            site.sh(LOOK)?
        );
    }
    // The job ends with a session open.
    let login = site.log_in(Method::KeyboardInteractive)?;
    ensure!(login.shell.is_some(), "{login}");
    site.cancel(&job)?;
    ensure!(
        site.wait_for(|site| Ok(site.sh(LOOK)? == "0\nnone\n"))?,
        "after the job: {}",
        site.sh(LOOK)?
    );
    Ok(())
}

/// Connections without a shell are in the job too.
fn forwarding(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let job = site.submit()?;
    for method in [Method::PublicKey, Method::KeyThenKeyboardInteractive] {
        site.client(method, &["scp", "/etc/passwd", "node1:/tmp/copied"])?
            .ok()?;
        site.sh("cmp /etc/passwd /tmp/copied; rm /tmp/copied")?;
        let forward = ["ssh", "-N", "-L", "5000:127.0.0.1:2201", "node1"];
        let [out, err] = site.start_client(method, &forward)?;
        let through = "exec 4<>/dev/tcp/127.0.0.1/5000 && head -c 4 <&4";
        let came = site.wait_for(|site| {
            let output = site.sh(&format!("({through}) 2>/dev/null || true"))?;
            Ok(output == "SSH-")
        })?;
        ensure!(came, "{method}: {}", site.sh(&format!("cat {err}"))?);
        let cgroups = site.sh("for pid in $(pgrep -u alice '^sshd'); do
                 cat /proc/$pid/cgroup /proc/$(cut -d ' ' -f 4 /proc/$pid/stat)/cgroup
             done")?;
        ensure!(
            cgroups.lines().count() >= 2 && cgroups.lines().all(|it| job.has(it)),
            "{method}: {cgroups}"
        );
        site.sh(&format!("kill $(cat {out}.pid)"))?;
    }
    Ok(())
}

/// Root, and whom the admin names by number; nobody else.
fn managers(site: &mut Site) -> Result<()> {
    const BOBS: &str = "/etc/systemd/system/user@2002.service.d";
    site.set_up(AS_ADVISED)?;
    site.sh(&format!(
        "mkdir -p {BOBS}; touch {BOBS}/slurm_adopt.conf; systemctl daemon-reload"
    ))?;
    let mut seen = Vec::new();
    for uid in [0, 2001, 2002] {
        seen.push(site.sh(&format!(
            "systemctl start user@{uid}.service
             pid=$(systemctl show --property=MainPID --value user@{uid}.service)
             [ $pid = 0 ] && echo none || cat /proc/$pid/comm
             # No session has begun it, so that logind does not end it.
             systemctl stop user@{uid}.service user-runtime-dir@{uid}.service"
        ))?);
    }
    site.sh(&format!("rm -r {BOBS}; systemctl daemon-reload"))?;
    ensure!(seen == ["systemd\n", "none\n", "systemd\n"], "{seen:?}");
    Ok(())
}
