//! What a value may look like: the description behind the JSON schema, the reference and the starter file.

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
}
