//! A whole machine with systemd and only cgroup v2, emulated by QEMU, that runs one command.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::qemu::{self, Scratch, copy, make_dir, write};
use crate::roots;
use crate::suite::Suite;

/// A test program for clusters, and a filter that selects the tests whose names contain it.
#[derive(Clone, Debug)]
pub struct TestProgram {
    /// Path on the host.
    pub program: PathBuf,
    /// Part of the tests' names; empty selects all.
    pub filter: String,
}

impl FromStr for TestProgram {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (program, filter) = text.split_once('=').context("no PROGRAM=FILTER")?;
        Ok(Self {
            program: program.into(),
            filter: filter.into(),
        })
    }
}

/// Returns the root of the machine's own Debian; makes it if it does not exist.
pub fn root() -> Result<PathBuf> {
    roots::build("vm", Suite::Trixie, qemu::PACKAGES)
}

/// Path of the checkout in the machine.
const CHECKOUT: &str = "/srv/slurm-adopt";
/// Line before the command's output.
const BEGINS: &str = "The command begins.";
/// Text before the exit status, on the line after the command's output.
const ENDED: &str = "The command ended with exit status ";

/// A machine that runs one command in a checkout and then switches off.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Suite of the nodes' root. The machine itself is always Debian trixie.
    pub suite: Suite,
    /// Files of the host, with their paths in the checkout. The lab's program is always included.
    pub files: Vec<(PathBuf, String)>,
    /// Shell command that it runs in the checkout.
    pub command: String,
    /// Time limit for booting and running the command.
    pub limit: Duration,
}

impl Machine {
    /// Prepares a machine that runs the demo, with SchedMD's module unless `module` is given.
    pub fn of_demo(suite: Suite, module: Option<&Path>) -> Result<Self> {
        let here = paths::checkout()?;
        let mut files = vec![
            (here.join("demo"), "demo".to_string()),
            (here.join("lab/host.sh"), "lab/host.sh".to_string()),
        ];
        let mut command = format!("./demo --no-build --suite {suite}");
        match module {
            Some(module) => {
                files.push((module.into(), MODULE.into()));
                command += &format!(" --module {MODULE}");
            }
            None => command += " --module original",
        }
        Ok(Self {
            suite,
            files,
            command,
            limit: Duration::from_secs(600),
        })
    }

    /// Adds test programs to run after the command, with the files that they need from `dist`. All of them
    /// run, even if one fails.
    pub fn add_tests(&mut self, dist: &Path, tests: &[TestProgram]) -> Result<()> {
        for name in ["pam_slurm_adopt.so", "pamcall", "slurm-adopt"] {
            self.files
                .push((dist.join(name), format!("target/dist/{name}")));
        }
        let mut script = format!(
            "SECONDS=0; status=0; {} || status=$?; echo \"test-seconds $SECONDS the demo\"\n\
             export SLURM_ADOPT_MACHINE=1 SLURM_ADOPT_DIST=$PWD/target/dist\n\
             export SLURM_ADOPT_LAB_BIN=$PWD/{PROGRAM}\n",
            self.command
        );
        if let Ok(long) = std::env::var("SLURM_ADOPT_LONG") {
            script += &format!("export SLURM_ADOPT_LONG={}\n", quoted(&[&long]));
        }
        for (number, test) in tests.iter().enumerate() {
            let program = format!("target/test{number}");
            self.files.push((test.program.clone(), program.clone()));
            let filter = Some(&*test.filter).filter(|it| !it.is_empty());
            let arguments: Vec<&str> = filter.into_iter().chain(["--color", "never"]).collect();
            script += &format!("./{program} {} || status=$?\n", quoted(&arguments));
        }
        self.command = format!("({script}exit $status)");
        // Other tests run beside it.
        self.limit = Duration::from_secs(1440);
        Ok(())
    }

    /// Builds the disk, boots, runs the command and checks its exit status; passes each line of its output
    /// to `line`.
    pub fn run(&self, mut line: impl FnMut(&str)) -> Result<()> {
        let root = root()?;
        let nodes = roots::ensure(self.suite)?;
        let dir = Scratch::new("vm")?;
        self.write_checkout(&dir.path.join("upper"))?;
        let image = dir.path.join("disk.img");
        let mount = format!(
            "mount --bind \"$3\" disk{CHECKOUT}/target/lab/roots/{}",
            self.suite
        );
        qemu::make_disk(&dir.path, &root, &image, &mount, nodes.as_os_str())?;
        let mut console = Console::boot(&root, &image)?;
        let status = console.read_until_end(self.limit, &mut line)?;
        if status != "0" {
            bail!(
                "'{}' in the virtual machine ended with exit status {status}",
                self.command
            );
        }
        Ok(())
    }

    /// Writes what the machine has besides its Debian: only what the command needs.
    fn write_checkout(&self, disk: &Path) -> Result<()> {
        let there = disk.join(CHECKOUT.trim_start_matches('/'));
        for (from, to) in &self.files {
            copy(from, &there.join(to))?;
        }
        copy(&paths::program()?, &there.join(PROGRAM))?;
        // The root itself is mounted here when the disk is made.
        let recipe = format!("{}.recipe", self.suite);
        let roots = there.join("target/lab/roots");
        copy(
            &paths::lab_dir()?.join("roots").join(&recipe),
            &roots.join(&recipe),
        )?;
        make_dir(&roots.join(self.suite.name()))?;

        write(
            &there.join("run.sh"),
            &format!(
                "echo; echo '{BEGINS}'; {}; echo \"{ENDED}$?\"\n",
                self.command
            ),
        )?;
        let unit = format!(
            "[Unit]\nDescription=One command of slurm-adopt\n\
             [Service]\nType=oneshot\nWorkingDirectory={CHECKOUT}\nTTYPath=/dev/ttyS0\n\
             StandardOutput=tty\nStandardError=tty\nTimeoutStartSec=infinity\n\
             ExecStart=/bin/bash run.sh\nExecStopPost=/sbin/poweroff -f\n"
        );
        let units = disk.join("etc/systemd/system");
        write(&units.join("slurm-adopt.service"), &unit)?;
        let wants = units.join("multi-user.target.wants");
        make_dir(&wants)?;
        std::os::unix::fs::symlink("../slurm-adopt.service", wants.join("slurm-adopt.service"))
            .context("enabling the unit")?;
        write(&disk.join("etc/hostname"), "machine\n")
    }
}

/// Path of the module under test in the machine's checkout.
const MODULE: &str = "target/release/libpam_slurm_adopt.so";

/// Path of the lab's program in the checkout, where ./demo looks for it.
const PROGRAM: &str = "target/demo/slurm-adopt-lab";

/// The machine's serial console. Dropping this switches the machine off.
struct Console {
    qemu: Child,
    lines: Receiver<String>,
}

impl Console {
    fn boot(root: &Path, image: &Path) -> Result<Self> {
        let mut command = qemu::command(root, image, "")?;
        command.arg("-nographic");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut qemu = command.spawn().context("running qemu-system-x86_64")?;
        let stdout = qemu.stdout.take().context("qemu has no stdout")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).trim_end().to_string();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(Self { qemu, lines })
    }

    /// Passes the command's output to `line` until the command ends; returns its exit status.
    fn read_until_end(&mut self, limit: Duration, line: &mut dyn FnMut(&str)) -> Result<String> {
        let end = Instant::now() + limit;
        let mut boot = Some(String::new());
        let what = loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(text) => {
                    if let Some((_, status)) = text.split_once(ENDED) {
                        return Ok(status.trim().to_string());
                    }
                    match &mut boot {
                        Some(_) if text.contains(BEGINS) => boot = None,
                        Some(lines) => *lines += &format!("\n{text}"),
                        None => line(&text),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    break format!("was not done after {} s", limit.as_secs());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    break "went off before the command had ended".to_string();
                }
            }
        };
        bail!("the virtual machine {what}{}", boot.unwrap_or_default())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Quotes words for a shell.
fn quoted(words: &[&str]) -> String {
    let word = |it: &&str| format!("'{}'", it.replace('\'', r"'\''"));
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_words_as_they_are() {
        let words = ["26.05/a service", "it's", "", "$HOME"];
        let script = format!("printf '%s\\n' {}", quoted(&words));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        let output = output.expect("run sh").stdout;
        assert_eq!(
            String::from_utf8_lossy(&output),
            words.map(|it| format!("{it}\n")).concat()
        );
    }
}
