//! What can be wrong with the account line.

use crate::{Check, Severity};

pub(super) const ABSENT: Check = Check {
    id: "SA220",
    severity: Severity::Failure,
    title: "sshd's account stack does not call the module",
    why: "Everyone with an account logs in by ssh, whether they have a job here or not: only the \
          account phase denies. A session line alone adopts users with a job and denies nobody.",
    fix: "Run slurm-adopt setup, or add to /etc/pam.d/sshd, before its other account lines: account required \
          pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny",
};

pub(super) const ELSEWHERE: Check = Check {
    id: "SA221",
    severity: Severity::Failure,
    title: "the account line is in a file that sshd does not read",
    why: "Everyone with an account logs in by ssh, whether they have a job here or not. Many \
          recipes add the line to /etc/pam.d/system-auth; sshd of RHEL, Rocky Linux, AlmaLinux \
          and Fedora includes password-auth instead.",
    fix: "Move the line to /etc/pam.d/sshd, before its other account lines.",
};

pub(super) const IDLE: Check = Check {
    id: "SA222",
    severity: Severity::Failure,
    title: "service= of the account line leaves sshd out",
    why: "The module acts only for the PAM services that service= lists, by their exact names \
          (default: sshd), and ignores all others. For ssh logins the line does nothing: everyone \
          gets in.",
    fix: "Remove service=, or name sshd in it.",
};

pub(super) const EVERYONE: Check = Check {
    id: "SA223",
    severity: Severity::Failure,
    title: "users without a job get in by a line before the module's",
    why: "A sufficient line that succeeds ends the account stack, done does the same, and a \
          number in brackets skips that many lines: pam_slurm_adopt is not asked. A line of an \
          included file does that as well; only a substack keeps it inside. See pam.conf(5).",
    fix: "Put the module's account line before this one.",
};

pub(super) const LOCAL_USERS: Check = Check {
    id: "SA224",
    severity: Severity::Failure,
    title: "local users get in without a job",
    why: "The line ends the account stack for everyone in /etc/passwd, before pam_slurm_adopt is \
          asked. RHEL's password-auth and system-auth have \"account sufficient \
          pam_localuser.so\", so that a line of the module after \"account include \
          password-auth\" decides only about users of the directory.",
    fix: "Put the module's account line before this one, or before the include that brings it.",
};

pub(super) const ACCESS: Check = Check {
    id: "SA225",
    severity: Severity::Failure,
    title: "pam_access lets everyone pass the module's line",
    why: "A sufficient pam_access before pam_slurm_adopt is to let in administrators. Its rules \
          let in every user whom no rule denies: without a last rule \"-:ALL:ALL\" (or with an \
          empty file, or \"+:ALL:ALL\" before it) nobody needs a job. pam_access skips a line \
          that begins with a blank, and a last line without a newline. See access.conf(5).",
    fix: "End access.conf with \"-:ALL:ALL\", or use the module's exempt_groups= instead of \
          pam_access.",
};

pub(super) const SOME_USERS: Check = Check {
    id: "SA226",
    severity: Severity::Note,
    title: "some users get in without the module",
    why: "They need no job, as is usual for administrators. But the module does not see them in \
          the account phase, so that they are not adopted if they do have a job; a session line \
          then adopts where possible.",
    fix: "To adopt them when they have a job, use exempt_users= and exempt_groups= of \
          pam_slurm_adopt instead.",
};

pub(super) const UNKNOWN: Check = Check {
    id: "SA227",
    severity: Severity::Warning,
    title: "a line may let users in without the module, and which is not known",
    why: "The control of the line lets whoever its module accepts get in without a job. This tool \
          does not know whom that module or program accepts.",
    fix: "Make sure that it lets in only administrators, or use exempt_groups= of \
          pam_slurm_adopt instead.",
};

pub(super) const NOT_BINDING: Check = Check {
    id: "SA228",
    severity: Severity::Failure,
    title: "a denial by the account line does not count",
    why: "With optional, sufficient or an \"ignore\" in brackets libpam goes on when the module \
          denies, and the stack succeeds by a later module: everyone gets in. sufficient is right \
          only if what follows denies everyone else, such as pam_access with a last rule \
          \"-:ALL:ALL\".",
    fix: "Make the line's control \"required\".",
};

pub(super) const SUFFICIENT: Check = Check {
    id: "SA229",
    severity: Severity::Note,
    title: "account lines after the module's are skipped for users with a job",
    why: "The module's line is sufficient: for a user with a job the account stack ends there, \
          and whether the account or its password has expired is not asked.",
    fix: "Put those lines before the module's, or make it required and exempt administrators by \
          exempt_groups=.",
};

pub(super) const EXPIRED: Check = Check {
    id: "SA230",
    severity: Severity::Warning,
    title: "a user with an expired password passes the account line",
    why: "For an expired password the line ends the stack with new_authtok_reqd before \
          pam_slurm_adopt is asked. By keyboard-interactive the user changes it and is in, \
          without a job; by other methods sshd runs passwd(1), outside of every job. Debian's \
          common-account has new_authtok_reqd=done. A session line with action_adopt_failure=deny \
          denies such a login.",
    fix: "Put the module's account line before this one, or before the include that brings it.",
};

pub(super) const OPEN_LIST: Check = Check {
    id: "SA231",
    severity: Severity::Warning,
    title: "a list of users who need no job can be written by a group",
    why: "Anyone in the file's group can add any name to the list of pam_listfile, and that user \
          gets in without a job.",
    fix: "chown root:root FILE; chmod 644 FILE",
};

pub(super) const NO_LIST: Check = Check {
    id: "SA239",
    severity: Severity::Warning,
    title: "the file with those who need no job is not there",
    why: "pam_access fails without the file of accessfile=, pam_listfile without that of file= \
          (unless onerr=succeed). The line then lets nobody past the module: whom it was to let \
          in, such as administrators, needs a job like everyone else.",
    fix: "Make the file, or name the one that is meant. exempt_groups= and exempt_users= of the \
          module need none.",
};

pub(super) const PAM_SLURM_FIRST: Check = Check {
    id: "SA232",
    severity: Severity::Failure,
    title: "pam_slurm lets users with a job in before the module adopts them",
    why: "pam_slurm.so is SchedMD's older module: it asks slurmctld for the user's jobs and \
          adopts nobody. Here its success ends the account stack, so that logins are not in their \
          job: no limits, no accounting, and they outlive it.",
    fix: "Remove the line of pam_slurm.so.",
};

pub(super) const PAM_SLURM: Check = Check {
    id: "SA233",
    severity: Severity::Warning,
    title: "pam_slurm stands beside the module",
    why: "pam_slurm.so is SchedMD's older module: it asks slurmctld for the user's jobs at every \
          login. Users must pass both: exempt users of pam_slurm_adopt are denied, and while \
          slurmctld does not answer everyone is.",
    fix: "Remove the line of pam_slurm.so.",
};

pub(super) const TWICE: Check = Check {
    id: "SA234",
    severity: Severity::Warning,
    title: "the account stack calls the module more than once",
    why: "Each line decides by its own options, a user needs both to agree, and each login logs \
          twice. An edit of one line leaves the other as it is.",
    fix: "Keep one line. Lines for two clusters differ in slurm_conf= or nodename=.",
};

pub(super) const ROOT: Check = Check {
    id: "SA235",
    severity: Severity::Failure,
    title: "root cannot log in by ssh",
    why: "For root the module answers PAM_IGNORE, as SchedMD's does, and so does pam_nologin. A \
          stack in which every module is ignored fails. A line that lets root jump past ours may \
          end at pam_deny.",
    fix: "Add \"account required pam_unix.so\" after the module's line, and correct jumps.",
};

pub(super) const ROOT_DENIED: Check = Check {
    id: "SA236",
    severity: Severity::Note,
    title: "root is denied by another account line",
    why: "pam_slurm_adopt always lets root pass, but this line does not. If nobody else can \
          become root on the node, a node without Slurm can be repaired only at its console.",
    fix: "If that is not meant, let root pass in that line's rules.",
};

pub(super) const TOO_MANY_WAYS: Check = Check {
    id: "SA237",
    severity: Severity::Warning,
    title: "the account stack is too complex to follow",
    why: "There are more ways through the stack than this tool follows. Whether each of them \
          calls the module is not known.",
    fix: "Put the module's account line first in /etc/pam.d/sshd.",
};

pub(super) const ONLY_NAMED: Check = Check {
    id: "SA238",
    severity: Severity::Note,
    title: "only users whom another account line names get in",
    why: "The line is required and keeps out everyone whom its rules do not let in, whether they \
          have a job here or not. That is right if it names all users of the cluster, and wrong \
          if it was meant to let administrators in without a job.",
    fix: "If only administrators are meant, put it behind a sufficient pam_slurm_adopt, or use \
          exempt_groups= instead.",
};
