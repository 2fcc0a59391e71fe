//! The options must parse as they do in SchedMD's module.

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
                "NAMES" => &["alice", "alice,1000"],
                "TEXT" => &["", "See {url}, {user}"],
                "URL" => &["", "https://x"],
                "UID" => &["0", "1000"],
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
    type Set = fn(&mut Options);
    let rows: &[(&str, Set)] = &[
        ("", |_| {}),
        ("action_no_jobs=ignore", |it| it.no_jobs = NoJobs::Ignore),
        ("ACTION_NO_JOBS=IGNORE", |it| it.no_jobs = NoJobs::Ignore),
        ("action_unknown=Allow", |it| it.unknown = Unknown::Allow),
        ("action_unknown=deny action_unknown=newest", |_| {}),
        ("action_adopt_failure=deny", |it| {
            it.adopt_failure = AdoptFailure::Deny
        }),
        ("single_job_skip_rpc=0", |it| it.single_job_skip_rpc = false),
        ("ignore_root=0", |it| it.ignore_root = false),
        ("Service=*", |it| it.service = "*".into()),
        ("nodename=N1", |it| it.node_name = Some("N1".into())),
        ("log_level=debug3", |it| it.log_level = LogLevel::Debug),
        ("log_level=0", |it| it.log_level = LogLevel::Quiet),
        ("log_level=2", |it| it.log_level = LogLevel::Error),
        ("log_level=9", |it| it.log_level = LogLevel::Debug),
        ("slurm_conf=/a/b", |it| it.slurm_conf = Some("/a/b".into())),
        ("timeout=0.5", |it| it.timeout = Duration::from_millis(500)),
    ];
    for (line, set) in rows {
        let mut expected = Options::default();
        set(&mut expected);
        assert_eq!(parse(line), (expected, vec![]), "{line}");
    }
}

#[test]
fn what_is_not_taken_changes_nothing_and_is_named() {
    for (line, part) in [
        (
            "action_no_jobs=allow",
            "action_no_jobs: invalid value \"allow\" (expected deny or ignore); keeping deny",
        ),
        ("action_no_jobs=ign", "invalid value \"ign\""),
        ("action_no_jobs=", "invalid value \"\""),
        (
            "action_no_jobs",
            "ignoring unknown option \"action_no_jobs\"",
        ),
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

#[test]
fn a_value_that_is_taken_in_part_is_named() {
    for (line, told) in [
        (
            "action_no_jobs=ignored",
            "action_no_jobs: taking \"ignore\" of \"ignored\"",
        ),
        (
            "action_generic_failure=DENYxyz",
            "taking \"deny\" of \"DENYxyz\"",
        ),
        ("disable_x11=10", "disable_x11: taking \"1\" of \"10\""),
        (
            "join_container=falsehood",
            "taking \"false\" of \"falsehood\"",
        ),
        ("action_unknown=deny,", "taking \"deny\" of \"deny,\""),
        ("log_level=debug9", "taking \"debug\" of \"debug9\""),
        ("log_level=info.", "taking \"info\" of \"info.\""),
        (
            "action_adopt_failure=deny,action_generic_failure=deny",
            "action_adopt_failure: taking only \"deny\" of \"deny,action_generic_failure=deny\"; separate options with a space: action_adopt_failure=deny action_generic_failure=deny",
        ),
        (
            "Action_No_Jobs=deny;TIMEOUT=3,limits=job",
            "separate options with a space: action_no_jobs=deny TIMEOUT=3 limits=job",
        ),
        (
            "service=sshd,login,timeout=3",
            "service: another option in the value \"sshd,login,timeout=3\"; separate options with a space: \
             service=sshd,login timeout=3",
        ),
        ("nodename=n1,service=sshd", ": nodename=n1 service=sshd"),
        (
            "slurm_conf=/etc/slurm.conf,timeout=3",
            ": slurm_conf=/etc/slurm.conf timeout=3",
        ),
    ] {
        let (options, bad) = parse(line);
        let value = line.split_once('=').expect("a value").1;
        let word: String = value.chars().take_while(|it| !",;".contains(*it)).collect();
        let is_word = !["service", "nodename", "slurm_conf"]
            .iter()
            .any(|it| line.starts_with(it));
        if is_word {
            let name = line.split('=').next().expect("a name");
            assert_eq!(options, parse(&format!("{name}={word}")).0, "{line}");
        }
        let [bad] = &bad[..] else {
            panic!("{line}: {bad:?}")
        };
        assert!(bad.to_string().contains(told), "{line}: {bad}");
    }
}

#[test]
fn a_setting_that_is_not_even_taken_in_part_is_named() {
    for (line, told) in [
        ("timeout=3,log_level=debug", ": timeout=3 log_level=debug"),
        ("log_level=5,timeout=1", ": log_level=5 timeout=1"),
        (
            "callerid_skip=10.0.0.0/8,timeout=3",
            ": callerid_skip=10.0.0.0/8 timeout=3",
        ),
    ] {
        let (options, bad) = parse(line);
        assert_eq!(options, Options::default(), "{line}");
        assert!(bad[0].to_string().contains(told), "{line}: {}", bad[0]);
    }
}

#[test]
fn a_name_that_can_be_none_is_taken_and_named() {
    for (value, told) in [
        (
            "service=SSHD",
            "\"SSHD\" matches no service: names are in small letters",
        ),
        (
            "service=login,\"sshd\"",
            "\"\\\"sshd\\\"\" matches no service",
        ),
        ("service=/usr/sbin/sshd", "matches no service"),
        ("service=sshd login", "put a comma between names"),
        ("service=sshd,", "\"\" is empty: put no blank after a comma"),
        ("nodename=n1 n2", "is no NodeName"),
        ("nodename=n1,n2", "is no NodeName"),
        ("nodename='n1'", "is no NodeName"),
        ("nodename=n[1-2]", "is no NodeName"),
    ] {
        let (options, bad) = Options::parse(&[value]);
        assert_ne!(options, Options::default(), "{value}");
        let [bad] = &bad[..] else {
            panic!("{value}: {bad:?}")
        };
        assert!(bad.to_string().contains(told), "{value}: {bad}");
    }
    for line in [
        "service=sshd,login,cockpit",
        "service=*",
        "nodename=n-1_a.b",
    ] {
        assert_eq!(parse(line).1, [], "{line}");
    }
}

#[test]
fn a_service_that_is_nearly_named_is_told() {
    for (value, service, told) in [
        (
            "ssh",
            "sshd",
            Some("\"ssh\" is not this service, so the line does nothing here"),
        ),
        ("login,openssh-server", "sshd", Some("\"openssh-server\"")),
        ("SSHD", "sshd", Some("write service=sshd")),
        ("\"sshd\"", "sshd", Some("write service=sshd")),
        ("sshd login", "sshd", Some("write service=sshd")),
        ("su, su-l", "su-l", Some("\" su-l\"")),
        ("sshd", "sshd", None),
        ("sshd,", "sshd", None),
        ("*", "sshd", None),
        ("ssh,*", "sshd", None),
        // In a file that several services include.
        ("su,su-l", "sshd", None),
        ("sshd", "login", None),
    ] {
        let (options, _) = Options::parse(&[format!("service={value}")]);
        let found = options.missed_service(service);
        let is_so = match (told, &found) {
            (None, None) => true,
            (Some(told), Some(found)) => found.contains(told),
            _ => false,
        };
        assert!(is_so, "{value} for {service}: {found:?}");
    }
}

#[test]
fn an_invalid_value_keeps_what_was_set_before() {
    for (line, kept) in [
        ("action_no_jobs=maybe", "keeping deny"),
        (
            "action_no_jobs=ignore action_no_jobs=maybe",
            "keeping ignore",
        ),
        ("timeout=9 timeout=0 timeout=8", "keeping 9"),
        ("action_no_jobs=x action_no_jobs=maybe", "keeping deny"),
    ] {
        let (_, bad) = Options::parse(&line.split_whitespace().collect::<Vec<_>>());
        let text = bad.last().expect(line).to_string();
        assert!(text.ends_with(kept), "{line}: {text}");
    }
}

/// Merges these lines of a file and this PAM line.
fn merge(file: &str, line: &str) -> (Options, Vec<String>) {
    let settings: Vec<_> = file::settings(file).collect();
    let args: Vec<_> = line.split_whitespace().collect();
    let (options, bad) = Options::merge(Path::new("/f"), &settings, &args);
    (options, bad.iter().map(BadArgument::to_string).collect())
}

#[test]
fn an_argument_wins_over_the_file() {
    let (options, bad) = merge(
        "# comment\ntimeout = 3\nexempt_users = alice, bob\nmode = audit\n",
        "timeout=4 mode=enforce",
    );
    assert_eq!(bad, [""; 0]);
    assert_eq!(options.timeout, Duration::from_secs(4));
    assert_eq!(options.exempt.users, ["alice", "bob"]);
    assert_eq!(options.mode, Mode::Enforce);
}

#[test]
fn a_bad_setting_is_named_by_its_line() {
    let (options, bad) = merge(
        "timeout = 3\n\ntimeout = x\nTimeout\nnonsense = 1\n",
        "limits=y",
    );
    assert_eq!(options.timeout, Duration::from_secs(3));
    assert_eq!(
        bad,
        [
            "/f:3: timeout: invalid value \"x\" (expected SECONDS); keeping 3",
            "/f:4: ignoring unknown option \"Timeout\"",
            "/f:5: ignoring unknown option \"nonsense=1\"",
            "limits: invalid value \"y\" (expected sshd or job); keeping sshd",
        ]
    );
}

#[test]
fn strict_changes_defaults_wherever_it_stands() {
    let actions = |file: &str, line: &str| {
        let (options, _) = merge(file, line);
        (options.adopt_failure, options.generic_failure)
    };
    let open = (AdoptFailure::Allow, GenericFailure::Ignore);
    let closed = (AdoptFailure::Deny, GenericFailure::Deny);
    for (file, line, expected) in [
        ("", "", open),
        ("", "strict", closed),
        ("", "STRICT", closed),
        ("strict", "", closed),
        ("strict = 1", "strict=0", open),
        ("strict = 0", "strict", closed),
        ("strict = maybe", "", open),
        // A value matches by prefix, as with every option.
        ("", "strict=10", closed),
        ("", "strict=1,service=sshd", closed),
        ("\u{feff}strict\n", "", closed),
        (
            "strict",
            "action_adopt_failure=allow",
            (AdoptFailure::Allow, GenericFailure::Deny),
        ),
        (
            "action_generic_failure = allow",
            "strict",
            (AdoptFailure::Deny, GenericFailure::Allow),
        ),
    ] {
        assert_eq!(actions(file, line), expected, "{file:?} {line:?}");
    }
    let (_, bad) = merge("", "strict action_adopt_failure=x");
    let text = "action_adopt_failure: invalid value \"x\" (expected allow or deny); keeping deny";
    assert_eq!(bad, [text]);
}

#[test]
fn a_text_is_no_list_of_options() {
    let message = "message_no_jobs=See https://x/?timeout=3,mode=audit";
    let (options, bad) = Options::parse(&[message]);
    assert_eq!(bad, []);
    let template = options.messages.no_jobs.expect("a text");
    assert_eq!(format!("message_no_jobs={template}"), message);
    let (_, bad) = Options::parse(&["exempt_users=alice,mode=audit"]);
    assert!(
        bad[0].to_string().contains("separate options with a space"),
        "{bad:?}"
    );
    for glued in ["exempt_users=alice,strict", "mode=adopt-only,strict"] {
        let (_, bad) = Options::parse(&[glued]);
        assert!(
            bad[0].to_string().contains("separate options with a space"),
            "{bad:?}"
        );
    }
    for bad_value in [
        "exempt_users=",
        "exempt_groups=a,,b",
        "exempt_uid_below=x",
        "kill_switch=x",
        "message_url=a\u{7}",
    ] {
        let (options, bad) = Options::parse(&[bad_value]);
        assert_eq!((options, bad.len()), (Options::default(), 1), "{bad_value}");
    }
}
