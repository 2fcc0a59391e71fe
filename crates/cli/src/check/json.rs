//! The findings as JSON; docs/check.schema.json describes it.

use std::io::{self, Write};

use check::{Finding, Report, Severity};
use serde::Serialize;

use crate::output;

#[derive(Serialize)]
struct Object<'a> {
    host: Host<'a>,
    checks: usize,
    findings: Vec<Row<'a>>,
    unseen: Vec<&'a check::Unseen>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: Option<String>,
    distribution: &'a str,
    root: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'static str,
    severity: Severity,
    title: &'static str,
    file: Option<&'a str>,
    line: Option<usize>,
    detail: &'a str,
    fix: &'a str,
}

impl<'a> Row<'a> {
    fn of(finding: &'a Finding) -> Self {
        let spot = finding.spot.as_ref();
        Self {
            id: finding.check.id,
            severity: finding.severity,
            title: finding.check.title,
            file: spot.map(|it| it.file.as_str()),
            line: spot.and_then(|it| it.line),
            detail: &finding.detail,
            fix: finding.advice(),
        }
    }
}

/// Writes one object and a line's end.
pub(super) fn write(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let host = &report.host;
    let object = Object {
        host: Host {
            name: host.is_live().then(super::text::host_name),
            distribution: &host.distribution().name,
            root: host.tree.root().map(|it| it.to_string_lossy().into_owned()),
        },
        checks: report.checks,
        findings: report.findings().map(Row::of).collect(),
        unseen: report.rooms.iter().flat_map(|it| &it.unseen).collect(),
    };
    output::write_json(out, &object)
}
