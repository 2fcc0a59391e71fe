//! What can be wrong with the module's file.

use crate::{Check, Severity};

pub(super) const ALL: &[&Check] = &[
    &MISSING,
    &SHADOWED,
    &SECOND_FILE,
    &SCHEDMDS,
    &UNKNOWN,
    &UNSAFE,
    &DAMAGED,
    &WRONG_MACHINE,
    &OLD_GLIBC,
    &MISSING_LIBRARY,
    &NO_SUCH_PHASE,
    &NOEXEC,
    &FOREIGN_OPTIONS,
    &UNREADABLE,
];

pub(super) const MISSING: Check = Check {
    id: "SA010",
    severity: Severity::Failure,
    title: "libpam does not find the module's file",
    why: "A line whose module cannot be loaded fails (PAM_MODULE_UNKNOWN): with \"required\" or \"requisite\" it \
          keeps everyone out, root too; with \"sufficient\" or \"optional\" users get in without a job. A dash \
          before the line changes nothing but the log: pam.d(5). libpam looks for a name without a slash only in \
          the directory that it was built with, Debian's also in /lib/security.",
    fix: "Install the module where libpam looks for it, or take the line out.",
};

pub(super) const SHADOWED: Check = Check {
    id: "SA011",
    severity: Severity::Warning,
    title: "libpam loads another file than this project's module",
    why: "Two files have the module's name, and libpam takes the one whose directory it looks into first. This \
          project's module is installed and never runs: its options, its options file and its session line have no \
          effect. On Debian 11 and 12 SchedMD's package installs into /lib/security, which is looked into last; \
          \"make install\" of Slurm may install anywhere.",
    fix: "Remove the package or file that is loaded, or move this project's module into its place.",
};

pub(super) const SECOND_FILE: Check = Check {
    id: "SA012",
    severity: Severity::Note,
    title: "a second file has the module's name",
    why: "libpam loads the file whose directory it looks into first; Debian's goes on to the next directory if it \
          cannot load that one. The other one does nothing now, but takes over when the first is removed or cannot \
          be loaded, as after an update.",
    fix: "Leave SchedMD's behind this project's, if it can be loaded: it is the way back. Remove any other.",
};

/// What to do with SchedMD's module behind ours.
pub(super) const WAY_BACK: &str = "Leave it: it is the way back to SchedMD's module, and serves logins again once this project's is removed \
     (docs/migration.md). Remove its package if you will not go back.";

pub(super) const SCHEDMDS: Check = Check {
    id: "SA013",
    severity: Severity::Note,
    title: "SchedMD's pam_slurm_adopt is installed",
    why: "All other checks apply to it as well. This project's module takes the same line and options. It would also \
          keep one deadline over all questions (with SchedMD's, one slurmstepd that hangs holds up every login), hold \
          logins by keyboard-interactive and below pam_systemd in their job by a session line, follow \
          action_generic_failure where libslurm ends sshd's process, and need no libslurm of the same release: \
          docs/differences.md.",
    fix: "Nothing needs to be done. To change modules, put this project's file in the place of SchedMD's by rename.",
};

pub(super) const UNKNOWN: Check = Check {
    id: "SA014",
    severity: Severity::Note,
    title: "the module is neither this project's nor SchedMD's",
    why: "The file has the name of pam_slurm_adopt.so, but neither names this project's options file nor uses \
          libslurm. What it does with its options, and whom it lets in, is not known here.",
    fix: "Find out which package or person installed it: dpkg -S, rpm -qf.",
};

pub(super) const UNSAFE: Check = Check {
    id: "SA015",
    severity: Severity::Failure,
    title: "others than root can change the module's file",
    why: "sshd runs the module as root at every login. Anyone who can write to the file, or rename it because a directory \
          above it is theirs or writable to them, makes root run code of their own.",
    fix: "Make the file and all directories above it root's, and writable only by root: chown root, chmod go-w.",
};

pub(super) const DAMAGED: Check = Check {
    id: "SA016",
    severity: Severity::Failure,
    title: "the module's file is no shared object",
    why: "libpam cannot load it, and the line fails: with \"required\" it keeps everyone out, root too; with \
          \"sufficient\" or \"optional\" users get in without a job. Such a file is left by a download of a web \
          page, a full disk, a copy that was interrupted, or Git LFS.",
    fix: "Install the module again, by rename: pam_slurm_adopt(8), NOTES.",
};

pub(super) const WRONG_MACHINE: Check = Check {
    id: "SA017",
    severity: Severity::Failure,
    title: "the module is built for another kind of machine",
    why: "sshd cannot load a module of another architecture or with addresses of another size, and the line fails: \
          with \"required\" it keeps everyone out, root too.",
    fix: "Install the package for this host's architecture.",
};

pub(super) const OLD_GLIBC: Check = Check {
    id: "SA018",
    severity: Severity::Failure,
    title: "the module needs a newer C library than this host has",
    why: "ld.so(8) refuses a file that needs a later symbol version (version GLIBC_x.y not found), and the line \
          fails: with \"required\" it keeps everyone out, root too. A module that was built on a newer distribution \
          has this fault; the releases of this project need glibc 2.17.",
    fix: "Install a build for this distribution.",
};

pub(super) const MISSING_LIBRARY: Check = Check {
    id: "SA019",
    severity: Severity::Failure,
    title: "a library that the module needs is missing",
    why: "ld.so(8) refuses a file whose library it does not find, and the line fails: with \"required\" it keeps \
          everyone out, root too. SchedMD's module needs the libslurm of the very release that it was built with: an \
          update of Slurm that leaves the module behind, or a library directory that ld.so.conf does not list, has \
          this effect.",
    fix: "Install the module and the library of the same Slurm release, or list the library's directory in \
          /etc/ld.so.conf.d and run ldconfig. This project's module needs no libslurm.",
};

pub(super) const NO_SUCH_PHASE: Check = Check {
    id: "SA020",
    severity: Severity::Failure,
    title: "the line is for a phase that the module does not have",
    why: "SchedMD's module has only the account phase. libpam fails a session line of a module without \
          pam_sm_open_session (PAM_MODULE_UNKNOWN): with \"required\" nobody gets a session, not even root.",
    fix: "Take the line out, or install this project's module, which has both phases.",
};

pub(super) const NOEXEC: Check = Check {
    id: "SA021",
    severity: Severity::Failure,
    title: "the module is on a file system that is mounted noexec",
    why: "The kernel maps no code from there (failed to map segment from shared object), and the line fails: with \
          \"required\" it keeps everyone out, root too.",
    fix: "Install the module into libpam's own directory.",
};

pub(super) const FOREIGN_OPTIONS: Check = Check {
    id: "SA022",
    severity: Severity::Warning,
    title: "options of this project's module, which is not what is loaded",
    why: "SchedMD's module logs an option that it does not know and goes on, and does not read \
          /etc/security/slurm_adopt.conf. With \"strict\" it still lets users in when adoption or slurm.conf fails, \
          and exempt users are kept out.",
    fix: "Install this project's module, or write only options of SchedMD's: action_adopt_failure=deny \
          action_generic_failure=deny instead of strict.",
};

pub(super) const UNREADABLE: Check = Check {
    id: "SA023",
    severity: Severity::Failure,
    title: "the module's file cannot be read",
    why: "What root cannot read libpam cannot load, and the line fails: with \"required\" it keeps everyone out. A \
          directory or FIFO in the file's place, a network file system that maps root to nobody, and a file system \
          that is not mounted have this effect.",
    fix: "Install the module into libpam's own directory on a local disk, mode 0644.",
};
