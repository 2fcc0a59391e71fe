//! Host lists and slurm.conf as Slurm's own parser reads them and as ours does: `scontrol show
//! hostnames` and `scontrol show daemons` (does slurm.conf name this host?) in two of the lab's roots.
//! A list of cases, and some thousands made up from a seed, which is another at each long run; it is
//! printed and may be given as SLURM_ADOPT_SEED. No cluster runs. As root, for the mounts.
//!
//! ClusterShell is not asked as well: its NodeSet is a set, and here the order of names counts and how
//! often one comes.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use lab::Suite;
use proto::conf::{self, Query};
use proto::hostlist;

/// The host's name in the root.
const HOST: &str = "node1";

#[test]
fn host_lists_as_22_05_has_them() {
    host_lists(Suite::Bookworm);
}

#[test]
fn host_lists_as_26_05_has_them() {
    host_lists(Suite::Forky);
}

#[test]
fn slurm_conf_as_22_05_reads_it() {
    slurm_conf(Suite::Bookworm);
}

#[test]
fn slurm_conf_as_26_05_reads_it() {
    slurm_conf(Suite::Forky);
}

/// Lists that are tried with every seed; blanks may be in them.
const LISTS: &[&str] = &[
    "n1",
    "n[1-3]",
    "n[08-11]",
    "n[1-03]",
    "n[01-03,7,009-010]",
    "n01-03",
    "[1-3]",
    "a,b c\td,,e",
    ",a,",
    "a[1-2]b[3-4]c[5-6]",
    "n[1-3]-ib",
    "n[1-2]5",
    "n[5-]",
    "n[5-5-]",
    "n[1, 2]",
    "n[ 5-7]",
    "n[5 -7]",
    "n[5- 7]",
    "n[                      5]",
    "n[0000000000000000000001-2]",
    "n[100000000000000000-100000000000000002]",
    "n[1-2][3-4]",
    "[1][2][3][4][5][6][7][8]",
    "a]b",
    "a]b[1]",
    "n[1-2]]",
    "n[0-65535]",
    "n[0-65536]",
    "n[3-1]",
    "n[]",
    "n[1,]",
    "n[,1]",
    "n[-1]",
    "n[-]",
    "n[a]",
    "n[1-2x]",
    "n[1-3",
    "n[",
    "n[1-2],n[2-3],n2",
];

/// Made up.
const MADE_LISTS: usize = 4000;
const MADE_CONFS: usize = 1000;

/// What Slurm takes and we refuse, on purpose: signs, blanks in front of a dash, brackets in brackets,
/// and what 22.05 makes of brackets that are not in pairs.
fn is_theirs_alone(list: &str, suite: Suite) -> bool {
    let (mut open, mut nested, mut unpaired) = (false, false, false);
    for sign in list.chars() {
        nested |= open && sign == '[';
        unpaired |= !open && sign == ']';
        open = (open || sign == '[') && sign != ']';
    }
    let unpaired = (unpaired || open) && suite < Suite::Trixie;
    nested || unpaired || list.contains('+') || list.contains(" -")
}

/// What Slurm refuses and we take: in 22.05 text behind a bracket, which later releases take.
fn is_ours_alone(list: &str, suite: Suite) -> bool {
    let behind = |(at, _): (usize, &str)| {
        let next = list[at + 1..].chars().next();
        next.is_some_and(|sign| !", \t[".contains(sign))
    };
    suite < Suite::Trixie && list.match_indices(']').any(behind)
}

fn host_lists(suite: Suite) {
    let root = Root::new(suite, "lists");
    let mut random = Random::new();
    let made: Vec<String> = (0..MADE_LISTS).map(|_| random.list()).collect();
    let plain: Vec<&str> = made.iter().map(String::as_str).collect();
    let (mut same, mut refused) = (0, 0);
    let given = LISTS.iter().copied().zip(root.hostnames_one_by_one(LISTS));
    for (list, theirs) in given.chain(plain.iter().copied().zip(root.hostnames(&plain))) {
        match (expanded(list), theirs) {
            (Some(ours), Some(theirs)) => {
                assert_eq!(ours, theirs, "{list:?}, {suite}");
                same += 1;
            }
            (None, None) => refused += 1,
            (None, Some(theirs)) => {
                assert!(is_theirs_alone(list, suite), "{list:?} is {theirs:?}");
            }
            (Some(ours), None) => {
                assert!(is_ours_alone(list, suite), "{list:?} is not {ours:?}");
            }
        }
    }
    println!("{suite}: {same} the same, {refused} refused by both");
    assert!(same > MADE_LISTS / 8 && refused > MADE_LISTS / 20);
}

/// All names of a list, each of which is found where it is first.
fn expanded(list: &str) -> Option<Vec<String>> {
    let count = hostlist::count(list).ok()?;
    let mut names = Vec::new();
    let mut first = HashMap::new();
    for index in 0..count {
        let name = hostlist::nth_or_last(list, index).ok()??;
        let place = *first.entry(name.clone()).or_insert(index);
        // Every one of a few; of many some.
        if index % (count / 50 + 1) == 0 {
            let found = hostlist::position(list, &name);
            assert_eq!(found, Ok(Some(place)), "{name} in {list:?}");
        }
        names.push(name);
    }
    Some(names)
}

/// What becomes of a slurm.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Read {
    /// It can't be used.
    Rejected,
    /// A NodeName line is this host's.
    Named,
    /// None is.
    NotNamed,
}

fn slurm_conf(suite: Suite) {
    let root = Root::new(suite, "conf");
    let mut random = Random::new();
    let made: Vec<String> = (0..MADE_CONFS).map(|_| random.conf()).collect();
    let mut counts = HashMap::new();
    for (text, (theirs, error)) in made.iter().zip(root.daemons(&made)) {
        let mut include = |name: &str, _: &str| match name {
            "more.conf" => Ok(conf::Included {
                file: "more.conf".into(),
                bytes: MORE.as_bytes().to_vec(),
            }),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let query = Query {
            hosts: &[HOST],
            ..Query::default()
        };
        let ours = match conf::parse("slurm.conf", text.as_bytes(), query, &mut include) {
            Err(_) => Read::Rejected,
            Ok(conf) if conf.nodes[0].is_some() => Read::Named,
            Ok(_) => Read::NotNamed,
        };
        assert_eq!(ours, theirs, "{suite}: {error}\n{text}");
        *counts.entry(ours).or_insert(0) += 1;
    }
    println!("{suite}: {counts:?}");
    for read in [Read::Rejected, Read::Named, Read::NotNamed] {
        let count = counts.get(&read).copied().unwrap_or(0);
        assert!(count > MADE_CONFS / 20, "{read:?}: {count}");
    }
}

/// What `Include more.conf` includes.
const MORE: &str = "NodeName=more[1-2] NodeHostname=x,node1 CPUs=2\nSlurmdLogFile=/x\n";

/// One of the lab's roots with a layer over it, our files at /mnt.
struct Root {
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
    fn new(suite: Suite, name: &str) -> Self {
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
    fn hostnames_one_by_one(&self, lists: &[&str]) -> Vec<Option<Vec<String>>> {
        const SCRIPT: &str = "while IFS= read -r list; do \
            scontrol show hostnames \"$list\" 2>&1; echo \"end $?\"; done";
        let told = self.run(SCRIPT, &(lists.join("\n") + "\n"));
        self.pieces(lists, &told, |line| line.starts_with("end "))
    }

    /// Lists without blanks and quotes, all by one scontrol.
    fn hostnames(&self, lists: &[&str]) -> Vec<Option<Vec<String>>> {
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
    fn daemons(&self, confs: &[String]) -> Vec<(Read, String)> {
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

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = match env::var("SLURM_ADOPT_SEED") {
            Ok(seed) => seed.parse().expect("SLURM_ADOPT_SEED is a number"),
            Err(_) if !tests::is_long() => 1,
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("after 1970")
                .as_secs(),
        };
        println!("SLURM_ADOPT_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn list(&mut self) -> String {
        let elements: Vec<_> = (0..=self.below(3)).map(|_| self.element()).collect();
        let list = elements.join(self.pick(&[",", ",", ",", ",,"]));
        if list.is_empty() {
            String::from("n")
        } else {
            list
        }
    }

    fn element(&mut self) -> String {
        let mut text = self
            .pick(&["n", "node", "a-", "r1c", "x.0", "0", ""])
            .to_owned();
        for _ in 0..self.below(4) {
            let ranges: Vec<_> = (0..=self.below(3)).map(|_| self.range()).collect();
            // A `]` without its `[` is nobody's: Slurm then splits within later brackets.
            let close = if self.one_in(60) { "" } else { "]" };
            text += &format!("[{}{close}", ranges.join(","));
            text += self.pick(&["", "", "", "b", "-", "5", "-ib0"]);
        }
        text
    }

    fn range(&mut self) -> String {
        let low = self.below(self.0 % 3 * 50 + 12);
        let width = self.below(4) as usize;
        let high = match self.below(40) {
            0 => low.saturating_sub(1),
            _ => low + self.below(5),
        };
        let low = format!("{low:0width$}");
        let other = self.below(4) as usize;
        match self.below(50) {
            0 => format!("{low}-"),
            1 => format!("-{low}"),
            2 => format!("{low}x"),
            3 => String::new(),
            4 => format!("{low}-{high}-"),
            5..=20 => low,
            _ => format!("{low}-{high:0other$}"),
        }
    }

    /// Lines in every way of writing; a few that are wrong.
    fn conf(&mut self) -> String {
        let mut text = String::from("ClusterName=t\nSlurmctldHost=localhost\n");
        for number in 0..=self.below(6) {
            let line = match self.below(12) {
                0 => self.wrong(),
                // With a comment right behind the name Slurm reads on behind the line's end.
                1 if number == 0 => String::from("Include more.conf "),
                2 => format!("# NodeName={HOST}"),
                3..=5 => self.scalar(),
                _ => self.node(number),
            };
            text += &line;
            text += self.pick(&[
                "\n",
                "\n",
                "\n",
                "\r\n",
                " \n",
                " # a comment\n",
                "\n\n",
                "# x \\\n",
            ]);
        }
        text
    }

    fn wrong(&mut self) -> String {
        // No Include of a file that is missing: Slurm waits for it for a minute.
        let lines = [
            "Nonsense",
            "SlurmdSpoolDir=",
            "=x",
            " Include more.conf",
            "SlurmdSpoolDir=/a SlurmdPidFile=/b",
            "SlurmdSpoolDir /a",
            "NodeName=",
            "SlurmdSpoolDir=\"a b\"c",
        ];
        self.pick(&lines).to_owned()
    }

    fn scalar(&mut self) -> String {
        let key = self.pick(&[
            "SlurmdLogFile",
            "SLURMDSPOOLDIR",
            "slurmdpidfile",
            " SlurmSchedLogFile",
        ]);
        let value = self.pick(&[
            "/a/b", "\"/a b\"", "/a\\#b", "/a\\\\b", "\"/a", "/a\"b\"", "/a\\\nb", "/%n/%h", "a=b",
        ]);
        format!("{key}{}{value}", self.equals())
    }

    fn equals(&mut self) -> &'static str {
        self.pick(&["=", "=", "=", " =", "= ", "\t=\t", " \\\n="])
    }

    fn node(&mut self, number: u64) -> String {
        let key = self.pick(&["NodeName", "nodename", "NODENAME"]);
        let (names, hosts) = match self.below(8) {
            0 if number == 0 => (format!("{HOST},b{number}"), None),
            1 if number == 0 => (String::from("node[1-3]"), None),
            2 if number == 0 => (String::from("node[01-3]"), None),
            3 => (format!("c{number}-[1-3]"), Some("node[0-2]")),
            4 => (format!("d{number}-[1-2]"), Some("node1,z")),
            5 => (format!("e{number}"), Some("node01")),
            6 => (format!("f{number}"), Some("\"node1\"")),
            _ => (format!("g{number}-[08-11]"), None),
        };
        let mut line = format!("{key}{}{names}", self.equals());
        let gap = self.pick(&[" ", " ", "  ", "\t", " \\\n "]);
        if let Some(hosts) = hosts {
            let key = self.pick(&["NodeHostname", "nodehostname", "NodeHostName"]);
            line += &format!("{gap}{key}{}{hosts}", self.equals());
        }
        line + gap + self.pick(&["CPUs=2", "cpus=2 RealMemory=100", "Weight=1"])
    }
}
