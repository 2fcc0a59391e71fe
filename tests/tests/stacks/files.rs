//! Made-up files of a service, written as people and tools write them, and as nobody should.

use crate::dice::Dice;

/// The directory of one service.
pub struct Made {
    pub seed: u64,
    /// Names and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Files that lines of the service's may include.
const MOST_PARTS: usize = 4;

impl Made {
    /// The one of that number, for a directory of that path: Debian's libpam looks for a relative name in
    /// /etc/pam.d alone.
    pub fn up(seed: u64, dir: &str) -> Self {
        let mut maker = Maker {
            dice: Dice::of(seed),
            dir,
            parts: Vec::new(),
        };
        let lines = 1 + maker.dice.below(7);
        let mut files = vec![
            ("sshd".to_owned(), maker.file(lines, 0)),
            ("other".to_owned(), maker.file(2, 3)),
        ];
        let parts = maker.parts.into_iter().enumerate();
        files.extend(parts.map(|(index, text)| (format!("part{index}"), text)));
        Self { seed, files }
    }
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, text) in &self.files {
            writeln!(f, "--- {name}\n{}", String::from_utf8_lossy(text))?;
        }
        Ok(())
    }
}

struct Maker<'a> {
    dice: Dice,
    dir: &'a str,
    parts: Vec<Vec<u8>>,
}

impl Maker<'_> {
    fn file(&mut self, lines: usize, depth: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..lines {
            match self.dice.below(20) {
                0 => text.extend_from_slice(b"# session required pam_debug.so \xe9\n"),
                1 => text.extend_from_slice(b" \t\n"),
                2..=5 => {
                    let words = self.include(depth);
                    self.line(&mut text, &words);
                }
                6 => {
                    let words = self.broken();
                    self.line(&mut text, &words);
                }
                _ => {
                    let words = self.module(depth);
                    self.line(&mut text, &words);
                }
            }
        }
        if self.dice.once_in(60) {
            text.extend_from_slice(b"session \\\n");
        }
        if self.dice.once_in(10) && text.ends_with(b"\n") {
            text.pop();
        }
        text
    }

    /// Adds the words with something between them, and something behind.
    fn line(&mut self, text: &mut Vec<u8>, words: &[String]) {
        let lead = self.dice.one(&["", "", "", " ", "\t "]);
        text.extend_from_slice(lead.as_bytes());
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                let between = [
                    " ", " ", " ", " ", "\t", "  ", " \\\n   ", "\\\n", "\\ \t\n",
                ];
                text.extend_from_slice(self.dice.one(&between).as_bytes());
            }
            text.extend_from_slice(word.as_bytes());
        }
        match self.dice.below(16) {
            0 => text.extend_from_slice(b" # comment \\\n"),
            1 => text.extend_from_slice(b"#\xff\n"),
            2 => text.extend_from_slice(b" \t \n"),
            3 => text.extend_from_slice(b"\r\n"),
            _ => text.push(b'\n'),
        }
    }

    fn facility(&mut self) -> String {
        let dash = if self.dice.once_in(8) { "-" } else { "" };
        let others = ["auth", "account", "password", "Session", "[session]"];
        let word = match self.dice.once_in(5) {
            true => self.dice.one(&others),
            false => "session".to_owned(),
        };
        match word.as_str() {
            "[session]" => word,
            _ => format!("{dash}{word}"),
        }
    }

    fn module(&mut self, depth: usize) -> Vec<String> {
        let mut words = vec![self.facility(), self.control()];
        let name = match self.dice.below(100) {
            0..=2 => "/nonexistent/pam_none.so",
            // Within an include libpam may crash later.
            3 if depth == 0 => "/lib/?.so",
            4..=8 => "[pam_debug.so]",
            _ => "pam_debug.so",
        };
        words.push(name.to_owned());
        for _ in 0..self.dice.below(2) {
            words.push(
                self.dice
                    .one(&["x", "[a  b\\]c]", "[open] session=x", "\u{e9}"]),
            );
        }
        let code = self.code();
        words.push(match self.dice.below(24) {
            0 => format!("[open_session={code}]"),
            1 => format!("open_session=none open_session={code}"),
            2 => format!("open_session={code} open_session=none"),
            3 => "open_session".to_owned(),
            _ => format!("open_session={code}"),
        });
        words
    }

    /// What a module returns.
    fn code(&mut self) -> &'static str {
        match self.dice.below(10) {
            0..=4 => "success",
            5 => "ignore",
            6 => "new_authtok_reqd",
            _ => {
                let number = i32::try_from(self.dice.below(32)).expect("small");
                pamconf::Code::new(number).expect("a code").name()
            }
        }
    }

    fn control(&mut self) -> String {
        const WORDS: [&str; 6] = [
            "required",
            "requisite",
            "optional",
            "sufficient",
            "REQUIRED",
            "[sufficient]",
        ];
        const VALUES: [&str; 8] = [
            "success",
            "success",
            "ignore",
            "auth_err",
            "perm_denied",
            "new_authtok_reqd",
            "module_unknown",
            "default",
        ];
        const ACTIONS: [&str; 10] = [
            "ignore", "ok", "ok", "done", "bad", "die", "reset", "1", "2", "03",
        ];
        match self.dice.below(20) {
            0..=7 => return self.dice.one(&WORDS),
            8 => {
                let broken = [
                    "reqired",
                    "[success=okay]",
                    "[success=0]",
                    "[success]",
                    "[Success=ok]",
                    "[]",
                ];
                return self.dice.one(&broken);
            }
            _ => {}
        }
        let mut text = "[".to_owned();
        for _ in 0..=self.dice.below(4) {
            let equals = self.dice.one(&["=", "=", "=", " = "]);
            let (value, action) = (self.dice.one(&VALUES), self.dice.one(&ACTIONS));
            text += &format!("{value}{equals}{action}");
            text += &self.dice.one(&[" ", " ", "\t", ""]);
        }
        text + "]"
    }

    /// A line that includes a file, which may be missing.
    fn include(&mut self, depth: usize) -> Vec<String> {
        let is_at = self.dice.once_in(4);
        let name = match depth < 3 && self.parts.len() < MOST_PARTS {
            // Outside of any include, libpam gives up on a missing one.
            false if is_at => return vec!["session".to_owned(), "optional".to_owned()],
            false => "missing".to_owned(),
            true if self.dice.once_in(25) => "missing".to_owned(),
            true => {
                let index = self.parts.len();
                self.parts.push(Vec::new());
                let lines = self.dice.below(4);
                self.parts[index] = self.file(lines, depth + 1);
                format!("{}/part{index}", self.dir)
            }
        };
        if is_at {
            return vec![
                self.dice
                    .one(&["@include", "@include", "@INCLUDE", "-@include"]),
                name,
            ];
        }
        let facility = match self.dice.once_in(12) {
            true => "what".to_owned(),
            false => self.facility(),
        };
        let control = self
            .dice
            .one(&["include", "substack", "substack", "[Include]"]);
        vec![facility, control, name, "more".to_owned()]
    }

    fn broken(&mut self) -> Vec<String> {
        let line: &[&str] = match self.dice.below(6) {
            0 => &["session"],
            1 => &["session", "required"],
            2 => &["what", "required", "pam_debug.so", "open_session=success"],
            3 => &["[]", "required", "pam_debug.so"],
            4 => &["session", "[default=1"],
            _ => &["[session required", "pam_debug.so", "open_session=success"],
        };
        line.iter().map(|it| (*it).to_owned()).collect()
    }
}
