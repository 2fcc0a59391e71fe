//! Paths of the repository and its build directory.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;

/// The repository and its build directory.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the repository that this program was built from, and asks cargo for its build directory.
    pub fn find() -> Result<Self> {
        // `cargo run` sets this; when the program is run by itself, the path at build time is right.
        let own = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = own
            .parent()
            .context("xtask is in a directory of the repository")?
            .to_owned();
        let metadata = run::output(run::cargo(&root).args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
        ]))?;
        let metadata: Value =
            serde_json::from_str(&metadata).context("parse the answer of cargo metadata")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata: no target_directory")?;
        Ok(Self {
            root,
            target: PathBuf::from(target),
        })
    }

    /// The repository's top.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the repository.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path in cargo's build directory.
    pub fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }
}
