//! What rpm needs to know to read the package.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::node::Site;
use crate::rpms;

/// RHEL 7 and Amazon Linux 2 have rpm 4.11, which reads xz and SHA-256 and nothing later.
pub fn is_plain(site: &Site) -> Result<()> {
    let query = |format: &str| {
        let mut rpm = Command::new("rpm");
        rpms::run(rpm.args(["-qp", "--qf", format]).arg(&site.rpms.ours))
    };
    let facts = query("%{PAYLOADCOMPRESSOR} %{FILEDIGESTALGO} %{BUILDHOST} %{ARCH}")?;
    ensure!(facts == "xz 8 localhost x86_64", "{facts}");
    let needed = query("[%{REQUIRENAME}\n]")?;
    let features = needed.lines().filter(|it| it.starts_with("rpmlib("));
    let known = BTreeSet::from([
        "rpmlib(CompressedFileNames)",
        "rpmlib(FileDigests)",
        "rpmlib(PayloadFilesHavePrefix)",
        "rpmlib(PayloadIsXz)",
    ]);
    let unknown: Vec<&str> = features.filter(|it| !known.contains(it)).collect();
    ensure!(unknown.is_empty(), "a later rpm is needed: {unknown:?}");
    let provided = query("[%{PROVIDENAME}\n]")?;
    ensure!(!provided.contains(".so"), "{provided}");
    Ok(())
}
