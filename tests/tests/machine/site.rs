//! A machine with an sshd for each way in, and logins there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Output, Policy, Suite, SystemdNode};
use tests::session::{ASKPASS, Lines, Method, Shell};
use tests::{Module, dist};

/// Options under which nobody gets in who was not adopted.
pub const STRICT: &str = "action_adopt_failure=deny action_generic_failure=deny";
/// In the place of users' service managers, as shipped.
const NO_MANAGER: &str =
    include_str!("../../../packaging/systemd/user@.service.d/slurm_adopt.conf");
const ROOTS_MANAGER: &str =
    include_str!("../../../packaging/systemd/user@0.service.d/slurm_adopt.conf");
const UNITS: &str = "/etc/systemd/system";
/// Has systemd make /run/slurm-adopt when it boots, as shipped.
const TMPFILES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../packaging/tmpfiles.d/slurm-adopt.conf"
);
/// How long what is to come of something may take on an emulated machine.
pub const SETTLE: Duration = Duration::from_secs(40);

/// How logins are set up there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    pub module: Module,
    pub lines: Lines,
    /// Without service managers of users, and with a line for su(1).
    pub closed: bool,
}

/// As docs/session.md has it.
pub const AS_ADVISED: Setup = Setup {
    module: Module::Ours,
    lines: Lines::Both,
    closed: true,
};
/// As SchedMD's module is set up.
pub const SCHEDMDS: Setup = Setup {
    module: Module::SchedMd,
    lines: Lines::Account,
    closed: false,
};

/// The machine and Debian's own stacks.
pub struct Site {
    node: SystemdNode,
    sshd: String,
    su: String,
    logins: u32,
    /// SELinux has Debian's policy, with our modules.
    has_selinux: bool,
}

impl Site {
    pub fn start(suite: Suite) -> Result<Self> {
        let has_selinux = suite == lab::selinux::SUITE;
        Self::set_up_on(has_selinux, |files| match has_selinux {
            true => SystemdNode::start_enforcing(&policy()?, files),
            false => SystemdNode::start(suite, files),
        })
    }

    /// A machine with Podman, without SELinux.
    pub fn start_with_podman(suite: Suite) -> Result<Self> {
        Self::set_up_on(false, |files| SystemdNode::start_with_podman(suite, files))
    }

    /// Prepares a machine that is started with the files under test.
    fn set_up_on(
        has_selinux: bool,
        start: impl FnOnce(&[(&Path, &str)]) -> Result<SystemdNode>,
    ) -> Result<Self> {
        let module = dist("pam_slurm_adopt.so")?;
        let program = dist("slurm-adopt")?;
        let tmpfiles = Path::new(TMPFILES);
        let mut node = start(&[
            (&*module, tests::OURS),
            (&*program, tests::CLI),
            (tmpfiles, "/usr/lib/tmpfiles.d/slurm-adopt.conf"),
        ])?;
        if has_selinux {
            // Debian's policy lets sshd listen at port 22.
            node.sh("setsebool sshd_port_forwarding on; dmesg --clear")?;
        }
        let (askpass, text) = ASKPASS;
        node.write(askpass, text)?;
        // An emulated machine is slow.
        node.write(
            "/etc/security/slurm_adopt.conf",
            "timeout=60\ncallerid_timeout=60\n",
        )?;
        let ports = Method::ALL.map(|it| format!("Port {}\n", it.port()));
        let methods = Method::ALL.map(|it| {
            let port = it.port();
            format!("Match LocalPort {port}\nAuthenticationMethods {it}\n")
        });
        let lines = [ports.concat(), methods.concat()].concat();
        node.sh(&format!(
            "chmod 755 {askpass}; echo '{lines}' >>/etc/ssh/sshd_config; systemctl restart ssh"
        ))?;
        let sshd = node.sh("cat /etc/pam.d/sshd")?;
        let su = node.sh("cat /etc/pam.d/su")?;
        let logins = 0;
        Ok(Self {
            node,
            sshd,
            su,
            logins,
            has_selinux,
        })
    }

    pub fn suite(&self) -> Suite {
        self.node.suite()
    }

    /// Has SELinux enforce its policy, or only log what it would deny.
    pub fn enforce(&mut self, enforces: bool) -> Result<()> {
        if self.has_selinux {
            self.sh(&format!("setenforce {}", u8::from(enforces)))?;
        }
        Ok(())
    }

    /// Runs a script of bash there as root.
    pub fn sh(&mut self, script: &str) -> Result<String> {
        self.node.sh(script)
    }

    /// Writes a file there.
    pub fn write(&mut self, path: &str, text: &str) -> Result<()> {
        self.node.write(path, text)
    }

    /// Puts the module's lines where docs/session.md has them: each the last of its kind.
    pub fn set_up(&mut self, setup: Setup) -> Result<()> {
        let Setup {
            module,
            lines,
            closed,
        } = setup;
        let line =
            |kind: &str, more: &str| format!("{kind} required {} {STRICT}{more}\n", module.path());
        let common = "@include common-account\n";
        let (before, after) = self
            .sshd
            .split_once(common)
            .context("a stack of Debian's")?;
        let account = match lines {
            Lines::Session => String::new(),
            _ => line("account", ""),
        };
        let session = match lines {
            Lines::Account => String::new(),
            _ => line("session", ""),
        };
        let sshd = [before, common, &account, after, &session].concat();
        self.node.write("/etc/pam.d/sshd", &sshd)?;
        let su = match closed {
            true => [self.su.as_str(), &line("session", " service=su,su-l")].concat(),
            false => self.su.clone(),
        };
        self.node.write("/etc/pam.d/su", &su)?;
        for (unit, text) in [("user@", NO_MANAGER), ("user@0", ROOTS_MANAGER)] {
            let path = format!("{UNITS}/{unit}.service.d/slurm_adopt.conf");
            match closed {
                true => self.node.write(&path, text)?,
                false => self.node.sh(&format!("rm -f {path}")).map(drop)?,
            }
        }
        self.node.sh("systemctl daemon-reload").map(drop)
    }

    /// Adds options to the module's lines.
    pub fn add_options(&mut self, options: &str) -> Result<()> {
        let file = "/etc/pam.d/sshd";
        let script =
            format!("sed -i '/{STRICT}/s/$/ {options}/' {file}; grep -c '{options}' {file}");
        self.sh(&script).map(drop)
    }

    /// A job of alice's with one core and 200 MB. Its extern step listens when this returns.
    pub fn submit(&mut self) -> Result<Job> {
        self.submit_with("--chdir=/tmp --wrap='exec sleep 100000'", "env")
    }

    /// Such a job with more options of sbatch, which runs below that command.
    pub fn submit_with(&mut self, options: &str, below: &str) -> Result<Job> {
        let id = self.node.sh(&format!(
            "job=$(runuser -u alice -- {below} sbatch --parsable --output=/dev/null \
                 --ntasks=1 --mem=200 {options})
             until ls /var/spool/slurmd/*_$job.4294967292 >/dev/null 2>&1; do sleep 0.2; done
             echo $job"
        ))?;
        let id = id.trim().parse().context("a job's number")?;
        let step = self.node.sh(&format!(
            "for pid in $(pgrep -f '^slurmstepd: \\[{id}\\.extern\\]'); do
                 sed -n 's,^0::\\(.*/step_extern\\)/.*,\\1,p' /proc/$pid/cgroup
             done | head -n 1"
        ))?;
        let step = step.trim().to_owned();
        ensure!(!step.is_empty(), "job {id} has no extern step");
        Ok(Job { id, step })
    }

    /// Ends a job, and waits until nothing is in its extern step. The directory may stay: on a busy host
    /// that of Slurm 24.11 was once there after two minutes.
    pub fn cancel(&mut self, job: &Job) -> Result<()> {
        let step = &job.step;
        self.node
            .sh(&format!(
                "scancel {}
                 while grep -qs 'populated 1' /sys/fs/cgroup{step}/cgroup.events; do sleep 0.2; done",
                job.id
            ))
            .map(drop)
    }

    /// Has alice's ssh, scp or sftp run to its end, by that method to the node itself.
    pub fn client(&mut self, method: Method, argv: &[&str]) -> Result<Output> {
        let command = client(method, argv);
        self.node.run(&command)
    }

    /// The same in the background; what it says goes to these two files.
    pub fn start_client(&mut self, method: Method, argv: &[&str]) -> Result<[String; 2]> {
        self.logins += 1;
        let [out, err] = ["out", "err"].map(|it| format!("/run/login-{}.{it}", self.logins));
        let command = client(method, argv);
        self.node
            .sh(&format!("{command} >{out} 2>{err} & echo $! >{out}.pid"))?;
        Ok([out, err])
    }

    /// Opens a shell that tells of itself and stays.
    pub fn log_in(&mut self, method: Method) -> Result<Login> {
        let [out, err] = self.start_client(
            method,
            &["ssh", lab::systemd_node::NODE, Shell::LOOK_AROUND],
        )?;
        let told = self.node.sh(&format!(
            "until [ \"$(tail -n 1 {out})\" = END ]; do
                 kill -0 $(cat {out}.pid) 2>/dev/null || break
                 sleep 0.2
             done
             cat {out}"
        ))?;
        Ok(Login {
            method,
            shell: Shell::parse(&told)?,
            stderr: self.node.sh(&format!("cat {err}"))?,
        })
    }

    /// What of a login is still there.
    pub fn alive(&mut self, shell: &Shell) -> Result<String> {
        let running = self.node.sh("ls /proc")?;
        shell.those(|pid| Ok(running.lines().any(|it| it == pid.to_string())))
    }

    /// Waits until something is so; says whether it came to be.
    pub fn wait_for(&mut self, mut done: impl FnMut(&mut Self) -> Result<bool>) -> Result<bool> {
        let end = Instant::now() + SETTLE;
        while !done(self)? {
            if Instant::now() > end {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(true)
    }

    /// What the module has logged of late.
    pub fn log(&mut self) -> Result<String> {
        self.sh("journalctl --sync; journalctl -n 40 -o cat SYSLOG_FACILITY=10 | grep pam_slurm_adopt || true")
    }

    /// Starts slurmctld and slurmd again, with another slurm.conf.
    pub fn restart_slurm(&mut self) -> Result<()> {
        let script = "systemctl restart slurmctld slurmd
                      until [ \"$(sinfo --noheader --format=%T)\" = idle ]; do sleep 0.2; done";
        self.sh(script).map(drop)
    }

    /// Takes pam_systemd out of the stacks, and what it has made for alice.
    pub fn without_pam_systemd(&mut self) -> Result<()> {
        self.sh("cp /etc/pam.d/common-session /root/common-session
                 sed -i /pam_systemd/d /etc/pam.d/common-session
                 systemctl stop user@2001.service user-runtime-dir@2001.service")
            .map(drop)
    }

    /// Puts it back. Nobody else removes a runtime directory of ours here.
    pub fn with_pam_systemd(&mut self) -> Result<()> {
        // A file that is moved keeps the label of /root, and sshd may not read it.
        self.sh("cp /root/common-session /etc/pam.d/common-session
                 scancel --user=alice; while pkill -KILL -u alice; do sleep 0.2; done
                 while umount -q /run/user/2001; do :; done; rm -rf /run/user/2001")
            .map(drop)
    }

    /// Fails if SELinux has denied what sshd needs.
    fn look_for_denials(&mut self) -> Result<()> {
        // pam_keyinit looks for the session keyring that sshd has of PID 1.
        let denied = self.sh(
            "dmesg --read-clear | grep 'avc:.*scontext=[^ ]*:sshd.* permissive=0' | grep -v tclass=key || true",
        )?;
        ensure!(denied.is_empty(), "SELinux denied: {denied}");
        Ok(())
    }

    /// Has all jobs, and all that is left of alice's, end.
    pub fn finish(&mut self) -> Result<()> {
        if self.has_selinux {
            self.look_for_denials()?;
        }
        self.node
            .sh("scancel --user=alice
                 loginctl disable-linger alice
                 echo waiting for the jobs, >&2
                 until [ -z \"$(squeue --noheader)\" ]; do sleep 0.2; done
                 echo the processes, >&2
                 while pkill -KILL -u alice; do sleep 0.2; done
                 echo the service manager, >&2
                 systemctl stop user@2001.service
                 echo the runtime directory >&2
                 while [ -d /run/user/2001 ]; do sleep 0.2; done
                 rm -f /run/login-*")
            .map(drop)
    }
}

/// The modules of packaging/selinux.
fn policy() -> Result<Policy> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/selinux");
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(dir).context(dir)? {
        let path = entry.context(dir)?.path();
        modules.extend(Some(path).filter(|it| it.extension().is_some_and(|it| it == "cil")));
    }
    ensure!(modules.len() == 3, "{dir} has {modules:?}");
    Ok(Policy { modules })
}

/// A command of the shell that runs alice's client.
fn client(method: Method, argv: &[&str]) -> String {
    let mut words = vec!["env".to_owned(), "USER=alice".to_owned()];
    words.extend(Method::ENV.map(|(name, value)| format!("{name}={value}")));
    words.extend(method.arguments(argv));
    let quoted = words
        .iter()
        .map(|it| format!("'{}'", it.replace('\'', r"'\''")));
    format!(
        "runuser -u alice -- {}",
        quoted.collect::<Vec<_>>().join(" ")
    )
}

/// A job that runs.
pub struct Job {
    pub id: u32,
    /// The cgroup of its extern step.
    pub step: String,
}

impl Job {
    /// Whether a process with this cgroup, as /proc/PID/cgroup has it, is in the extern step.
    pub fn has(&self, cgroup: &str) -> bool {
        let path = cgroup.trim().strip_prefix("0::").unwrap_or_default();
        let rest = path.strip_prefix(&self.step);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// A login that got in, or was kept out.
pub struct Login {
    pub method: Method,
    /// None: kept out.
    pub shell: Option<Shell>,
    pub stderr: String,
}

impl std::fmt::Display for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shell = self.shell.as_ref();
        let (cgroup, env) = shell.map_or(("kept out", ""), |it| (it.cgroup.trim(), &it.env));
        write!(
            f,
            "{}: {cgroup} '{}'\n{env}",
            self.method,
            self.stderr.trim()
        )
    }
}
