//! A line of sshd_config as sshd splits it: the keyword (`strdelim`) and its arguments (`argv_split`), misc.c.

/// The blanks between words.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// A line that is not empty and no comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Words<'a> {
    /// The keyword as written.
    pub keyword: String,
    /// All that follows.
    pub rest: &'a str,
}

impl<'a> Words<'a> {
    /// Splits the keyword off; None for an empty line, a comment, and a keyword whose quote does not end.
    pub fn of(line: &'a str) -> Option<Self> {
        let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\x0c']);
        let (mut keyword, mut rest) = cut(line)?;
        if keyword.is_empty() {
            (keyword, rest) = cut(rest)?;
        }
        let is_code = !keyword.is_empty() && !keyword.starts_with('#');
        is_code.then_some(Self { keyword, rest })
    }

    /// The arguments, without quotes and up to a comment; None if a quote does not end.
    pub fn arguments(&self) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut signs = self.rest.chars().peekable();
        loop {
            while signs.next_if(|it| matches!(it, ' ' | '\t')).is_some() {}
            match signs.peek() {
                None | Some('#') => return Some(words),
                Some(_) => words.push(argument(&mut signs)?),
            }
        }
    }
}

/// The first word and what follows it. One `=` may stand between them.
fn cut(text: &str) -> Option<(String, &str)> {
    let ends = |sign: char| BLANKS.contains(&sign) || matches!(sign, '"' | '=');
    let Some((word, after)) = text.find(ends).map(|at| text.split_at(at)) else {
        return Some((text.to_owned(), ""));
    };
    if let Some(quoted) = after.strip_prefix('"') {
        let (inner, after) = quoted.split_once('"')?;
        return Some((format!("{word}{inner}"), after.trim_start_matches(BLANKS)));
    }
    let (had_equals, after) = match after.strip_prefix('=') {
        Some(after) => (true, after),
        None => (false, after.trim_start_matches(BLANKS)),
    };
    let after = match after.strip_prefix('=') {
        Some(after) if !had_equals => after,
        _ => after,
    };
    Some((word.to_owned(), after.trim_start_matches(BLANKS)))
}

fn argument(signs: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let (mut word, mut quote) = (String::new(), None);
    while let Some(sign) = signs.next_if(|it| quote.is_some() || !matches!(it, ' ' | '\t')) {
        match (sign, quote) {
            ('\\', _) => {
                let is_escaped =
                    |it: &char| matches!(it, '\'' | '"' | '\\') || quote.is_none() && *it == ' ';
                word.push(signs.next_if(is_escaped).unwrap_or('\\'));
            }
            ('"' | '\'', None) => quote = Some(sign),
            (_, Some(open)) if sign == open => quote = None,
            _ => word.push(sign),
        }
    }
    quote.is_none().then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_as_sshd_splits_them() {
        for (line, keyword, arguments) in [
            ("UsePAM yes", "UsePAM", &["yes"][..]),
            ("  UsePAM\t=  yes  ", "UsePAM", &["yes"]),
            ("UsePAM=yes", "UsePAM", &["yes"]),
            ("\"UsePAM\" \"yes\"", "UsePAM", &["yes"]),
            ("UsePAM yes # as it was", "UsePAM", &["yes"]),
            ("UsePAM yes#", "UsePAM", &["yes#"]),
            ("UsePAM == yes", "UsePAM", &["=", "yes"]),
            ("UsePAM", "UsePAM", &[]),
            ("UsePAM yes\r", "UsePAM", &["yes"]),
            (
                "Match Group \"a b\" User c",
                "Match",
                &["Group", "a b", "User", "c"],
            ),
            ("Banner a\\ b 'c \"d\"'", "Banner", &["a b", "c \"d\""]),
        ] {
            let words = Words::of(line).expect(line);
            assert_eq!(words.keyword, keyword, "{line}");
            assert_eq!(words.arguments().expect(line), arguments, "{line}");
        }
    }

    #[test]
    fn comments_and_open_quotes() {
        for line in ["", "   ", "# UsePAM no", "  #UsePAM no", "\"UsePAM yes"] {
            assert_eq!(Words::of(line), None, "{line}");
        }
        let words = Words::of("Banner \"a b").expect("a keyword");
        assert_eq!(words.arguments(), None);
    }
}
