//! `slurm-adopt proxy` and `connect`: real ssh by way of them into jobs, on live clusters of all four versions.

#![forbid(unsafe_code)]

mod alloc;
mod callback;
mod copies;
mod editor;
mod jobs;
mod route;
mod shown;
mod site;
mod users;

use lab::{Cluster, Suite};
use tests::{Matrix, Shared};

type Test = fn(&Cluster) -> anyhow::Result<()>;

/// What Slurm decides.
const EACH_RELEASE: &[(&str, Test)] = &[
    ("a login lands in the job that is named", jobs::named),
    (
        "jobs that are over, unknown or another's are told",
        jobs::absent,
    ),
    (
        "a relay in the job calls back, or srun carries all",
        callback::called_back,
    ),
];

/// What ssh decides.
const IN_TURN: &[(&str, Test)] = &[
    ("a job that waits is waited for", jobs::waiting),
    ("nothing is left once ssh has gone", route::gone),
    ("scp, sftp and rsync", copies::copies),
    (
        "an editor starts its server and finds its port",
        editor::editor,
    ),
    ("two ssh at once submit one job and share it", alloc::shared),
    (
        "a job is cancelled if nobody waits for it any more",
        alloc::given_up,
    ),
    ("the commands of docs/users.md", users::page),
];

/// What the others show in part.
const LONG: &[(&str, Test)] = &[
    ("tasks, components and nodes are told apart", jobs::parts),
    ("--alloc uses and keeps a job of the user's own", alloc::own),
    ("a laptop's ssh submits a job", alloc::laptop),
    (
        "a job that starts as its last ssh goes is ended",
        alloc::in_between,
    ),
    (
        "a cancelled job is submitted again, and refusals are told",
        alloc::taken_over,
    ),
    ("connect and a laptop", route::connect_and_laptop),
    (
        "a node without slurm-adopt is reached by srun",
        route::without_program,
    ),
    ("a job without a free CPU is reached by srun", route::full),
    (
        "one connection carries several sessions",
        editor::one_connection,
    ),
    ("the agent and X11 are forwarded", editor::forwarding),
];

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, site::start));
    for (name, test) in EACH_RELEASE {
        matrix.add(name, |_, stage| {
            stage.run(|it| test(it), |it| it.cancel_all())
        });
    }
    for (name, test) in IN_TURN {
        let all = &Suite::ALL;
        matrix.add_in_turn(all, name, |_, stage| {
            stage.run(|it| test(it), |it| it.cancel_all())
        });
    }
    for (name, test) in LONG {
        let all = &Suite::ALL;
        matrix.add_long(all, name, |_, stage| {
            stage.run(|it| test(it), |it| it.cancel_all())
        });
    }
    matrix.add_on(
        &[Suite::Forky],
        "docs/connect.txt shows what users see",
        |_, stage| stage.run(|it| shown::shown(it), |it| it.cancel_all()),
    );
    matrix.run();
}
