//! The options, as SchedMD's module takes them.

use super::*;

fn parse(line: &str) -> (Options, Vec<BadArgument>) {
    Options::parse(&line.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn the_tables_defaults_are_the_defaults() {
    for spec in TABLE {
        let mut options = Options::default();
        let free_text = spec.default.contains(' ');
        assert!(
            free_text || (spec.set)(&mut options, spec.default),
            "{}",
            spec.name
        );
        assert_eq!(options, Options::default(), "{}", spec.name);
        assert!(
            free_text
                || spec.values[0] == spec.default
                || spec.values[0].chars().all(char::is_uppercase)
        );
    }
}

#[test]
fn each_word_of_the_table_is_taken() {
    for spec in TABLE {
        for value in spec.values {
            let samples: &[&str] = match *value {
                "NAME" => &["x"],
                "PATH" => &["/x"],
                "NETWORKS" => &["10.0.0.0/8", "10.1.2.3,2001:db8::/32"],
                "SECONDS" => &["1", "0.1", "60"],
                "debug2 to debug5" => &["debug2", "debug3", "debug4", "debug5"],
                "0 to 9" => &["0", "5", "9"],
                word => &[word],
            };
            for sample in samples {
                assert!(
                    (spec.set)(&mut Options::default(), sample),
                    "{}={sample}",
                    spec.name
                );
            }
        }
    }
}

#[test]
fn matches_as_the_original_does() {
    let ours = Options::default();
    for (line, expected) in [
        ("", ours.clone()),
        (
            "action_no_jobs=ignore",
            Options {
                no_jobs: NoJobs::Ignore,
                ..ours.clone()
            },
        ),
        (
            "ACTION_NO_JOBS=IGNORE",
            Options {
                no_jobs: NoJobs::Ignore,
                ..ours.clone()
            },
        ),
        (
            "action_no_jobs=ignored_for_now",
            Options {
                no_jobs: NoJobs::Ignore,
                ..ours.clone()
            },
        ),
        (
            "action_unknown=Allow",
            Options {
                unknown: Unknown::Allow,
                ..ours.clone()
            },
        ),
        ("action_unknown=deny action_unknown=newest", ours.clone()),
        (
            "action_generic_failure=DENYxyz",
            Options {
                generic_failure: GenericFailure::Deny,
                ..ours.clone()
            },
        ),
        (
            "action_adopt_failure=deny",
            Options {
                adopt_failure: AdoptFailure::Deny,
                ..ours.clone()
            },
        ),
        (
            "disable_x11=1x",
            Options {
                disable_x11: true,
                ..ours.clone()
            },
        ),
        (
            "join_container=falsehood",
            Options {
                join_container: false,
                ..ours.clone()
            },
        ),
        (
            "single_job_skip_rpc=0",
            Options {
                single_job_skip_rpc: false,
                ..ours.clone()
            },
        ),
        (
            "ignore_root=0",
            Options {
                ignore_root: false,
                ..ours.clone()
            },
        ),
        (
            "Service=*",
            Options {
                service: "*".into(),
                ..ours.clone()
            },
        ),
        (
            "service=SSHD",
            Options {
                service: "SSHD".into(),
                ..ours.clone()
            },
        ),
        (
            "nodename=N1",
            Options {
                node_name: Some("N1".into()),
                ..ours.clone()
            },
        ),
        (
            "log_level=debug3",
            Options {
                log_level: LogLevel::Debug,
                ..ours.clone()
            },
        ),
        (
            "log_level=0",
            Options {
                log_level: LogLevel::Quiet,
                ..ours.clone()
            },
        ),
        (
            "log_level=2",
            Options {
                log_level: LogLevel::Error,
                ..ours.clone()
            },
        ),
        (
            "log_level=9",
            Options {
                log_level: LogLevel::Debug,
                ..ours.clone()
            },
        ),
        (
            "slurm_conf=/a/b",
            Options {
                slurm_conf: Some("/a/b".into()),
                ..ours.clone()
            },
        ),
        (
            "timeout=0.5",
            Options {
                timeout: Duration::from_millis(500),
                ..ours.clone()
            },
        ),
    ] {
        assert_eq!(parse(line), (expected, vec![]), "{line}");
    }
}

#[test]
fn what_is_not_taken_changes_nothing_and_is_named() {
    for (line, part) in [
        (
            "action_no_jobs=allow",
            "action_no_jobs can't be «allow»: it takes deny, ignore",
        ),
        ("action_no_jobs=ign", "«ign»"),
        ("action_no_jobs=", "«»"),
        ("action_no_jobs", "unknown option «action_no_jobs»"),
        ("action_no_job=deny", "unknown option"),
        ("disable_x11=true", "disable_x11"),
        ("join_container=0", "join_container"),
        ("log_level=loud", "log_level"),
        ("log_level=10", "log_level"),
        ("log_level=-1", "log_level"),
        ("slurm_conf=etc/slurm.conf", "slurm_conf"),
        ("timeout=0", "timeout"),
        ("timeout=61", "timeout"),
        ("timeout=60.001", "timeout"),
        ("timeout=-1", "timeout"),
        ("timeout=1.", "timeout"),
        ("timeout=.5", "timeout"),
        ("timeout=9999999999999", "timeout"),
        ("timeout=NaN", "timeout"),
        ("nodename=", "nodename"),
        ("service=", "service"),
        ("debug\u{1b}[31m", "\\u{1b}"),
    ] {
        let (options, bad) = parse(line);
        assert_eq!(options, Options::default(), "{line}");
        assert_eq!(bad.len(), 1, "{line}");
        assert!(bad[0].to_string().contains(part), "{line}: {}", bad[0]);
    }
    let (options, bad) = parse("action_no_jobs=ignore action_no_jobs=x");
    assert_eq!((options.no_jobs, bad.len()), (NoJobs::Ignore, 1));
    let long = format!("x{}", "y".repeat(70_000));
    assert!(parse(&long).1[0].to_string().len() < 300);
    assert_eq!(Options::parse(&[b"\xff\xfe"]).1.len(), 1);
}
