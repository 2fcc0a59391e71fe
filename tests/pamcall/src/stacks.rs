//! Opens sessions with many stacks in one process.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use pam::app::{Start, Transaction};
use serde_json::json;

/// Opens a session with each directory that stdin names, and prints a line of JSON for it. libpam reads the
/// files in pam_start(3): if that fails, its result is the session's.
pub fn open_each(service: &str, user: &str) -> Result<()> {
    for dir in io::stdin().lines() {
        let dir = dir.context("read the next directory")?;
        let start = Start {
            service,
            user,
            confdir: Some(Path::new(&dir)),
            conversation: true,
        };
        let (code, said) = match Transaction::start(start) {
            Ok(mut transaction) => (transaction.open_session(), transaction.messages()),
            Err(answer) => (answer, Vec::new()),
        };
        let said: Vec<String> = said.into_iter().map(|it| it.text).collect();
        println!("{}", json!({ "code": code.0, "said": said }));
    }
    Ok(())
}
