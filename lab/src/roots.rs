//! Root directories, one per suite, made once by mmdebstrap and never written to afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::paths::{Lock, lab_dir};
use crate::suite::Suite;

/// Packages of a root besides Debian's minimum.
pub(crate) const PACKAGES: &[&str] = &[
    "slurmd",
    "slurmctld",
    "slurm-client",
    "munge",
    "openssh-server",
    "openssh-client",
    "libpam-slurm-adopt",
    "libpam-modules",
    "pamtester",
    "iproute2",
    "procps",
    "passwd",
    "xauth",
    "nftables",
];

/// More packages for the root of one suite: for a login under memcheck, which needs the symbols of ld.so.
const MORE_PACKAGES: (Suite, &[&str]) = (Suite::Forky, &["valgrind", "libc6-dbg"]);

/// Version of the recipe. Increase it when existing roots no longer work.
const RECIPE: u32 = 1;

/// Runs mmdebstrap at /mnt in a mount namespace, because apt cannot handle a blank in a path.
const IN_PLACE: &str = "mount --bind \"$1\" /mnt; shift; exec mmdebstrap \"$@\"";

/// Returns the root directory of the suite; makes it if it does not exist, which takes half a minute.
pub fn ensure(suite: Suite) -> Result<PathBuf> {
    let more = match MORE_PACKAGES {
        (with_more, more) if with_more == suite => more,
        _ => &[],
    };
    build(suite.name(), suite, &[PACKAGES, more].concat())
}

/// Returns a root of the suite with these packages, cached as `name`.
pub fn build(name: &str, suite: Suite, packages: &[&str]) -> Result<PathBuf> {
    let packages = packages.join(",");
    let recipe = format!("{RECIPE} {suite} {packages}\n");
    let dir = lab_dir()?.join("roots");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let root = dir.join(name);
    let stamp = dir.join(format!("{name}.recipe"));
    let is_made = || root.is_dir() && fs::read_to_string(&stamp).is_ok_and(|made| made == recipe);
    if is_made() {
        return Ok(root);
    }

    let _lock = Lock::exclusive(&dir.join(format!("{name}.lock")))?;
    if is_made() {
        return Ok(root);
    }
    let began = Instant::now();
    note(&format!("making the root '{name}' of Debian {suite} ..."));
    let new = dir.join(format!("{name}.new"));
    make(suite, &packages, &new)?;
    remove(&root)?;
    fs::rename(&new, &root).with_context(|| format!("renaming {}", new.display()))?;
    fs::write(&stamp, recipe).with_context(|| format!("writing {}", stamp.display()))?;
    note(&format!("made it in {} s", began.elapsed().as_secs()));
    Ok(root)
}

/// Makes apt fetch the packages before they are installed. If the archive lists a security update but no
/// longer has it, the release's own package is used instead: the update's source is pinned. `$1` is the
/// root.
const FETCH: &str = r#"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
errors=$1/tmp/lab-fetch
until apt-get --yes --download-only install $(echo "$LAB_PACKAGES" | tr , ' ') >/dev/null 2>"$errors"; do
    missing=$(sed -n 's,^E: Failed to fetch .*/pool/updates/[^ ]*/\([^/]*\)/[^/]* 404 .*,\1,p' "$errors" | sort -u)
    test -n "$missing" || { cat "$errors" >&2; exit 1; }
    for source in $missing; do
        ! grep -qsx "Package: src:$source" "$1/etc/apt/preferences.d/lab" || { cat "$errors" >&2; exit 1; }
        printf 'Package: src:%s\nPin: release l=Debian-Security\nPin-Priority: -1\n\n' "$source" \
            >>"$1/etc/apt/preferences.d/lab"
    done
done
rm -f "$errors"
"#;

/// Excludes security updates altogether, for a missing update of an essential package.
const NO_SECURITY: &str = r#"
mkdir -p "$1/etc/apt/preferences.d"
printf 'Package: *\nPin: release l=Debian-Security\nPin-Priority: -1\n' >"$1/etc/apt/preferences.d/lab"
"#;

/// Makes a root from the mirrors that mmdebstrap uses for the suite.
fn make(suite: Suite, packages: &str, new: &Path) -> Result<()> {
    let mut errors = String::new();
    for before in [None, Some(NO_SECURITY)] {
        remove(new)?;
        fs::create_dir(new).with_context(|| format!("making {}", new.display()))?;
        let output = mmdebstrap(suite, packages, new, before)
            .output()
            .context("running unshare")?;
        if output.status.success() {
            return Ok(());
        }
        errors += &String::from_utf8_lossy(&output.stderr);
    }
    remove(new)?;
    bail!(
        "making {} with mmdebstrap:\n{}",
        new.display(),
        errors.trim_end()
    )
}

fn mmdebstrap(suite: Suite, packages: &str, new: &Path, before: Option<&str>) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-ec",
        IN_PLACE,
        "sh",
    ]);
    command.arg(new);
    command.args(["--variant=minbase", "--format=directory", "--quiet"]);
    // The host's keyring package may be older than the suite's newest key.
    command.arg("--keyring=/usr/share/keyrings/");
    // A suite that is unreleased or archived may be past its date.
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    command.arg("--aptopt=Acquire::Languages \"none\"");
    for unused in ["man", "doc", "locale"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unused}/*"));
    }
    command.args(before.map(|it| format!("--setup-hook={it}")));
    command
        .arg(format!("--essential-hook={FETCH}"))
        .arg(format!("--include={packages}"))
        .arg(suite.name())
        .arg("/mnt");
    command
        .env("LAB_PACKAGES", packages)
        .env_remove("TMPDIR")
        .stdin(Stdio::null());
    command
}

fn remove(root: &Path) -> Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", root.display()))
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "half a minute without a word looks like a hang"
)]
fn note(text: &str) {
    eprintln!("lab: {text}");
}
