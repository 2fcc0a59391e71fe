//! Paths of the lab's files and of its own program.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// Name of the lab's program, which runs the nodes.
pub const PROGRAM: &str = "slurm-adopt-lab";

/// The lab's directory: `$SLURM_ADOPT_LAB_DIR`, else `target/lab` in the [`checkout`].
pub fn lab_dir() -> Result<PathBuf> {
    let dir = match env::var_os("SLURM_ADOPT_LAB_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => checkout()?.join("target/lab"),
    };
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    fs::canonicalize(&dir).with_context(|| format!("finding {}", dir.display()))
}

/// The checkout: above the running program, else above the working directory, else where this crate was built.
pub fn checkout() -> Result<PathBuf> {
    let is_checkout = |dir: &Path| dir.join("lab/host.sh").is_file();
    let exe = env::current_exe().context("finding the path of this program")?;
    let working = env::current_dir().context("finding the working directory")?;
    let mut above = exe.ancestors().skip(1).chain(working.ancestors());
    if let Some(dir) = above.find(|dir| is_checkout(dir)) {
        return Ok(dir.to_path_buf());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if is_checkout(&built) {
        return Ok(built);
    }
    bail!(
        "no checkout above {} or {}; set SLURM_ADOPT_LAB_DIR",
        exe.display(),
        working.display()
    )
}

/// The lab's program: `$SLURM_ADOPT_LAB_BIN`, this program, or the one beside it.
///
/// Under cargo it is built first, because `cargo test` does not build other packages' programs.
pub fn program() -> Result<PathBuf> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = FOUND.get() {
        return Ok(path.clone());
    }
    let path = find_program()?;
    Ok(FOUND.get_or_init(|| path).clone())
}

fn find_program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("SLURM_ADOPT_LAB_BIN") {
        return Ok(path.into());
    }
    let exe = env::current_exe().context("finding the path of this program")?;
    if exe.file_name().is_some_and(|name| name == PROGRAM) {
        return Ok(exe);
    }
    // target/debug/x, target/debug/deps/x or target/debug/examples/x
    let dir = exe.parent().unwrap_or(Path::new("/"));
    let dir = match dir.file_name().and_then(|name| name.to_str()) {
        Some("deps" | "examples") => dir.parent().unwrap_or(dir),
        _ => dir,
    };
    let path = dir.join(PROGRAM);
    if let (Some(cargo), Some(target)) = (env::var_os("CARGO"), dir.parent()) {
        build(Path::new(&cargo), target, dir)?;
    }
    if !path.is_file() {
        bail!(
            "no {}: run 'cargo build -p lab' or set SLURM_ADOPT_LAB_BIN",
            path.display()
        );
    }
    Ok(path)
}

fn build(cargo: &Path, target: &Path, profile: &Path) -> Result<()> {
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        "lab",
        "--bin",
        PROGRAM,
        "--manifest-path",
    ]);
    command
        .arg(checkout()?.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command
        .status()
        .with_context(|| format!("running {}", cargo.display()))?;
    if !status.success() {
        bail!("building {PROGRAM}: cargo ended with {status}");
    }
    Ok(())
}

/// A lock on a file, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock alone; waits until nobody else holds it.
    pub fn exclusive(path: &Path) -> Result<Self> {
        Self::take(path, FlockOperation::LockExclusive)
    }

    /// Takes the lock together with others; waits until nobody holds it alone.
    pub fn shared(path: &Path) -> Result<Self> {
        Self::take(path, FlockOperation::LockShared)
    }

    /// Whether nobody holds the lock.
    pub fn is_free(path: &Path) -> bool {
        Self::take(path, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    fn take(path: &Path, how: FlockOperation) -> Result<Self> {
        let open = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = open.with_context(|| format!("opening {}", path.display()))?;
        flock(&file, how).with_context(|| format!("locking {}", path.display()))?;
        Ok(Self { _file: file })
    }
}
