//! Tools that `dist` needs and a Rust toolchain lacks: cargo-zigbuild and zig, both as wheels in a private
//! environment under target/tools.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;
use crate::workspace::Workspace;

/// A virtual environment with the packages in xtask/requirements.txt.
#[derive(Debug)]
pub struct Zig {
    environment: PathBuf,
    caches: PathBuf,
}

impl Zig {
    /// Installs the tools unless they are there.
    pub fn install(workspace: &Workspace) -> Result<Self> {
        let list = workspace.path("xtask/requirements.txt");
        let wanted =
            fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
        let tools = workspace.target("tools");
        let zig = Self {
            environment: tools.join("zig"),
            caches: tools.join("cache"),
        };
        let stamp = zig.environment.join("installed-requirements.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(zig);
        }
        println!(
            "Installing cargo-zigbuild and zig into {} ...",
            zig.environment.display()
        );
        need_venv()?;
        if zig.environment.exists() {
            fs::remove_dir_all(&zig.environment)
                .with_context(|| format!("remove {}", zig.environment.display()))?;
        }
        fs::create_dir_all(&tools).with_context(|| format!("make {}", tools.display()))?;
        run::check(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&zig.environment),
        )?;
        run::check(
            Command::new(zig.program("python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args([
                    "--only-binary",
                    ":all:",
                    "--require-hashes",
                    "--requirement",
                ])
                .arg(&list),
        )?;
        fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
        Ok(zig)
    }

    /// Prepares a command of cargo-zigbuild, such as `zigbuild` or `test`, at the repository's top.
    pub fn cargo(&self, root: &Path, verb: &str) -> Result<Command> {
        let mut command = Command::new(self.program("cargo-zigbuild"));
        command.arg(verb).current_dir(root);
        self.surround(&mut command)?;
        Ok(command)
    }

    /// Prepares `zig cc`.
    pub fn compiler(&self) -> Result<Command> {
        let mut command = Command::new(self.program("python"));
        command.args(["-m", "ziglang", "cc"]);
        self.surround(&mut command)?;
        Ok(command)
    }

    /// Puts our environment's programs first, and all caches under target/.
    fn surround(&self, command: &mut Command) -> Result<()> {
        let mut path = vec![self.environment.join("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path: OsString = env::join_paths(path).context("put the tools into PATH")?;
        command
            .env("PATH", path)
            .env("ZIG_GLOBAL_CACHE_DIR", self.caches.join("zig"))
            .env("ZIG_LOCAL_CACHE_DIR", self.caches.join("zig"))
            .env(
                "CARGO_ZIGBUILD_CACHE_DIR",
                self.caches.join("cargo-zigbuild"),
            );
        Ok(())
    }

    fn program(&self, name: &str) -> PathBuf {
        self.environment.join("bin").join(name)
    }
}

fn need_venv() -> Result<()> {
    let status = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("python3 has no venv: sudo apt-get install python3-venv"),
        Err(error) => bail!("start python3: {error}: sudo apt-get install python3-venv"),
    }
}
