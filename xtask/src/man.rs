//! Turns the manual's Markdown into pages for man(1), and writes the shells' completions.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap_complete::{Shell, generate_to};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::workspace::Workspace;

/// The sources: NAME.SECTION.md.
const PAGES: &str = "docs/man";
const COMPLETIONS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// Writes the pages and completions into target/dist.
///
/// # Errors
/// Those of the file system.
pub fn write(workspace: &Workspace) -> Result<()> {
    let dir = workspace.target("dist/man");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    for entry in fs::read_dir(workspace.path(PAGES)).context(PAGES)? {
        let path = entry?.path();
        let (Some(name), true) = (
            path.file_stem(),
            path.extension().is_some_and(|it| it == "md"),
        ) else {
            continue;
        };
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let page = dir.join(name);
        fs::write(&page, roff(&text)).with_context(|| format!("write {}", page.display()))?;
        println!("{}", page.display());
    }
    let dir = workspace.target("dist/completions");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    for shell in COMPLETIONS {
        let written = completion(shell, &dir)?;
        println!("{}", written.display());
    }
    Ok(())
}

fn completion(shell: Shell, dir: &Path) -> Result<std::path::PathBuf> {
    let mut command = slurm_adopt::command();
    let written = generate_to(shell, &mut command, "slurm-adopt", dir);
    written.with_context(|| format!("write the completion for {shell}"))
}

/// Formats a page of the manual, man(7).
fn roff(markdown: &str) -> String {
    let mut page = Page::default();
    let options = Options::ENABLE_TABLES | Options::ENABLE_DEFINITION_LIST;
    for event in Parser::new_ext(markdown, options) {
        page.event(event);
    }
    page.end_line();
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    /// The title, while it is read.
    title: Option<String>,
    /// Whether this is the heading of a table, which a list of terms does not need.
    is_table_head: bool,
    /// The number of lists around this place.
    lists: usize,
    /// The number of cells of the row so far.
    cells: usize,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::End(TagEnd::TableHead) => self.is_table_head = false,
            _ if self.is_table_head => {}
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.title.is_some() => {
                self.title = self.title.take().map(|it| it + &text);
            }
            Event::Text(text) => self.write(&text),
            Event::Code(text) => {
                self.text.push_str("\\fB");
                self.write(&text);
                self.text.push_str("\\fR");
            }
            Event::SoftBreak => self.end_line(),
            Event::HardBreak => self.request(".br"),
            // Markers of generated parts are comments.
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading {
                level: HeadingLevel::H1,
                ..
            } => self.title = Some(String::new()),
            Tag::Heading { level, .. } => {
                let request = match level {
                    HeadingLevel::H2 => ".SH ",
                    _ => ".SS ",
                };
                self.end_line();
                self.text.push_str(request);
            }
            Tag::Paragraph if self.lists == 0 => self.request(".PP"),
            Tag::CodeBlock(_) => self.request(".PP\n.RS 4\n.nf"),
            Tag::List(_) => self.lists += 1,
            Tag::Item => self.request(".IP \\(bu 2"),
            Tag::DefinitionListTitle => self.request(".TP"),
            Tag::TableHead => self.is_table_head = true,
            Tag::TableRow => self.cells = 0,
            Tag::TableCell if self.cells == 0 => self.request(".TP\n\\fB\\c"),
            Tag::Strong => self.text.push_str("\\fB"),
            Tag::Emphasis => self.text.push_str("\\fI"),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(HeadingLevel::H1) => {
                let title = self.title.take().unwrap_or_default();
                let (name, section) = title.split_once('(').unwrap_or((&title, ""));
                let section = section.trim_end_matches(')');
                self.text
                    .push_str(&format!(".TH {} {section}\n", name.to_uppercase()));
            }
            TagEnd::CodeBlock => self.request(".fi\n.RE"),
            TagEnd::List(_) => self.lists -= 1,
            TagEnd::TableCell => {
                if self.cells == 0 {
                    self.text.push_str("\\fR");
                } else if !self.text.ends_with(['.', '\n']) {
                    self.text.push('.');
                }
                self.cells += 1;
                self.end_line();
            }
            TagEnd::Strong | TagEnd::Emphasis => self.text.push_str("\\fR"),
            TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item | TagEnd::DefinitionListTitle => {
                self.end_line()
            }
            _ => {}
        }
    }

    /// Writes text: a backslash or a dash means itself, and no line begins with a request.
    fn write(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.text.push('\n');
            }
            let begins = self.text.is_empty() || self.text.ends_with('\n');
            if begins && line.starts_with(['.', '\'']) {
                self.text.push_str("\\&");
            }
            self.text
                .push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
        }
    }

    fn request(&mut self, request: &str) {
        self.end_line();
        self.text.push_str(request);
        self.text.push('\n');
    }

    fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_requests_of_man() {
        let markdown = "# x(8)\n\n## NAME\n\nx - **bold** and _y_\\\n.end `a-b`\n\n* one\n* two\n\n```\ncode \\n\n```\n\n\
                        | log | cause |\n|---|---|\n| text | why |\n\nterm\n:   what\n";
        let expected = ".TH X 8\n.SH NAME\n.PP\nx \\- \\fBbold\\fR and \\fIy\\fR\n.br\n\\&.end \\fBa\\-b\\fR\n\
                        .IP \\(bu 2\none\n.IP \\(bu 2\ntwo\n.PP\n.RS 4\n.nf\ncode \\en\n.fi\n.RE\n\
                        .TP\n\\fB\\c\ntext\\fR\nwhy.\n.TP\nterm\nwhat\n";
        assert_eq!(roff(markdown), expected);
    }
}
