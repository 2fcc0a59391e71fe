//! All options: names, values, descriptions and setters. The parser and the manual use this table.

use crate::options::setters::{
    TIMEOUT, choose, duration, list, log_level, message, networks, switch, text,
};
use crate::options::{
    AdoptFailure, EnvironmentLevel, GenericFailure, Limits, LogFormat, Mode, NoJobs, Options,
    RuntimeDir, Unknown,
};

/// One option, for the parser and for the documentation.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The name before the `=`.
    pub name: &'static str,
    /// The accepted values, the default first; a word in capitals stands for free text.
    pub values: &'static [&'static str],
    /// The default, as text.
    pub default: &'static str,
    /// Whether the option is ours: SchedMD's module does not have it.
    pub since_us: bool,
    /// The description, in Markdown.
    pub doc: &'static str,
    /// Sets the option; false if it does not accept the value.
    pub(super) set: fn(&mut Options, &str) -> bool,
}

/// All options, in the order of the man page.
pub const TABLE: &[OptionSpec] = &[
    OptionSpec {
        name: "action_no_jobs",
        values: &["deny", "ignore"],
        default: "deny",
        since_us: false,
        doc: "The user has no job on this node, or no slurmstepd of theirs answers. `deny`: deny the \
              login (PAM_PERM_DENIED). `ignore`: leave it to the other modules (PAM_IGNORE).",
        set: |options, value| choose(&mut options.no_jobs, value, NoJobs::WORDS),
    },
    OptionSpec {
        name: "action_unknown",
        values: &["newest", "oldest", "longest", "largest", "allow", "deny"],
        default: "newest",
        since_us: false,
        doc: "The user has several jobs on this node and the connection can't be traced to one of \
              them. `newest`: adopt into the one whose extern step started last or, if that job is \
              ending, into the next one. `oldest`, `longest` and `largest` (not in SchedMD's module): likewise into \
              the one that started first, that ends last as its environment says (SLURM_JOB_END_TIME, from Slurm \
              23.02 on), or that has the most CPUs here (its cpuset, else SLURM_CPUS_ON_NODE). Jobs of which that is \
              not known come last; of equal ones the newest is first. `allow`: admit the user *without* adoption. \
              `deny`: deny the login.",
        set: |options, value| choose(&mut options.unknown, value, Unknown::WORDS),
    },
    OptionSpec {
        name: "action_adopt_failure",
        values: &["allow", "deny"],
        default: "allow",
        since_us: false,
        doc: "The job is suspended, its slurmstepd refuses the process or ends first, or the process \
              is not in the job afterwards or can't stay there. `allow`: admit the user *without* \
              adoption. `deny`: deny the login. Set `deny` once adoption works. (A slurmstepd that \
              does not answer at all counts as no job.)",
        set: |options, value| choose(&mut options.adopt_failure, value, AdoptFailure::WORDS),
    },
    OptionSpec {
        name: "action_generic_failure",
        values: &["ignore", "allow", "deny"],
        default: "ignore",
        since_us: false,
        doc: "The module can't tell what runs on this node: slurm.conf can't be found, read or parsed, \
              or the module itself failed. `ignore`: leave it to the other modules. `allow`: admit the \
              user. `deny`: deny the login.",
        set: |options, value| choose(&mut options.generic_failure, value, GenericFailure::WORDS),
    },
    OptionSpec {
        name: "log_level",
        values: &[
            "info",
            "quiet",
            "fatal",
            "error",
            "verbose",
            "debug",
            "debug2 to debug5",
            "0 to 9",
        ],
        default: "info",
        since_us: false,
        doc: "What goes to the log (facility AUTHPRIV). `error`: what needs an admin. `info`: also one \
              line per login. `debug`: also each step.",
        set: |options, value| log_level(&mut options.log_level, value),
    },
    OptionSpec {
        name: "nodename",
        values: &["NAME"],
        default: "the running slurmd's -N, else found in slurm.conf by the host's name",
        since_us: false,
        doc: "This node's NodeName. Needed with several slurmds on one host, and with `slurmd -F`, \
              which gets its name from slurmctld.",
        set: |options, value| text(value, |value| options.node_name = Some(value)),
    },
    OptionSpec {
        name: "service",
        values: &["NAMES", "*"],
        default: "sshd",
        since_us: false,
        doc: "The PAM services that the module acts for: exact names, separated by commas, such as \
              `sshd,login,cockpit`. `*`: all except `slurm`, slurmstepd's own.",
        set: |options, value| text(value, |value| options.service = value),
    },
    OptionSpec {
        name: "disable_x11",
        values: &["0", "1"],
        default: "0",
        since_us: false,
        doc: "`1`: don't give the login the job's X11 display.",
        set: |options, value| switch(&mut options.disable_x11, value),
    },
    OptionSpec {
        name: "join_container",
        values: &["true", "false"],
        default: "true",
        since_us: false,
        doc: "`false`: don't enter the namespaces of the job's container plugin.",
        set: |options, value| {
            let words = [("true", true), ("false", false)];
            choose(&mut options.join_container, value, &words)
        },
    },
    OptionSpec {
        name: "single_job_skip_rpc",
        values: &["1", "0"],
        default: "1",
        since_us: false,
        doc: "`0`: trace the connection even if the user has only one job here.",
        set: |options, value| switch(&mut options.single_job_skip_rpc, value),
    },
    OptionSpec {
        name: "ignore_root",
        values: &["1", "0"],
        default: "1",
        since_us: false,
        doc: "Accepted for compatibility. Root always passes (PAM_IGNORE), with either value, as in \
              SchedMD's module.",
        set: |options, value| switch(&mut options.ignore_root, value),
    },
    OptionSpec {
        name: "slurm_conf",
        values: &["PATH"],
        default: "as slurmd finds it",
        since_us: true,
        doc: "The slurm.conf to read, an absolute path. Overrides the environment and the search.",
        set: |options, value| {
            value.starts_with('/') && text(value, |value| options.slurm_conf = Some(value))
        },
    },
    OptionSpec {
        name: "timeout",
        values: &["SECONDS"],
        default: "5",
        since_us: true,
        doc: "Deadline for all questions of one login, both phases together, 0.1 to 60 seconds.",
        set: |options, value| duration(&mut options.timeout, value, TIMEOUT),
    },
    OptionSpec {
        name: "callerid_timeout",
        values: &["SECONDS"],
        default: "2",
        since_us: true,
        doc: "How long to wait for the slurmd where the connection comes from, 0.1 to 60 seconds, and \
              never longer than *timeout* leaves.",
        set: |options, value| duration(&mut options.callerid_timeout, value, TIMEOUT),
    },
    OptionSpec {
        name: "callerid_skip",
        values: &["NETWORKS"],
        default: "no network",
        since_us: true,
        doc: "Networks that no job connects from, such as those of login nodes: nobody is asked there. \
              `192.0.2.0/24`, `2001:db8::/32` or single addresses, separated by commas.",
        set: |options, value| networks(&mut options.callerid_skip, value),
    },
    OptionSpec {
        name: "wait_for_job",
        values: &["SECONDS"],
        default: "0",
        since_us: true,
        doc: "Account phase, service `sshd`, `mode=enforce`. How long the login of a user without a job here waits for \
              one to start, and the login of a user whose only job here is still being set up until that is done (with \
              PrologFlags=RunInJob that includes the prolog); 0 to 3600. A job that is ending does not count. What then is \
              there counts, with a new *timeout*. \
              Both together must stay below sshd's LoginGraceTime. A waiting login takes one of sshd's MaxStartups; at \
              most 16 wait on a node, 4 of them of one user, and the others are answered at once. One whose client hangs \
              up no longer waits. Root and exempt users do not wait; whom a later line of the stack lets in does.",
        set: |options, value| duration(&mut options.wait_for_job, value, 0..=3_600_000),
    },
    OptionSpec {
        name: "wait_from",
        values: &["NETWORKS"],
        default: "any address",
        since_us: true,
        doc: "The networks from which a login waits for a job, such as that of the compute nodes, written as for \
              *callerid_skip*. A name in PAM_RHOST (`UseDNS yes`) is in none.",
        set: |options, value| networks(&mut options.wait_from, value),
    },
    OptionSpec {
        name: "limits",
        values: &["sshd", "job"],
        default: "sshd",
        since_us: true,
        doc: "Session phase. `job`: give the login the memlock, nofile, stack, nproc and core limits \
              of the job's own processes on this node (its batch script, else its first step, else its \
              slurmstepd). A login keeps 256 open files, 1 MiB of stack and 64 processes, or what sshd \
              has if that is less, because root's sshd runs with these limits too. The line must come \
              after pam_limits, whose hard limits it overrides. `sshd`: leave the limits of sshd and \
              pam_limits.",
        set: |options, value| choose(&mut options.limits, value, Limits::WORDS),
    },
    OptionSpec {
        name: "runtime_dir",
        values: &["leave", "create"],
        default: "leave",
        since_us: true,
        doc: "Session phase. `create`: make /run/user/UID (a tmpfs of a tenth of the memory, private \
              to the user) and set XDG_RUNTIME_DIR for an adopted login that has none, or whose \
              XDG_RUNTIME_DIR names that directory but it is missing. It stays while the user has an \
              adopted session or any process here; the next login of any user or `slurm-adopt sweep` \
              removes it after that. `leave`: leave it to pam_systemd.",
        set: |options, value| choose(&mut options.runtime_dir, value, RuntimeDir::WORDS),
    },
    OptionSpec {
        name: "environment",
        values: &["jobid", "none", "allocation", "full"],
        default: "jobid",
        since_us: true,
        doc: "What an adopted login gets of its job's environment. `jobid`: SLURM_JOB_ID. `none`: nothing. `allocation`: \
              what the job has on this node: SLURM_JOB_*, SLURM_CLUSTER_NAME, SLURM_CPUS_ON_NODE, SLURM_GPUS_ON_NODE, \
              SLURMD_NODENAME, TMPDIR and SLURM_TMPDIR, and the lists of GPUs (CUDA_VISIBLE_DEVICES and its like; \
              if the job has none, an empty CUDA_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES). TMPDIR is left out if the \
              service's stack has pam_exec or pam_script, whose programs root runs with these variables. `full`: also what else Slurm has set, such as SLURM_NTASKS and \
              SLURM_CPUS_PER_TASK: srun, sbatch and training frameworks take some of it for options or for a task \
              of their own. Never what belongs to a task or step (SLURM_PROCID, SLURM_STEP_ID). Values come from \
              the job's batch script, else from its first step on this node; without either only the numbers and \
              names that the node knows are set.",
        set: |options, value| choose(&mut options.environment, value, EnvironmentLevel::WORDS),
    },
    OptionSpec {
        name: "banner",
        values: &["0", "1"],
        default: "0",
        since_us: true,
        doc: "Session phase. `1`: an adopted login with a shell reads one line: its job, the time that is left (as when \
              the job's script or step started here, with Slurm 23.02 or later: a limit that is changed later reaches \
              no node), the user's other jobs here and \
              how to reach them. sshd shows it where it shows the message of the day: not to scp, sftp, rsync or a \
              command, nor with ~/.hushlogin.",
        set: |options, value| switch(&mut options.banner, value),
    },
    OptionSpec {
        name: "log_format",
        values: &["text", "json"],
        default: "text",
        since_us: true,
        doc: "`json`: each line in the log is one JSON object in ASCII, described by docs/log.schema.json. `text`: words \
              and `name=value`. Fields of the journal are there with either.",
        set: |options, value| choose(&mut options.log_format, value, LogFormat::WORDS),
    },
    OptionSpec {
        name: "strict",
        values: &["0", "1"],
        default: "0",
        since_us: true,
        doc: "`1`, or the word alone: *action_adopt_failure* and *action_generic_failure* default to \
              `deny`, so that nobody gets in because something failed. A setting of either still counts.",
        set: |options, value| switch(&mut options.strict, value),
    },
    OptionSpec {
        name: "mode",
        values: &["enforce", "audit", "adopt-only"],
        default: "enforce",
        since_us: true,
        doc: "`audit`: decide and log, as far as that can be seen without adoption, but adopt and deny nobody. \
              `adopt-only`: adopt users with a job and deny nobody. `enforce`: carry the decision out. In the place \
              of a denial stands PAM_IGNORE if the account stack has other modules, else PAM_SUCCESS. What the account \
              line enforces the session line does not undo.",
        set: |options, value| choose(&mut options.mode, value, Mode::WORDS),
    },
    OptionSpec {
        name: "exempt_users",
        values: &["NAMES"],
        default: "no user",
        since_us: true,
        doc: "Users who are never denied, by name or uid, separated by commas. They are adopted when they \
              have a job here, and get in without one (PAM_SUCCESS).",
        set: |options, value| list(&mut options.exempt.users, value),
    },
    OptionSpec {
        name: "exempt_groups",
        values: &["NAMES"],
        default: "no group",
        since_us: true,
        doc: "The same for the members of groups, by name or gid. Looked up only for a user who would be \
              denied: first in /etc/group, then wherever nsswitch.conf(5) says, within *timeout*, of which up \
              to half a second is kept for that. Without an answer nobody is exempt by group. The log says so if it can be known: to \
              nsswitch a directory that is down may look like one that does not have the user.",
        set: |options, value| list(&mut options.exempt.groups, value),
    },
    OptionSpec {
        name: "exempt_uid_below",
        values: &["UID"],
        default: "0",
        since_us: true,
        doc: "The same for users whose uid is below that number.",
        set: |options, value| {
            let uid = value.parse().map(|it| options.exempt.uid_below = it);
            uid.is_ok()
        },
    },
    OptionSpec {
        name: "kill_switch",
        values: &["PATH"],
        default: "no file",
        since_us: true,
        doc: "While this file exists, everyone gets in without adoption, and the log says so at each login. \
              The file and the directories above it must be root's and writable by root alone, on a local file system \
              (it is looked at without a deadline). `touch` it when a node must be reachable at once. Logins that wait \
              for a job (*wait_for_job*) see it when they have waited.",
        set: |options, value| {
            value.starts_with('/') && text(value, |value| options.kill_switch = Some(value.into()))
        },
    },
    OptionSpec {
        name: "message_no_jobs",
        values: &["TEXT"],
        default: "SchedMD's text",
        since_us: true,
        doc: "What a user without a job reads, instead of \"Access denied by pam_slurm_adopt: you have no \
              active jobs on this node\". `{user}`, `{host}`, `{jobs}` (the numbers of the user's jobs here) and \
              `{url}` are replaced. Empty: nothing. On a PAM line a text with blanks stands in brackets: \
              `[message_no_jobs=See {url}]`.",
        set: |options, value| message(&mut options.messages.no_jobs, value),
    },
    OptionSpec {
        name: "message_unknown",
        values: &["TEXT"],
        default: "SchedMD's text",
        since_us: true,
        doc: "The same for a user of several jobs whom *action_unknown* denies.",
        set: |options, value| message(&mut options.messages.unknown, value),
    },
    OptionSpec {
        name: "message_adopt_failure",
        values: &["TEXT"],
        default: "SchedMD's text",
        since_us: true,
        doc: "The same for a user whom *action_adopt_failure* denies.",
        set: |options, value| message(&mut options.messages.adopt_failure, value),
    },
    OptionSpec {
        name: "message_url",
        values: &["URL"],
        default: "no URL",
        since_us: true,
        doc: "What `{url}` stands for in the messages.",
        set: |options, value| {
            let is_text = !value.contains(char::is_control);
            if is_text {
                options.messages.url = value.to_owned();
            }
            is_text
        },
    },
];
