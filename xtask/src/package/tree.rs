//! The list of what a package contains: each file with its path, which depends on the family of distributions, and
//! its mode. Directories are whatever the paths need, root's and 0755.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::dist::Dist;
use crate::workspace::Workspace;

/// Distributions that have the same paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian and Ubuntu
    Debian,
    /// RHEL and its kin, Amazon Linux, openSUSE
    RedHat,
}

/// A file of a package.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Path without the leading slash.
    pub path: String,
    /// The permissions.
    pub mode: u32,
    /// The content.
    pub content: Vec<u8>,
}

/// Lists the files of a package, sorted by path. `dist` and [`man::write`](crate::man::write) have
/// what is not in the repository.
///
/// # Errors
/// Those of reading the files.
pub fn files(workspace: &Workspace, dist: &Dist, family: Family) -> Result<Vec<File>> {
    let mut tree = Tree {
        workspace,
        family,
        files: Vec::new(),
    };
    tree.programs(dist)?;
    tree.manual()?;
    tree.completions()?;
    tree.configuration()?;
    tree.policy()?;
    tree.docs()?;
    let mut files = tree.files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Compresses like `gzip -n9`: the same content gives the same bytes.
///
/// # Errors
/// None that writing to memory could have.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(content)?;
    Ok(gzip.finish()?)
}

struct Tree<'a> {
    workspace: &'a Workspace,
    family: Family,
    files: Vec<File>,
}

impl Tree<'_> {
    fn programs(&mut self, dist: &Dist) -> Result<()> {
        let module = match self.family {
            // Its postinst puts the module into libpam's directory: docs/adr/0013-replacing-schedmds-file.md.
            Family::Debian => "usr/lib/slurm-adopt/pam_slurm_adopt.so",
            // So do the rpm's scripts: docs/adr/0014-rpm.md.
            Family::RedHat => "usr/lib64/slurm-adopt/pam_slurm_adopt.so",
        };
        self.add(&dist.module(), module, 0o644)?;
        self.add(&dist.cli(), "usr/sbin/slurm-adopt", 0o755)
    }

    fn manual(&mut self) -> Result<()> {
        for page in listed(&self.workspace.target("dist/man"), "")? {
            let name = file_name(&page)?;
            let (_, section) = name
                .rsplit_once('.')
                .with_context(|| format!("{name}: no section of the manual"))?;
            let path = format!("usr/share/man/man{section}/{name}.gz");
            self.put(path, 0o644, gzip(&read(&page)?)?);
        }
        Ok(())
    }

    fn completions(&mut self) -> Result<()> {
        let zsh = match self.family {
            Family::Debian => "vendor-completions",
            Family::RedHat => "site-functions",
        };
        let dir = self.workspace.target("dist/completions");
        for (name, path) in [
            (
                "slurm-adopt.bash",
                "bash-completion/completions/slurm-adopt".to_owned(),
            ),
            ("_slurm-adopt", format!("zsh/{zsh}/_slurm-adopt")),
            (
                "slurm-adopt.fish",
                "fish/vendor_completions.d/slurm-adopt.fish".to_owned(),
            ),
        ] {
            self.add(&dir.join(name), &format!("usr/share/{path}"), 0o644)?;
        }
        Ok(())
    }

    /// Adds what systemd and PAM read. None of it changes a stack or a unit before an admin says so.
    fn configuration(&mut self) -> Result<()> {
        self.add_from(
            "tmpfiles.d/slurm-adopt.conf",
            "usr/lib/tmpfiles.d/slurm-adopt.conf",
        )?;
        for unit in ["user@.service.d", "user@0.service.d"] {
            let name = format!("systemd/{unit}/slurm_adopt.conf");
            self.add_from(&name, &format!("{SHARE}/{name}"))?;
        }
        for unit in ["service", "timer"] {
            let name = format!("systemd/slurm-adopt-notify.{unit}");
            self.add_from(&name, &format!("{SHARE}/{name}"))?;
        }
        match self.family {
            Family::Debian => self.add_all("pam-configs", "", "usr/share/pam-configs"),
            Family::RedHat => Ok(()),
        }
    }

    /// Adds the modules of the SELinux policy; nothing loads them by itself.
    fn policy(&mut self) -> Result<()> {
        self.add_all("selinux", "cil", "usr/share/selinux/packages/slurm-adopt")
    }

    fn docs(&mut self) -> Result<()> {
        self.add_all("examples", "", &format!("{DOC}/examples"))?;
        for name in ["README.md", "CHANGELOG.md"] {
            self.add(&self.workspace.path(name), &format!("{DOC}/{name}"), 0o644)?;
        }
        for name in DOCS {
            let from = self.workspace.path("docs").join(name);
            self.add(&from, &format!("{DOC}/docs/{name}"), 0o644)?;
        }
        Ok(())
    }

    /// Adds the files of a directory of `packaging` whose names end in `extension`, if it is there.
    fn add_all(&mut self, dir: &str, extension: &str, to: &str) -> Result<()> {
        for file in listed(&self.workspace.path("packaging").join(dir), extension)? {
            let path = format!("{to}/{}", file_name(&file)?);
            self.add(&file, &path, 0o644)?;
        }
        Ok(())
    }

    fn add_from(&mut self, packaging: &str, path: &str) -> Result<()> {
        let from = self.workspace.path("packaging").join(packaging);
        self.add(&from, path, 0o644)
    }

    fn add(&mut self, from: &Path, path: &str, mode: u32) -> Result<()> {
        let content = read(from)?;
        self.put(path.to_owned(), mode, content);
        Ok(())
    }

    fn put(&mut self, path: String, mode: u32, content: Vec<u8>) {
        self.files.push(File {
            path,
            mode,
            content,
        });
    }
}

/// Returns the files of a directory whose names end in `extension`, or all; none if the directory is not there.
fn listed(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        let is_wanted = extension.is_empty() || path.extension().is_some_and(|it| it == extension);
        if is_wanted && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|it| it.to_str())
        .with_context(|| format!("{}: a strange name", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// What the program and the admin copy from.
const SHARE: &str = "usr/share/slurm-adopt";
/// The directory of documents.
pub const DOC: &str = "usr/share/doc/slurm-adopt";
/// The pages for admins and users, of docs.
const DOCS: [&str; 15] = [
    "check.schema.json",
    "connect.cast",
    "connect.txt",
    "differences.md",
    "explain.schema.json",
    "images.md",
    "install.md",
    "log.schema.json",
    "migration.md",
    "podman.md",
    "session.md",
    "setup.md",
    "status.schema.json",
    "tool.md",
    "users.md",
];
