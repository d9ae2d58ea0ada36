//! Reads one table: hands out the keys that its section asks for, and complains about those that it did not.

use crate::context::{Context, Entry};
use crate::diagnostic::Diagnostic;
use crate::kind::Kind;
use crate::place::{Located, Place};
use crate::section::Section;
use crate::shape::{KeySpec, Presence};
use crate::suggest::closest;

/// A table being read, or - when recording - only described.
pub(crate) struct Reader<'c, 'a> {
    context: &'c mut Context,
    entries: Vec<Entry<'a>>,
    place: Place,
    name: Option<Located<String>>,
    asked: Vec<&'static str>,
    specs: Option<Vec<KeySpec>>,
}

/// Reads a section from `entries`, and complains about the keys that it does not know.
pub(crate) fn read_section<T: Section>(
    context: &mut Context,
    entries: Vec<Entry<'_>>,
    place: Place,
    name: Option<Located<String>>,
) -> T {
    let mut reader = Reader { context, entries, place, name, asked: Vec::new(), specs: None };
    let section = T::read(&mut reader);
    reader.refuse_unknown();
    section
}

impl<'c, 'a> Reader<'c, 'a> {
    /// A table without any key.
    pub(crate) fn empty(context: &'c mut Context, place: Place) -> Reader<'c, 'a> {
        Reader { context, entries: Vec::new(), place, name: None, asked: Vec::new(), specs: None }
    }

    /// An empty table that notes what it is asked for.
    pub(crate) fn recording(context: &'c mut Context, place: Place) -> Reader<'c, 'a> {
        Reader { specs: Some(Vec::new()), ..Reader::empty(context, place) }
    }

    /// What was asked for.
    pub(crate) fn into_specs(self) -> Vec<KeySpec> {
        self.specs.unwrap_or_default()
    }

    /// The value of `key`, or what its absence means. What cannot be read is reported, and replaced by the kind's
    /// fallback so that the checks that follow still see the rest of the file.
    pub(crate) fn key<K: Kind>(&mut self, key: &'static str, doc: &'static str, kind: &K) -> K::Value {
        self.asked.push(key);
        if let Some(specs) = &mut self.specs {
            specs.push(KeySpec { name: key, doc, shape: kind.shape(), presence: kind.presence() });
        }
        let Some(entry) = self.entries.iter().find(|entry| entry.key == key) else {
            return self.absent(key, kind);
        };
        let node = entry.node;
        let value = self.context.within(key, |context| kind.read(context, node));
        value.unwrap_or_else(|| kind.fallback(&node.place()))
    }

    fn absent<K: Kind>(&mut self, key: &'static str, kind: &K) -> K::Value {
        if kind.presence() == Presence::Required {
            let message = format!("{} needs the key `{key}`", self.what());
            let example = format!("{key} = {}", kind.shape().example());
            self.context.report(
                Diagnostic::error("missing-key", &self.place, message).help(format!("add `{example}`")),
            );
        }
        kind.fallback(&self.place)
    }

    /// The name in the table's header.
    pub(crate) fn name(&self) -> Located<String> {
        self.name.clone().unwrap_or_else(|| Located::new(String::new(), self.place.clone()))
    }

    /// Where `key` stands, when the file gives it.
    pub(crate) fn place_of_key(&self, key: &str) -> Option<Place> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_place.clone())
    }

    /// Where the value of `key` stands, or the table when the file does not give it.
    pub(crate) fn place_of_value(&self, key: &str) -> Place {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or_else(|| self.place.clone(), |entry| entry.node.place())
    }

    /// Adds a complaint.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.context.report(diagnostic);
    }

    fn what(&self) -> String {
        match self.context.path() {
            path if path.is_empty() => "the file".to_owned(),
            path => format!("`{path}`"),
        }
    }

    fn refuse_unknown(&mut self) {
        let unknown = self.entries.iter().filter(|entry| !self.asked.contains(&entry.key));
        let unknown: Vec<&Entry<'_>> = unknown.collect();
        if self.context.path().is_empty() {
            let meant = unknown.iter().filter_map(|entry| closest(entry.key, self.asked.iter().copied()));
            meant.for_each(|table| self.context.note_misspelt(table));
        }
        let complaints: Vec<Diagnostic> = unknown.into_iter().map(|entry| self.unknown(entry)).collect();
        complaints.into_iter().for_each(|complaint| self.context.report(complaint));
    }

    fn unknown(&self, entry: &Entry<'_>) -> Diagnostic {
        let message = match self.context.path() {
            path if path.is_empty() => format!("unknown key `{}`", entry.key),
            path => format!("unknown key `{}` in `{path}`", entry.key),
        };
        let complaint = Diagnostic::error("unknown-key", &entry.key_place, message);
        match closest(entry.key, self.asked.iter().copied()) {
            Some(known) => complaint.label(format!("did you mean `{known}`?")).replacement(known),
            None => complaint.help(format!("the keys here are {}", quoted_list(&self.asked))),
        }
    }
}

/// `a`, `b` and `c`
pub(crate) fn quoted_list<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
