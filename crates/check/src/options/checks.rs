//! What can be wrong with the module's options.

use crate::{Check, Severity};

pub(super) const ALL: &[&Check] = &[
    &UNKNOWN_OPTION,
    &BAD_VALUE,
    &GLUED,
    &PREFIX,
    &ODD_NAME,
    &NO_SUCH_SERVICE,
    &OVERRIDDEN,
    &TWICE,
    &OPEN_ON_ADOPT_FAILURE,
    &OPEN_ON_GENERIC_FAILURE,
    &OPEN_ON_UNKNOWN,
    &OPEN_WITHOUT_JOBS,
    &NOT_ENFORCED,
    &SWITCHED_OFF,
    &DEAD_SWITCH,
    &UNKNOWN_NAME,
    &NORMAL_UIDS,
    &IGNORED_FILE,
    &IGNORE_ROOT,
    &SILENT,
    &NO_SESSION_PHASE,
    &LIMITS_TOO_EARLY,
    &NO_SUCH_NODE,
    &NO_SUCH_CONF,
    &OTHER_CONF,
    &EMPTY_URL,
    &UNREAD_FILE,
];

pub(super) const UNKNOWN_OPTION: Check = Check {
    id: "SA100",
    severity: Severity::Warning,
    title: "the module has no such option",
    why: "The module logs the word at each login and goes on without it, as SchedMD's does; the default counts \
          instead of what was meant. On a PAM line an option is one word, without blanks around the equals sign.",
    fix: "Correct the name: pam_slurm_adopt(8), OPTIONS.",
};

pub(super) const BAD_VALUE: Check = Check {
    id: "SA101",
    severity: Severity::Warning,
    title: "the option does not take this value",
    why: "The module logs it at each login and keeps the value that it had, the default unless an earlier setting \
          changed it. SchedMD's module does the same, in some cases without a log line.",
    fix: "Write one of the values that the option takes: pam_slurm_adopt(8), OPTIONS.",
};

pub(super) const GLUED: Check = Check {
    id: "SA102",
    severity: Severity::Warning,
    title: "options are separated by something other than a blank",
    why: "PAM separates arguments only by blanks. Of options with a comma or semicolon between them only the first \
          one counts, in SchedMD's module too: the others are part of its value.",
    fix: "Put a blank between the options.",
};

pub(super) const PREFIX: Check = Check {
    id: "SA103",
    severity: Severity::Note,
    title: "only the beginning of the value is taken",
    why: "A value counts if it begins with a word that the option takes, in any case, as in SchedMD's module: \
          \"ignored\" is ignore. What follows is ignored.",
    fix: "Write only the word.",
};

pub(super) const ODD_NAME: Check = Check {
    id: "SA104",
    severity: Severity::Warning,
    title: "no service or node can have this name",
    why: "service= takes PAM service names exactly as applications give them to pam_start(3): small letters, no \
          path, no quotes, commas without blanks between them. nodename= takes one NodeName.",
    fix: "Correct the name.",
};

pub(super) const NO_SUCH_SERVICE: Check = Check {
    id: "SA107",
    severity: Severity::Note,
    title: "service= names a service that PAM does not have here",
    why: "There is no file of that name in /etc/pam.d: the program is not installed, or its service has another \
          name (ssh's is sshd).",
    fix: "Correct the name, if it is one of this host's services.",
};

pub(super) const OVERRIDDEN: Check = Check {
    id: "SA108",
    severity: Severity::Note,
    title: "a PAM line overrides a setting of the options file",
    why: "An argument of the line wins over /etc/security/slurm_adopt.conf. A change of the file has no effect on \
          this line.",
    fix: "Keep the option in one of the two places.",
};

pub(super) const TWICE: Check = Check {
    id: "SA109",
    severity: Severity::Warning,
    title: "an option is set twice, to different values",
    why: "The last setting counts; the first one has no effect.",
    fix: "Remove the setting that is not meant.",
};

pub(super) const OPEN_ON_ADOPT_FAILURE: Check = Check {
    id: "SA110",
    severity: Severity::Warning,
    title: "a login that cannot be adopted gets in outside its job",
    why: "With action_adopt_failure=allow, which is also the default, a user whose job refuses the login (it is \
          suspended or ending, cgroups are not set up, its namespaces cannot be joined) gets a shell that no limit \
          of the job holds and that outlives the job. It works as long as adoption works. SchedMD's manual calls the \
          value insecure and for tests only.",
    fix: "Set action_adopt_failure=deny, or strict, once adoption works.",
};

pub(super) const OPEN_ON_GENERIC_FAILURE: Check = Check {
    id: "SA111",
    severity: Severity::Warning,
    title: "users get in without a job when slurm.conf cannot be read",
    why: "With action_generic_failure=ignore, which is also the default, or allow, a node whose slurm.conf is \
          missing, unreadable or broken admits every user whom the other modules admit, with or without a job. It \
          works as long as slurm.conf is found. SchedMD's manual calls the value insecure and for tests only.",
    fix: "Set action_generic_failure=deny, or strict. Root always gets in.",
};

pub(super) const OPEN_ON_UNKNOWN: Check = Check {
    id: "SA112",
    severity: Severity::Warning,
    title: "users of several jobs get in outside their jobs",
    why: "With action_unknown=allow a user who has more than one job here, and whose connection comes from none of \
          them (from a login node, say), gets a shell outside all jobs: no limit holds it, and it outlives them.",
    fix: "Set action_unknown=newest, the default, or deny.",
};

pub(super) const OPEN_WITHOUT_JOBS: Check = Check {
    id: "SA113",
    severity: Severity::Failure,
    title: "users without a job are left to the rest of the stack",
    why: "With action_no_jobs=ignore the module denies no user for lack of a job. No other line of the account stack \
          looks like one that decides who may log in, as pam_access does: every user with an account gets in.",
    fix: "Set action_no_jobs=deny, the default, or add the module that is to decide.",
};

pub(super) const NOT_ENFORCED: Check = Check {
    id: "SA114",
    severity: Severity::Warning,
    title: "the module denies nobody",
    why: "mode=audit only logs what it would do: users get in without a job, and those with one are in no job. \
          mode=adopt-only adopts users who have a job and admits all others too. Both are meant for trying the module.",
    fix: "Set mode=enforce, or remove the option, when the log shows what you want.",
};

pub(super) const SWITCHED_OFF: Check = Check {
    id: "SA120",
    severity: Severity::Failure,
    title: "the kill switch is on: everyone gets in",
    why: "While the file of kill_switch= exists, every user gets in without a job, and nobody is adopted. The log \
          says so at each login.",
    fix: "Remove the file when the node is well.",
};

pub(super) const DEAD_SWITCH: Check = Check {
    id: "SA121",
    severity: Severity::Warning,
    title: "the kill switch would not work",
    why: "The file of kill_switch= counts only if nobody but root can have made it: a regular file of root's, no link, \
          writable by nobody else, and so for all directories above it. A node that must be reachable at once would \
          not be.",
    fix: "Choose a path below a directory of root's, such as /etc/security/slurm_adopt.off.",
};

pub(super) const UNKNOWN_NAME: Check = Check {
    id: "SA122",
    severity: Severity::Warning,
    title: "an exempt user or group does not exist",
    why: "A name that the user database does not know exempts nobody: the administrators who are meant are kept out \
          when they have no job. For a group that is not found the log says so whenever a user is denied.",
    fix: "Correct the name.",
};

pub(super) const NORMAL_UIDS: Check = Check {
    id: "SA123",
    severity: Severity::Warning,
    title: "exempt_uid_below reaches into the uids of normal users",
    why: "Users whose uid is below the bound get in without a job. UID_MIN of login.defs(5) is where uids of people \
          begin on this host. (That is right where only administrators have local accounts, and users have higher \
          uids.)",
    fix: "Lower the bound to UID_MIN, or name administrators in exempt_users= or exempt_groups=.",
};

pub(super) const IGNORED_FILE: Check = Check {
    id: "SA124",
    severity: Severity::Warning,
    title: "the options file is ignored",
    why: "/etc/security/slurm_adopt.conf must be a file of root's that nobody else can write. Any other, and one that \
          cannot be read, counts as if it said only \"strict\": its other settings have no effect (exempt users are \
          kept out, messages are SchedMD's), and the log says so at each login.",
    fix: "chown root:root /etc/security/slurm_adopt.conf; chmod 0644 /etc/security/slurm_adopt.conf",
};

pub(super) const IGNORE_ROOT: Check = Check {
    id: "SA125",
    severity: Severity::Warning,
    title: "ignore_root=0 has no effect",
    why: "Root always gets in and is never adopted, with either value, in SchedMD's module too.",
    fix: "Remove the option.",
};

pub(super) const SILENT: Check = Check {
    id: "SA126",
    severity: Severity::Note,
    title: "the module logs nothing",
    why: "With log_level=quiet or fatal neither denials nor faults reach the log: nobody can tell later why a user \
          was kept out, or got in outside a job.",
    fix: "Set log_level=error for faults only, or leave it at info.",
};

pub(super) const NO_SESSION_PHASE: Check = Check {
    id: "SA127",
    severity: Severity::Warning,
    title: "an option of the session phase has no effect",
    why: "limits=job, runtime_dir=create and banner=1 are carried out by the session line, which reads the options \
          file and its own arguments. An account line does nothing with them.",
    fix: "Add the session line, and put the option on it or into the options file: docs/session.md.",
};

pub(super) const LIMITS_TOO_EARLY: Check = Check {
    id: "SA128",
    severity: Severity::Warning,
    title: "pam_limits comes after the session line with limits=job",
    why: "pam_limits then replaces the job's limits by those of limits.conf: the option has no effect on what it \
          sets, such as memlock.",
    fix: "Move the module's session line to the end of the stack.",
};

pub(super) const NO_SUCH_NODE: Check = Check {
    id: "SA129",
    severity: Severity::Failure,
    title: "nodename= is no node of slurm.conf",
    why: "The module looks for the sockets of this node's jobs by that name and finds none: every user is kept out, \
          with a job too. Dynamic nodes (slurmd -Z) are not in slurm.conf, which then has MaxNodeCount.",
    fix: "Set nodename= to the NodeName of this host, or remove it: the module finds the name.",
};

pub(super) const NO_SUCH_CONF: Check = Check {
    id: "SA130",
    severity: Severity::Failure,
    title: "the file of slurm_conf= does not exist",
    why: "The module looks nowhere else then. action_generic_failure decides about every user: deny keeps out those \
          who have a job, ignore and allow let in those who have none.",
    fix: "Correct the path, or remove the option: the module finds the slurm.conf that slurmd reads.",
};

pub(super) const OTHER_CONF: Check = Check {
    id: "SA131",
    severity: Severity::Warning,
    title: "slurm_conf= is not the file that slurmd reads",
    why: "The module takes the spool directory and this node's name from one file, slurmd from another. As soon as \
          they differ in either, the module finds no jobs.",
    fix: "Remove the option: the module finds the slurm.conf that slurmd reads.",
};

pub(super) const EMPTY_URL: Check = Check {
    id: "SA132",
    severity: Severity::Warning,
    title: "a message has {url}, but message_url is not set",
    why: "Users who are denied read the message with nothing in that place.",
    fix: "Set message_url=, or take {url} out of the message.",
};

pub(super) const UNREAD_FILE: Check = Check {
    id: "SA133",
    severity: Severity::Warning,
    title: "a file looks like the options file, but is not read",
    why: "The module reads its options only from /etc/security/slurm_adopt.conf, and there is no such file.",
    fix: "Rename the file to /etc/security/slurm_adopt.conf.",
};
