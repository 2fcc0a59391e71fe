//! The files of a stack.

use std::io;
use std::path::{Path, PathBuf};

use crate::options::Options;
use crate::stack::control::{Action, Code, Control};
use crate::stack::{Handler, Kind, Line, Module};

/// The handlers of one phase, in order.
pub(super) type Chain = Vec<Handler>;

/// Of one file, in bytes.
const LARGEST: u64 = 1 << 20;
/// Files that may be included one below the other. Linux-PAM 1.5 and later end at 16, 1.4 does not.
pub(super) const DEEPEST: usize = 32;
/// Files that are read in all.
pub(super) const MOST: usize = 256;
/// Substacks one below the other, the stack itself counted: `PAM_SUBSTACK_MAX_LEVEL`.
pub(super) const LEVELS: usize = 16;

pub(super) struct Reader<'a> {
    dirs: &'a [&'a str],
    service: &'a str,
    /// Files that may still be read.
    left: usize,
    /// The first file that is there and could not be read, and why.
    pub unread: Option<String>,
    account: Chain,
    session: Chain,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct Scope<'a> {
    file: &'a Path,
    number: usize,
    /// The kind that the including line asks for.
    only: Option<Kind>,
    depth: usize,
    level: usize,
}

impl<'a> Reader<'a> {
    pub fn new(dirs: &'a [&'a str], service: &'a str) -> Self {
        Self {
            dirs,
            service,
            left: MOST,
            unread: None,
            account: Chain::new(),
            session: Chain::new(),
        }
    }

    /// The account and the session lines of the service; a phase for which it has none gets those of `other`.
    pub fn service(&mut self) -> (Chain, Chain) {
        // A service's name is made small, pam_start(3), and is no path.
        let name = self.service.to_ascii_lowercase();
        if !name.contains('/') {
            self.file(&name, None, 0, 0);
        }
        let [mut account, mut session] = self.take();
        if account.is_empty() || session.is_empty() {
            self.file("other", None, 0, 0);
            let [other_account, other_session] = self.take();
            if account.is_empty() {
                account = other_account;
            }
            if session.is_empty() {
                session = other_session;
            }
        }
        (account, session)
    }

    fn take(&mut self) -> [Chain; 2] {
        [&mut self.account, &mut self.session].map(std::mem::take)
    }

    /// Those of a text.
    #[cfg(fuzzing)]
    pub fn text(&mut self, text: &str) -> (Chain, Chain) {
        self.lines(text, Path::new("text"), None, 0, 0);
        self.take().into()
    }

    /// Adds a file's lines, or those of one kind; false if there is none.
    fn file(&mut self, name: &str, only: Option<Kind>, depth: usize, level: usize) -> bool {
        if depth > DEEPEST || level >= LEVELS {
            return false;
        }
        if self.left == 0 {
            let many = || format!("read {name}: the stack has more than {MOST} files");
            self.unread.get_or_insert_with(many);
            return false;
        }
        self.left -= 1;
        let Some((path, text)) = self.find(name) else {
            return false;
        };
        self.lines(&text, &path, only, depth, level);
        true
    }

    /// A relative name is looked for below libpam's directories, also with a slash in it.
    fn find(&mut self, name: &str) -> Option<(PathBuf, String)> {
        let dirs = match name.starts_with('/') {
            true => &[""],
            false => self.dirs,
        };
        for dir in dirs {
            let path = Path::new(dir).join(name);
            let error = match sys::read_regular(&path, LARGEST) {
                Ok(bytes) => return Some((path, String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) => error,
            };
            let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            if !absent.contains(&error.kind()) {
                let cause = || format!("read {}: {error}", path.display());
                self.unread.get_or_insert_with(cause);
                return None;
            }
        }
        None
    }

    /// Adds the lines of a file's text: without comments, those that end with a backslash joined with the
    /// next.
    fn lines(&mut self, text: &str, file: &Path, only: Option<Kind>, depth: usize, level: usize) {
        let mut scope = Scope {
            file,
            number: 1,
            only,
            depth,
            level,
        };
        let mut open = String::new();
        for (index, line) in text.split('\n').enumerate() {
            if open.is_empty() {
                scope.number = index + 1;
            }
            let (line, is_commented) = match line.split_once('#') {
                Some((line, _)) => (line, true),
                None => (line, false),
            };
            let line = line.trim_end_matches(BLANKS);
            match line.strip_suffix('\\').filter(|_| !is_commented) {
                Some(start) => {
                    open.push_str(start);
                    open.push(' ');
                }
                None => {
                    open.push_str(line);
                    self.line(&open, scope);
                    open.clear();
                }
            }
        }
        self.line(&open, scope);
    }

    #[inline(never)]
    fn line(&mut self, text: &str, scope: Scope<'_>) {
        let mut words = Words(text);
        let Some(word) = words.next() else { return };
        let kind = word.strip_prefix('-').unwrap_or(&word);
        // Debian's libpam. Where there is no such file it fails every call.
        if kind.eq_ignore_ascii_case("@include") {
            if let Some(name) = words.next() {
                self.file(&name, scope.only, scope.depth + 1, scope.level);
            }
            return;
        }
        let known = ["account", "session", "auth", "password"];
        let (kind, is_broken) = match known.iter().position(|it| kind.eq_ignore_ascii_case(it)) {
            Some(0) => (Kind::Account, false),
            Some(1) => (Kind::Session, false),
            Some(_) => return,
            None => match scope.only {
                Some(kind) => (kind, true),
                // Of the auth phase.
                None => return,
            },
        };
        if scope.only.is_some_and(|only| only != kind) {
            return;
        }
        let mut handler = Handler {
            module: Module::Failing(Code::PERM_DENIED),
            control: Control::all(Action::Bad),
            level: scope.level,
            line: Line {
                text: shortened(text),
                place: format!("{}:{}", scope.file.display(), scope.number),
            },
        };
        let control = words.next();
        let is = |name: &str| {
            control
                .as_ref()
                .is_some_and(|it| it.eq_ignore_ascii_case(name))
        };
        let is_substack = is("substack");
        if is_substack || is("include") {
            self.include(words.next(), is_substack, kind, handler, scope);
            return;
        }
        if let Some(control) = &control {
            handler.control = Control::parse(control);
        }
        if let (false, Some(module)) = (is_broken, words.next()) {
            handler.module = self.module(&module, words);
        }
        self.push(kind, handler);
    }

    fn include(
        &mut self,
        name: Option<String>,
        is_substack: bool,
        kind: Kind,
        failing: Handler,
        scope: Scope<'_>,
    ) {
        let mut level = scope.level;
        if is_substack {
            level += 1;
            let substack = Handler {
                module: Module::Substack,
                control: failing.control.clone(),
                level: scope.level,
                line: failing.line.clone(),
            };
            self.push(kind, substack);
        }
        let depth = scope.depth + 1;
        let is_read = name.is_some_and(|name| self.file(&name, Some(kind), depth, level));
        if !is_read {
            self.push(kind, failing);
        }
    }

    fn push(&mut self, kind: Kind, handler: Handler) {
        match kind {
            Kind::Account => self.account.push(handler),
            Kind::Session => self.session.push(handler),
        }
    }

    fn module(&self, path: &str, arguments: Words<'_>) -> Module {
        // A relative one is in a directory that libpam knows; $ISA stands for a part of the path.
        let is_known = path.starts_with('/') && !path.contains("$ISA");
        if is_known && Path::new(path).try_exists().is_ok_and(|it| !it) {
            // With a dash before the line too: it keeps the log silent, no more.
            return Module::Failing(Code::MODULE_UNKNOWN);
        }
        match path.rsplit('/').next().unwrap_or_default() {
            "pam_systemd.so" => Module::PamSystemd,
            name if is_ours(name) && acts(arguments, self.service) => Module::Ours,
            _ => Module::Other,
        }
    }
}

/// Whether it is this module, under whatever name it was installed.
fn is_ours(name: &str) -> bool {
    name.starts_with("pam_slurm_adopt") && name.ends_with(".so") && !name.contains("schedmd")
}

fn acts(arguments: Words<'_>, service: &str) -> bool {
    Options::parse(arguments.map(String::into_bytes))
        .0
        .acts_for(service)
}

/// One blank between the words, and not too long for the log.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 120;
    let line: Vec<&str> = line.split_ascii_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

const BLANKS: [char; 3] = [' ', '\t', '\n'];

/// Words between blanks; what is in brackets is one, in which `\]` stands for `]`.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(pub &'a str);

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = self.0.trim_start_matches(BLANKS);
        if rest.is_empty() {
            return None;
        }
        let Some(inner) = rest.strip_prefix('[') else {
            let (word, after) = rest.split_once(BLANKS).unwrap_or((rest, ""));
            self.0 = after;
            return Some(word.to_owned());
        };
        let mut word = String::new();
        let mut signs = inner.chars();
        while let Some(sign) = signs.next() {
            match sign {
                ']' => break,
                '\\' if signs.as_str().starts_with(']') => {
                    word.push(']');
                    signs.next();
                }
                sign => word.push(sign),
            }
        }
        self.0 = signs.as_str();
        Some(word)
    }
}
