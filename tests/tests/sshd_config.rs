//! sshd_config as each of the lab's sshds reads it (`sshd -T`) and as check does: a list of cases, and
//! some made up from a seed, which is another at each long run; it is printed and may be given as
//! SLURM_ADOPT_SEED. No cluster runs. As root, for the mounts.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use check::Host;
use check::host::sshd::config::FaultKind;
use check::host::sshd::daemon::{Effective, Sshd};
use check::host::tree::Tree;
use lab::Suite;
use sys::Deadline;
use tests::is_long;
use tests::root::in_root;

#[test]
fn as_8_4_reads_it() {
    compare(Suite::Bullseye);
}

#[test]
fn as_9_2_reads_it() {
    compare(Suite::Bookworm);
}

#[test]
fn as_10_0_reads_it() {
    compare(Suite::Trixie);
}

#[test]
fn as_10_6_reads_it() {
    compare(Suite::Forky);
}

/// Configurations that are tried with every seed. `sshd_config.d` has what [`DROP_INS`] says.
const CASES: &[&str] = &[
    "UsePAM yes\n",
    "usepam YES\n",
    "  UsePAM\t=  yes  \n",
    "UsePAM=yes\n",
    "UsePAM == yes\n",
    "\"UsePAM\" \"yes\"\n",
    "\"UsePAM\"=\"yes\"\n",
    "UsePAM \"yes\n",
    "\"UsePAM yes\n",
    "UsePAM yes\r\n",
    "UsePAM true\n",
    "UsePAM\n",
    "UsePAM yes no\n",
    "UsePAM no\nUsePAM yes\n",
    "# UsePAM no\n #UsePAM no\nUsePAM yes\n",
    "UsePAM yes # comment\n",
    "UsePMA yes\n",
    "Include sshd_config.d/*.conf\nUsePAM no\n",
    "UsePAM no\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    "Include sshd_config.d/2*.conf sshd_config.d/1*.conf\n",
    "Include sshd_config.d/none*.conf\nUsePAM yes\n",
    "Include sshd_config.d/?0-*.conf\n",
    "Include sshd_config.d/loop\n",
    "Include sshd_config.d/match\nUsePAM yes\n",
    "Match User alice\nInclude sshd_config.d/10-pam.conf\n",
    "Match User alice\nInclude sshd_config.d/match\nMatch all\nUsePAM yes\n",
    "Match User alice\nUsePAM yes\n",
    "Match all\nUsePAM yes\n",
    "Match User alice\nMaxAuthTries 3\nMatch all\nUsePAM yes\n",
    "Match User alice,bob Group \"a b\" Address 192.0.2.0/24\nMaxAuthTries 3\n",
    "Match user alice # comment\nMaxAuthTries 3\n",
    "Match User\n",
    "Match\n",
    "Match Users alice\n",
    "Match all User alice\n",
    "PAMServiceName sshd\nUsePAM yes\n",
    "RequiredRSASize 2048\nUsePAM yes\n",
    "PerSourceMaxStartups 5\nChannelTimeout session=5m\nSshdSessionPath /x\n",
    "MaxStartups 5\nMaxStartups 7:30:60\n",
    "Include sshd_config.d/10-pam.conf\nMaxStartups 3\n",
    "MaxStartups 10:30\n",
    "LoginGraceTime 1h30m5\nLoginGraceTime 3\n",
    "LoginGraceTime 2min\n",
    "LoginGraceTime 0\n",
    "ChallengeResponseAuthentication yes\nKbdInteractiveAuthentication no\n",
    "KbdInteractiveAuthentication yes\nChallengeResponseAuthentication no\n",
    "KbdInteractiveAuthentication no\n",
    "ChallengeResponseAuthentication no\n",
    "AcceptEnv LANG LC_*\nAcceptEnv FOO \"BAR\"\n",
    "AuthenticationMethods publickey,keyboard-interactive publickey,password\nAuthenticationMethods publickey\n",
    "AuthenticationMethods any publickey\n",
    "AuthenticationMethods publickey,otp\n",
    "PasswordAuthentication yes\nMatch all\nPasswordAuthentication no\n",
    "AuthenticationMethods \"publickey\" # password\n",
    "PermitRootLogin without-password\n",
    "PermitRootLogin maybe\n",
    "UsePrivilegeSeparation no\nUseLogin yes\nProtocol 1\n",
];

/// The files of sshd_config.d.
const DROP_INS: [(&str, &str); 5] = [
    ("10-pam.conf", "UsePAM yes\nMaxStartups 6\nAcceptEnv ONE\n"),
    (
        "20-two.conf",
        "UsePAM no\nAcceptEnv TWO\nLoginGraceTime 30\n",
    ),
    (".30-hidden.conf", "UsePAM no\nPasswordAuthentication no\n"),
    (
        "match",
        "Match User bob\nPasswordAuthentication no\nMatch all\nMaxSessions 3\n",
    ),
    ("loop", "Include sshd_config.d/loop\n"),
];

/// Lines of which configurations are made up.
const LINES: &[&str] = &[
    "UsePAM yes",
    "UsePAM no",
    "usepam=yes",
    "UsePAM \"yes\" ",
    "# nothing",
    "",
    "KbdInteractiveAuthentication yes",
    "KbdInteractiveAuthentication no",
    "ChallengeResponseAuthentication no",
    "challengeresponseauthentication yes",
    "PasswordAuthentication no",
    "PasswordAuthentication = yes",
    "AcceptEnv LANG LC_*",
    "AcceptEnv SLURM_* # jobs",
    "MaxStartups 5:50:9",
    "MaxStartups 8:30:60",
    "LoginGraceTime 1m",
    "LoginGraceTime 45",
    "AuthenticationMethods publickey",
    "AuthenticationMethods publickey,password password",
    "PermitRootLogin no",
    "PermitRootLogin yes",
    "Include sshd_config.d/*.conf",
    "Include sshd_config.d/match",
    "Match User alice",
    "  Match Group=staff",
    "Match all",
    "Match all",
    "MaxAuthTries 4",
    "UsePam maybe",
    "Nonsense 1",
    "Banner \"none",
];

const MADE: usize = 60;

/// A connection that is in none of the Match blocks but those for all.
const CONNECTION: &str = "user=nobody,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22";

/// The values that are compared.
const KEYWORDS: [&str; 6] = [
    "usepam",
    "logingracetime",
    "acceptenv",
    "authenticationmethods",
    "passwordauthentication",
    "permitrootlogin",
];

fn compare(suite: Suite) {
    let mut random = Random::new();
    let made: Vec<String> = (0..MADE).map(|_| random.config()).collect();
    let cases: Vec<&str> = CASES
        .iter()
        .copied()
        .chain(made.iter().map(String::as_str))
        .collect();
    let root = Root::new(suite);
    let (mut accepted, mut refused) = (0, 0);
    for (text, theirs) in cases.iter().zip(root.told(&cases)) {
        let sshd = root.read(text);
        let config = sshd.config.as_ref().expect("sshd_config");
        match theirs {
            Ok(told) => {
                assert!(
                    config.faults.is_empty(),
                    "{suite}: {text}\n{:?}",
                    config.faults
                );
                let ours = values(&sshd);
                assert_eq!(ours, told, "{suite}: {text}");
                accepted += 1;
            }
            // That is seen when all is read.
            Err(message) if message.contains("AuthenticationMethods cannot be satisfied") => {
                assert!(
                    config.faults.is_empty(),
                    "{suite}: {text}\n{:?}",
                    config.faults
                );
            }
            Err(message) => {
                let is_named = |it: &check::host::sshd::config::Fault| {
                    let place = format!("{} line {}:", it.place.file, it.place.line);
                    message.replace(": line", " line").contains(&place)
                        || matches!(it.kind, FaultKind::Refused(_))
                            && message.contains("Too many recursive")
                };
                assert!(
                    config.faults.iter().any(is_named),
                    "{suite}: {text}\n{message}\n{:?}",
                    config.faults
                );
                refused += 1;
            }
        }
    }
    println!("{suite}: {accepted} the same, {refused} refused by both");
    assert!(accepted > MADE / 8 && refused > MADE / 8);
}

type Values = BTreeMap<String, String>;

/// The values that count, as we read them.
fn values(sshd: &Sshd) -> Values {
    let config = sshd.config.as_ref().expect("sshd_config");
    let effective = Effective::global(config, &sshd.reader, None);
    let mut values: Values = KEYWORDS
        .into_iter()
        .map(|it| (it.to_owned(), normal(it, &effective.values(it))))
        .collect();
    let keyboard = if effective.has_keyboard() {
        "yes"
    } else {
        "no"
    };
    values.insert("kbdinteractiveauthentication".into(), keyboard.into());
    let startups = normal("maxstartups", &effective.values("maxstartups"));
    values.insert("maxstartups".into(), startups);
    values
}

/// A value in one of the ways to write it.
fn normal(keyword: &str, values: &[String]) -> String {
    let value = values.join(" ");
    match keyword {
        "acceptenv" | "authenticationmethods" => value,
        // sshd fills in the rate and the limit.
        "maxstartups" => value.split(':').next().unwrap_or_default().to_owned(),
        "logingracetime" => check::host::sshd::seconds(&value)
            .expect("a time")
            .to_string(),
        "permitrootlogin" => value.replace("without-", "prohibit-"),
        _ => value.to_ascii_lowercase(),
    }
}

/// One of the lab's roots, with our files as its /etc/ssh, and a tree of the same files for us.
struct Root {
    suite: Suite,
    path: PathBuf,
    files: PathBuf,
}

const SCRIPT: &str = "mount -t tmpfs none /run; mkdir /run/sshd
for n in $(cat /mnt/count); do
  cp /mnt/$n /mnt/ssh/sshd_config
  mount --bind /mnt/ssh /etc/ssh
  echo \"begin\"; /usr/sbin/sshd -T -C $0 2>&1; echo \"end $?\"
  umount /etc/ssh
done";

impl Root {
    fn new(suite: Suite) -> Self {
        let path = lab::roots::ensure(suite).expect("the lab's root");
        let files = env::temp_dir().join(format!("sshd-config-{}-{suite}", std::process::id()));
        let root = Self { suite, path, files };
        for dir in ["ssh", "tree/etc/ssh"] {
            for (name, text) in DROP_INS {
                root.write(&format!("{dir}/sshd_config.d/{name}"), text);
            }
        }
        for (from, to) in [
            ("etc/ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key"),
            ("usr/sbin/sshd", "tree/usr/sbin/sshd"),
        ] {
            let to = root.files.join(to);
            fs::create_dir_all(to.parent().expect("a parent")).expect("make a directory");
            fs::copy(root.path.join(from), to).expect("copy a file");
        }
        root
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.files.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
        fs::write(path, text).expect("write a file");
    }

    /// What check reads.
    fn read(&self, text: &str) -> Sshd {
        self.write("tree/etc/ssh/sshd_config", text);
        let tree = Tree::at(&self.files.join("tree")).expect("the tree");
        Sshd::usual(&Host::new(tree, Deadline::after(Duration::from_secs(60))))
    }

    /// What sshd says of each: its values, or what is wrong.
    fn told(&self, cases: &[&str]) -> Vec<Result<Values, String>> {
        for (number, text) in cases.iter().enumerate() {
            self.write(&number.to_string(), text);
        }
        let numbers: Vec<String> = (0..cases.len()).map(|it| it.to_string()).collect();
        self.write("count", &numbers.join("\n"));
        let words = in_root(Path::new(&self.path), &self.files);
        let output = Command::new(&words[0])
            .args(&words[1..])
            .args(["sh", "-c", SCRIPT, CONNECTION])
            .output()
            .expect("run unshare");
        let text = String::from_utf8_lossy(&output.stdout);
        let parts = text.split("begin\n").skip(1);
        let told: Vec<_> = parts.map(answer).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told.len(), cases.len(), "{}: {text}{errors}", self.suite);
        told
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // What is left stands in /tmp, for a look.
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn answer(text: &str) -> Result<Values, String> {
    let (text, status) = text.rsplit_once("end ").expect("its status");
    if status.trim() != "0" {
        return Err(text.to_owned());
    }
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let words = value.split(' ').map(str::to_owned);
        values
            .entry(keyword.to_ascii_lowercase())
            .or_default()
            .extend(words);
    }
    let names = KEYWORDS
        .into_iter()
        .chain(["kbdinteractiveauthentication", "maxstartups"]);
    let value = |it: &str| {
        let value = values.get(it).cloned().unwrap_or_default();
        (it.to_owned(), normal(it, &value))
    };
    Ok(names.map(value).collect())
}

/// Made-up numbers, xorshift64.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = match env::var("SLURM_ADOPT_SEED") {
            Ok(seed) => seed.parse().expect("SLURM_ADOPT_SEED is a number"),
            Err(_) if !is_long() => 20_261_130,
            Err(_) => UNIX_EPOCH.elapsed().expect("after 1970").as_secs(),
        };
        println!("SLURM_ADOPT_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap_or(0)
    }

    fn config(&mut self) -> String {
        let count = 1 + self.below(6);
        let lines = (0..count).map(|_| format!("{}\n", LINES[self.below(LINES.len())]));
        lines.collect()
    }
}
