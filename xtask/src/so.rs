//! Gates on the built module: what it asks of a host, what it shows to it, what it weighs.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::dist::Dist;
use crate::elf::Facts;
use crate::report::Report;
use crate::run;
use crate::stub;
use crate::workspace::Workspace;

/// glibc 2.17's own libraries and libpam: nothing else is on every host.
const LIBRARIES: [&str; 6] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libpam.so.0",
    "libpthread.so.0",
];

/// The newest glibc whose functions may be asked for.
const GLIBC: (u32, u32) = (2, 17);

/// Every login maps the file.
const MAX_SIZE: u64 = 650_000;

/// The committed list of the crates in the module.
const CRATES: &str = "xtask/so-crates.txt";

/// Runs all of them and counts each.
pub fn gates(workspace: &Workspace, dist: &Dist, report: &mut Report) {
    report.gate("so: stub of libpam", stub::compare_with_real);
    match Facts::read(&dist.module()) {
        Ok(facts) => {
            report.gate("so: libraries", || libraries(&facts));
            report.gate("so: symbols", || symbols(&facts));
            report.gate("so: glibc", || glibc(&facts));
            report.gate("so: size", || size(&facts));
            report.gate("so: linker flags", || flags(&facts));
        }
        Err(error) => report.not_run("so", &format!("{error:#}")),
    }
    report.gate("so: crates", || crates(workspace));
}

fn libraries(facts: &Facts) -> Result<String> {
    for library in &facts.needed {
        ensure!(
            LIBRARIES.contains(&library.as_str()),
            "{} needs {library}, which not every host has",
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

fn symbols(facts: &Facts) -> Result<String> {
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
    Ok(names.join(" "))
}

fn glibc(facts: &Facts) -> Result<String> {
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

fn size(facts: &Facts) -> Result<String> {
    ensure!(
        (1..MAX_SIZE).contains(&facts.size),
        "{} has {} bytes, the limit is {MAX_SIZE}",
        facts.path,
        facts.size
    );
    Ok(format!("{} bytes", facts.size))
}

fn flags(facts: &Facts) -> Result<String> {
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
    let tree = run::output(run::cargo(workspace.root()).args([
        "tree",
        "--package=pam-slurm-adopt",
        "--edges=normal",
        "--target=x86_64-unknown-linux-gnu",
        "--prefix=none",
        "--format={p}",
    ]))?;
    let path = workspace.path(CRATES);
    let list = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    compare_crates(&tree, &list)
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
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Real files that are no PAM module of ours: glibc, and the host's libpam, which needs more.
    fn host(name: &str) -> Facts {
        Facts::read(&Path::new("/lib/x86_64-linux-gnu").join(name)).expect("a library of the host")
    }

    fn good() -> Facts {
        let version = |it: &str| (String::from("libc.so.6"), String::from(it));
        Facts {
            path: String::from("good.so"),
            size: 300_000,
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
        for check in [libraries, symbols, glibc, size, flags] {
            check(&good()).expect("good");
        }
    }

    #[test]
    fn libc_fails_everything_that_it_can() {
        let libc = host("libc.so.6");
        for check in [libraries, symbols, glibc, size, flags] {
            assert!(check(&libc).is_err());
        }
    }

    #[test]
    fn a_library_that_is_not_everywhere_is_named() {
        let error = libraries(&host("libpam.so.0"))
            .expect_err("libaudit")
            .to_string();
        assert!(error.contains("libaudit.so.1"), "{error}");
    }

    #[test]
    fn a_module_without_libpam_or_entry_point_fails() {
        let none = Facts {
            needed: vec![],
            exports: vec![],
            ..good()
        };
        assert!(libraries(&none).is_err());
        assert!(symbols(&none).is_err());
    }

    #[test]
    fn a_newer_or_private_glibc_fails() {
        for node in ["GLIBC_2.18", "GLIBC_3.0", "GLIBC_PRIVATE"] {
            let versions = vec![(String::from("libc.so.6"), String::from(node))];
            assert!(glibc(&Facts { versions, ..good() }).is_err(), "{node}");
        }
        assert!(
            glibc(&Facts {
                versions: vec![],
                ..good()
            })
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
            assert!(flags(&facts).is_err(), "{facts:?}");
        }
    }

    #[test]
    fn an_empty_or_large_file_fails() {
        for bytes in [0, MAX_SIZE] {
            assert!(
                size(&Facts {
                    size: bytes,
                    ..good()
                })
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
}
