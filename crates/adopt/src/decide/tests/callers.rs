//! Users whose connection can be traced to a job.

use super::*;

#[test]
fn where_the_connection_comes_from() {
    let source: IpAddr = "10.0.0.9".parse().expect("an address");
    let two = [(7, 100), (8, 90)];
    let three = [(7, 100), (8, 90), (9, 95)];
    for (line, own, caller, expected) in [
        ("", &two[..], 8, "caller 8, newest 7, Allow"),
        ("", &two, 7, "caller 7, newest 8, Allow"),
        ("", &three, 7, "caller 7, newest 9, next 8, Allow"),
        (
            "action_adopt_failure=deny",
            &two,
            8,
            "caller 8, newest 7, Deny",
        ),
        ("action_unknown=deny", &two, 8, "caller 8, Deny"),
        ("action_unknown=allow", &two, 8, "caller 8, Allow"),
        ("single_job_skip_rpc=0", &two[..1], 7, "caller 7, Allow"),
        // A job that no stepd here has confirmed to be this user's counts for nothing.
        ("", &two, 9, "newest 7, next 8, Allow"),
        (
            "action_adopt_failure=deny",
            &three,
            5,
            "newest 7, next 9, next 8, Deny",
        ),
        ("action_unknown=deny", &two, 9, "Deny"),
        ("action_unknown=allow", &two, u32::MAX, "Allow"),
        ("single_job_skip_rpc=0", &two[..1], 9, "only 7, Allow"),
        ("", &[], 9, "Deny"),
        ("action_no_jobs=ignore", &[], 9, "Ignore"),
    ] {
        let caller = Caller::Job {
            job: caller,
            source,
        };
        let plan = plan(
            &options(line),
            Phase::Account,
            Ok(steps(own)),
            caller.clone(),
        );
        assert_eq!(chain(plan), expected, "{line} {own:?} {caller:?}");
    }
    let why = |caller| match plan(
        &options("action_unknown=deny"),
        Phase::Account,
        Ok(steps(&two)),
        caller,
    ) {
        Plan::Settle(verdict) => verdict.reason.to_string(),
        plan => chain(plan),
    };
    assert!(
        why(Caller::Job { job: 9, source })
            .contains("slurmd at 10.0.0.9 names job 9, which is not")
    );
}

#[test]
fn the_next_newest_says_whose_place_it_takes() {
    let own = [(8, 90), (7, 100), (9, 95)];
    let mut plan = plan(&Options::default(), Phase::Account, Ok(steps(&own)), lost());
    let mut said = Vec::new();
    while let Plan::Adopt {
        choice, instead, ..
    } = plan
    {
        said.push(Reason::Job(choice).to_string());
        match instead {
            Some(next) => plan = *next,
            None => break,
        }
    }
    assert_eq!(
        said,
        [
            "the newest of 3 jobs here; source job unknown: slurmd is lost",
            "the newest of 3 jobs here that accepts the login; job 7 refused it",
            "the newest of 3 jobs here that accepts the login; job 9 refused it",
        ]
    );
}

#[test]
fn when_the_caller_is_asked() {
    for (line, own, asked) in [
        ("", &[][..], false),
        ("single_job_skip_rpc=0", &[], false),
        ("", &[(1, 1)], false),
        ("single_job_skip_rpc=0", &[(1, 1)], true),
        ("", &[(1, 1), (2, 2)], true),
        ("action_unknown=allow", &[(1, 1), (2, 2)], true),
    ] {
        assert_eq!(
            wants_caller(&options(line), Phase::Account, &steps(own)),
            asked,
            "{line} {own:?}"
        );
    }
}
