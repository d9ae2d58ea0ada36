//! What every reader shares: the complaints so far, the environment, and where in the file we are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use crate::diagnostic::{Diagnostic, Severity};
use crate::place::{Place, Source};
use crate::syntax::{Gap, table_around};

/// The environment variables that `${NAME}` may name.
#[derive(Clone, Debug, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// This process's environment. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Environment {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment(std::env::vars_os().filter_map(utf8).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Environment {
        Environment(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The state of one load.
#[derive(Default)]
pub(crate) struct Context {
    pub environment: Environment,
    pub diagnostics: Vec<Diagnostic>,
    /// The keys that lead to where we are, for messages.
    path: Vec<String>,
    /// The key that the next value is read as, although the file does not write it.
    unwritten: Option<&'static str>,
    /// What was left out of which file.
    gaps: Vec<(Arc<Source>, Gap)>,
    /// Tables of these kinds are in the file under a wrong name.
    misspelt: Vec<&'static str>,
}

/// Complaints that a key which could not be read may be the reason of.
const CONSEQUENCES: [&str; 5] =
    ["admin-exposed", "conflicting-keys", "missing-key", "timeout-exceeds-interval", "useless-key"];

impl Context {
    pub(crate) fn new(environment: Environment) -> Context {
        Context { environment, ..Context::default() }
    }

    /// A context whose diagnostics nobody looks at.
    pub(crate) fn silent() -> Context {
        Context::default()
    }

    /// Adds a complaint, unless it is the consequence of what could not be read, which has been reported.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if !self.is_consequence(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Notes what was left out of `source`.
    pub(crate) fn gaps_in(&mut self, source: &Arc<Source>, gaps: Vec<Gap>) {
        self.gaps.extend(gaps.into_iter().map(|gap| (Arc::clone(source), gap)));
    }

    /// Notes that the file has tables that were probably meant to be called `known`.
    pub(crate) fn note_misspelt(&mut self, known: &'static str) {
        self.misspelt.push(known);
    }

    fn is_consequence(&self, diagnostic: &Diagnostic) -> bool {
        let place = &diagnostic.place;
        // An inline table is left out as a whole or not at all.
        if !CONSEQUENCES.contains(&diagnostic.code) || place.text().starts_with('{') {
            return false;
        }
        let gaps =
            self.gaps.iter().filter(|(source, _)| Arc::ptr_eq(source, place.source())).map(|(_, gap)| gap);
        let table = table_around(place.source().text(), place.span().start);
        gaps.into_iter().any(|gap| gap.hides_tables || table.contains(&gap.span.start))
    }

    /// True when something is wrong so far.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|one| one.severity == Severity::Error)
    }

    /// True when the file probably has tables called `table` (`listener`, `route` or `upstream`) that could not be
    /// read.
    pub(crate) fn may_have_missed(&self, table: &str) -> bool {
        let codes = ["bad-include", "not-utf8", "unreadable-file", "wrong-header"];
        self.diagnostics.iter().any(|one| codes.contains(&one.code))
            || self.gaps.iter().any(|(_, gap)| gap.hides_tables)
            || self.misspelt.contains(&table)
    }

    /// Runs `inner` one key further down.
    pub(crate) fn within<R>(&mut self, key: &str, inner: impl FnOnce(&mut Context) -> R) -> R {
        if self.unwritten.take() == Some(key) {
            return inner(self);
        }
        self.path.push(key.to_owned());
        let result = inner(self);
        self.path.pop();
        result
    }

    /// Runs `inner`, which reads a value that stands for a table with only `key` in it: complaints name what the file
    /// says, not `key`.
    pub(crate) fn without_naming<R>(
        &mut self,
        key: &'static str,
        inner: impl FnOnce(&mut Context) -> R,
    ) -> R {
        self.unwritten = Some(key);
        let result = inner(self);
        self.unwritten = None;
        result
    }

    /// `upstream.api.timeout`, or nothing at the top of the file.
    pub(crate) fn path(&self) -> String {
        self.path.join(".")
    }

    /// The innermost key.
    pub(crate) fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

/// A value of the parsed file.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub value: &'a DeValue<'a>,
    start: usize,
    end: usize,
    source: &'a Arc<Source>,
}

impl<'a> Node<'a> {
    pub(crate) fn new(source: &'a Arc<Source>, spanned: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        Node::over(source, spanned.get_ref(), spanned.span())
    }

    pub(crate) fn over(source: &'a Arc<Source>, value: &'a DeValue<'a>, span: Range<usize>) -> Node<'a> {
        Node { value, start: span.start, end: span.end, source }
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(Arc::clone(self.source), self.start..self.end)
    }

    /// The elements of an array, in order.
    pub(crate) fn elements(&self) -> Option<impl Iterator<Item = Node<'a>> + use<'a>> {
        let source = self.source;
        Some(self.value.as_array()?.iter().map(move |element| Node::new(source, element)))
    }

    /// The entries of a table, in the order of the file.
    pub(crate) fn entries(&self) -> Option<Vec<Entry<'a>>> {
        let source = self.source;
        let mut entries: Vec<Entry<'a>> = self
            .value
            .as_table()?
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref(),
                key_place: Place::new(Arc::clone(source), key.span()),
                node: Node::new(source, value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_place.span().start);
        Some(entries)
    }

    /// What kind of value it is, in the words of TOML.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry<'a> {
    pub key: &'a str,
    pub key_place: Place,
    pub node: Node<'a>,
}
