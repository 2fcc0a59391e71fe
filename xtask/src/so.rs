//! Gates on the built module: what it asks of a host, what it shows to it, what it weighs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::arch::{Arch, GLIBC};
use crate::debian::Debian;
use crate::dist::Dist;
use crate::elf::Facts;
use crate::report::Report;
use crate::run;
use crate::stub;
use crate::workspace::Workspace;

/// What every process with PAM has loaded, as the loader. All else each login would map for us, were
/// it an empty libpthread.
const LIBRARIES: [&str; 2] = ["libc.so.6", "libpam.so.0"];

/// Of the file, in bytes: a module that is larger has taken in something that nobody meant.
const MAX_SIZE: u64 = 1_000_000;

/// What would print into whatever sshd's stderr is, start threads or change how the process takes signals.
/// Not clone(2), which `sys::by_proxy` calls (docs/adr/0010-a-proxy-for-frozen-jobs.md).
const FORBIDDEN: [&str; 26] = [
    "stdout",
    "stderr",
    "printf",
    "vprintf",
    "dprintf",
    "fprintf",
    "vfprintf",
    "__printf_chk",
    "__fprintf_chk",
    "__vfprintf_chk",
    "__assert_fail",
    "putchar",
    "puts",
    "fputs",
    "fputc",
    "fwrite",
    "fflush",
    "perror",
    "exit",
    "fork",
    "pthread_create",
    "thrd_create",
    "signal",
    "sigaction",
    "sigprocmask",
    "pthread_sigmask",
];

/// The committed list of the crates in the module.
const CRATES: &str = "xtask/so-crates.txt";

/// Runs those of one architecture's module and counts each.
pub fn gates(workspace: &Workspace, arch: Arch, report: &mut Report) {
    report.gate(&format!("so {arch}: stub of libpam"), || match arch {
        Arch::X86_64 => stub::compare_with_real(Path::new(stub::REAL)),
        Arch::Aarch64 => stub::compare_with_real(&Debian::install(workspace)?.libpam()),
    });
    let facts = match Facts::read(&Dist::place(workspace, arch).module()) {
        Ok(facts) => facts,
        Err(error) => return report.not_run(&format!("so {arch}"), &format!("{error:#}")),
    };
    for (name, check) in CHECKS {
        report.gate(&format!("so {arch}: {name}"), || check(&facts, arch));
    }
}

/// Runs those of the source and counts each.
pub fn source_gates(workspace: &Workspace, report: &mut Report) {
    report.gate("so: crates", || crates(workspace));
    report.gate("so: oldest Rust", || rust_versions(workspace));
}

type Check = fn(&Facts, Arch) -> Result<String>;

const CHECKS: [(&str, Check); 6] = [
    ("architecture", architecture),
    ("libraries", libraries),
    ("symbols", symbols),
    ("glibc", glibc),
    ("size", size),
    ("linker flags", flags),
];

fn architecture(facts: &Facts, arch: Arch) -> Result<String> {
    ensure!(
        facts.machine == arch.elf_machine(),
        "{} is for machine {}",
        facts.path,
        facts.machine
    );
    ensure!(
        facts.alignment >= arch.largest_page(),
        "{}: its segments are aligned to {} bytes, and a page may have {}",
        facts.path,
        facts.alignment,
        arch.largest_page()
    );
    Ok(format!("segments aligned to {} bytes", facts.alignment))
}

fn libraries(facts: &Facts, arch: Arch) -> Result<String> {
    for library in &facts.needed {
        ensure!(
            LIBRARIES.contains(&library.as_str()) || library == arch.loader(),
            "{} needs {library}, which not every process has",
            facts.path
        );
    }
    // Without it a program that has libpam but hides its symbols could not load the module.
    ensure!(
        facts.needed.iter().any(|it| it == "libpam.so.0"),
        "{} lacks libpam.so.0",
        facts.path
    );
    Ok(facts.needed.join(" "))
}

fn symbols(facts: &Facts, _: Arch) -> Result<String> {
    let names: Vec<&str> = facts.exports.iter().map(|it| it.name.as_str()).collect();
    for name in &names {
        ensure!(
            name.starts_with("pam_sm_"),
            "{} exports {name}, no PAM entry point",
            facts.path
        );
    }
    ensure!(
        names.contains(&"pam_sm_acct_mgmt"),
        "{} lacks pam_sm_acct_mgmt",
        facts.path
    );
    for name in &facts.imports {
        ensure!(
            !FORBIDDEN.contains(&name.as_str()),
            "{} calls for {name}",
            facts.path
        );
    }
    Ok(names.join(" "))
}

fn glibc(facts: &Facts, _: Arch) -> Result<String> {
    let mut newest = (0, 0);
    for (library, node) in &facts.versions {
        let Some(version) = node.strip_prefix("GLIBC_") else {
            continue;
        };
        let mut numbers = version.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            bail!(
                "{} asks {library} for {node}, which is no public version",
                facts.path
            );
        };
        newest = newest.max((major, minor));
    }
    ensure!(
        newest > (0, 0),
        "{} asks glibc for no version at all",
        facts.path
    );
    let (major, minor) = newest;
    ensure!(
        newest <= GLIBC,
        "{} asks for glibc {major}.{minor}",
        facts.path
    );
    Ok(format!("{major}.{minor} is enough"))
}

fn size(facts: &Facts, _: Arch) -> Result<String> {
    ensure!(
        (1..MAX_SIZE).contains(&facts.size),
        "{} has {} bytes, the limit is {MAX_SIZE}",
        facts.path,
        facts.size
    );
    Ok(format!("{} bytes", facts.size))
}

fn flags(facts: &Facts, _: Arch) -> Result<String> {
    ensure!(
        facts.nodelete,
        "{} is not linked with -z nodelete",
        facts.path
    );
    ensure!(facts.bind_now, "{} is not linked with -z now", facts.path);
    ensure!(facts.relro, "{} is not linked with -z relro", facts.path);
    ensure!(
        !facts.writable_code,
        "{} wants an executable stack or writable code",
        facts.path
    );
    ensure!(
        facts.search_paths.is_empty(),
        "{} searches {:?}",
        facts.path,
        facts.search_paths
    );
    Ok(String::from(
        "nodelete, now, relro, no executable stack, no search path",
    ))
}

fn crates(workspace: &Workspace) -> Result<String> {
    let path = workspace.path(CRATES);
    let list = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    compare_crates(&tree(workspace)?, &list)
}

/// A line `name vVERSION` for each crate in the module, for whatever architecture.
fn tree(workspace: &Workspace) -> Result<String> {
    let mut lines = String::new();
    for arch in Arch::ALL {
        lines += &run::output(run::cargo(workspace.root()).args([
            "tree",
            "--package=pam-slurm-adopt",
            "--edges=normal",
            "--target",
            arch.target(),
            "--prefix=none",
            "--format={p}",
        ]))?;
    }
    Ok(lines)
}

/// Checks that each crate in the module says it builds with the oldest Rust that ours do.
fn rust_versions(workspace: &Workspace) -> Result<String> {
    let metadata =
        run::output(run::cargo(workspace.root()).args(["metadata", "--format-version=1"]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).context("parse the answer of cargo metadata")?;
    compare_rust_versions(&tree(workspace)?, &metadata)
}

fn compare_rust_versions(tree: &str, metadata: &Value) -> Result<String> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata: no packages")?;
    let declared = |name: &str, version: &str| {
        let is_it = |it: &&Value| it["name"] == name && it["version"] == version;
        let package = packages
            .iter()
            .find(is_it)
            .with_context(|| format!("cargo metadata has no {name} {version}"))?;
        let text = package["rust_version"].as_str();
        text.and_then(rust_version)
            .with_context(|| format!("{name} {version} does not say with which Rust it builds"))
    };
    let crates: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    let (_, own) = *crates
        .iter()
        .find(|(name, _)| *name == MODULE)
        .with_context(|| format!("cargo tree did not list {MODULE}"))?;
    let floor = declared(MODULE, own)?;
    for (name, version) in &crates {
        let (major, minor) = declared(name, version)?;
        ensure!(
            (major, minor) <= floor,
            "{name} {version} wants Rust {major}.{minor}, the module is to build with {}.{}",
            floor.0,
            floor.1
        );
    }
    let (major, minor) = floor;
    Ok(format!(
        "{major}.{minor} will do for {} crates",
        crates.len()
    ))
}

/// The module's crate.
const MODULE: &str = "pam-slurm-adopt";

/// `1.85` or `1.85.0`.
fn rust_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Compares the output of cargo tree with the committed list: names and, of foreign crates, the
/// version up to the first number that may not break us.
fn compare_crates(tree: &str, list: &str) -> Result<String> {
    let found: BTreeSet<String> = tree.lines().filter_map(crate_of_line).collect();
    let allowed: BTreeSet<String> = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    ensure!(!found.is_empty(), "cargo tree listed no crate");
    let more: Vec<_> = found.difference(&allowed).cloned().collect();
    let fewer: Vec<_> = allowed.difference(&found).cloned().collect();
    ensure!(
        more.is_empty() && fewer.is_empty(),
        "the module's crates are not those of {CRATES}: new [{}], gone [{}]",
        more.join(", "),
        fewer.join(", ")
    );
    Ok(found.into_iter().collect::<Vec<_>>().join(", "))
}

/// `libc v0.2.191` gives `libc 0.2`, `pam v0.1.0 (/src/crates/pam)` gives `pam`.
fn crate_of_line(line: &str) -> Option<String> {
    let (name, version) = name_and_version(line)?;
    if line.contains("(/") {
        return Some(name.to_owned());
    }
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    Some(if major == "0" {
        format!("{name} 0.{minor}")
    } else {
        format!("{name} {major}")
    })
}

/// The first two words of such a line, without the v.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARCH: Arch = Arch::X86_64;

    /// Real files that are no PAM module of ours: glibc, and the host's libpam, which needs more.
    fn host(name: &str) -> Facts {
        Facts::read(&Path::new("/lib/x86_64-linux-gnu").join(name)).expect("a library of the host")
    }

    fn good() -> Facts {
        let version = |it: &str| (String::from("libc.so.6"), String::from(it));
        Facts {
            path: String::from("good.so"),
            size: 300_000,
            machine: ARCH.elf_machine(),
            alignment: 4096,
            needed: ["libc.so.6", "libpam.so.0"].map(String::from).to_vec(),
            exports: vec![crate::elf::Export {
                name: String::from("pam_sm_acct_mgmt"),
                version: None,
            }],
            versions: vec![version("GLIBC_2.2.5"), version("GLIBC_2.14")],
            nodelete: true,
            bind_now: true,
            relro: true,
            ..Facts::default()
        }
    }

    #[test]
    fn a_good_module_passes() {
        for (name, check) in CHECKS {
            check(&good(), ARCH).expect(name);
        }
    }

    #[test]
    fn libc_fails_everything_that_it_can() {
        let libc = host("libc.so.6");
        for (name, check) in CHECKS {
            let fails = check(&libc, ARCH).is_err();
            assert_eq!(fails, name != "architecture", "{name}");
        }
    }

    #[test]
    fn a_library_that_is_not_everywhere_is_named() {
        let error = libraries(&host("libpam.so.0"), ARCH)
            .expect_err("libaudit")
            .to_string();
        assert!(error.contains("libaudit.so.1"), "{error}");
        for library in ["libpthread.so.0", "libdl.so.2", "libgcc_s.so.1"] {
            let mut facts = good();
            facts.needed.push(library.to_owned());
            let error = libraries(&facts, ARCH).expect_err(library).to_string();
            assert!(error.contains(library), "{error}");
        }
    }

    #[test]
    fn a_module_without_libpam_or_entry_point_fails() {
        let none = Facts {
            needed: vec![],
            exports: vec![],
            ..good()
        };
        assert!(libraries(&none, ARCH).is_err());
        assert!(symbols(&none, ARCH).is_err());
    }

    #[test]
    fn a_module_that_could_print_fails() {
        let prints = Facts {
            imports: ["malloc", "fprintf"].map(String::from).to_vec(),
            ..good()
        };
        let error = symbols(&prints, ARCH).expect_err("it prints").to_string();
        assert!(error.contains("fprintf"), "{error}");
    }

    #[test]
    fn a_newer_or_private_glibc_fails() {
        for node in ["GLIBC_2.18", "GLIBC_3.0", "GLIBC_PRIVATE"] {
            let versions = vec![(String::from("libc.so.6"), String::from(node))];
            assert!(
                glibc(&Facts { versions, ..good() }, ARCH).is_err(),
                "{node}"
            );
        }
        assert!(
            glibc(
                &Facts {
                    versions: vec![],
                    ..good()
                },
                ARCH
            )
            .is_err()
        );
    }

    #[test]
    fn each_flag_is_wanted() {
        let bad = [
            Facts {
                nodelete: false,
                ..good()
            },
            Facts {
                bind_now: false,
                ..good()
            },
            Facts {
                relro: false,
                ..good()
            },
            Facts {
                writable_code: true,
                ..good()
            },
            Facts {
                search_paths: vec![String::from("/tmp")],
                ..good()
            },
        ];
        for facts in bad {
            assert!(flags(&facts, ARCH).is_err(), "{facts:?}");
        }
    }

    #[test]
    fn an_empty_or_large_file_fails() {
        for bytes in [0, MAX_SIZE] {
            assert!(
                size(
                    &Facts {
                        size: bytes,
                        ..good()
                    },
                    ARCH
                )
                .is_err()
            );
        }
    }

    #[test]
    fn crates_must_be_those_of_the_list() {
        let tree = "pam v0.1.0 (/src/crates/pam)\nlibc v0.2.191\nlibc v0.2.191\nserde v1.0.2\n";
        compare_crates(tree, "# ours\npam\nlibc 0.2 # system calls\nserde 1\n").expect("the same");
        let more = compare_crates(tree, "pam\nlibc 0.2\n")
            .expect_err("one more")
            .to_string();
        assert!(more.contains("new [serde 1], gone []"), "{more}");
        assert!(compare_crates(tree, "pam\nlibc 0.2\nserde 1\nsys\n").is_err());
        assert!(compare_crates(tree, "pam\nlibc 0.3\nserde 1\n").is_err());
        assert!(compare_crates("", "").is_err());
    }
    #[test]
    fn another_architecture_or_a_page_too_small_fails() {
        let error = architecture(&good(), Arch::Aarch64).expect_err("another");
        assert!(error.to_string().contains("machine 62"), "{error}");
        let small = Facts {
            machine: Arch::Aarch64.elf_machine(),
            ..good()
        };
        let error = architecture(&small, Arch::Aarch64).expect_err("4 KiB");
        assert!(error.to_string().contains("4096 bytes"), "{error}");
        let large = Facts {
            alignment: 65_536,
            ..small
        };
        architecture(&large, Arch::Aarch64).expect("64 KiB");
    }

    #[test]
    fn crates_must_build_with_the_modules_rust() {
        let tree = "pam-slurm-adopt v0.1.0 (/src/crates/module)\na v1.0.2\n";
        let judge = |version: Value| {
            let package = |name: &str, number: &str, version: Value| json!({ "name": name, "version": number, "rust_version": version });
            let packages = [
                package("a", "0.9.0", "1.99".into()),
                package("a", "1.0.2", version),
                package(MODULE, "0.1.0", "1.85".into()),
            ];
            compare_rust_versions(tree, &json!({ "packages": packages }))
        };
        for good in ["1.56", "1.56.1", "1.85", "1.85.1"] {
            judge(good.into()).expect(good);
        }
        for bad in ["1.86", "2.0", "new"] {
            assert!(judge(bad.into()).is_err(), "{bad}");
        }
        let error = judge(Value::Null).expect_err("none").to_string();
        assert!(error.starts_with("a 1.0.2 does not say"), "{error}");
        assert!(compare_rust_versions("a v1.0.2\n", &json!({ "packages": [] })).is_err());
    }
}
