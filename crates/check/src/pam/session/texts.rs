//! What can be wrong with the session line.

use crate::{Check, Severity};

pub(super) const MOVED_OUT: Check = Check {
    id: "SA250",
    severity: Severity::Failure,
    title: "pam_systemd takes logins out of their jobs",
    why: "The account phase adopts the login into the job, and then pam_systemd (or pam_elogind, \
          pam_cgroup) moves it into a session scope of its own: the job's memory, cores and GPUs \
          do not bind it, it is not accounted, and it outlives the job. SchedMD's module has no \
          session phase; with it pam_systemd must go, and XDG_RUNTIME_DIR with it.",
    fix: "Add as the last session line of /etc/pam.d/sshd: session required pam_slurm_adopt.so \
          action_adopt_failure=deny action_generic_failure=deny",
};

pub(super) const ABSENT: Check = Check {
    id: "SA251",
    severity: Severity::Note,
    title: "sshd's session stack does not call the module",
    why: "With public keys and plain passwords the account phase adopts the login, and nothing in \
          this stack moves it out again. By keyboard-interactive (a second factor, one-time \
          passwords) sshd runs the account phase in a helper process: without a session line such \
          logins are not adopted.",
    fix: "Add as the last session line of /etc/pam.d/sshd: session required pam_slurm_adopt.so \
          action_adopt_failure=deny action_generic_failure=deny",
};

pub(super) const ELSEWHERE: Check = Check {
    id: "SA252",
    severity: Severity::Failure,
    title: "the session line is in a file that sshd does not read",
    why: "The line does nothing for ssh logins: pam_systemd takes them out of their jobs, and \
          keyboard-interactive logins are not adopted. sshd of RHEL, Rocky Linux, AlmaLinux and \
          Fedora includes password-auth, not system-auth.",
    fix: "Move the line to the end of the session lines in /etc/pam.d/sshd.",
};

pub(super) const TOO_EARLY: Check = Check {
    id: "SA253",
    severity: Severity::Failure,
    title: "the session line comes before a module that moves the session",
    why: "pam_systemd (or pam_elogind, pam_cgroup) after the module's line takes the login out of \
          its job again: the job's limits do not bind it, and it outlives the job. The module's \
          log says so when the session ends.",
    fix: "Make the module's line the last session line of /etc/pam.d/sshd, after all includes.",
};

pub(super) const PASSED: Check = Check {
    id: "SA254",
    severity: Severity::Failure,
    title: "the session line may be passed over",
    why: "A sufficient line that succeeds ends the session stack, done does the same, and a \
          number in brackets skips that many lines. A login that pam_systemd has moved then stays \
          outside of its job. Keyboard-interactive logins count as not adopted \
          (action_adopt_failure) as soon as a way past the line exists.",
    fix: "Make the module's line the last session line of /etc/pam.d/sshd, behind what jumps, and \
          change sufficient before it to required.",
};

pub(super) const NOT_BINDING: Check = Check {
    id: "SA255",
    severity: Severity::Warning,
    title: "a failure of the session line does not count",
    why: "If the session cannot be put into the job, the login goes on outside of it. \
          Keyboard-interactive logins, which only the session phase can adopt, count as not \
          adopted (action_adopt_failure) with such a line.",
    fix: "Make the line's control \"required\".",
};

pub(super) const NAMESPACE: Check = Check {
    id: "SA256",
    severity: Severity::Warning,
    title: "pam_namespace changes the session's files before the session line",
    why: "It gives the session directories of its own before the module looks for slurm.conf and \
          the job's sockets. Where these are hidden, keyboard-interactive logins count as not \
          adopted; others stay in their job.",
    fix: "Put pam_namespace after the module's session line.",
};

pub(super) const TWICE: Check = Check {
    id: "SA257",
    severity: Severity::Warning,
    title: "the session stack calls the module more than once",
    why: "Each line puts the session into the job and logs, by its own options. An edit of one \
          line leaves the other as it is.",
    fix: "Keep the last line. Lines for two clusters differ in slurm_conf= or nodename=.",
};

pub(super) const DISAGREE: Check = Check {
    id: "SA258",
    severity: Severity::Warning,
    title: "account and session line have different options",
    why: "Both phases decide about one login. Of mode, action_no_jobs, action_adopt_failure and \
          action_generic_failure the stricter setting counts as far as the account line has it; \
          of the others each phase uses its own.",
    fix: "Give both lines the same options, or write them into /etc/security/slurm_adopt.conf and \
          none on the lines.",
};

pub(super) const IDLE: Check = Check {
    id: "SA259",
    severity: Severity::Failure,
    title: "service= of the session line leaves sshd out",
    why: "The module acts only for the PAM services that service= lists, by their exact names \
          (default: sshd). For ssh logins the line does nothing: pam_systemd takes them out of \
          their jobs, keyboard-interactive ones are not adopted.",
    fix: "Remove service=, or name sshd in it.",
};
