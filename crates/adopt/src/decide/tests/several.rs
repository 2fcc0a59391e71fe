//! Which of several jobs a login gets into, by `action_unknown`.

use super::*;
use crate::facts::Measure;

const JOBS: [(u32, i64); 4] = [(7, 100), (8, 90), (9, 95), (5, 95)];

#[test]
fn the_best_of_several_jobs() {
    let jobs = JOBS;
    let measured = |measures: &[(u32, u64)]| Steps {
        measures: measures
            .iter()
            .map(|(job, value)| Measure {
                job: *job,
                value: *value,
            })
            .collect(),
        ..steps(&jobs)
    };
    for (by, measures, expected) in [
        ("newest", &[][..], "newest 7, next 9, next 5, next 8, Allow"),
        (
            "oldest",
            &[],
            "the oldest here 8, next best 5, next best 9, next best 7, Allow",
        ),
        ("longest", &[], "newest 7, next 9, next 5, next 8, Allow"),
        ("largest", &[], "newest 7, next 9, next 5, next 8, Allow"),
        (
            "longest",
            &[(7, 1), (8, 4), (9, 3), (5, 2)],
            "the one here that ends last 8, next best 9, next best 5, next best 7, Allow",
        ),
        (
            "longest",
            &[(8, 4), (7, 4), (5, 4)],
            "the one here that ends last 7, next best 5, next best 8, next best 9, Allow",
        ),
        (
            "largest",
            &[(5, 64)],
            "the one with the most CPUs here 5, next best 7, next best 9, next best 8, Allow",
        ),
    ] {
        let options = options(&format!("action_unknown={by}"));
        let found = plan(&options, Phase::Account, Ok(measured(measures)), lost());
        assert_eq!(chain(found), expected, "{by}, {measures:?}");
    }
}

#[test]
fn another_choice_or_one_that_needs_none_costs_no_look_into_processes() {
    let jobs = JOBS;
    let lost = Caller::Unknown("lost".into());
    let source = "10.0.0.9".parse().expect("an address");
    for (line, own, holder, caller, wants) in [
        ("", &jobs[..], None, lost.clone(), false),
        ("action_unknown=oldest", &jobs, None, lost.clone(), false),
        ("action_unknown=longest", &jobs, None, lost.clone(), true),
        (
            "action_unknown=largest",
            &jobs,
            None,
            Caller::NotAsked,
            true,
        ),
        (
            "action_unknown=longest",
            &jobs[..1],
            None,
            lost.clone(),
            false,
        ),
        ("action_unknown=longest", &jobs, Some(7), lost, false),
        (
            "action_unknown=longest",
            &jobs,
            None,
            Caller::Job { job: 7, source },
            false,
        ),
        (
            "action_unknown=longest",
            &jobs,
            None,
            Caller::Job { job: 1, source },
            true,
        ),
    ] {
        let steps = Steps {
            holder,
            ..steps(own)
        };
        let found = wants_measures(&options(line), Phase::Account, &steps, &caller);
        assert_eq!(found, wants, "{line}: {caller:?}");
    }
}

#[test]
fn a_process_in_a_job_stays_there_whatever_the_options() {
    let source = "10.0.0.9".parse().expect("an address");
    for by in ["newest", "oldest", "longest", "largest", "allow", "deny"] {
        let options = options(&format!("action_unknown={by}"));
        let of = |holder, caller| {
            let steps = Steps {
                holder,
                ..steps(&[(7, 100), (8, 90), (9, 95)])
            };
            chain(plan(&options, Phase::Account, Ok(steps), caller))
        };
        assert_eq!(of(Some(9), lost()), "holder 9, Allow", "{by}");
        let from_job = of(None, Caller::Job { job: 9, source });
        assert!(from_job.starts_with("caller 9, "), "{by}: {from_job}");
    }
}
