//! What all machines share: their packages, their disk, and QEMU's command.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::keeper;
use crate::paths;

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

/// Prepares the QEMU command that all machines share: it boots from this disk with the root's kernel.
/// The kernel also gets the arguments in `kernel`.
pub(crate) fn command(root: &Path, image: &Path, kernel: &str) -> Result<Command> {
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
    // work", Linux 7.2). Its defence against Meltdown changes page tables in each system call, which costs
    // the emulator its cache of addresses.
    command.arg("-append").arg(format!(
        "root=/dev/vda rw console=ttyS0 quiet panic=-1 no_timer_check mitigations=off net.ifnames=0 \
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

pub(crate) fn make_dir(path: &Path) -> Result<()> {
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
