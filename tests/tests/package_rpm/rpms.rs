//! The packages: ours as it is built, the next version of it, and some that stand for those of a distribution.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::Suite;
use tests::dist;

/// Packages in a directory of the host.
#[derive(Debug)]
pub struct Rpms {
    dir: PathBuf,
    /// Ours.
    pub ours: PathBuf,
    /// The next version, with another module.
    pub newer: PathBuf,
    /// Stands for slurm-pam_slurm: SchedMD's module, and pam_slurm.so.
    pub theirs: PathBuf,
    /// The next version, with another module.
    pub theirs_newer: PathBuf,
    /// The same in /lib64, and for two releases of Slurm, as SUSE has it.
    pub theirs_of_suse: [PathBuf; 2],
    /// Stands for what our package requires of a distribution.
    pub base: PathBuf,
}

/// Our module and SchedMD's, each with its next version.
#[derive(Debug)]
pub struct Modules {
    /// Ours.
    pub ours: Vec<u8>,
    /// The next version of it.
    pub newer: Vec<u8>,
    /// SchedMD's.
    pub theirs: Vec<u8>,
    /// The next version of it.
    pub theirs_newer: Vec<u8>,
}

impl Modules {
    /// Reads them. Bytes after the end of an ELF file change nothing but its size.
    pub fn read() -> Result<Self> {
        let root = lab::roots::ensure(Suite::Trixie)?;
        let theirs = Suite::Trixie.original_module();
        let theirs = fs::read(root.join(theirs.trim_start_matches('/')))?;
        let ours = fs::read(dist("pam_slurm_adopt.so")?)?;
        let next = |it: &[u8]| [it, b"newer\n"].concat();
        Ok(Self {
            newer: next(&ours),
            theirs_newer: next(&theirs),
            ours,
            theirs,
        })
    }
}

impl Rpms {
    /// Builds those that are not ours.
    pub fn build(modules: &Modules) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("package-rpm-{}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let ours = package("slurm-adopt", "-1.x86_64.rpm")?;
        let theirs = |name: &str, version: &str, lib: &str, module: &[u8]| {
            let file = format!("{name}-{version}");
            let staged = dir.join(&file);
            let security = staged.join(lib).join("security");
            fs::create_dir_all(&security)?;
            fs::write(security.join("pam_slurm_adopt.so"), module)?;
            fs::write(security.join("pam_slurm.so"), "stands for pam_slurm.so\n")?;
            let spec = SPEC
                .replace("@NAME@", name)
                .replace("@VERSION@", version)
                .replace("@STAGED@", &staged.display().to_string())
                .replace("@FILES@", &format!("/{lib}/security/*"));
            let obsoletes = match name {
                SUSES_NEXT => format!("Obsoletes: {SUSES}\n"),
                _ => String::new(),
            };
            build(&dir, &file, &(obsoletes + &spec))
        };
        let suses = |name: &str, module: &[u8]| theirs(name, "1", "lib64", module);
        Ok(Self {
            theirs: theirs("slurm-pam_slurm", "26.05.5", "usr/lib64", &modules.theirs)?,
            theirs_newer: theirs(
                "slurm-pam_slurm",
                "26.05.6",
                "usr/lib64",
                &modules.theirs_newer,
            )?,
            theirs_of_suse: [
                suses(SUSES, &modules.theirs)?,
                suses(SUSES_NEXT, &modules.theirs_newer)?,
            ],
            newer: newer(&dir, &ours, &modules.newer)?,
            base: base(&dir)?,
            ours,
            dir,
        })
    }
}

impl Rpms {
    /// All packages that are installed on the node.
    pub fn all(&self) -> [&Path; 5] {
        [
            &self.ours,
            &self.newer,
            &self.theirs,
            &self.theirs_newer,
            &self.base,
        ]
    }

    /// Packs the host's rpm, its libraries and its configuration, for a node that has none.
    pub fn lend(&self) -> Result<PathBuf> {
        let tar = self.dir.join("rpm.tar");
        let mut pack = Command::new("sh");
        pack.args(["-euc", LEND, "sh"]).args([&self.dir, &tar]);
        run(&mut pack)?;
        Ok(tar)
    }
}

impl Drop for Rpms {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The path of a package of this version, which `cargo xtask package` makes from what dist built.
pub fn package(name: &str, rest: &str) -> Result<PathBuf> {
    let name = format!("{name}-{}{rest}", env!("CARGO_PKG_VERSION"));
    let path = Path::new(&dist("../../packages")?).join(name);
    path.canonicalize()
        .with_context(|| format!("{}: run `cargo xtask package`", path.display()))
}

/// Runs a program of rpm on the host, and returns its stdout.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).with_context(|| format!("read {command:?}"))
}

/// Builds a package from a specification.
fn build(dir: &Path, name: &str, spec: &str) -> Result<PathBuf> {
    let top = dir.join(format!("{name}-top"));
    let file = dir.join(format!("{name}.spec"));
    fs::write(&file, format!("{PLAIN}{spec}"))?;
    let define = |name: &str, value: &Path| format!("--define={name} {}", value.display());
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--target=x86_64-linux-gnu"])
        .arg(define("_topdir", &top))
        .arg(define("_rpmdir", &top))
        .arg(format!("--define=_rpmfilename {name}.rpm"))
        .arg(&file)
        .env("HOME", dir))?;
    Ok(top.join(format!("{name}.rpm")))
}

/// Builds what glibc, PAM, coreutils, grep and the shell of EL 7 provide, and no more.
fn base(dir: &Path) -> Result<PathBuf> {
    let provides: Vec<String> = PROVIDED
        .split_whitespace()
        .map(|it| format!("Provides: {it}\n"))
        .collect();
    let spec = SPEC
        .replace("@NAME@", "base")
        .replace("@VERSION@", "7")
        .replace("Summary:", &format!("{}Summary:", provides.concat()))
        .replace("cp -a @STAGED@/. %{buildroot}/", "")
        .replace("@FILES@", "");
    build(dir, "base", &spec)
}

/// Builds the next version of ours from the project's own specification and the files of this one.
fn newer(dir: &Path, ours: &Path, module: &[u8]) -> Result<PathBuf> {
    let staged = dir.join("newer-files");
    fs::create_dir_all(&staged)?;
    run(Command::new("rpm")
        .arg("--root")
        .arg(&staged)
        .args(["--dbpath", "/database", "--install", "--nodeps"])
        .args(["--noscripts", "--notriggers"])
        .arg(ours))?;
    fs::remove_dir_all(staged.join("database")).context("remove the database")?;
    fs::write(
        staged.join("usr/lib64/slurm-adopt/pam_slurm_adopt.so"),
        module,
    )?;
    let mut query = Command::new("rpm");
    query.args(["-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]"]);
    let listed = run(query.arg(ours))?;
    let lines = listed.lines().filter_map(|it| it.split_once(' '));
    let lines = lines.filter_map(|(perms, path)| match perms.as_bytes()[0] {
        b'd' => Some(format!("%dir \"{path}\"\n")),
        b'-' => Some(format!("\"{path}\"\n")),
        // The link is claimed and not in the package.
        _ => None,
    });
    let contents = dir.join("newer-contents");
    fs::write(&contents, lines.collect::<String>())?;
    let spec = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../packaging/rpm/slurm-adopt.spec"
    );
    let spec = fs::read_to_string(spec).with_context(|| format!("read {spec}"))?;
    let spec = spec
        .replace("@VERSION@", concat!(env!("CARGO_PKG_VERSION"), ".1"))
        .replace("@PACKAGER@", "nobody")
        .replace("@STAGED@", &staged.display().to_string())
        .replace("@CONTENTS@", &contents.display().to_string())
        .replace("@CHANGES@", "");
    build(dir, "newer", &spec)
}

const SUSES: &str = "slurm_25_11-pam_slurm";
const SUSES_NEXT: &str = "slurm_26_05-pam_slurm";
const LEND: &str = r#"
mkdir -p "$1/lent/opt/rpm" "$1/lent/usr/lib/rpm"
cp $(ldd /usr/bin/rpm | grep -o '/[^ )]*') /usr/bin/rpm "$1/lent/opt/rpm"
mv "$1"/lent/opt/rpm/ld-linux-* "$1/lent/opt/rpm/ld.so"
cp -r /usr/lib/rpm/rpmrc /usr/lib/rpm/macros /usr/lib/rpm/platform "$1/lent/usr/lib/rpm"
tar -cf "$2" -C "$1/lent" opt usr"#;
const PLAIN: &str = "\
%global _binary_payload w1.gzdio
%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
";
const SPEC: &str = "\
Name: @NAME@
Version: @VERSION@
Release: 1
Summary: Stands for a package of a distribution
License: none
AutoReqProv: no
%description
Nothing.
%install
cp -a @STAGED@/. %{buildroot}/
%files
@FILES@
";
const PROVIDED: &str = "
    /bin/sh coreutils grep
    ld-linux-x86-64.so.2()(64bit) ld-linux-x86-64.so.2(GLIBC_2.3)(64bit)
    libc.so.6()(64bit) libc.so.6(GLIBC_2.2.5)(64bit) libc.so.6(GLIBC_2.3)(64bit) libc.so.6(GLIBC_2.3.2)(64bit)
    libc.so.6(GLIBC_2.3.4)(64bit) libc.so.6(GLIBC_2.4)(64bit) libc.so.6(GLIBC_2.5)(64bit)
    libc.so.6(GLIBC_2.6)(64bit) libc.so.6(GLIBC_2.7)(64bit) libc.so.6(GLIBC_2.8)(64bit) libc.so.6(GLIBC_2.9)(64bit)
    libc.so.6(GLIBC_2.10)(64bit) libc.so.6(GLIBC_2.11)(64bit) libc.so.6(GLIBC_2.12)(64bit)
    libc.so.6(GLIBC_2.13)(64bit) libc.so.6(GLIBC_2.14)(64bit) libc.so.6(GLIBC_2.15)(64bit)
    libc.so.6(GLIBC_2.16)(64bit) libc.so.6(GLIBC_2.17)(64bit)
    libdl.so.2()(64bit) libdl.so.2(GLIBC_2.2.5)(64bit) libm.so.6()(64bit) libm.so.6(GLIBC_2.2.5)(64bit)
    libpthread.so.0()(64bit) libpthread.so.0(GLIBC_2.2.5)(64bit) libpthread.so.0(GLIBC_2.12)(64bit)
    libpam.so.0()(64bit) libpam.so.0(LIBPAM_1.0)(64bit) libpam.so.0(LIBPAM_EXTENSION_1.0)(64bit)
    libpam.so.0(LIBPAM_EXTENSION_1.1)(64bit) libpam.so.0(LIBPAM_EXTENSION_1.1.1)(64bit)
    libpam.so.0(LIBPAM_MODUTIL_1.0)(64bit)";
