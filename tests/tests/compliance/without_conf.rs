//! A slurm.conf that is missing, broken, or of another node.

use lab::Suite;
use tests::End;

use crate::case::*;
use crate::worlds::World;

const NO_FILE: &str = "exec unshare --mount sh -ec \
                       'mount -t tmpfs none /etc/slurm; exec \"$@\"' sh \"$@\"";
const STRANGER: &str = "exec unshare --uts sh -ec 'hostname stranger; exec \"$@\"' sh \"$@\"";
const NO_SPOOL: &str = "sed s,/var/spool/slurmd,/nonexistent, /etc/slurm/slurm.conf \
                        >/run/no-spool.conf; exec \"$@\"";
const FILE_FOR_SPOOL: &str = "sed s,/var/spool/slurmd,/etc/passwd, /etc/slurm/slurm.conf \
                              >/run/file-spool.conf; exec \"$@\"";
const BROKEN: &str = "(cat /etc/slurm/slurm.conf; echo Nonsense) >/run/broken.conf; exec \"$@\"";
const NO_INCLUDE: &str =
    "(cat /etc/slurm/slurm.conf; echo Include none.conf) >/run/include.conf; exec \"$@\"";

/// The cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (options, ours) in [
        ("", ends(IGNORE)),
        ("action_generic_failure=ignore", ends(IGNORE)),
        ("action_generic_failure=allow", ends(SUCCESS)),
        ("action_generic_failure=deny", denied(NO_CONF)),
    ] {
        cases.extend(unreadable(options, &ours));
        cases.extend(without_spool(options));
        cases.extend(of_another_host(options));
    }
    // Each action, before and since 24.11; each release without one.
    for case in cases.iter_mut().filter(|it| !it.call.options.is_empty()) {
        case.by = By::Branch;
    }
    cases.extend(hanging());
    cases
}

fn unreadable(options: &str, ours: &Expected) -> Vec<Case> {
    // SchedMD's module ends sshd's process at a slurm.conf that is missing or broken.
    let died = |_: Suite, _: &Case| ends(End::Died);
    let world = World::BobsJob;
    vec![
        case("no slurm.conf", world, "bob", options, ours.clone())
            .within(NO_FILE)
            .differs("a-broken-slurmconf-does-not-end-sshd", died),
        case("broken slurm.conf", world, "bob", options, ours.clone())
            .within(BROKEN)
            .env("SLURM_CONF", "/run/broken.conf")
            .differs("a-broken-slurmconf-does-not-end-sshd", died),
    ]
}

fn without_spool(options: &str) -> Vec<Case> {
    let world = World::BobsJob;
    vec![
        case(
            "spool directory missing",
            world,
            "bob",
            options,
            denied(NO_JOBS),
        )
        .within(NO_SPOOL)
        .env("SLURM_CONF", "/run/no-spool.conf"),
        case(
            "spool directory is a file",
            world,
            "bob",
            options,
            denied(NO_JOBS),
        )
        .within(FILE_FOR_SPOOL)
        .env("SLURM_CONF", "/run/file-spool.conf"),
    ]
}

fn of_another_host(options: &str) -> Vec<Case> {
    let world = World::BobsJob;
    vec![
        case(
            "a host of another name than slurmd's",
            world,
            "bob",
            options,
            adopted(Inside::Newest),
        )
        .within(STRANGER)
        .differs("the-running-slurmds-name", |suite, case| match suite {
            Suite::Bullseye | Suite::Bookworm => stranger(suite, case),
            Suite::Trixie | Suite::Forky => denied(NO_JOBS),
        }),
        case("unknown host name", world, "bob", options, denied(NO_JOBS))
            .within(STRANGER)
            // Else the running slurmd's name counts.
            .env("SLURMD_NODENAME", "stranger")
            .differs("an-unknown-host-name-is-a-node-name", stranger),
    ]
}

/// Up to 22.05 a host that slurm.conf does not know was a generic failure.
fn stranger(suite: Suite, case: &Case) -> Expected {
    let end = match case.call.options.as_str() {
        _ if suite >= Suite::Trixie => return case.ours.clone(),
        "action_generic_failure=allow" => SUCCESS,
        "action_generic_failure=deny" => PERM_DENIED,
        _ => IGNORE,
    };
    Expected {
        end,
        message: Some(NO_STEPS),
        inside: Inside::None,
    }
}

/// SchedMD's module hangs.
fn hanging() -> Vec<Case> {
    vec![
        case(
            "SLURM_CONF names no file",
            World::BobsJob,
            "bob",
            "",
            ends(IGNORE),
        )
        .env("SLURM_CONF", "/nonexistent/slurm.conf")
        .hangs("a-broken-slurmconf-does-not-end-sshd"),
        case(
            "an Include of no file",
            World::BobsJob,
            "bob",
            "",
            ends(IGNORE),
        )
        .within(NO_INCLUDE)
        .env("SLURM_CONF", "/run/include.conf")
        .hangs("a-broken-slurmconf-does-not-end-sshd"),
    ]
}
