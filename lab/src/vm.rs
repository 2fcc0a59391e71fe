//! A whole machine with systemd and only cgroup v2, emulated by QEMU.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::keeper;
use crate::paths;
use crate::roots;
use crate::suite::Suite;

/// Packages that a machine needs to boot and then to run a cluster.
pub(crate) const PACKAGES: &[&str] = &[
    "systemd-sysv",
    "dbus",
    "udev",
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "kmod",
    "iproute2",
    "util-linux",
];

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
    roots::build("vm", Suite::Trixie, PACKAGES)
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
        make_disk(&dir.path, &root, &image, &mount, nodes.as_os_str())?;
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

/// Makes the disk image from the machine's root, the files in `upper` beside it, and what the shell command
/// `add` puts into `disk`; `add` gets `argument` as `$3`.
pub(crate) fn make_disk(
    dir: &Path,
    root: &Path,
    image: &Path,
    add: &str,
    argument: &OsStr,
) -> Result<()> {
    for name in ["upper", "work", "disk"] {
        make_dir(&dir.join(name))?;
    }
    let script = format!(
        "mount -t overlay overlay -o \"lowerdir=$1,upperdir=upper,workdir=work\" disk\n\
         {add}\n\
         mke2fs -q -t ext4 -d disk \"$2\" 3G\n"
    );
    // The mounts end with the namespace.
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-ec",
        &script,
        "sh",
    ]);
    command.args([root, image]).arg(argument).current_dir(dir);
    let output = command.output().context("running unshare")?;
    if !output.status.success() {
        bail!(
            "making the disk: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// The machine's serial console. Dropping this switches the machine off.
struct Console {
    qemu: Child,
    lines: Receiver<String>,
}

impl Console {
    fn boot(root: &Path, image: &Path) -> Result<Self> {
        let mut command = qemu(root, image, "")?;
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

/// Prepares the QEMU command that all machines share: it boots from this disk with the root's kernel.
/// The kernel also gets the arguments in `kernel`.
pub(crate) fn qemu(root: &Path, image: &Path, kernel: &str) -> Result<Command> {
    // QEMU dies with this process, as the nodes of a cluster do.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    // With cmpxchg16b, QEMU 7.2's emulator corrupts flags, and the guest's kernel panics at times.
    command.args([
        "-accel",
        // Use one thread of the host for both processors: with two, one sometimes runs code that the other
        // is just patching, and the kernel panics (Linux 6.12 in get_random_u64, 7.2 in sched_clock_cpu).
        "tcg,thread=single",
        "-cpu",
        "Nehalem,-cx16",
        "-smp",
        "2",
    ]);
    command.args(["-m", "2048", "-no-reboot", "-nic", "none"]);
    command.arg("-kernel").arg(boot_file(root, "vmlinuz-")?);
    command.arg("-initrd").arg(boot_file(root, "initrd.img-")?);
    // The kernel's timer check counts the host's time, and fails on a busy host ("IO-APIC + timer doesn't
    // work", Linux 7.2).
    command.arg("-append").arg(format!(
        "root=/dev/vda rw console=ttyS0 quiet panic=-1 no_timer_check net.ifnames=0 \
         systemd.mask=serial-getty@ttyS0.service systemd.show_status=no {kernel}"
    ));
    command
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw", option(image)));
    Ok(command)
}

fn boot_file(root: &Path, start: &str) -> Result<PathBuf> {
    let boot = root.join("boot");
    let entries = fs::read_dir(&boot).with_context(|| format!("reading {}", boot.display()))?;
    let found = entries.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(start))
    });
    found.with_context(|| format!("no {start}* in {}", boot.display()))
}

/// Escapes a file name for an option, where a comma is doubled.
fn option(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// A directory that is removed when this is dropped, or by the next sweep.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    _lock: paths::Lock,
}

impl Scratch {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let (path, lock) = keeper::claim(&format!("{name}-{}", std::process::id()))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    make_dir(to.parent().unwrap_or(to))?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    make_dir(path.parent().unwrap_or(path))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
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
