//! What can be wrong with systemd, and with what it starts for users.

use crate::{Check, Severity};

pub(super) const ALL: &[&Check] = &[
    &MANAGER_RUNS,
    &LINGERS,
    &NO_DROP_IN,
    &HALF_A_DROP_IN,
    &PODMAN,
    &CRON,
    &CRONTABS,
    &AT,
    &HARDENED,
];

pub(super) const MANAGER_RUNS: Check = Check {
    id: "SA600",
    severity: Severity::Warning,
    title: "a user's service manager runs, outside all jobs",
    why: "user@UID.service is in no job. Its user can have it start programs (systemd-run --user, D-Bus services), and \
          have PID 1 move processes of theirs there: no limit of the job holds them, and they outlive it. Programs \
          that run there already are shown as a failure.",
    fix: "Install packaging/systemd as docs/session.md says, then stop the unit: systemctl stop user@UID.service.",
};

pub(super) const LINGERS: Check = Check {
    id: "SA601",
    severity: Severity::Failure,
    title: "a user lingers: their service manager starts at boot, outside all jobs",
    why: "For each name in /var/lib/systemd/linger logind keeps user@UID.service running, with the services that the \
          user has enabled, whether they have a job or not. SchedMD's manual had a recipe with loginctl \
          enable-linger in the prolog until 2026-06: a job that ends unexpectedly leaves the user lingering.",
    fix: "loginctl disable-linger NAME, and take enable-linger out of the prolog; or install packaging/systemd, with \
          which the unit runs nothing.",
};

pub(super) const NO_DROP_IN: Check = Check {
    id: "SA602",
    severity: Severity::Warning,
    title: "pam_systemd gives each login a service manager outside its job",
    why: "pam_systemd has logind start user@UID.service, which is in no job. The login itself is held in its job, but \
          whoever wants to can leave it: systemd-run --user starts programs without the job's limits that outlive \
          it. A PAM module cannot prevent that; two files for systemd and a line for su can: docs/session.md.",
    fix: "cp -r packaging/systemd/* /etc/systemd/system/ && systemctl daemon-reload; or take pam_systemd out of sshd's \
          session stack, and set runtime_dir=create for XDG_RUNTIME_DIR.",
};

pub(super) const HALF_A_DROP_IN: Check = Check {
    id: "SA603",
    severity: Severity::Warning,
    title: "the drop-in for user@.service leaves a way out of the job",
    why: "To take users' service managers away, a drop-in must empty ExecStart= before it sets another program, and set \
          Delegate=no: otherwise PID 1 still starts the manager, or still moves users' processes into the unit. Of \
          two drop-ins with the same file name one replaces the other, and of different ones the last in \
          alphabetical order counts: systemd.unit(5).",
    fix: "Install packaging/systemd/user@.service.d/slurm_adopt.conf unchanged, remove what overrides it, and run \
          systemctl daemon-reload.",
};

pub(super) const PODMAN: Check = Check {
    id: "SA610",
    severity: Severity::Note,
    title: "rootless Podman asks systemd for its containers' cgroups",
    why: "Without a service manager and session bus of the user Podman fails or warns; with them the container runs \
          outside the job. With cgroup_manager=\"cgroupfs\" and events_logger=\"file\" it needs neither, and its \
          containers stay in the job: containers.conf(5).",
    fix: "Set cgroup_manager = \"cgroupfs\" and events_logger = \"file\" below [engine] in \
          /etc/containers/containers.conf.",
};

pub(super) const CRON: Check = Check {
    id: "SA620",
    severity: Severity::Note,
    title: "users may have cron run programs, outside all jobs",
    why: "Without /etc/cron.allow every user may install a crontab: crontab(1). What cron starts is in no job, needs \
          none, and is bound by no job's limits.",
    fix: "List who may use cron in /etc/cron.allow; an empty file leaves it to root.",
};

pub(super) const CRONTABS: Check = Check {
    id: "SA621",
    severity: Severity::Warning,
    title: "a user has a crontab, which runs outside all jobs",
    why: "cron runs it whether the user has a job or not, in no job and bound by no job's limits.",
    fix: "Remove it (crontab -r -u NAME), and list who may use cron in /etc/cron.allow.",
};

pub(super) const AT: Check = Check {
    id: "SA622",
    severity: Severity::Note,
    title: "users may have at run programs, outside all jobs",
    why: "With /etc/at.deny and no /etc/at.allow every user who is not listed may use at and batch: at(1). What atd \
          starts is in no job, needs none at that time, and is bound by no job's limits.",
    fix: "List who may use at in /etc/at.allow; an empty file leaves it to root.",
};

pub(super) const HARDENED: Check = Check {
    id: "SA630",
    severity: Severity::Warning,
    title: "sshd's unit keeps the module from something that it needs",
    why: "Settings of sshd.service hold for the module and all sessions: systemd.exec(5). The module needs the same \
          process numbers as slurmd, Unix sockets for slurmstepd and munged, the spool directory, setns(2) for jobs \
          with namespaces of their own, and files in /run/slurm-adopt for keyboard-interactive logins.",
    fix: "Remove the setting from sshd's unit or drop-in, and run systemctl daemon-reload.",
};
