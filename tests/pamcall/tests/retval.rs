//! What the module answers to libpam, without Slurm: each test writes a PAM stack into a directory
//! of its own and calls it through libpam (pam_start_confdir(3)). No root needed.
//!
//! The stack's one line is `account [default=done] pam_slurm_adopt.so ...` (or `session`). With `required`,
//! `sufficient` and the like libpam turns the module's answer into the stack's: an only line that
//! answers PAM_IGNORE comes out as PAM_PERM_DENIED. `done` ends the stack with the module's own
//! code, whatever it is (Linux-PAM, pam_dispatch.c: `_PAM_ACTION_DONE`).
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

const SUCCESS: i64 = 0;
const PERM_DENIED: i64 = 6;
const SESSION_ERR: i64 = 14;
const IGNORE: i64 = 25;

const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const NO_USER: &str = "no-such-user-here";

#[test]
fn another_service_is_not_ours() {
    let node = Node::new();
    let call = node.call();
    let other = Call {
        service: "login",
        ..call.clone()
    };
    assert_eq!(call.clone().code(), PERM_DENIED, "sshd is ours by default");
    assert_eq!(other.clone().code(), IGNORE);
    assert_eq!(other.clone().with("service=*").code(), PERM_DENIED);
    assert_eq!(other.clone().with("service=login").code(), PERM_DENIED);
    assert_eq!(other.with("service=LOGIN").code(), IGNORE, "case matters");
    assert_eq!(call.clone().with("service=login").code(), IGNORE);
    assert_eq!(call.with("service=ssh").code(), IGNORE, "no prefix");
}

#[test]
fn the_service_comes_before_the_user() {
    let call = Call {
        service: "login",
        user: NO_USER.into(),
        ..Node::new().call()
    };
    assert_eq!(call.code(), IGNORE);
}

#[test]
fn an_unknown_user_is_a_session_error_whatever_the_actions() {
    let call = Call {
        user: NO_USER.into(),
        ..Node::new().call()
    };
    assert_eq!(call.clone().code(), SESSION_ERR);
    let call = call
        .with("action_no_jobs=ignore")
        .with("action_unknown=allow");
    for generic in ["deny", "allow", "ignore"] {
        let call = call
            .clone()
            .with(&format!("action_generic_failure={generic}"));
        assert_eq!(call.clone().code(), SESSION_ERR, "{generic}");
        assert_eq!(
            call.with("slurm_conf=/nonexistent").code(),
            SESSION_ERR,
            "{generic}"
        );
    }
}

#[test]
fn root_passes_before_anything_can_fail() {
    let call = Call {
        user: "root".into(),
        ..Node::new().call()
    };
    assert_eq!(call.clone().code(), IGNORE);
    let broken = call
        .with("action_generic_failure=deny")
        .with("slurm_conf=/nonexistent");
    assert_eq!(broken.clone().code(), IGNORE);
    assert_eq!(
        broken.with("ignore_root=0").code(),
        IGNORE,
        "as in SchedMD's module"
    );
}

#[test]
fn without_slurm_conf_it_is_a_generic_failure() {
    let call = Node::new()
        .call()
        .with("slurm_conf=/nonexistent/slurm.conf");
    assert_eq!(call.clone().code(), IGNORE, "the default");
    for (argument, code) in [
        ("action_generic_failure=deny", PERM_DENIED),
        ("action_generic_failure=allow", SUCCESS),
        ("action_generic_failure=ignore", IGNORE),
        // Names in any case, values by their beginning in any case, as SchedMD's module has it.
        ("ACTION_GENERIC_FAILURE=DENYxyz", PERM_DENIED),
        ("Action_Generic_Failure=Allowed", SUCCESS),
        // A wrong value changes nothing.
        ("action_generic_failure=den", IGNORE),
        ("action_generic_failure=", IGNORE),
        ("action_generic_failure", IGNORE),
        ("action_generic_failures=deny", IGNORE),
    ] {
        assert_eq!(call.clone().with(argument).code(), code, "{argument}");
    }
}

#[test]
fn the_last_good_setting_wins() {
    let call = Node::new()
        .call()
        .with("slurm_conf=/nonexistent/slurm.conf");
    for (values, code) in [
        (["deny", "allow"], SUCCESS),
        (["allow", "deny"], PERM_DENIED),
        (["deny", "nonsense"], PERM_DENIED),
        (["allow", ""], SUCCESS),
    ] {
        let [first, second] = values.map(|it| format!("action_generic_failure={it}"));
        assert_eq!(
            call.clone().with(&first).with(&second).code(),
            code,
            "{values:?}"
        );
    }
    // Where the file is comes from the last setting too.
    let node = Node::new();
    let there = format!("slurm_conf={}", node.conf().display());
    let call = node.call().with("slurm_conf=/nonexistent");
    assert_eq!(call.clone().code(), IGNORE);
    assert_eq!(call.with(&there).code(), PERM_DENIED);
}

#[test]
fn a_broken_slurm_conf_is_a_generic_failure() {
    for text in [
        "",
        "ClusterName",
        "ClusterName=t\nNonsense here\n",
        "ClusterName=t\nInclude x\n",
    ] {
        let node = Node::new();
        fs::write(node.conf(), text).expect("write slurm.conf");
        let call = node.call();
        assert_eq!(call.clone().code(), IGNORE, "{text:?}");
        assert_eq!(
            call.with("action_generic_failure=deny").code(),
            PERM_DENIED,
            "{text:?}"
        );
    }
    let node = Node::new();
    fs::remove_file(node.conf()).expect("remove slurm.conf");
    fs::create_dir(node.conf()).expect("make a directory of that name");
    assert_eq!(
        node.call().with("action_generic_failure=allow").code(),
        SUCCESS
    );
}

#[test]
fn nobody_has_a_job_where_nothing_runs() {
    let empty = Node::new();
    let gone = Node::new();
    fs::remove_dir(gone.spool()).expect("remove the spool directory");
    let file = Node::new();
    fs::remove_dir(file.spool()).expect("remove the spool directory");
    fs::write(file.spool(), "no directory").expect("write a file of that name");
    let junk = Node::new();
    for name in [
        "cred_state",
        "localhost_1.4294967292",
        "localhost_x",
        "slurmd.pid",
    ] {
        fs::write(junk.spool().join(name), "junk").expect("write junk");
    }
    for (what, node) in [
        ("empty", &empty),
        ("gone", &gone),
        ("a file", &file),
        ("junk", &junk),
    ] {
        // No generic failure: that option has no say.
        let call = node.call().with("action_generic_failure=allow");
        let denial = json!([{ "style": "error", "text": NO_JOBS }]);
        for deny in [call.clone(), call.clone().with("action_no_jobs=deny")] {
            let answer = deny.run();
            assert_eq!(answer["code"], PERM_DENIED, "{what}");
            assert_eq!(answer["messages"], denial, "{what}");
        }
        let answer = call.with("action_no_jobs=ignore").run();
        assert_eq!(answer["code"], IGNORE, "{what}");
        assert_eq!(answer["messages"], json!([]), "{what}");
    }
    for name in [
        "cred_state",
        "localhost_1.4294967292",
        "localhost_x",
        "slurmd.pid",
    ] {
        let text = fs::read(junk.spool().join(name)).expect("the junk is still there");
        assert_eq!(text, b"junk", "{name}");
    }
}

#[test]
fn an_application_without_conversation_gets_the_same_code() {
    let call = Call {
        conversation: false,
        ..Node::new().call()
    };
    assert_eq!(call.clone().code(), PERM_DENIED);
    assert_eq!(call.with("action_no_jobs=ignore").code(), IGNORE);
}

#[test]
fn unknown_and_strange_arguments_change_nothing() {
    let mut call = Node::new().call();
    for argument in [
        "no_such_option=1",
        "=",
        "==",
        "deny",
        "log_level=99",
        "timeout=never",
        "timeout=-1",
        "service=",
        "nodename=",
        "action_no_jobs=allow",
        "[two words]",
    ] {
        call = call.with(argument);
    }
    call = call.with(&"x".repeat(900));
    assert_eq!(call.code(), PERM_DENIED);
}

#[test]
fn a_panic_is_a_generic_failure_and_the_host_lives() {
    let call = Call {
        module: dist("forced-panic/pam_slurm_adopt.so"),
        ..Node::new().call()
    };
    assert_eq!(call.clone().code(), IGNORE, "the default");
    for (action, code) in [
        ("deny", PERM_DENIED),
        ("allow", SUCCESS),
        ("ignore", IGNORE),
    ] {
        let call = call
            .clone()
            .with(&format!("action_generic_failure={action}"));
        assert_eq!(call.clone().code(), code, "{action}");
        let root = Call {
            user: "root".into(),
            ..call.clone()
        };
        assert_eq!(root.code(), IGNORE, "root, {action}");
        let other = Call {
            service: "login",
            ..call
        };
        assert_eq!(other.code(), IGNORE, "another service, {action}");
    }
}

#[test]
fn the_environment_is_no_way_in() {
    // An attacker's variables, as in a service other than sshd.
    let node = Node::new();
    let mut call = Call {
        service: "su",
        ..node.call().with("service=*")
    };
    call.variables = vec![
        ("SLURM_CONF", "/nonexistent/slurm.conf"),
        ("SLURMD_NODENAME", "other"),
        ("RUST_BACKTRACE", "1"),
    ];
    assert_eq!(call.code(), PERM_DENIED, "slurm_conf= wins");
}

#[test]
fn a_service_may_be_one_of_several() {
    let call = Node::new().call().with("service=login,sshd");
    assert_eq!(call.clone().code(), PERM_DENIED);
    for (service, code) in [("login", PERM_DENIED), ("su", IGNORE), ("cron", IGNORE)] {
        let call = Call {
            service,
            ..call.clone()
        };
        assert_eq!(call.code(), code, "{service}");
    }
}

#[test]
fn a_session_is_nobodys_for_want_of_a_job() {
    let call = Call {
        phase: "session",
        ..Node::new().call()
    };
    let answer = call.clone().run();
    let both = (&json!(SUCCESS), &json!(SUCCESS));
    assert_eq!((&answer["code"], &answer["close_code"]), both);
    assert_eq!(answer["messages"], json!([]));
    assert_eq!(call.clone().with("action_no_jobs=deny").code(), SUCCESS);
    let root = Call {
        user: "root".into(),
        ..call.clone()
    };
    let root = root.run();
    assert_eq!((&root["code"], &root["close_code"]), both);
    let other = Call {
        service: "login",
        ..call.clone()
    };
    assert_eq!(other.code(), SUCCESS);
    let nobody = Call {
        user: NO_USER.into(),
        ..call.clone()
    };
    assert_eq!(nobody.code(), SESSION_ERR);
    // Whatever this host's own stack for sshd is.
    let broken = Call {
        service: "no-such-service",
        ..call.with("service=*")
    }
    .with("slurm_conf=/nonexistent");
    for (action, code) in [
        ("deny", SESSION_ERR),
        ("allow", SUCCESS),
        ("ignore", SUCCESS),
    ] {
        let call = broken
            .clone()
            .with(&format!("action_generic_failure={action}"));
        assert_eq!(call.code(), code, "{action}");
    }
}

/// Users can write into the environment (pam_env): what it says of a job is nobody's word.
#[test]
fn a_job_in_the_environment_is_no_hint() {
    for job in ["7", "x", "-7", "99999999999"] {
        let call = Call {
            phase: "session",
            handed_over: Some(job),
            ..Node::new().call()
        };
        assert_eq!(
            call.with("action_adopt_failure=deny").code(),
            SUCCESS,
            "{job}"
        );
    }
}

/// A slurm.conf and a spool directory in which nothing runs.
struct Node(PathBuf);

impl Node {
    fn new() -> Rc<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("retval-{}-{number}", std::process::id()));
        let node = Self(dir);
        fs::create_dir_all(node.spool()).expect("make the spool directory");
        let conf = format!(
            "ClusterName=t\nSlurmctldHost=localhost\nSlurmdSpoolDir={}\nNodeName=localhost\n",
            node.spool().display()
        );
        fs::write(node.conf(), conf).expect("write slurm.conf");
        Rc::new(node)
    }

    fn conf(&self) -> PathBuf {
        self.0.join("slurm.conf")
    }

    fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// A user who is not root logs in by ssh.
    fn call(self: &Rc<Self>) -> Call {
        Call {
            node: Rc::clone(self),
            module: dist("pam_slurm_adopt.so"),
            arguments: vec![
                format!("slurm_conf={}", self.conf().display()),
                String::from("nodename=localhost"),
            ],
            service: "sshd",
            user: user(),
            conversation: true,
            variables: Vec::new(),
            phase: "account",
            handed_over: None,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that failed half-way must not fail again here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone)]
struct Call {
    /// Its files go with the last call that needs them.
    node: Rc<Node>,
    module: PathBuf,
    arguments: Vec<String>,
    service: &'static str,
    user: String,
    conversation: bool,
    variables: Vec<(&'static str, &'static str)>,
    phase: &'static str,
    /// SLURM_JOB_ID in the PAM environment.
    handed_over: Option<&'static str>,
}

impl Call {
    fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    fn code(self) -> i64 {
        self.run()["code"].as_i64().expect("a number")
    }

    /// Calls the stack in a process of its own, and checks that the module left no trace there.
    fn run(self) -> Value {
        let stack = self.node.0.join("pam.d");
        fs::create_dir_all(&stack).expect("make the PAM directory");
        let arguments = self.arguments.join(" ");
        let mut line = String::new();
        if let Some(job) = self.handed_over {
            let conf = self.node.0.join("pam_env.conf");
            fs::write(&conf, format!("SLURM_JOB_ID DEFAULT=\"{job}\"\n"))
                .expect("write pam_env.conf");
            line = format!(
                "session required pam_env.so readenv=0 conffile={}\n",
                conf.display()
            );
        }
        line += &format!(
            "{} [default=done] {} {arguments}\n",
            self.phase,
            self.module.display()
        );
        fs::write(stack.join(self.service), &line).expect("write the stack");
        // With a program before it, such as valgrind.
        let under = env::var("SLURM_ADOPT_UNDER").unwrap_or_default();
        let mut words = pamcall::private_run()
            .iter()
            .copied()
            .chain(under.split_whitespace())
            .chain([env!("CARGO_BIN_EXE_pamcall")]);
        let mut pamcall = Command::new(words.next().expect("at least one"));
        pamcall.args(words);
        pamcall.arg("--confdir").arg(&stack);
        pamcall.args(["--service", self.service, "--user", &self.user]);
        pamcall.args(["--phase", self.phase]);
        if !self.conversation {
            pamcall.arg("--no-conversation");
        }
        let output = pamcall
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("start pamcall");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}{}: {stderr}", output.status);
        assert_eq!(stderr, "", "stderr is the host's: {line}");
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("stdout is the host's: {error}: {line}"));
        println!("{line}{answer}");
        assert_eq!(
            answer["fds_after"], answer["fds_before"],
            "descriptors: {line}"
        );
        assert_eq!(answer["signals_changed"], false, "{line}");
        assert_eq!(answer["threads"], 1, "{line}");
        let env = self
            .handed_over
            .map(|job| ("SLURM_JOB_ID".to_owned(), Value::from(job)));
        assert_eq!(
            answer["env"],
            Value::Object(env.into_iter().collect()),
            "{line}"
        );
        answer
    }
}

/// A user who is not root: whoever runs the tests, or nobody.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("start id");
    let name = String::from_utf8(output.stdout)
        .expect("a name")
        .trim()
        .to_owned();
    if name == "root" {
        String::from("nobody")
    } else {
        name
    }
}

/// A file that `cargo xtask dist` made.
fn dist(name: &str) -> PathBuf {
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/dist/x86_64-unknown-linux-gnu"
    );
    let dir = env::var_os("SLURM_ADOPT_DIST").unwrap_or_else(|| default.into());
    let path = Path::new(&dir).join(name);
    fs::canonicalize(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask dist`", path.display()))
}
