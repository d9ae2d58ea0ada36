//! Text that is not TOML: all of its syntax errors, and what can be read of it all the same.
//!
//! The parser loses its way at the first mistake, and what it says of the lines behind it is noise. So the statement
//! with the first mistake is judged on its own and left out, and the rest is parsed again, until nothing is wrong.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::{DeTable, Error};

/// After so many broken statements the rest is not looked at: it is probably not a configuration at all.
const MOST_GAPS: usize = 20;
/// How far before a mistake its statement may begin, in lines. Each line costs a parse.
const LONGEST_STATEMENT: usize = 100;
/// The largest text for which the effort is made, in bytes.
const LARGEST_TEXT: usize = 1 << 20;

/// Something that is not TOML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub span: Range<usize>,
    pub message: String,
}

/// A piece that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub span: Range<usize>,
    /// Whether whole tables may be missing, not just a key.
    pub hides_tables: bool,
}

/// A text with gaps, and why they are there.
#[derive(Debug)]
pub(crate) struct Repaired<'t> {
    /// Valid TOML but for keys that are given twice: blanks stand in the gaps, everything else where it stood.
    pub text: Cow<'t, str>,
    pub errors: Vec<SyntaxError>,
    pub gaps: Vec<Gap>,
}

/// Whether the parser goes on after `error` without losing anything but a second value for the same key.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    error.message() == "duplicate key" || error.message().starts_with("cannot extend value")
}

/// Leaves out of `text` what is not TOML.
pub(crate) fn repair(text: &str) -> Repaired<'_> {
    let mut repaired = Repaired { text: Cow::Borrowed(text), errors: Vec::new(), gaps: Vec::new() };
    loop {
        let mut errors = syntax_errors(&repaired.text);
        errors.sort_by_key(|error| error.span.start);
        let Some(first) = errors.first() else { return repaired };
        let may_go_on = repaired.gaps.len() < MOST_GAPS && text.len() <= LARGEST_TEXT;
        match statement_at(&repaired.text, first.span.start).filter(|_| may_go_on) {
            Some(statement) => repaired.leave_out(statement, errors),
            None => {
                repaired.errors.extend(errors);
                repaired.blank(0..text.len(), true);
            }
        }
    }
}

impl Repaired<'_> {
    /// Leaves out `statement`, and what belongs to it. `errors` are those of the whole text.
    fn leave_out(&mut self, statement: Range<usize>, mut errors: Vec<SyntaxError>) {
        let text = self.text.clone();
        let own = shifted(syntax_errors(text.get(statement.clone()).unwrap_or_default()), statement.start);
        if own.is_empty() {
            errors.truncate(1);
            self.errors.append(&mut errors);
        }
        self.errors.extend(own);
        if !is_header(line_at(&text, statement.start)) {
            let hides_tables = !is_in_a_plain_table(&text, statement.start);
            return self.blank(statement, hides_tables);
        }
        // Without its header nobody knows what the keys below it are about.
        let end = next_line(&text, statement.start, is_header);
        let body = repair(text.get(statement.end..end).unwrap_or_default());
        self.errors.extend(shifted(body.errors, statement.end));
        self.blank(statement.start..end, true);
    }

    fn blank(&mut self, span: Range<usize>, hides_tables: bool) {
        let blank = |(at, byte): (usize, u8)| match byte {
            b'\n' => byte,
            _ if span.contains(&at) => b' ',
            byte => byte,
        };
        let bytes = self.text.bytes().enumerate().map(blank).collect();
        // Gaps begin and end with lines, so no character is cut in two.
        self.text = Cow::Owned(String::from_utf8(bytes).unwrap_or_default());
        self.gaps.push(Gap { span, hides_tables });
    }
}

/// The lines from the header above `at`, or the beginning of the text, to the next header.
pub(crate) fn table_around(text: &str, at: usize) -> Range<usize> {
    header_above(text, at).unwrap_or(0)..next_line(text, at, is_header)
}

fn syntax_errors(text: &str) -> Vec<SyntaxError> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let errors = errors.into_iter().filter(|error| !is_duplicate(error));
    errors
        .map(|error| SyntaxError { span: error.span().unwrap_or(0..0), message: error.message().to_owned() })
        .collect()
}

fn shifted(mut errors: Vec<SyntaxError>, by: usize) -> Vec<SyntaxError> {
    for error in &mut errors {
        error.span = error.span.start + by..error.span.end + by;
    }
    errors
}

/// The lines of the statement that is broken at `at`. It begins where everything before is in order, and ends where
/// another one seems to begin. `None` when its beginning is too far away.
fn statement_at(text: &str, at: usize) -> Option<Range<usize>> {
    let mut start = line_start(text, at);
    for _ in 0..LONGEST_STATEMENT {
        if start < text.len() && syntax_errors(text.get(..start)?).is_empty() {
            return Some(start..next_line(text, start, starts_statement));
        }
        start = line_start(text, start.checked_sub(1)?);
    }
    None
}

/// Where the first line after the one at `at` begins for which `is_it` holds; the end of the text if none does.
fn next_line(text: &str, at: usize, is_it: fn(&str) -> bool) -> usize {
    let mut start = line_end(text, at);
    while start < text.len() && !is_it(line_at(text, start)) {
        start = line_end(text, start);
    }
    start
}

fn header_above(text: &str, at: usize) -> Option<usize> {
    let mut start = line_start(text, at);
    while !is_header(line_at(text, start)) {
        start = line_start(text, start.checked_sub(1)?);
    }
    Some(start)
}

/// Whether the keys at `at` are those of one listener, route, upstream or the like, not tables of these.
fn is_in_a_plain_table(text: &str, at: usize) -> bool {
    let header = header_above(text, at).map(|start| line_at(text, start).trim_start());
    header.is_some_and(|header| header.starts_with("[[") || header.contains('.'))
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// Behind the line break.
fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| at + newline + 1)
}

fn line_at(text: &str, start: usize) -> &str {
    text.get(start..line_end(text, start)).unwrap_or_default()
}

fn starts_statement(line: &str) -> bool {
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    let is_whole = key.matches(['"', '\'']).count().is_multiple_of(2);
    is_header(line) || (starts_like_a_key(key) && is_whole && !key.contains(['#', '{', '[', ',']))
}

/// `[a.b]` and `[[a]]`, also with a bracket missing; not an element of a list.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    let inner = line.trim_start_matches('[');
    let (opens, closes) = (inner.len() < line.len(), inner.ends_with(']'));
    (opens || closes) && starts_like_a_key(inner.trim_start()) && !inner.contains(['=', ',', '{'])
}

fn starts_like_a_key(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_alphanumeric() || "_-\"'".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong, each as `text of the line: message`, and what remains.
    fn repaired(text: &str) -> (Vec<String>, String) {
        let repaired = repair(text);
        let errors = repaired.errors.iter().map(|error| {
            let line = line_at(text, line_start(text, error.span.start)).trim_end();
            format!("{line}: {}", error.message.split(',').next().unwrap())
        });
        let kept: Vec<&str> = repaired.text.lines().filter(|line| !line.trim().is_empty()).collect();
        (errors.collect(), kept.join("\n"))
    }

    #[test]
    fn what_is_in_order_stays_as_it_is() {
        let text = "a = 1\n[b]\nc = [\n  1,\n]\n";
        assert_eq!(repaired(text), (Vec::new(), text.trim_end().to_owned()));
    }

    #[test]
    fn each_broken_statement_is_left_out_and_the_rest_kept() {
        let (errors, kept) = repaired("[a]\nb = \"x\nc = 1\nd\ne: 2\n[f]\ng = 10s\nh = 3\n");
        assert_eq!(
            errors,
            [
                "b = \"x: invalid basic string",
                "d: key with no value",
                "e: 2: key with no value",
                "g = 10s: string values must be quoted",
            ]
        );
        assert_eq!(kept, "[a]\nc = 1\n[f]\nh = 3");
    }

    #[test]
    fn an_open_list_swallows_nothing() {
        let (errors, kept) =
            repaired("[a]\nb = [\n  \"x=1\"\n  \"y\",\n]\nc = [\"1\", \"2\"\nd = 1\n[[e]]\nf = 2\n");
        assert_eq!(
            errors,
            ["  \"y\",: missing comma between array elements", "c = [\"1\", \"2\": unclosed array",]
        );
        assert_eq!(kept, "[a]\nd = 1\n[[e]]\nf = 2");
    }

    #[test]
    fn keys_below_a_broken_header_do_not_fall_to_the_table_above() {
        let (errors, kept) = repaired("[a]\nb = 1\n[[c]\nd = 2\ne = = 3\n[f]\ng = 4\nh.i]\nj = 5\n");
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(errors[0].starts_with("[[c]: unclosed array table"), "{errors:?}");
        assert!(errors[1].starts_with("e = = 3"), "{errors:?}");
        assert!(errors[3].starts_with("h.i]"), "{errors:?}");
        assert_eq!(kept, "[a]\nb = 1\n[f]\ng = 4");
    }

    #[test]
    fn a_text_without_an_end_of_mistakes_is_given_up() {
        let text = "a b\nc = 1\n".repeat(MOST_GAPS + 5);
        let (errors, kept) = repaired(&text);
        assert!(errors.len() > MOST_GAPS);
        assert_eq!(kept, "");
    }
}
