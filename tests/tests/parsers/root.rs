//! What Slurm makes of texts, in one of the lab's roots.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lab::Suite;

/// The host's name in the root.
pub const HOST: &str = "node1";

/// What `Include more.conf` includes.
pub const MORE: &str = "NodeName=more[1-2] NodeHostname=x,node1 CPUs=2\nSlurmdLogFile=/x\n";

/// What becomes of a slurm.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// It can't be used.
    Rejected,
    /// A NodeName line is this host's.
    Named,
    /// None is.
    NotNamed,
}

/// One of the lab's roots with a layer over it, our files at /mnt.
pub struct Root {
    suite: Suite,
    files: PathBuf,
}

const IN_ROOT: &str = "mount -t tmpfs none \"$2/over\"
mkdir \"$2/over/upper\" \"$2/over/work\" \"$2/over/root\"
cd \"$2/over\"
mount -t overlay -o \"lowerdir=$1,upperdir=upper,workdir=work\" none root
mount --bind \"$2/files\" root/mnt
mount -t proc proc root/proc
cp \"$2/files/hosts\" root/etc/hosts
hostname \"$3\"
ip link set lo up
ip address add 10.0.0.1/8 dev lo
exec chroot root sh -c \"$4\"";

impl Root {
    pub fn new(suite: Suite, name: &str) -> Self {
        let files = env::temp_dir().join(format!("parsers-{}-{suite}-{name}", std::process::id()));
        fs::create_dir_all(files.join("over")).expect("make a directory");
        let root = Self { suite, files };
        root.write("hosts", &format!("127.0.0.1 localhost\n10.0.0.1 {HOST}\n"));
        root.write("more.conf", MORE);
        root.write(
            "slurm.conf",
            "ClusterName=t\nSlurmctldHost=localhost\nNodeName=localhost\n",
        );
        root
    }

    fn write(&self, name: &str, text: &str) {
        let files = self.files.join("files");
        fs::create_dir_all(&files).expect("make a directory");
        fs::write(files.join(name), text).expect("write a file");
    }

    /// What the script prints there.
    fn run(&self, script: &str, input: &str) -> String {
        let root = lab::roots::ensure(self.suite).expect("the lab's root");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "--net", "--propagation=private"])
            .args(["sh", "-ec", IN_ROOT, "sh"])
            .arg(root)
            .arg(&self.files)
            .args([HOST, script])
            .env("SLURM_CONF", "/mnt/slurm.conf");
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.spawn().expect("start unshare");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        // What it prints may fill its pipe before it has read all.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("wait for unshare");
        writer.join().expect("it ends").expect("it reads all");
        assert!(output.status.success(), "{script}: {}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Each list by a process of its own: what a shell may give.
    pub fn hostnames_one_by_one(&self, lists: &[&str]) -> Vec<Option<Vec<String>>> {
        const SCRIPT: &str = "while IFS= read -r list; do \
            scontrol show hostnames \"$list\" 2>&1; echo \"end $?\"; done";
        let told = self.run(SCRIPT, &(lists.join("\n") + "\n"));
        self.pieces(lists, &told, |line| line.starts_with("end "))
    }

    /// Lists without blanks and quotes, all by one scontrol.
    pub fn hostnames(&self, lists: &[&str]) -> Vec<Option<Vec<String>>> {
        let ask = |list: &&str| format!("show hostnames {list}\nshow hostnames the-end\n");
        let input: String = lists.iter().map(ask).collect();
        let told = self.run("exec scontrol 2>&1", &input);
        self.pieces(lists, &told, |line| line == "the-end")
    }

    fn pieces(
        &self,
        lists: &[&str],
        told: &str,
        is_end: impl Fn(&str) -> bool,
    ) -> Vec<Option<Vec<String>>> {
        let mut all = Vec::new();
        let mut names = Vec::new();
        let mut refused = false;
        for line in told.lines() {
            if is_end(line) {
                let names = std::mem::take(&mut names);
                all.push((!std::mem::take(&mut refused)).then_some(names));
            } else if line.starts_with("Invalid hostlist:") || line.starts_with("scontrol: error:")
            {
                // It may still print what stands before the element that it refuses.
                refused = true;
            } else if !line.starts_with("scontrol: ") {
                names.push(line.to_owned());
            }
        }
        assert_eq!(all.len(), lists.len(), "{}: {told}", self.suite);
        all
    }

    /// What becomes of each slurm.conf, and what it says of that.
    pub fn daemons(&self, confs: &[String]) -> Vec<(Read, String)> {
        const SCRIPT: &str = "cd /mnt; for n in $(cat count); do cp $n.conf slurm.conf; \
            scontrol show daemons 2>$n.err; echo \"end $?\"; done";
        let numbers: Vec<String> = (0..confs.len()).map(|it| it.to_string()).collect();
        for (number, conf) in numbers.iter().zip(confs) {
            self.write(&format!("{number}.conf"), conf);
        }
        self.write("count", &numbers.join("\n"));
        let told = self.run(SCRIPT, "");
        let mut all = Vec::new();
        let mut named = false;
        for line in told.lines() {
            let Some(code) = line.strip_prefix("end ") else {
                named |= line.split(' ').any(|it| it == "slurmd");
                continue;
            };
            let error = self.files.join(format!("files/{}.err", all.len()));
            let error = fs::read_to_string(error).expect("its stderr");
            let read = match (code, std::mem::take(&mut named)) {
                ("0", true) => Read::Named,
                ("0", false) => Read::NotNamed,
                _ => Read::Rejected,
            };
            let is_fatal = error.contains("fatal");
            assert_eq!(
                read == Read::Rejected,
                is_fatal,
                "exit status {code}: {error}"
            );
            all.push((read, error));
        }
        assert_eq!(all.len(), confs.len(), "{}: {told}", self.suite);
        all
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A test that failed half-way must not fail again here.
        let _ = fs::remove_dir_all(&self.files);
    }
}
