use super::*;

const V1: &str = "\
12:freezer:/slurm_node1/uid_2001/job_7/step_extern
11:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0
10:pids:/system.slice/ssh.service
1:name=systemd:/user.slice/user-2001.slice/session-3.scope
0::/system.slice/ssh.service
";
const STEPD_V1: &str = "12:freezer:/system.slice/slurmd.service\n0::/\n";
const SCOPE: &str = "/system.slice/node1_slurmstepd.scope";

fn outside(path: &str) -> Membership {
    Membership::Outside(path.into())
}

/// Inside, with these cgroups.
fn inside(cgroups: &[&str]) -> Membership {
    Membership::Inside(Held::parse(&cgroups.join("\n")))
}

#[test]
fn a_pid_namespace_by_the_status() {
    for (status, is_inner) in [
        ("Name:\tslurmstepd\nNSpid:\t310\nThreads:\t1\n", Some(false)),
        ("NSpid:\t310\t7\n", Some(true)),
        ("NSpid:\n", Some(true)),
        ("Name:\tx\n", None),
    ] {
        assert_eq!(is_in_inner_namespace(status), is_inner, "{status}");
    }
    assert!(!is_elsewhere(std::process::id() as i32).expect("it is visible"));
}

#[test]
fn cgroup_v1_by_the_jobs_number() {
    let steps = Steps::by(7, STEPD_V1);
    for strict in [true, false] {
        let both: Vec<_> = V1.lines().take(2).collect();
        assert_eq!(steps.holds(V1, strict), inside(&both));
    }
    let moved = V1.replace(
        "11:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0",
        "11:memory:/user.slice/user-2001.slice/session-3.scope",
    );
    let scope = "/user.slice/user-2001.slice/session-3.scope";
    assert_eq!(steps.holds(&moved, true), outside(scope));
    let freezer = V1.lines().next().expect("a line");
    assert_eq!(steps.holds(&moved, false), inside(&[freezer]));
    for (from, to) in [
        ("job_7/", "job_77/"),
        ("job_7/", "job_/"),
        ("step_extern", "step_0"),
        ("step_extern", "step_external"),
        ("/job_7", "/xjob_7"),
    ] {
        let other = V1.replace(from, to);
        let freezer = other.lines().next().and_then(|it| it.rsplit(':').next());
        let unclear = Membership::Unclear(freezer.map(str::to_owned));
        assert_eq!(steps.holds(&other, true), unclear, "{from} {to}");
    }
    assert_eq!(steps.holds("", true), Membership::Unclear(None));
}

#[test]
fn any_step_of_the_job_holds_it() {
    let steps = Steps::by(7, STEPD_V1);
    for (path, holds) in [
        ("/slurm_node1/uid_2001/job_7/step_extern", true),
        ("/slurm/uid_2001/job_7/step_batch/task_0", true),
        ("/slurm/uid_2001/job_7/step_0", true),
        ("/slurm/uid_2001/job_7", false),
        ("/slurm/uid_2001/job_77/step_0", false),
        ("/", false),
    ] {
        let cgroups = format!("9:pids:/\n4:freezer:{path}\n0::/\n");
        assert_eq!(steps.step_in(&cgroups).is_some(), holds, "{path}");
        let others = format!("9:pids:{path}\n0::{path}\n");
        assert!(steps.step_in(&others).is_none(), "{path}");
    }
    let steps = Steps::by(7, &format!("0::{SCOPE}/s0DNM/step_extern/slurm\n"));
    for (path, holds) in [
        (format!("{SCOPE}/s0DNM/step_extern/user/task_0"), true),
        (format!("{SCOPE}/s0DNM/step_batch/user/task_0"), true),
        (format!("{SCOPE}/s0DNM"), false),
        (format!("{SCOPE}/s0DNMX/step_batch"), false),
        (format!("{SCOPE}/job_7/step_batch"), false),
        ("/user.slice/user-2001.slice/session-3.scope".into(), false),
    ] {
        let cgroups = format!("0::{path}\n");
        assert_eq!(steps.step_in(&cgroups).is_some(), holds, "{path}");
    }
}

/// With task/cgroup alone a login is in some hierarchies of the extern step, and does not end with the job.
#[test]
fn not_tracked_by_cgroups() {
    let steps = Steps::by(7, STEPD_V1);
    for (step, other) in [("extern", false), ("batch", true), ("0", true)] {
        let place = format!("/slurm/uid_2001/job_7/step_{step}");
        let cgroups = format!("12:freezer:/sshd\n11:memory:{place}\n10:cpuset:{place}\n");
        assert!(matches!(
            steps.holds(&cgroups, true),
            Membership::Unclear(_)
        ));
        assert_eq!(steps.other_step_holds(&cgroups), other, "{step}");
    }
}

#[test]
fn where_a_process_is_held_and_what_moves_it() {
    let steps = Steps::by(7, STEPD_V1);
    let held = steps.held_in(V1);
    assert_eq!(Held::parse(&held.to_string()), held);
    assert_eq!(
        held.to_string(),
        "0:freezer:/slurm_node1/uid_2001/job_7/step_extern\n\
         0:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0\n"
    );
    let moved = |cgroups: &str| {
        let moved = held.moved_from(cgroups).expect("it is known");
        let names = moved.iter().map(|it| it.0.clone());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(moved(V1), "");
    assert_eq!(moved(&V1.replace("task_0", "task_1")), "memory");
    assert_eq!(moved(""), "freezer memory");
    let v2 = format!("0::{SCOPE}/job_7/step_extern/user/task_0\n");
    let steps = Steps::by(7, &format!("0::{SCOPE}/job_7/step_extern/slurm\n"));
    let held = steps.held_in(&v2);
    assert_eq!(held.to_string(), v2);
    assert!(held.moved_from(&v2).expect("known").is_empty());
    let scope = "0::/user.slice/user-2001.slice/session-3.scope\n";
    assert_eq!(held.moved_from(scope).expect("known").len(), 1);
    // An unknown place is not an unchanged one.
    let nothing = steps.held_in(scope);
    assert!(nothing.moved_from(scope).is_none() && !nothing.is_unchanged());
}

/// Slurm does not use pids and blkio: systemd may do there what it likes.
#[test]
fn only_controllers_that_slurm_uses() {
    let steps = Steps::by(7, STEPD_V1);
    const FREEZER: &str = "2:freezer:/a/job_7/step_extern";
    let scope = "/user.slice/user-2001.slice/session-3.scope";
    for (controllers, look) in [
        ("pids", inside(&[FREEZER])),
        ("blkio", inside(&[FREEZER])),
        ("net_cls,net_prio", inside(&[FREEZER])),
        ("devices", outside(scope)),
        ("cpu,cpuacct", outside(scope)),
    ] {
        let cgroups = format!("3:{controllers}:{scope}\n{FREEZER}\n");
        assert_eq!(steps.holds(&cgroups, true), look, "{controllers}");
        assert_eq!(
            steps.holds(&cgroups, false),
            inside(&[FREEZER]),
            "{controllers}"
        );
    }
    let whole = "3:devices:/user.slice\n2:freezer:/a/job_7/step_extern\n";
    assert_eq!(steps.holds(whole, true), outside("/user.slice"));
}

/// A slurmd that itself runs in a login of another Slurm.
#[test]
fn the_innermost_step_is_the_stepds() {
    let within = "/outer/job_1/step_extern/user/task_0/scope/job_7/step_extern";
    let steps = Steps::by(7, &format!("0::{within}/slurm\n"));
    let inner = format!("0::{within}/user\n");
    assert_eq!(steps.holds(&inner, true), inside(&[&inner]));
    let outer = "0::/outer/job_1/step_extern/user/task_0\n";
    assert!(matches!(steps.holds(outer, true), Membership::Outside(_)));
}

#[test]
fn a_named_hierarchy_is_no_place() {
    let steps = Steps::by(7, STEPD_V1);
    let named = "1:name=x:/job_7/step_extern\n";
    assert!(matches!(steps.holds(named, true), Membership::Unclear(_)));
}

#[test]
fn cgroup_v2_by_where_the_stepd_is() {
    for job in ["job_7", "sKJH3N2"] {
        let steps = Steps::by(7, &format!("0::{SCOPE}/{job}/step_extern/slurm\n"));
        for (path, is_inside) in [
            (format!("{SCOPE}/{job}/step_extern/user/task_0"), true),
            (format!("{SCOPE}/{job}/step_extern"), true),
            (format!("{SCOPE}/{job}/step_extern2/user"), false),
            (format!("{SCOPE}/{job}/step_0/user/task_0"), false),
            (format!("{SCOPE}/job_8/step_extern/user/task_0"), false),
            (format!("/x{SCOPE}/{job}/step_extern/user"), false),
            ("/user.slice/user-2001.slice/session-3.scope".into(), false),
            ("/".into(), false),
        ] {
            let cgroups = format!("0::{path}\n");
            let look = match is_inside {
                true => inside(&[&cgroups]),
                false => outside(&path),
            };
            assert_eq!(steps.holds(&cgroups, true), look, "{path}");
        }
        assert_eq!(steps.holds("garbage\n\n", true), Membership::Unclear(None));
    }
}

#[test]
fn a_scope_that_counts() {
    let scope = "/user.slice/user-2001.slice/session-3.scope";
    for (cgroups, found) in [
        (format!("0::{scope}\n"), Some(scope)),
        (format!("9:cpu,cpuacct:{scope}\n0::/\n"), Some(scope)),
        (format!("9:memory:/\n0::{scope}\n"), None),
        (
            format!("9:pids:{scope}\n8:freezer:/\n1:name=systemd:{scope}\n"),
            None,
        ),
        ("0::/system.slice/ssh.service\n".into(), None),
    ] {
        assert_eq!(scope_in(&cgroups), found, "{cgroups}");
    }
}

#[test]
fn this_process_is_where_it_is() {
    assert!(!is_proc_foreign());
    let this = i32::try_from(std::process::id()).expect("a pid");
    assert!(!is_elsewhere(this).expect("/proc"));
    assert!(!is_elsewhere(i32::MAX).expect("nobody is nowhere else"));
}

#[test]
fn who_moves() {
    for (path, who) in [
        (
            "/user.slice/user-2001.slice/session-c3.scope",
            Some("pam_systemd"),
        ),
        (
            "/user.slice/user-2001.slice/user@2001.service/app.slice/x.service",
            Some("the user's service manager"),
        ),
        ("/user.slice/user-2001.slice", Some("systemd")),
        ("/user.slice", Some("systemd")),
        ("/system.slice/ssh.service", None),
        ("/x/session-3", None),
    ] {
        assert_eq!(mover(path), who, "{path}");
    }
    assert_eq!(
        described("/user.slice/user-1.slice/session-3.scope"),
        "/user.slice/user-1.slice/session-3.scope (pam_systemd)"
    );
    assert_eq!(described("/a\nb"), "/a\\nb");
}
