//! Commands of the docs. A test takes them from the page and runs them as they stand there, so that the two cannot
//! part.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::{Node, Output, Status};

/// Returns the commands in the blocks of shell below a heading of a page, one a line, without those of `NOT_RUN`.
///
/// # Errors
/// The page or its commands are not there.
pub fn commands(page: &str, heading: &str) -> Result<Vec<String>> {
    let blocks = blocks(&read(page)?);
    let here = blocks.into_iter().filter(|it| it.heading == heading);
    let lines = here.flat_map(|it| it.commands());
    let commands: Vec<String> = lines.filter(|it| not_run(page, it).is_none()).collect();
    ensure!(
        !commands.is_empty(),
        "{page}: no commands below \"{heading}\""
    );
    Ok(commands)
}

/// Runs commands as root in a directory of the node. Each must end with one of its statuses.
///
/// # Errors
/// There are more or fewer commands than statuses; one ends otherwise.
pub fn run(node: &Node, dir: &str, commands: &[String], may_end: &[&[i32]]) -> Result<Vec<Output>> {
    ensure!(
        commands.len() == may_end.len(),
        "{} commands expected: {commands:#?}",
        may_end.len()
    );
    let pairs = commands.iter().zip(may_end);
    let run = pairs.map(|(command, may_end)| {
        let shell = node.command(&["/bin/sh", "-c", command]).dir(dir);
        let ended = shell.env("DEBIAN_FRONTEND", "noninteractive").output()?;
        let is_good = may_end.iter().any(|it| ended.status == Status::Exited(*it));
        ensure!(is_good, "{command}, expected {may_end:?}: {ended}");
        Ok(ended)
    });
    run.collect()
}

/// Prints which commands of the docs no test runs, and why.
#[allow(clippy::print_stdout, reason = "for the reader of the run's output")]
pub fn tell_not_run() {
    for (page, command, reason) in NOT_RUN {
        println!("left out: \"{command}\" of {page} is run by no test: {reason}");
    }
}

/// Lists the calls of slurm-adopt with arguments that stand within sentences and tables of the docs.
///
/// # Errors
/// A page cannot be read.
pub fn calls() -> Result<Vec<String>> {
    let mut calls = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        let outside = text.split("```").step_by(2);
        let spans = outside.flat_map(|it| it.split('`').skip(1).step_by(2));
        let words = spans.map(|it| it.split_whitespace().collect::<Vec<_>>());
        let with_arguments = words.filter(|it| it.first() == Some(&"slurm-adopt") && it.len() > 2);
        calls.extend(with_arguments.map(|it| it.join(" ")));
    }
    calls.sort();
    calls.dedup();
    Ok(calls)
}

/// A fenced block.
struct Block {
    heading: String,
    /// What stands behind the fence.
    kind: String,
    lines: Vec<String>,
}

impl Block {
    /// The lines of shell, or those behind a prompt in what a terminal shows.
    fn commands(self) -> Vec<String> {
        let is_shell = self.kind == "sh";
        let command = |it: &String| match is_shell {
            true => Some(it.clone()).filter(|it| !it.is_empty() && !it.starts_with('#')),
            false => it.strip_prefix("# ").map(str::to_owned),
        };
        self.lines.iter().filter_map(command).collect()
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut heading) = (Vec::<Block>::new(), "");
    let mut is_inside = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), is_inside) {
            (Some(_), true) => is_inside = false,
            (Some(kind), false) => {
                is_inside = true;
                blocks.push(Block {
                    heading: heading.to_owned(),
                    kind: kind.to_owned(),
                    lines: Vec::new(),
                });
            }
            (None, true) => {
                if let Some(block) = blocks.last_mut() {
                    block.lines.push(line.to_owned());
                }
            }
            (None, false) if line.starts_with('#') => heading = line.trim_matches(['#', ' ']),
            (None, false) => {}
        }
    }
    blocks
}

fn not_run(page: &str, command: &str) -> Option<&'static str> {
    let mut all = NOT_RUN.iter();
    all.find(|it| it.0 == page && command.starts_with(it.1))
        .map(|it| it.2)
}

/// The pages whose commands are run.
fn pages() -> Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).context("list docs")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    Ok(pages)
}

fn read(page: &str) -> Result<String> {
    fs::read_to_string(root().join(page)).with_context(|| format!("read {page}"))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Commands that no test runs: the page, how the command begins, and why.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "./demo",
        "its build takes minutes; machines of the lab run it with --no-build",
    ),
    ("README.md", "./test", "it is this run"),
    ("docs/reliability.md", "./test", "it is this run"),
    (
        "docs/podman.md",
        "apt-get install podman",
        "the root of the machine has the packages",
    ),
    (
        "docs/images.md",
        "wwctl image build",
        "Debian has no Warewulf",
    ),
    (
        "docs/images.md",
        "dnf install",
        "the nodes have Debian's packages; rpm itself installs the same file",
    ),
    (
        "docs/session.md",
        "systemctl daemon-reload",
        "systemd does not run in a namespace; machines of the lab run it with these files",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks of the docs, each with the test that takes its commands: page, heading, program, test.
    const SHOWN: &[[&str; 4]] = &[
        [
            "README.md",
            "Install",
            "package",
            "README's quick start, and back",
        ],
        ["docs/images.md", "AWS ParallelCluster", "package", PAGES],
        [
            "docs/images.md",
            "Slinky and other containers",
            "package",
            PAGES,
        ],
        ["docs/images.md", "Warewulf, OpenHPC", "package_rpm", PAGES],
        ["docs/install.md", "Debian and Ubuntu", "package", PAGES],
        [
            "docs/install.md",
            "Other hosts: the tarball",
            "package",
            PAGES,
        ],
        [
            "docs/install.md",
            "RHEL and its kin, Amazon Linux, openSUSE",
            "package_rpm",
            PAGES,
        ],
        [
            "docs/install.md",
            "What you have got",
            "package_rpm",
            "the bill of materials and the sums are complete",
        ],
        [
            "docs/migration.md",
            "1. See what you have",
            "package",
            PAGES,
        ],
        [
            "docs/migration.md",
            "2. Put it in the place of SchedMD's",
            "package",
            PAGES,
        ],
        [
            "docs/podman.md",
            "A container without a registry",
            "machine",
            PODMAN,
        ],
        ["docs/podman.md", "On each node", "machine", PODMAN],
        [
            "docs/session.md",
            "pam_systemd and the user's service manager",
            "package",
            PAGES,
        ],
        [
            "docs/setup.md",
            "By hand, if all else fails",
            "package",
            PAGES,
        ],
        [
            "docs/users.md",
            "The short way",
            "connect",
            "the commands of docs/users.md",
        ],
        [
            "docs/users.md",
            "ssh, scp, rsync and editors",
            "connect",
            "the commands of docs/users.md",
        ],
        [
            "docs/users.md",
            "A host that starts its own job",
            "connect",
            "the commands of docs/users.md",
        ],
        [
            "docs/users.md",
            "From your own computer",
            "connect",
            "the commands of docs/users.md",
        ],
        [
            "docs/tool.md",
            "What do users leave behind?",
            "ending",
            "the Epilog of the last job ends what is outside",
        ],
        [
            "docs/tool.md",
            "How long does the job last?",
            "machine",
            "the timer tells a login that its job ends",
        ],
        // This test compares what a terminal shows.
        [
            "docs/tool.md",
            "",
            "check",
            "docs/tool.md shows what the tool prints",
        ],
    ];
    const PAGES: &str = "the commands of the pages for admins";
    const PODMAN: &str = "rootless Podman";

    #[test]
    fn the_commands_of_every_block_are_run_by_a_test() {
        for page in pages().expect("the pages") {
            for block in blocks(&read(&page).expect("a page")) {
                let heading = block.heading.clone();
                let shown = SHOWN
                    .iter()
                    .find(|it| it[0] == page && [heading.as_str(), ""].contains(&it[1]));
                for command in block.commands() {
                    let is_known = shown.is_some() || not_run(&page, &command).is_some();
                    assert!(
                        is_known,
                        "{page}, \"{heading}\": no test runs \"{command}\""
                    );
                }
            }
        }
    }

    #[test]
    fn the_named_tests_take_the_commands_from_the_page() {
        for [page, heading, program, test] in SHOWN {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests")
                .join(program);
            let mut source = String::new();
            for entry in fs::read_dir(&dir).expect("a program of several files") {
                // A directory has no source of its own.
                source += &fs::read_to_string(entry.expect("a file").path()).unwrap_or_default();
            }
            for part in [page, heading, test] {
                assert!(source.contains(part), "{program}: no \"{part}\"");
            }
        }
    }

    #[test]
    fn what_no_test_runs_is_in_the_docs() {
        for (page, command, _) in NOT_RUN {
            let all = blocks(&read(page).expect("a page"));
            let mut all = all.into_iter().flat_map(Block::commands);
            assert!(
                all.any(|it| it.starts_with(command)),
                "{page}: no {command}"
            );
        }
    }

    #[test]
    fn no_block_hides_its_commands() {
        for page in pages().expect("the pages") {
            for block in blocks(&read(&page).expect("a page")) {
                let is_shell = |it: &String| it.starts_with("slurm-adopt ") || it.contains(" && ");
                let hidden = block
                    .lines
                    .iter()
                    .find(|it| block.kind != "sh" && is_shell(it));
                assert!(
                    hidden.is_none(),
                    "{page}: {hidden:?} is not in a block of sh"
                );
            }
        }
    }

    #[test]
    fn commands_are_lines_of_shell_or_stand_behind_a_prompt() {
        let text = "# a\n```sh\n# no\nx  # why\n\ny\n```\n## b\n```\n# z 1\nout\n```\n```toml\nq = 1\n```\n";
        let found: Vec<_> = blocks(text)
            .into_iter()
            .map(|it| (it.heading.clone(), it.commands()))
            .collect();
        let expected = [
            ("a", vec!["x  # why", "y"]),
            ("b", vec!["z 1"]),
            ("b", vec![]),
        ];
        let expected = expected.map(|(heading, lines)| {
            (
                heading.to_owned(),
                lines.into_iter().map(str::to_owned).collect(),
            )
        });
        assert_eq!(found, expected);
    }
}
