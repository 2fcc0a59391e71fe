//! What can be wrong with security policies and with the module's state.

use crate::{Check, Severity};

pub(super) const ALL: &[&Check] = &[
    &NO_POLICY,
    &DENIED,
    &LABEL,
    &NO_POLICY_FOR_OPTION,
    &STATE_DIR,
    &STATE_ON_DISK,
    &TMPFILES,
    &APPARMOR,
    &FAPOLICYD,
];

pub(super) const NO_POLICY: Check = Check {
    id: "SA700",
    severity: Severity::Warning,
    title: "SELinux enforces a policy without the rules that the module needs",
    why: "The policies of RHEL and Debian let sshd (sshd_t) neither read Slurm's spool directory (var_spool_t) nor \
          connect to slurmstepd and munged, nor make /run/slurm-adopt. The module then sees no job: users who have \
          one are kept out, and its log says \"SELinux is enforcing\". The policy module slurm_adopt is not loaded, and \
          sshd_t is not permissive. The sample in SchedMD's manual lacks rules that this module needs.",
    fix: "semodule -i /usr/share/selinux/packages/slurm-adopt/*.cil && restorecon -RF /run/slurm-adopt (from source: \
          packaging/selinux/*.cil).",
};

pub(super) const DENIED: Check = Check {
    id: "SA701",
    severity: Severity::Failure,
    title: "SELinux denied sshd what the module needs, in the last day",
    why: "The audit log, or the kernel's if there is no auditd, has denials for sshd on Slurm's or munge's files and \
          sockets, or on the module's files. Each is a login that was kept out although its user may have had a job, \
          or admitted outside it if a fail-open option says so.",
    fix: "Load the policy modules: semodule -i /usr/share/selinux/packages/slurm-adopt/*.cil. If they are loaded, look at \
          the denials (ausearch -m avc -ts yesterday -c sshd -c sshd-session), and allow what is missing by a module of \
          the site's own (audit2allow -M NAME, semodule -i NAME.pp).",
};

pub(super) const LABEL: Check = Check {
    id: "SA702",
    severity: Severity::Failure,
    title: "a file of the module has a wrong SELinux label",
    why: "A file that was moved from a home or temporary directory keeps its label. sshd cannot load such a module, \
          and its line keeps everyone out, root too; an options file with it counts as if it said only \"strict\". /run/slurm-adopt that was made before \
          the policy was loaded has /run's label: sshd may not keep all of its files there.",
    fix: "restorecon -v FILE; restorecon -RF /run/slurm-adopt",
};

pub(super) const NO_POLICY_FOR_OPTION: Check = Check {
    id: "SA703",
    severity: Severity::Warning,
    title: "SELinux enforces a policy without the rules that an option in use needs",
    why: "slurm_adopt alone lets sshd adopt. To mount /run/user/UID (runtime_dir=create) sshd needs slurm_adopt_runtime_dir; \
          to ask munged for a credential and the slurmd where a connection comes from for its job (caller ID), \
          slurm_adopt_callerid. Without them such a login has no XDG_RUNTIME_DIR, and one of a user with several jobs \
          goes where action_unknown says.",
    fix: "semodule -i /usr/share/selinux/packages/slurm-adopt/*.cil (from source: packaging/selinux/*.cil). If all \
          callers may stay unknown, callerid_skip=0.0.0.0/0,::/0 asks nobody.",
};

pub(super) const STATE_DIR: Check = Check {
    id: "SA710",
    severity: Severity::Failure,
    title: "/run/slurm-adopt is not a directory of root's alone",
    why: "The module keeps there what one phase of a login tells the next. It uses only a directory of root's that \
          nobody else can write. Another one it moves aside at the next login, if only root can rename in /run and \
          it is no mount point; else keyboard-interactive logins fail, and every login asks all slurmstepds again.",
    fix: "Remove it: the module makes a new one. /run itself must be root's, with mode 0755.",
};

pub(super) const STATE_ON_DISK: Check = Check {
    id: "SA711",
    severity: Severity::Note,
    title: "/run is not in memory",
    why: "What the module keeps in /run/slurm-adopt may then be older than the boot. It notices (by the boot's id), and \
          logins take somewhat longer.",
    fix: "Mount a tmpfs on /run, as systemd does.",
};

pub(super) const TMPFILES: Check = Check {
    id: "SA712",
    severity: Severity::Warning,
    title: "tmpfiles.d makes /run/slurm-adopt in a way that the module does not use",
    why: "The module uses only a directory of root's that nobody else can write: it moves any other aside at the first \
          login after each boot, and logs that.",
    fix: "Write: d /run/slurm-adopt 0700 root root -",
};

pub(super) const APPARMOR: Check = Check {
    id: "SA720",
    severity: Severity::Failure,
    title: "AppArmor confines sshd, and its profile does not name Slurm",
    why: "A profile in enforce mode allows only what it lists. Without rules for Slurm's spool directory, slurm.conf, \
          /run/slurm-adopt and munge's socket the module sees no job: users who have one are kept out. No \
          distribution enforces a profile for sshd unless an admin says so.",
    fix: "Add rules to /etc/apparmor.d/local/usr.sbin.sshd (the log names what is denied: journalctl -k --grep \
          apparmor), or aa-complain the profile.",
};

pub(super) const FAPOLICYD: Check = Check {
    id: "SA730",
    severity: Severity::Note,
    title: "fapolicyd runs, and its trust files do not list the module",
    why: "fapolicyd lets programs load only what is in its trust database: files of packages, and those that were added. \
          A module that was copied by hand is refused, and its line keeps everyone out, root too.",
    fix: "Install the module from a package, or: fapolicyd-cli --file add PATH && fapolicyd-cli --update",
};
