//! SUSE's 15, where /lib64 is a directory and has libpam's modules.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::Suite;

use crate::node::Site;

/// The scripts find the directory, and do there the same. In a tree of its own: on the node, /lib64 is a link.
pub fn of_suse(site: &Site) -> Result<()> {
    let root = lab::roots::ensure(Suite::Trixie)?;
    let rpms = &site.rpms;
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "--propagation=private", "bash", "-euc", SCRIPT])
        .args(["bash".as_ref(), root.as_path()])
        .args([&rpms.base, &rpms.ours])
        .args(&rpms.theirs_of_suse)
        .stdin(Stdio::null());
    let output = unshare.output().context("start unshare")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{told}{errors}");
    ensure!(told == EXPECTED, "{told}{errors}");
    Ok(())
}

/// The module after each step: ours or theirs.
const EXPECTED: &str = "\
ours first: ours
theirs comes: ours
the next release replaces theirs: ours
ours goes: theirs
ours comes: ours
theirs goes: ours
refused: ours
ours goes: none
";
const SCRIPT: &str = r#"
root=$1 base=$2 ours=$3 theirs=$4 next=$5
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/tree
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/tree
cd /mnt/tree
rm lib64
mkdir -p lib64/security usr/lib64/security
cp -P usr/lib64/ld-linux* lib64/
cp usr/lib/x86_64-linux-gnu/security/pam_unix.so lib64/security/
rpm() {
    command rpm --root /mnt/tree --dbpath /var/lib/rpm "$@" 2>/mnt/errors || { cat /mnt/errors >&2; return 1; }
}
say() {
    local module=lib64/security/pam_slurm_adopt.so made=none
    if [ -L $module ]; then
        [ "$(chroot . readlink -f $module)" = /usr/lib64/slurm-adopt/pam_slurm_adopt.so ] && made=ours
    elif [ -e $module ]; then
        made=theirs
    fi
    [ ! -e usr/lib64/security/pam_slurm_adopt.so ] && echo "$1: $made"
}
rpm -i "$base"
rpm -i "$ours"
say "ours first"
rpm -i "$theirs"
say "theirs comes"
rpm -U "$next"
say "the next release replaces theirs"
rpm -e slurm-adopt
say "ours goes"
rpm -i "$ours"
say "ours comes"
rpm -e slurm_26_05-pam_slurm
say "theirs goes"
echo 'account required pam_slurm_adopt.so' >etc/pam.d/sshd
if rpm -e slurm-adopt 2>/dev/null; then exit 1; fi
say refused
rm etc/pam.d/sshd
rpm -e slurm-adopt
say "ours goes"
"#;
