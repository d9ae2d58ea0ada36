//! The reference page: every key with its values, default and meaning.

use std::fmt::Write;

use crate::schema::Config;
use crate::shape::{KeySpec, Presence, Shape, TableShape};

const INTRODUCTION: &str = "\
<!-- Made from the declarations in crates/ropeway-config/src/schema; do not edit.
     Regenerate with: ROPEWAY_UPDATE=1 cargo test -p ropeway-config --test reference -->

# The configuration file

TOML, and strict: a key that is not on this page is an error. `ropeway check` reports everything that is wrong at
once, with file, line and column, and mostly with what was meant; `ropeway check --json` does so for machines, and
`ropeway schema` prints a JSON schema for editors.

- **Durations** are text: a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), or several from large to small:
  `\"250ms\"`, `\"5s\"`, `\"1m30s\"`. `\"0\"` switches off what can be switched off.
- **Sizes** are text, with a unit of 1024 (`KiB`, `MiB`, `GiB`, `TiB`) or of 1000 (`kB`, `MB`, `GB`, `TB`), or a
  plain number of bytes: `\"64KiB\"`, `\"10MB\"`, `4096`.
- **Names** of listeners and upstreams have 1 to 64 letters, digits, `-`, `_` or `.`.
- **Environment variables** can be used in every text: `\"${NAME}\"`, or `\"${NAME:-default}\"` for when it is not set or
  empty; without a default an unset variable is an error. `$${` is a literal `${`. Names of keys and tables are
  taken as they are.
";

/// The reference of the file format, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    write_section(&mut page, "", TableShape::of::<Config>());
    page
}

/// One section and, after it, the tables in it.
fn write_section(page: &mut String, path: &str, table: TableShape) {
    let keys = (table.keys)();
    let title = if path.is_empty() { "At the top of the file".to_owned() } else { format!("`{path}`") };
    let depth = path.matches('.').count() - path.matches(".NAME").count();
    let level = "#".repeat(2 + depth.min(3));
    let _ = write!(page, "\n{level} {title}\n\n");
    if !path.is_empty() {
        let _ = write!(page, "{}\n\n", paragraph(table.doc));
    }
    for spec in &keys {
        write_key(page, path, spec);
    }
    for spec in &keys {
        if let Some(inner) = spec.shape.as_table() {
            write_section(page, &path_of(path, spec), inner);
        }
    }
}

fn write_key(page: &mut String, path: &str, spec: &KeySpec) {
    let values = values(&spec.shape, &path_of(path, spec));
    let presence = match &spec.presence {
        Presence::Required => "; **required**".to_owned(),
        Presence::Default(toml) if toml == "{}" => String::new(),
        Presence::Default(toml) if toml == "[]" => "; default: none".to_owned(),
        Presence::Default(toml) => format!("; default `{toml}`"),
        Presence::Without(meaning) => format!("; without it: {meaning}"),
    };
    let _ = writeln!(page, "- **`{}`** - {values}{presence}.  \n  {}", spec.name, paragraph(spec.doc));
    for (word, doc) in words(&spec.shape) {
        let _ = writeln!(page, "  - `\"{word}\"`: {}", doc.trim());
    }
}

/// `listener.NAME.timeout`
fn path_of(path: &str, spec: &KeySpec) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let name = if matches!(spec.shape, Shape::Named(_)) { ".NAME" } else { "" };
    format!("{path}{dot}{}{name}", spec.name)
}

/// What may stand there, in a few words.
fn values(shape: &Shape, path: &str) -> String {
    match shape {
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::False => "`false`".to_owned(),
        Shape::Integer { min, max, zero } => {
            format!("whole number, {min} to {max}{}", meaning_of_zero(*zero))
        }
        Shape::Number { min, max } => format!("number, {min} to {max}"),
        Shape::Quantity { what, min, max, zero, .. } => {
            format!("{what}, `{min}` to `{max}`{}", meaning_of_zero(*zero))
        }
        Shape::Text { what, example } => format!("{what}, such as `\"{example}\"`"),
        Shape::Choice(_) => "one of the words below".to_owned(),
        Shape::OneOf(shapes) if matches!(shapes.as_slice(), [_, Shape::List(_)]) => {
            let single = shapes.first().map(|shape| values(shape, path)).unwrap_or_default();
            format!("{single}; or a list of them")
        }
        Shape::List(element) => format!("list of: {}", values(element, path)),
        Shape::OneOf(shapes) => {
            let shapes: Vec<String> = shapes.iter().map(|shape| values(shape, path)).collect();
            shapes.join("; or ")
        }
        Shape::Pairs { key, value, example } => format!("table of {key} = {value}, such as `{example}`"),
        Shape::Table(_) => format!("table, see `{path}`"),
        Shape::Named(_) => format!("tables by name, see `{path}`"),
    }
}

fn meaning_of_zero(zero: Option<&str>) -> String {
    zero.map(|meaning| format!(" (0: {meaning})")).unwrap_or_default()
}

/// The words to choose from, wherever in the shape they are.
fn words(shape: &Shape) -> Vec<(&'static str, &'static str)> {
    match shape {
        Shape::Choice(words) => words.clone(),
        Shape::List(element) => words(element),
        Shape::OneOf(shapes) => shapes.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

/// A documentation comment as one line.
fn paragraph(doc: &str) -> String {
    doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
