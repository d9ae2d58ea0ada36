//! The file to start from: a working proxy, and every other key as a comment.

use std::fmt::Write;

use crate::schema::Config;
use crate::shape::{KeySpec, Presence, Shape, TableShape};

const INTRODUCTION: &str = "\
# Ropeway. A line that begins with `#` and no space is a setting with its default, or with an example where
# the default is to do without: take away the `#` to change it. `ropeway check` tells what is wrong with the
# file; docs/reference.md explains every key.
";

/// What is active. All other keys are comments.
const ACTIVE: [(&str, &str); 5] = [
    ("log.access.format", "\"json\""),
    ("log.access.output", "\"stdout\""),
    ("listener.web.bind", "\"0.0.0.0:8080\""),
    ("route.upstream", "\"app\""),
    ("upstream.app.servers", "[\"127.0.0.1:8001\", \"127.0.0.1:8002\", \"127.0.0.1:8003\"]"),
];

/// Examples that go together better than each key's own.
const EXAMPLES: [(&str, &str); 10] = [
    ("acme", "{ storage = \"/var/lib/ropeway/acme\", terms_agreed = true }"),
    ("workers", "4"),
    ("limits.connections", "100000"),
    ("route.match.host", "[\"shop.example.com\", \"*.shop.example.com\"]"),
    ("listener.web.tls", "{ certificates = [{ cert = \"site.pem\", key = \"site.key\" }] }"),
    ("listener.web.hsts", "\"365d\""),
    ("upstream.app.health.type", "\"http\""),
    ("upstream.app.health.body", "\"ok\""),
    ("upstream.app.health.host", "\"shop.example.com\""),
    ("upstream.app.health.port", "8081"),
];

/// The names that the file's tables get.
const NAMES: [(&str, &str); 2] = [("listener", "web"), ("upstream", "app")];

/// A file to start from. It loads as it is, and with any of its settings uncommented.
pub fn commented_default() -> String {
    let mut file = INTRODUCTION.to_owned();
    // A table that is shown by one example is a line like any other.
    let is_line = |spec: &KeySpec| table_of(&spec.shape).is_none() || lookup(&EXAMPLES, spec.name).is_some();
    let (plain, tables): (Vec<KeySpec>, Vec<KeySpec>) =
        (TableShape::of::<Config>().keys)().into_iter().partition(is_line);
    for spec in &plain {
        write_key(&mut file, "", "", spec);
    }
    for spec in &tables {
        write_table(&mut file, spec);
    }
    file
}

/// A table of the top level, with everything in it written as dotted keys.
fn write_table(file: &mut String, spec: &KeySpec) {
    let Some(table) = table_of(&spec.shape) else { return };
    let name = NAMES.iter().find(|(key, _)| *key == spec.name).map(|(_, name)| format!(".{name}"));
    let path = format!("{}{}", spec.name, name.unwrap_or_default());
    let header =
        if matches!(spec.shape, Shape::List(_)) { format!("[[{path}]]") } else { format!("[{path}]") };
    let _ = write!(file, "\n\n# {}\n{header}\n", first_sentence(table.doc));
    for key in (table.keys)() {
        write_key(file, &path, "", &key);
    }
}

/// A key, or the keys of a table inside. `dotted` is the path from the header.
fn write_key(file: &mut String, header: &str, dotted: &str, spec: &KeySpec) {
    let key = if dotted.is_empty() { spec.name.to_owned() } else { format!("{dotted}.{}", spec.name) };
    let path = if header.is_empty() { key.clone() } else { format!("{header}.{key}") };
    // A table with an example is shown by it alone.
    if let (Some(table), None) = (table_of(&spec.shape), lookup(&EXAMPLES, &path)) {
        for inner in (table.keys)() {
            write_key(file, header, &key, &inner);
        }
        return;
    }
    let (mark, value) = match lookup(&ACTIVE, &path) {
        Some(value) => ("", value.to_owned()),
        None => ("#", commented_value(&path, spec)),
    };
    let _ = write!(file, "\n# {}\n{mark}{key} = {value}\n", first_sentence(spec.doc));
}

fn commented_value(path: &str, spec: &KeySpec) -> String {
    if let Some(example) = lookup(&EXAMPLES, path) {
        return example.to_owned();
    }
    match &spec.presence {
        Presence::Default(toml) if toml != "{}" && toml != "[]" => toml.clone(),
        _ => spec.shape.example(),
    }
}

fn lookup(table: &[(&'static str, &'static str)], path: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == path).map(|(_, value)| *value)
}

/// The table that is spelt out: not where there is a shorter form, nor where every element would be one.
fn table_of(shape: &Shape) -> Option<TableShape> {
    match shape {
        Shape::Table(table) | Shape::Named(table) => Some(*table),
        Shape::OneOf(shapes) => shapes.first().and_then(table_of),
        Shape::List(element) => match element.as_ref() {
            Shape::Table(table) => Some(*table),
            _ => None,
        },
        _ => None,
    }
}

fn first_sentence(doc: &str) -> String {
    let paragraph = doc.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |stop| stop + 1);
    paragraph.get(..end).unwrap_or_default().trim().to_owned()
}
