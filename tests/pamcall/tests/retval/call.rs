//! A node without Slurm, and calls of the module on it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A slurm.conf and a spool directory in which nothing runs.
pub struct Node(PathBuf);

impl Node {
    pub fn new() -> Rc<Self> {
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

    pub fn conf(&self) -> PathBuf {
        self.0.join("slurm.conf")
    }

    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// A user who is not root logs in by ssh.
    pub fn call(self: &Rc<Self>) -> Call {
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

/// A call of the module by a stack of its own.
#[derive(Clone)]
pub struct Call {
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
    pub fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn by(self, user: &str) -> Self {
        let user = user.to_owned();
        Self { user, ..self }
    }

    pub fn service(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    /// Calls the session phase instead of the account phase.
    pub fn session(self) -> Self {
        let phase = "session";
        Self { phase, ..self }
    }

    /// Calls this module of the shipped files' directory.
    pub fn module(self, name: &str) -> Self {
        let module = dist(name);
        Self { module, ..self }
    }

    pub fn without_conversation(self) -> Self {
        let conversation = false;
        Self {
            conversation,
            ..self
        }
    }

    /// Sets a variable of the application's environment.
    pub fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Sets SLURM_JOB_ID in the PAM environment.
    pub fn handed_over(self, job: &'static str) -> Self {
        let handed_over = Some(job);
        Self {
            handed_over,
            ..self
        }
    }

    pub fn code(self) -> i64 {
        self.run()["code"].as_i64().expect("a number")
    }

    /// Calls the stack in a process of its own, and checks that the module left no trace there.
    pub fn run(self) -> Value {
        let lines = self.stack();
        let dir = self.node.0.join("pam.d");
        fs::create_dir_all(&dir).expect("make the PAM directory");
        fs::write(dir.join(self.service), &lines).expect("write the stack");
        let output = self.pamcall(&dir).output().expect("start pamcall");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        assert!(status.success(), "{lines}{status}: {stderr}");
        assert_eq!(stderr, "", "stderr is the host's: {lines}");
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("stdout is the host's: {error}: {lines}"));
        println!("{lines}{answer}");
        let [before, after] = ["fds_before", "fds_after"].map(|it| &answer[it]);
        assert_eq!(after, before, "descriptors: {lines}");
        assert_eq!(answer["signals_changed"], false, "{lines}");
        assert_eq!(answer["threads"], 1, "{lines}");
        let job = self.handed_over.map(|it| ("SLURM_JOB_ID", it));
        let env = Value::from_iter(job);
        assert_eq!(answer["env"], env, "{lines}");
        answer
    }

    /// The lines of the stack; writes what they read.
    fn stack(&self) -> String {
        let (phase, module) = (self.phase, self.module.display());
        let arguments = self.arguments.join(" ");
        let line = format!("{phase} [default=done] {module} {arguments}\n");
        let Some(job) = self.handed_over else {
            return line;
        };
        let conf = self.node.0.join("pam_env.conf");
        let text = format!("SLURM_JOB_ID DEFAULT=\"{job}\"\n");
        fs::write(&conf, text).expect("write pam_env.conf");
        let conf = conf.display();
        format!("session required pam_env.so readenv=0 conffile={conf}\n{line}")
    }

    fn pamcall(&self, confdir: &Path) -> Command {
        // With a program before it, such as valgrind.
        let under = env::var("SLURM_ADOPT_UNDER").unwrap_or_default();
        let mut words = pamcall::private_run()
            .iter()
            .copied()
            .chain(under.split_whitespace())
            .chain([env!("CARGO_BIN_EXE_pamcall")]);
        let mut pamcall = Command::new(words.next().expect("at least one"));
        pamcall.args(words);
        pamcall.arg("--confdir").arg(confdir);
        pamcall.args(["--service", self.service, "--user", &self.user]);
        pamcall.args(["--phase", self.phase]);
        if !self.conversation {
            pamcall.arg("--no-conversation");
        }
        pamcall.envs(self.variables.iter().copied());
        pamcall.stdin(Stdio::null());
        pamcall
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
