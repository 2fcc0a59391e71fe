//! Runs one of the pure parts of a login for callgrind to count: `budgets CASE`. `cargo xtask budgets`
//! compares the counts with budgets/instructions.txt.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its answer")]

mod cases;

use std::process::ExitCode;

use crate::cases::CASES;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let Some(wanted) = wanted else {
        for (name, _) in CASES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let Some((_, prepare)) = CASES.iter().find(|(name, _)| *name == wanted) else {
        println!("no case {wanted}");
        return ExitCode::FAILURE;
    };
    measured(&mut *prepare());
    ExitCode::SUCCESS
}

/// Callgrind counts what runs in here, found by this name, but not the making of the input.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}
