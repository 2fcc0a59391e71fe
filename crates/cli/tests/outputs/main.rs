//! What `slurm-adopt` prints, compared with the texts in `expected`. `UPDATE_EXPECT=1 cargo test -p slurm-adopt` writes
//! them again: look at the difference before it is committed.

mod check;
#[path = "../../../check/tests/set_ups/tree.rs"]
#[allow(dead_code, reason = "the set-ups of crates/check use all of it")]
mod tree;
mod usage;

use std::process::{Command, Output};

use expect_test::expect_file;

/// Runs the program; no terminal, no colours.
fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_slurm-adopt");
    let run = Command::new(program).args(arguments).output();
    run.expect("run slurm-adopt")
}

/// A command and what it does, as in a terminal.
fn session(arguments: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = run(arguments);
    let status = status.code().expect("an exit status");
    let [stdout, stderr] = [stdout, stderr].map(|it| String::from_utf8(it).expect("a text"));
    let line = arguments.join(" ");
    format!("$ slurm-adopt {line}\n{stdout}{stderr}[exit status {status}]\n")
}

/// Compares a text with that of a file in `expected`.
fn compare(name: &str, text: &str) {
    expect_file![format!("expected/{name}")].assert_eq(text);
}
