//! What the log says of a PAM line that is written wrongly.

use anyhow::{Result, ensure};
use tests::Module;
use tests::session::{Lines, Method};

use crate::Test;
use crate::handover::logged;
use crate::site::{STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("options separated by a comma", comma),
    ("service=ssh", nearly),
];

/// Only the first counts, as in SchedMD's module; the log shows the line as it should be.
fn comma(site: &Site) -> Result<()> {
    let node = site.node();
    let options = STRICT.replace(' ', ",");
    site.use_stack(Module::Ours, Lines::Account, &options, "")?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("bob", Method::PublicKey)?;
    ensure!(login.shell.is_none(), "{login}");
    login.end(node)?;
    let told = format!("separate options with a space: {STRICT}");
    logged(site, mark, &["taking only \"deny\" of", &told])
}

/// The line lets everybody in.
fn nearly(site: &Site) -> Result<()> {
    let node = site.node();
    site.use_stack(Module::Ours, Lines::Account, "service=ssh", "")?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("bob", Method::PublicKey)?;
    ensure!(login.shell.is_some(), "{login}");
    login.end(node)?;
    let told = "service: \"ssh\" is not this service, so the line does nothing here and keeps nobody out: \
                write service=sshd";
    logged(site, mark, &[told])
}
