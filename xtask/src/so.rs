//! Gates on the built module: what it needs from a host, what it exports, how large it is.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::arch::{Arch, GLIBC};
use crate::debian::Debian;
use crate::dist::{self, Dist};
use crate::elf::Facts;
use crate::report::Report;
use crate::stub;
use crate::workspace::Workspace;

/// Libraries that every process with PAM has loaded, besides the loader. Any other library, even an empty
/// libpthread, would be mapped for each login.
const LIBRARIES: [&str; 2] = ["libc.so.6", "libpam.so.0"];

/// Size limit of the file, in bytes; a larger module contains something that nobody intended.
const MAX_SIZE: u64 = 1_000_000;

/// Functions that neither our code nor what we link with may call, grouped by their effect on the host.
/// Functions of this kind that the module does call: write(2) and abort(3), with which std and the unwinder
/// report that they give up; clone(2) in `sys::by_proxy` (docs/adr/0010-a-proxy-for-frozen-jobs.md);
/// getenv(3); and what std's panic hook calls to print a backtrace, a hook that `pam::enter` replaces.
const FORBIDDEN: [(&str, &str); 5] = [
    (
        "prints",
        "stdout stderr printf vprintf dprintf fprintf vfprintf __printf_chk __fprintf_chk \
         __vfprintf_chk putchar puts fputs fputc fwrite fflush perror",
    ),
    ("ends the host", "exit __assert_fail"),
    (
        "starts threads or processes",
        "fork vfork pthread_create thrd_create",
    ),
    (
        "changes how the host takes signals",
        "signal sigaction sigprocmask pthread_sigmask",
    ),
    (
        "outlives the call",
        "atexit __cxa_atexit __cxa_thread_atexit_impl pthread_key_create openlog setenv",
    ),
];

/// Runs the gates on one architecture's module and counts each.
pub fn gates(workspace: &Workspace, arch: Arch, report: &mut Report) {
    report.gate(&format!("so {arch}: stub of libpam"), || match arch {
        Arch::X86_64 => stub::compare_with_real(Path::new(stub::REAL)),
        Arch::Aarch64 => stub::compare_with_real(&Debian::install(workspace)?.libpam()),
    });
    let module = Dist::place(workspace, arch).module();
    report.gate(&format!("so {arch}: paths in panics"), || {
        let bytes = fs::read(&module).with_context(|| format!("read {}", module.display()))?;
        let mut dirs = vec![workspace.path("crates")];
        dirs.extend(dist::cargo_home().map(|it| it.join("registry")));
        paths(&bytes, &dirs)
    });
    let facts = match Facts::read(&module) {
        Ok(facts) => facts,
        Err(error) => return report.not_run(&format!("so {arch}"), &format!("{error:#}")),
    };
    for (name, check) in CHECKS {
        report.gate(&format!("so {arch}: {name}"), || check(&facts, arch));
    }
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
    // Without it, a program that has libpam but hides its symbols could not load the module.
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
        let found = FORBIDDEN
            .iter()
            .find(|(_, names)| names.split(' ').any(|it| it == name));
        if let Some((what, _)) = found {
            bail!("{} calls {name}, which {what}", facts.path);
        }
    }
    Ok(names.join(" "))
}

/// Checks that panics name a file of the source, and none of the directories in which it was built.
fn paths(bytes: &[u8], dirs: &[PathBuf]) -> Result<String> {
    let has = |text: &[u8]| bytes.windows(text.len()).any(|it| it == text);
    ensure!(has(OWN_SOURCE.as_bytes()), "no panic is in {OWN_SOURCE}");
    for dir in dirs {
        ensure!(
            !has(dir.as_os_str().as_bytes()),
            "{} of this machine is in the module",
            dir.display()
        );
    }
    Ok(format!("{OWN_SOURCE}, no directory of this machine"))
}

/// Directory of most of the module's code.
const OWN_SOURCE: &str = "crates/adopt/src/";

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

#[cfg(test)]
mod tests {
    use super::*;

    const ARCH: Arch = Arch::X86_64;

    /// Real files that are not our PAM module: glibc, and the host's libpam, which needs more libraries.
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
        assert!(error.contains("calls fprintf, which prints"), "{error}");
    }

    #[test]
    fn a_module_that_names_a_directory_of_the_machine_fails() {
        let dirs = ["/home/me/.cargo/registry", "/src/crates"].map(PathBuf::from);
        paths(b"at crates/adopt/src/run.rs:1", &dirs).expect("a file of the source");
        for bad in [
            &b"crates/adopt/src/run.rs /home/me/.cargo/registry"[..],
            b"/src/crates/adopt/src/run.rs",
            b"no place at all",
        ] {
            assert!(paths(bad, &dirs).is_err(), "{}", bad.escape_ascii());
        }
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
}
