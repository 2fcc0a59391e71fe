use std::time::Duration;

use super::*;

fn hint(program: &str, args: &str, slurm_conf: Option<&str>) -> ConfHint {
    let args = args.split(' ').map(OsString::from).collect();
    let started = Invocation {
        program: program.into(),
        args,
        slurm_conf: slurm_conf.map(PathBuf::from),
    };
    started.slurmd().expect("it stays").conf
}

#[test]
fn no_process_is_looked_at_after_the_deadline() {
    let scan = |limit| {
        let mut unseen = Unseen::default();
        let found = Slurmd::scan(&Deadline::after(limit), &mut unseen);
        (found, unseen.first())
    };
    let (found, unseen) = scan(Duration::ZERO);
    let unseen = unseen.expect("not all are looked at");
    assert_eq!(unseen, "look through /proc: no time is left");
    assert!(found.is_empty(), "{found:?}");
    let (_, unseen) = scan(Duration::from_secs(60));
    assert!(unseen.is_none_or(|it| !it.contains("no time")));
}

#[test]
fn hints() {
    let file = |path: &str| ConfHint::File(path.into());
    let default = |prefix: Option<&str>| ConfHint::Default {
        prefix: prefix.map(Into::into),
    };
    let usr = "/usr/sbin/slurmd";
    for (program, args, environment, expected) in [
        (usr, "slurmd", None, default(None)),
        (usr, "slurmd -D -s", None, default(None)),
        (usr, "slurmd -f /a/b", None, file("/a/b")),
        (usr, "slurmd -f/a/b", None, file("/a/b")),
        (usr, "slurmd -Dsf /a/b -c", None, file("/a/b")),
        (usr, "slurmd -N -f -f /c", None, file("/c")),
        (usr, "slurmd -f", None, default(None)),
        (usr, "slurmd -f rel", None, default(None)),
        (usr, "slurmd -L /log -f /c", Some("/env"), file("/c")),
        (usr, "slurmd", Some("/env"), file("/env")),
        (
            usr,
            "slurmd --conf-server ctl:6817",
            None,
            ConfHint::Configless,
        ),
        (
            usr,
            "slurmd --conf-server=ctl -Z",
            None,
            ConfHint::Configless,
        ),
        (
            usr,
            "slurmd --conf-server=ctl -f /a",
            None,
            ConfHint::Configless,
        ),
        (usr, "slurmd --conf -f", None, default(None)),
        (usr, "slurmd --extra -f/a/b", None, default(None)),
        (usr, "slurmd --extra=x -f/a/b", None, file("/a/b")),
        (usr, "slurmd -Fgold -f /a", None, file("/a")),
        (usr, "slurmd -Ff/evil", None, default(None)),
        (usr, "slurmd -F -f /a", None, file("/a")),
        (usr, "slurmd  -f /a", None, file("/a")),
        (
            "/opt/slurm/sbin/slurmd",
            "slurmd",
            None,
            default(Some("/opt/slurm")),
        ),
        ("/sbin/slurmd", "slurmd", None, default(None)),
    ] {
        assert_eq!(
            hint(program, args, environment),
            expected,
            "{program} {args}"
        );
    }
}

#[test]
fn the_name_that_it_was_given() {
    for (args, expected) in [
        ("slurmd", None),
        ("slurmd -N n1", Some("n1")),
        ("slurmd -Nn1 -D", Some("n1")),
        ("slurmd -DZN n1 --conf Feature=x", Some("n1")),
        ("slurmd -N n1 -N n2", Some("n2")),
        ("slurmd -f -N", None),
        ("slurmd --extra -Nn1", None),
        ("slurmd -FN n1", None),
        ("slurmd -N", None),
    ] {
        let started = Invocation {
            program: "/usr/sbin/slurmd".into(),
            args: args.split(' ').map(OsString::from).collect(),
            slurm_conf: None,
        };
        let slurmd = started.slurmd().expect("it stays");
        assert_eq!(slurmd.node_name.as_deref(), expected, "{args}");
    }
}

#[test]
fn who_is_slurmd() {
    let root = "Name:\tslurmd\nUmask:\t0022\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n";
    for (program, status, expected) in [
        ("/usr/sbin/slurmd", root, true),
        ("/usr/sbin/slurmd-wlm", root, true),
        ("/usr/sbin/slurmd (deleted)", root, true),
        (
            "/usr/sbin/slurmd-wlm",
            "Name:\tslurmd-wlm\nUid:\t0\t0\t0\t0\n",
            true,
        ),
        (
            "/usr/sbin/slurmd-wlm",
            "Name:\tslurmd-wl\nUid:\t0\t0\t0\t0\n",
            false,
        ),
        ("/usr/sbin/slurmstepd", root, false),
        ("/usr/sbin/slurmdbd", root, false),
        (
            "/usr/sbin/slurmdbd",
            "Name:\tslurmdbd\nUid:\t0\t0\t0\t0\n",
            false,
        ),
        ("/tmp/slurmd/evil", root, false),
        (
            "/usr/sbin/slurmd",
            "Name:\tslurmstepd\nUid:\t0\t0\t0\t0\n",
            false,
        ),
        (
            "/usr/sbin/slurmd",
            "Name:\tslurmd\nUid:\t2001\t0\t0\t0\n",
            false,
        ),
        ("/usr/sbin/slurmd", "Name:\tslurmd\nUid:\t0\t0\t0\n", false),
        ("/usr/sbin/slurmd", "", false),
    ] {
        let is = is_slurmd(Path::new(program), status.as_bytes());
        assert_eq!(is, expected, "{program} {status}");
    }
}
