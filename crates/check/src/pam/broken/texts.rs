//! What broken.rs finds.

use crate::{Check, Severity};

pub(in crate::pam) const LINE_FAILS: Check = Check {
    id: "SA201",
    severity: Severity::Failure,
    title: "a line that libpam cannot use keeps everybody out",
    why: "libpam turns a line with a mistake (an unknown control, an included file that is \
          missing, no module) into one that always fails. In the account or session stack of sshd \
          nobody gets in then, root neither; in the auth stack nobody gets in by password. See \
          pam.conf(5).",
    fix: "Correct the line, and keep a root shell open until a new login has worked.",
};

pub(in crate::pam) const MODULE_FAILS: Check = Check {
    id: "SA202",
    severity: Severity::Failure,
    title: "a module that libpam cannot call keeps everybody out",
    why: "A module whose file is missing, or has no function for this type of line, answers \
          PAM_MODULE_UNKNOWN, which fails the stack: nobody gets in, root neither. A dash before \
          the type (-account, -session) does not change that; it only keeps the reason out of the \
          log. SchedMD's pam_slurm_adopt has no function for session lines.",
    fix: "Install the module, or take the line out.",
};

pub(in crate::pam) const STACK_FAILS: Check = Check {
    id: "SA203",
    severity: Severity::Failure,
    title: "no user can get through the stack",
    why: "Whatever the modules answer, the stack fails for all users. The usual reason is a line \
          put in between lines that jump: Debian's common-account skips one line (success=1), \
          pam_deny, and with another line after pam_unix it skips that line and runs pam_deny. A \
          required pam_access with a last rule \"-:ALL:ALL\" keeps users with a job out as well.",
    fix: "Put the line before the one that jumps, or behind its target; better, into \
          /etc/pam.d/sshd. A pam_access for administrators goes behind a sufficient \
          pam_slurm_adopt, or is replaced by exempt_groups=.",
};

pub(in crate::pam) const MISREAD: Check = Check {
    id: "SA204",
    severity: Severity::Warning,
    title: "libpam reads a line of sshd's stacks in another way than meant",
    why: "libpam logs such lines at each login and goes on with something else: a mistyped type \
          goes to the auth stack, a carriage return is a part of the last word, a continued line \
          ends where other releases of libpam read on. See pam.conf(5).",
    fix: "Correct the line.",
};

pub(in crate::pam) const MODULE_UNUSABLE: Check = Check {
    id: "SA205",
    severity: Severity::Warning,
    title: "a module that libpam cannot call keeps some users out",
    why: "A module whose file is missing, or has no function for this type of line, answers \
          PAM_MODULE_UNKNOWN. Some users get through the stack without it, others do not.",
    fix: "Install the module's package, or take the line out.",
};

pub(in crate::pam) const WRONG_STACK: Check = Check {
    id: "SA206",
    severity: Severity::Warning,
    title: "the module has nothing to do in an auth or password stack",
    why: "pam_slurm_adopt, ours and SchedMD's, has functions for account lines (and ours for \
          session lines). libpam takes PAM_MODULE_UNKNOWN for the answer of an auth or password \
          line: a required one fails every login by password or keyboard-interactive, root's too, \
          or every change of a password. Logins with a public key do not run the auth stack.",
    fix: "Take the line out; the module belongs into the account and the session stack.",
};

pub(in crate::pam) const WITHOUT_EFFECT: Check = Check {
    id: "SA211",
    severity: Severity::Warning,
    title: "a line has no effect: its module is not installed",
    why: "libpam logs at each login that it cannot load the module, and goes on without it. Whom the line was meant \
          to let in or to keep out is treated by the lines behind it: administrators whom a sufficient pam_access was to \
          exempt need a job. A dash before the type keeps it out of the log, and says that this is meant: pam.d(5).",
    fix: "Correct the name, install the module's package, or take the line out.",
};
