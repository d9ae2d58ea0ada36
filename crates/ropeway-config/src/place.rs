//! Where something stands in a file: kept beside every value that a later step may still find wrong.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// One file of the configuration, with its text as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A file called `name` (as it is to be shown to the operator) that holds `text`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { name: name.into(), text: text.into() })
    }

    /// The file's name as shown to the operator.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A run of bytes in one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// The bytes `span` of `source`. A span that leaves the text, or cuts a character in two, is narrowed to fit.
    pub fn new(source: Arc<Source>, span: Range<usize>) -> Place {
        let start = char_floor(source.text(), span.start);
        let end = char_floor(source.text(), span.end).max(start);
        Place { source, span: start..end }
    }

    /// The very beginning of `source`: the place of what is wrong with the file as a whole.
    pub fn start_of(source: &Arc<Source>) -> Place {
        Place { source: Arc::clone(source), span: 0..0 }
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Byte range in the file's text.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// True when this is no more than a file: the complaint is about the file as a whole.
    pub fn is_whole_file(&self) -> bool {
        self.span == (0..0)
    }

    /// Line, counted from 1.
    pub fn line(&self) -> usize {
        self.before().bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Column, counted from 1 in characters.
    pub fn column(&self) -> usize {
        let before = self.before();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        before.get(line_start..).map_or(0, |line| line.chars().count()) + 1
    }

    /// The text at this place.
    pub fn text(&self) -> &str {
        self.source.text().get(self.span()).unwrap_or_default()
    }

    fn before(&self) -> &str {
        self.source.text().get(..self.span.start).unwrap_or_default()
    }
}

/// `file:line:column`
impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.source.name(), self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn char_floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A value and the place where the file gives it (the table that lacks it, for a default).
///
/// Two located values are equal when their values are: moving a line does not change a configuration, which is what
/// a reload wants to know.
#[derive(Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> Located<T> {
    /// `value`, found at `place`.
    pub fn new(value: T, place: Place) -> Located<T> {
        Located { value, place }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T: Hash> Hash for Located<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Located<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(out)
    }
}

impl<T: fmt::Display> fmt::Display for Located<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(out)
    }
}
