//! Logins into real jobs under valgrind's memcheck: the module as it is shipped, with all that it has from
//! slurmstepd, munged and slurmd. (`cargo xtask test --only sanitize` has what there is without Slurm.)

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::{Call, End, Module};

use crate::place::{Place, REFUSE_SETNS, STRICT, Test, inside, submit};

/// Where jobs have a mount namespace and no more. Only the newest suite's root has valgrind.
pub const TESTS_OF_ONE: &[(&str, Test)] = &[("logins under memcheck", logins)];
/// Where they have all that there are.
pub const TESTS_OF_ALL: &[(&str, Test)] = &[("namespaces under memcheck", namespaces)];

/// No access that is wrong, no leak that is certain, no descriptor that is left or closed twice: else the
/// program ends in this code, and stderr says why.
const MEMCHECK: &str = "valgrind --quiet --vgdb=no --error-exitcode=99 --track-fds=yes --leak-check=full \
     --show-leak-kinds=definite --errors-for-leak-kinds=definite";

const ADOPTED: i64 = 0;
const DENIED: i64 = 6;

/// A client that connects to the login and stays: `$0` the address, `$1` the port.
const CLIENT: &str =
    "until exec 3<>/dev/tcp/$0/$1; do sleep 0.05; done 2>/dev/null; exec sleep 100000";
const PORT: &str = "4022";

fn logins(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let address = node.ipv4();
    check(cluster, "no job on the node", alice(""), DENIED, None)?;
    let client = format!("--wrap=bash -c '{CLIENT}' {address} {PORT}");
    let both_nodes = ["--nodes=2", "--nodelist=node1,node2", &client];
    let first = cluster.submit("alice", &both_nodes)?;
    check(cluster, "one job", alice(""), ADOPTED, Some(first))?;
    let bob = Call::new("bob", &format!("{STRICT} timeout=60"));
    check(cluster, "a job of another's", bob, DENIED, None)?;
    let stepd = node.pid_of_stepd(first)?;
    node.signal(stepd, "STOP")?;
    let stopped = alice("timeout=0.5");
    let stopped = check(cluster, "its stepd is stopped", stopped, DENIED, None);
    node.signal(stepd, "CONT")?;
    stopped?;

    let newest = submit(cluster, "exec sleep 100000")?;
    let mut from_none = alice("");
    from_none.arguments = vec!["--loopback".into(), address.clone()];
    check(cluster, "from no job", from_none, ADOPTED, Some(newest))?;
    let mut from_first = alice("action_unknown=deny");
    from_first.accept = Some(format!("{address}:{PORT}"));
    check(
        cluster,
        "from the first job",
        from_first,
        ADOPTED,
        Some(first),
    )
}

fn namespaces(place: &Place, cluster: &Cluster) -> Result<()> {
    let job = submit(cluster, "exec sleep 100000")?;
    check(cluster, "all of them", alice(""), ADOPTED, Some(job))?;
    for kind in place.joins {
        let mut refused = alice("");
        refused.wrapper = Some(format!("{REFUSE_SETNS} {kind}"));
        // It is in the job's cgroup, and so has its number.
        check(
            cluster,
            &format!("{kind} refused"),
            refused,
            DENIED,
            Some(job),
        )?;
    }
    Ok(())
}

fn alice(options: &str) -> Call {
    // On a busy host memcheck needs seconds. The last one of a word counts.
    let patient = "timeout=60 callerid_timeout=30";
    Call::new("alice", &format!("{STRICT} {patient} {options}"))
}

/// Makes the call under memcheck.
fn check(cluster: &Cluster, what: &str, call: Call, code: i64, job: Option<u32>) -> Result<()> {
    let before = call.wrapper.as_deref().unwrap_or_default();
    let wrapper = Some(format!("exec {before} {MEMCHECK} \"$@\""));
    let call = Call { wrapper, ..call };
    let command = call.command(inside(cluster), Module::Ours)?;
    let outcome = tests::outcome(command.time_limit(Duration::from_secs(180)))
        .with_context(|| format!("{what}, under memcheck"))?;
    let told = outcome.env.get("SLURM_JOB_ID").map(String::as_str);
    ensure!(
        outcome.end == End::Code(code) && told == job.map(|it| it.to_string()).as_deref(),
        "{what}: expected {code} and job {job:?}: {outcome}"
    );
    Ok(())
}
