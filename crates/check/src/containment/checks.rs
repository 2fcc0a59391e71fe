//! What a trial login can find.

use crate::{Check, Severity};

pub(super) const GETS_IN: Check = Check {
    id: "SA900",
    severity: Severity::Failure,
    title: "a user without a job gets in",
    why: "By its options the module denies this user, who has no job on this node, but sshd's PAM stack lets the \
          user in: the module's account line is not reached (a `sufficient` module or a jump before it), its \
          denial does not count, or sshd's stack does not call it. The user then runs outside of all jobs and \
          their limits.",
    fix: "Run slurm-adopt check without --as: the findings of its room pam name the line. See \
          pam_slurm_adopt(8), SETUP.",
};

pub(super) const KEPT_OUT: Check = Check {
    id: "SA901",
    severity: Severity::Failure,
    title: "a user with a job is kept out",
    why: "The module would take this user into a job, but sshd's PAM stack denies the login: another module of the \
          account stack does (pam_nologin, pam_access, an expired password or account), or the session cannot be \
          opened, after which sshd ends the login. A warning where the module itself denies a user whose processes run \
          in a job here: by its options (action_unknown=deny, a suspended job), or because the job's slurmstepd does \
          not answer.",
    fix: "Look into the log of sshd (auth.log, secure or journalctl -t sshd) at the time of this trial for the \
          module that denies.",
};

pub(super) const DENIED: Check = Check {
    id: "SA902",
    severity: Severity::Note,
    title: "the login is denied, as it should be",
    why: "The user has no job on this node that a login could be taken into. Nothing can be said about how a job \
          holds its logins.",
    fix: "Start a job of the user on this node and try again.",
};

pub(super) const NOT_HELD: Check = Check {
    id: "SA903",
    severity: Severity::Failure,
    title: "a login is not held in its job",
    why: "The user has a job on this node, and the login is let in but does not run in the job's extern step. The \
          job's limits do not bind it, and it does not end with the job. Something moves logins out after the \
          module's last line (pam_systemd puts them into a session scope), the job's slurmstepd does not take them \
          and action_adopt_failure=allow lets them in, or ProctrackType is not proctrack/cgroup.",
    fix: "Put the module's session line behind pam_systemd, as the last one; set action_adopt_failure=deny; use \
          ProctrackType=proctrack/cgroup.",
};

pub(super) const NOT_ADOPTED: Check = Check {
    id: "SA904",
    severity: Severity::Note,
    title: "the user gets in and is not taken into a job",
    why: "The module's options let this user in without a job: exempt_users and its like, mode=audit, the kill \
          switch, or an action that is set to ignore or allow.",
    fix: "If that is not intended, see which option says so: slurm-adopt explain USER.",
};

pub(super) const HIERARCHY: Check = Check {
    id: "SA905",
    severity: Severity::Failure,
    title: "a login is outside of some cgroups of its job",
    why: "With cgroup v1 each controller has a hierarchy of its own. The login is in the extern step in some of \
          them but not in all in which the job has one: those controllers do not bind it. A \
          program that moves logins in single hierarchies does that, such as pam_systemd and pam_cgroup.",
    fix: "Put the module's session line behind whatever moves logins, as the last one.",
};

pub(super) const MORE_CPUS: Check = Check {
    id: "SA910",
    severity: Severity::Failure,
    title: "a login may use CPUs that its job does not have",
    why: "ConstrainCores=yes gives the job a set of CPUs, but the login's CPU affinity has others as well: it takes \
          time from the jobs of others.",
    fix: "See which cgroup the login is in, in the line of this room, and what moves it there.",
};

pub(super) const ALL_CPUS: Check = Check {
    id: "SA911",
    severity: Severity::Warning,
    title: "a login may use all CPUs of the node",
    why: "Without ConstrainCores=yes in cgroup.conf (the default is no) and task/cgroup in TaskPlugin no job is bound to \
          its CPUs by cgroups. task/affinity binds only the tasks of srun, not logins: what runs in an ssh login \
          may take the CPUs of other jobs. cgroup.conf(5).",
    fix: "Set ConstrainCores=yes in cgroup.conf and have task/cgroup in TaskPlugin; restart slurmd. Running jobs stay as \
          they are.",
};

pub(super) const NO_MEMORY_LIMIT: Check = Check {
    id: "SA912",
    severity: Severity::Warning,
    title: "no memory limit holds a login",
    why: "Neither the cgroup of the login nor one above it in the job has a limit. A program in an ssh login can take \
          the memory of other jobs and of the node's daemons. ConstrainRAMSpace=yes in cgroup.conf (the default is no) \
          sets the limit, if memory is a resource that is allocated (SelectTypeParameters with _Memory). \
          cgroup.conf(5).",
    fix: "Set ConstrainRAMSpace=yes in cgroup.conf and have task/cgroup in TaskPlugin; restart slurmd. Running jobs stay \
          as they are.",
};

pub(super) const NOT_CHARGED: Check = Check {
    id: "SA913",
    severity: Severity::Warning,
    title: "a login's memory is not counted in its job",
    why: "The trial login took some memory, and the usage of its cgroup did not rise: the limit of the job does not \
          bind what runs in an ssh login.",
    fix: "See which cgroup the login is in, in the line of this room, and what moves it there.",
};

pub(super) const MORE_GPUS: Check = Check {
    id: "SA914",
    severity: Severity::Failure,
    title: "a login can open GPUs that its job does not have",
    why: "ConstrainDevices=yes is set, but from within the login more GPU devices open than the job was given: the \
          user can use and disturb the GPUs of others. The devices are not in gres.conf (File= or AutoDetect=), or \
          the login is not in the job's devices cgroup.",
    fix: "Name each device in gres.conf (slurmd -G shows what slurmd knows) and see which cgroup the login is in.",
};

pub(super) const ALL_GPUS: Check = Check {
    id: "SA915",
    severity: Severity::Warning,
    title: "a login can open GPUs whether its job has them or not",
    why: "Without ConstrainDevices=yes in cgroup.conf (the default is no) Slurm tells a job which GPUs are its own by \
          CUDA_VISIBLE_DEVICES alone. An ssh login does not have that variable: its programs take the first GPU, \
          which may be another job's. cgroup.conf(5).",
    fix: "Set ConstrainDevices=yes in cgroup.conf and have task/cgroup in TaskPlugin; restart slurmd.",
};

pub(super) const OTHER_NAMESPACE: Check = Check {
    id: "SA920",
    severity: Severity::Warning,
    title: "a login does not see its job's private directories",
    why: "The job's processes run in namespaces of their own (job_container/tmpfs, namespace/linux), in which /tmp and \
          /dev/shm are the job's. The login is in the node's: it sees other files under the same names, and leaves \
          its own behind when the job ends. join_container=false does that, as does a module in the session stack \
          that enters other namespaces (pam_namespace).",
    fix: "Leave join_container at its default, and put the module's session line last.",
};

pub(super) const MEMLOCK: Check = Check {
    id: "SA921",
    severity: Severity::Note,
    title: "a login may lock less memory than its job",
    why: "Slurm gives the job's tasks the limits of the user's submit host or of slurmd; a login has those of sshd and \
          pam_limits. With a low memlock, MPI over InfiniBand or Omni-Path and GPU libraries fail or are slow in an \
          ssh login, though they work in the job.",
    fix: "Set limits=job on the module's session line, or raise memlock in /etc/security/limits.conf.",
};

pub(super) const LEFT: Check = Check {
    id: "SA930",
    severity: Severity::Warning,
    title: "the trial login left something behind",
    why: "The trial opens and closes a session as sshd does. What is still there afterwards was started or made by a \
          module of the stack that does not clean up, and stays after real logins too.",
    fix: "See which module of the session stack makes it.",
};
