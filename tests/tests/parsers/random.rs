//! Host lists and slurm.confs made up from a seed.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::root::HOST;

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
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

    pub fn list(&mut self) -> String {
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
    pub fn conf(&mut self) -> String {
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
