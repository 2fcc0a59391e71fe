//! sshd_config(5) as sshd reads it: text in, lines out, with Includes in their place (servconf.c).

use std::io;
use std::sync::Arc;

use crate::Spot;
use crate::host::sshd::keywords::{ANYWHERE, GLOBAL, NEWER, PATCHED};
use crate::host::sshd::version::Version;
use crate::host::sshd::words::Words;
use crate::host::sshd::{matching, values};

/// The files that an Include names, in sshd's order.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Vec<Included>;

/// A file that an Include names.
#[derive(Debug)]
pub struct Included {
    /// Its path.
    pub file: String,
    /// Its bytes.
    pub bytes: io::Result<Vec<u8>>,
}

/// What is known about the program that reads.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Its release; None: the newest.
    pub version: Option<Version>,
    /// The program itself, in lower case: it has all keywords that it knows.
    pub program: Vec<u8>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
}

/// A line that sets something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands.
    pub place: Place,
    /// The keyword as written.
    pub written: String,
    /// The keyword's own name in lower case, as this program knows it.
    pub keyword: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The Match blocks around it, the outer ones first; none: it applies to every connection.
    pub blocks: Vec<Arc<Block>>,
    /// Whether it stands below a Match line that matches every connection: then it overrides lines above.
    pub is_overriding: bool,
}

/// A Match line.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it stands.
    pub place: Place,
    /// Its criteria: names in lower case, and values.
    pub criteria: Vec<(String, String)>,
}

/// A line that sshd does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// The word that is wrong.
    pub word: String,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The keyword is none of sshd's.
    UnknownKeyword,
    /// The keyword may not stand in a Match block; the block's line is given.
    InMatch(usize),
    /// Anything else, in words.
    Refused(String),
}

/// An sshd_config with all that it includes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// All lines that set something, in sshd's order.
    pub settings: Vec<Setting>,
    /// All lines that sshd does not take. It does not start with one.
    pub faults: Vec<Fault>,
    /// All files that were read.
    pub files: Vec<String>,
    /// The patterns of all Includes, as absolute paths.
    pub patterns: Vec<String>,
}

/// Keywords that may stand in a Match block from 8.7 on.
const OLD_GLOBAL: [&str; 2] = ["challengeresponseauthentication", "skeyauthentication"];
/// A smaller program is no sshd.
const SMALLEST_PROGRAM: usize = 100_000;
/// Includes within includes: servconf.c, SERVCONF_MAX_DEPTH.
const MOST_LEVELS: usize = 16;
/// A file may include itself by a pattern, any number of times.
const MOST_FILES: usize = 512;

impl Config {
    /// Reads the options of the command line (`-o`), then a file.
    pub fn read(
        reader: &Reader,
        options: &[Place],
        file: &str,
        bytes: &[u8],
        include: Include,
    ) -> Self {
        let mut config = Self::default();
        let mut work = Work { reader, include };
        let around = Around::default();
        for place in options {
            let words = Words::of(&place.text);
            match words.map(|it| work.setting(place, &it, &around)) {
                Some(Ok(setting)) => config.settings.push(setting),
                Some(Err(fault)) => config.faults.push(fault),
                None => {}
            }
        }
        work.file(&mut config, file, bytes, &around, 0);
        config
    }

    /// The lines that set a keyword for every connection.
    pub fn global<'a>(&'a self, keyword: &'a str) -> impl DoubleEndedIterator<Item = &'a Setting> {
        let is_it = move |it: &&Setting| it.keyword == keyword && it.blocks.is_empty();
        self.settings.iter().filter(is_it)
    }

    /// The lines within Match blocks that set a keyword.
    pub fn conditional<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Setting> {
        let is_it = move |it: &&Setting| it.keyword == keyword && !it.blocks.is_empty();
        self.settings.iter().filter(is_it)
    }
}

impl Place {
    /// The place of a finding.
    pub fn spot(&self) -> Spot {
        Spot::line(&*self.file, self.line, self.text.trim_end())
    }
}

impl Setting {
    /// The place of a finding, with the keyword marked.
    pub fn spot(&self) -> Spot {
        self.place.spot().mark(&self.written)
    }

    /// The place of a finding, with an argument marked.
    pub fn spot_of(&self, argument: &str) -> Spot {
        let spot = self.place.spot().mark(argument);
        match spot.mark {
            Some(_) => spot,
            None => self.spot(),
        }
    }

    /// Its first argument.
    pub fn value(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }
}

/// The Match lines around a line.
#[derive(Debug, Clone, Default)]
struct Around {
    blocks: Vec<Arc<Block>>,
    is_overriding: bool,
}

/// Reads on, file in file.
struct Work<'a, 'b> {
    reader: &'a Reader,
    include: Include<'b>,
}

impl Work<'_, '_> {
    /// Reads a file that stands within Match blocks. A Match block ends with its file.
    fn file(
        &mut self,
        config: &mut Config,
        file: &str,
        bytes: &[u8],
        around: &Around,
        level: usize,
    ) {
        config.files.push(file.to_owned());
        let file: Arc<str> = file.into();
        let text = String::from_utf8_lossy(bytes);
        let mut inner = around.clone();
        for (index, line) in text.split('\n').enumerate() {
            let Some(words) = Words::of(line) else {
                continue;
            };
            let place = Place {
                file: Arc::clone(&file),
                line: index + 1,
                text: line.to_owned(),
            };
            match self.setting(&place, &words, &inner) {
                Err(fault) => config.faults.push(fault),
                Ok(setting) if setting.keyword == "match" => {
                    inner.clone_from(around);
                    match matching::block(self.reader, &setting) {
                        Ok(Some(block)) => inner.blocks.push(block),
                        Ok(None) => inner.is_overriding = true,
                        Err(fault) => config.faults.push(fault),
                    }
                }
                Ok(setting) if setting.keyword == "include" => {
                    self.include(config, &setting, level);
                }
                Ok(setting) => config.settings.push(setting),
            }
        }
    }

    fn setting(&self, place: &Place, words: &Words, around: &Around) -> Result<Setting, Fault> {
        let keyword = words.keyword.to_ascii_lowercase();
        let fault = |word: &str, kind| Fault {
            place: place.clone(),
            word: word.to_owned(),
            kind,
        };
        if !self.reader.knows(&keyword) {
            return Err(fault(&words.keyword, FaultKind::UnknownKeyword));
        }
        if let Some(block) = around
            .blocks
            .last()
            .filter(|_| self.reader.is_global(&keyword))
        {
            let kind = FaultKind::InMatch(block.place.line);
            return Err(fault(&words.keyword, kind));
        }
        let refused = |word: &str, why: &str| fault(word, FaultKind::Refused(why.to_owned()));
        let arguments = words.arguments();
        let arguments = arguments.ok_or_else(|| refused(words.rest, "a quote does not end"))?;
        if arguments.iter().all(String::is_empty) {
            return Err(refused(&words.keyword, "its value is missing"));
        }
        if let Err(wrong) = values::check(&keyword, &arguments) {
            return Err(refused(wrong.word, wrong.why));
        }
        Ok(Setting {
            place: place.clone(),
            written: words.keyword.clone(),
            keyword: self.reader.name(keyword),
            arguments,
            blocks: around.blocks.clone(),
            is_overriding: around.is_overriding,
        })
    }

    fn include(&mut self, config: &mut Config, line: &Setting, level: usize) {
        let refused = |word: &str, why: String| Fault {
            place: line.place.clone(),
            word: word.to_owned(),
            kind: FaultKind::Refused(why),
        };
        let around = Around {
            blocks: line.blocks.clone(),
            is_overriding: line.is_overriding,
        };
        for word in &line.arguments {
            let pattern = match word.starts_with(['/', '~']) {
                true => word.clone(),
                false => format!("/etc/ssh/{word}"),
            };
            for included in (self.include)(&pattern) {
                if level + 1 > MOST_LEVELS || config.files.len() >= MOST_FILES {
                    let why = "includes are nested too deep".to_owned();
                    config.faults.push(refused(word, why));
                    return;
                }
                match included.bytes {
                    Ok(bytes) => {
                        self.file(config, &included.file, &bytes, &around, level + 1);
                    }
                    Err(error) => {
                        let why = format!("sshd cannot read {}: {error}", included.file);
                        config.faults.push(refused(word, why));
                    }
                }
            }
            config.patterns.push(pattern);
        }
    }
}

impl Reader {
    /// Whether the program has this keyword.
    fn knows(&self, keyword: &str) -> bool {
        if NEWER.contains(&keyword) && self.program.len() >= SMALLEST_PROGRAM {
            return self.has(keyword, false);
        }
        let mut lists = [GLOBAL, ANYWHERE, PATCHED].into_iter();
        lists.any(|it| it.contains(&keyword)) || self.has(keyword, true)
    }

    /// Whether a keyword may not stand in a Match block.
    fn is_global(&self, keyword: &str) -> bool {
        let is_old = !self.is_at_least((8, 7));
        GLOBAL.contains(&keyword) || is_old && OLD_GLOBAL.contains(&keyword)
    }

    /// Whether the program has a text, by itself or at the end of another (linkers share ends).
    fn has(&self, text: &str, is_whole: bool) -> bool {
        let byte = |index: usize| self.program.get(index).copied().unwrap_or_default();
        let wanted = text.as_bytes();
        let first = wanted.first().copied().unwrap_or_default();
        let mut places = self
            .program
            .iter()
            .enumerate()
            .filter(|(_, it)| **it == first);
        places.any(|(at, _)| {
            let begins = !is_whole || at == 0 || byte(at - 1) == 0;
            begins && self.program[at..].starts_with(wanted) && byte(at + wanted.len()) == 0
        })
    }

    /// The name of a keyword that may have an older one.
    fn name(&self, keyword: String) -> String {
        match keyword.as_str() {
            // Two options up to 8.6.
            "challengeresponseauthentication" | "skeyauthentication"
                if self.is_at_least((8, 7)) =>
            {
                "kbdinteractiveauthentication".to_owned()
            }
            "skeyauthentication" => "challengeresponseauthentication".to_owned(),
            _ => keyword,
        }
    }

    /// Whether its release matches a list of patterns.
    pub fn is(&self, patterns: &str) -> bool {
        let name = self.version.as_ref().map_or("", |it| it.name.as_str());
        matching::matches_list(patterns, name)
    }

    /// Whether it is this release or a later one.
    pub fn is_at_least(&self, number: (u32, u32)) -> bool {
        self.version.as_ref().is_none_or(|it| it.number >= number)
    }
}

#[cfg(test)]
mod tests;
