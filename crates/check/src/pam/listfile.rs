//! Lists of pam_listfile(8).

use std::os::unix::fs::MetadataExt;

use pamconf::Code;

use crate::host::tree::{Tree, is_absent};
use crate::pam::outcome::Outcome;
use crate::pam::person::Person;

/// A list, and what it is used for.
#[derive(Debug)]
pub(super) struct ListFile {
    pub file: String,
    pub item: String,
    /// `sense=allow`; None if the module fails for lack of an argument.
    allows: Option<bool>,
    /// The answer if the file cannot be used.
    pub on_error: Code,
    /// The words of the file.
    pub content: Content,
    /// The file's mode.
    pub mode: u32,
}

/// What is in a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Words(Vec<String>),
    Missing,
    /// Everyone can write it, or it is no regular file: the module refuses it.
    Refused,
    /// It cannot be read here.
    Unseen,
}

impl ListFile {
    /// Reads the list that a call with these arguments uses.
    pub fn read(tree: &Tree, arguments: &[String]) -> Self {
        let value = |name: &str| {
            let found = arguments.iter().rev().find_map(|it| it.strip_prefix(name));
            found.unwrap_or_default().to_owned()
        };
        let file = value("file=");
        let status = tree.status(&file);
        let mode = status.as_ref().map(MetadataExt::mode).unwrap_or_default();
        let words = |text: String| {
            let words = text.lines().map(str::trim).filter(|it| !it.is_empty());
            Content::Words(words.map(str::to_owned).collect())
        };
        let content = match &status {
            Err(error) if is_absent(error) => Content::Missing,
            Err(_) => Content::Unseen,
            Ok(status) if mode & 0o002 != 0 || !status.is_file() => Content::Refused,
            Ok(_) => tree.text(&file).map_or(Content::Unseen, words),
        };
        Self {
            item: value("item="),
            allows: match value("sense=").as_str() {
                _ if file.is_empty() => None,
                "allow" => Some(true),
                "deny" => Some(false),
                _ => None,
            },
            on_error: match value("onerr=").as_str() {
                "succeed" => Code::SUCCESS,
                _ => Code::SERVICE_ERR,
            },
            file,
            content,
            mode,
        }
    }

    /// Its answer.
    pub fn outcome(&self, person: Person) -> Outcome {
        let Some(allows) = self.allows else {
            return Outcome::Is(self.on_error);
        };
        let words = match &self.content {
            Content::Missing => return Outcome::Is(self.on_error),
            Content::Refused => return Outcome::Is(Code::AUTH_ERR),
            Content::Unseen => return Outcome::Unknown,
            Content::Words(words) => words,
        };
        let names_others = words.iter().any(|it| it != "root");
        let is_listed = match self.item.as_str() {
            "user" | "group" => match person {
                Person::Root => words.iter().any(|it| it == "root"),
                Person::Named => names_others,
                _ => false,
            },
            // Anyone may come from a host in the list, or have a shell in it.
            "rhost" | "shell" if !words.is_empty() => return Outcome::Either,
            "tty" => words.iter().any(|it| it == "ssh"),
            _ => false,
        };
        Outcome::when(Some(is_listed == allows))
    }

    /// Whether users of a group can add names to the list.
    pub fn is_open_to_group(&self) -> bool {
        self.mode & 0o020 != 0 && matches!(self.content, Content::Words(_))
    }
}
