//! Who loses which processes, over made-up nodes.

use std::collections::BTreeMap;

use adopt::survey::{JobSeen, Life, Steps};

use super::broom::strays;
use super::*;

const SCOPE: &str = "/system.slice/n_slurmstepd.scope";

fn process(pid: i32, uid: u32, path: &str) -> Process {
    Process {
        pid,
        start: 1,
        uid,
        real_uid: uid,
        name: "x".into(),
        cgroups: format!("0::{path}\n"),
    }
}

/// Jobs with these numbers, in cgroups of the same names.
fn jobs(all: &[(u32, Life)]) -> JobsSeen {
    let job = |(number, life): &(u32, Life)| {
        let stepd = format!("0::{SCOPE}/job_{number}/step_extern/slurm\n");
        let job = JobSeen {
            owner: Some(2001),
            life: life.clone(),
            steps: Some(Steps::by(*number, &stepd)),
        };
        (*number, job)
    };
    JobsSeen::of(all.iter().map(job).collect::<BTreeMap<_, _>>())
}

#[test]
fn what_a_user_has_outside_any_job_is_a_stray() {
    let all = [
        process(10, 2001, "/"),
        process(11, 2001, "/user.slice/user-2001.slice/session-1.scope"),
        process(
            12,
            2001,
            "/user.slice/user-2001.slice/user@2001.service/init.scope",
        ),
        process(13, 2001, &format!("{SCOPE}/job_7/step_0/user/task_0")),
        // Another's: by sudo in job 7, or simply there.
        process(14, 2002, "/"),
        process(15, 2002, &format!("{SCOPE}/job_7/step_0/user/task_0")),
        process(16, 0, "/"),
    ];
    let seen = jobs(&[(7, Life::Over)]);
    let pids = |uid| {
        let found = strays(&all, uid, &seen).expect("known");
        found.iter().map(|it| it.pid).collect::<Vec<_>>()
    };
    assert_eq!(pids(2001), [10, 11, 12]);
    assert_eq!(pids(2002), [14]);
    assert_eq!(pids(2003), [0; 0]);
}

#[test]
fn a_cgroup_of_an_unknown_job_makes_it_unclear() {
    let all = [
        process(10, 2001, "/"),
        process(11, 2001, &format!("{SCOPE}/job_8/step_0/user")),
    ];
    let doubt = strays(&all, 2001, &jobs(&[])).expect_err("whose is job 8?");
    let (pid, job) = (11, Some(8));
    assert_eq!(doubt, Doubt::UnknownJob { pid, job });
    // Its stepd was killed.
    let killed = JobSeen {
        steps: None,
        ..JobSeen::default()
    };
    let left = strays(&all, 2001, &JobsSeen::of([(8, killed)].into()));
    assert_eq!(left.expect("known").len(), 1);
    // The other user's do not matter.
    assert_eq!(strays(&all, 2002, &jobs(&[])), Ok(Vec::new()));
}
