//! What a value may look like: the description behind the JSON schema, the reference and the starter file.

use crate::kind::quote;
use crate::section::{Section, keys_of};

/// One key of a section.
pub(crate) struct KeySpec {
    pub name: &'static str,
    /// What it does (Markdown).
    pub doc: &'static str,
    pub shape: Shape,
    pub presence: Presence,
}

/// What the absence of a key means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Presence {
    /// It must be given.
    Required,
    /// The same as this TOML value.
    Default(String),
    /// Something that no value of the key says, in a few words.
    Without(&'static str),
}

/// The values that a key takes.
pub(crate) enum Shape {
    Boolean,
    Integer {
        min: u64,
        max: u64,
        zero: Option<&'static str>,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// Durations and sizes are written as text; the bounds are rendered in their own notation.
    Quantity {
        what: &'static str,
        pattern: &'static str,
        min: String,
        max: String,
        zero: Option<&'static str>,
        plain_integer: bool,
    },
    Text {
        what: &'static str,
        example: &'static str,
    },
    Choice(Vec<(&'static str, &'static str)>),
    False,
    List(Box<Shape>),
    OneOf(Vec<Shape>),
    /// A table with keys of the operator's own choice.
    Pairs {
        key: &'static str,
        value: &'static str,
        example: &'static str,
    },
    Table(TableShape),
    /// Tables by name: `[listener.NAME]`.
    Named(TableShape),
}

impl Shape {
    /// A typical value, as TOML.
    pub(crate) fn example(&self) -> String {
        match self {
            Shape::Boolean => "true".to_owned(),
            Shape::False => "false".to_owned(),
            Shape::Integer { max, .. } => max.min(&10).to_string(),
            Shape::Number { min, .. } => min.to_string(),
            Shape::Quantity { max, .. } => max.clone(),
            Shape::Text { example, .. } => quote(example),
            Shape::Choice(words) => words.first().map(|(word, _)| quote(word)).unwrap_or_default(),
            Shape::List(element) => format!("[{}]", element.example()),
            Shape::OneOf(shapes) => shapes.first().map(Shape::example).unwrap_or_default(),
            Shape::Pairs { example, .. } => (*example).to_owned(),
            Shape::Table(table) => table.example(),
            Shape::Named(_) => "{}".to_owned(),
        }
    }

    /// The table among what the value may be, if any.
    pub(crate) fn as_table(&self) -> Option<TableShape> {
        match self {
            Shape::Table(table) | Shape::Named(table) => Some(*table),
            Shape::List(element) => element.as_table(),
            Shape::OneOf(shapes) => shapes.iter().find_map(Shape::as_table),
            _ => None,
        }
    }
}

/// A section, as a description.
#[derive(Clone, Copy)]
pub(crate) struct TableShape {
    pub doc: &'static str,
    pub keys: fn() -> Vec<KeySpec>,
}

impl TableShape {
    pub(crate) fn of<T: Section>() -> TableShape {
        TableShape { doc: T::DOC, keys: keys_of::<T> }
    }

    /// What must be given, or else the first key.
    fn example(&self) -> String {
        let keys = (self.keys)();
        let required = keys.iter().filter(|key| key.presence == Presence::Required);
        let mut shown: Vec<&KeySpec> = required.collect();
        if shown.is_empty() {
            shown.extend(keys.first());
        }
        let written = shown.iter().map(|key| format!("{} = {}", key.name, key.shape.example()));
        format!("{{ {} }}", written.collect::<Vec<_>>().join(", "))
    }
}
