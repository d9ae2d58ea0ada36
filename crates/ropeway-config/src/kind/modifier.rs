//! Kinds made of other kinds.

use toml::de::DeValue;

use super::Kind;
use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::place::{Located, Place};
use crate::shape::{Presence, Shape};

/// `kind`, with a default.
pub(crate) fn or<K: Kind>(kind: K, default: impl Into<K::Value>) -> Or<K>
where
    K::Value: Clone,
{
    Or { kind, default: default.into() }
}

pub(crate) struct Or<K: Kind> {
    kind: K,
    default: K::Value,
}

impl<K: Kind> Kind for Or<K>
where
    K::Value: Clone,
{
    type Value = K::Value;

    fn shape(&self) -> Shape {
        self.kind.shape()
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<K::Value> {
        self.kind.read(context, node)
    }

    fn presence(&self) -> Presence {
        Presence::Default(self.kind.render(&self.default))
    }

    fn fallback(&self, _place: &Place) -> K::Value {
        self.default.clone()
    }

    fn render(&self, value: &K::Value) -> String {
        self.kind.render(value)
    }
}

/// `kind`, or nothing when absent; `without` says what that means.
pub(crate) fn optional<K: Kind>(kind: K, without: &'static str) -> Optional<K> {
    Optional { kind, without }
}

pub(crate) struct Optional<K> {
    kind: K,
    without: &'static str,
}

impl<K: Kind> Kind for Optional<K> {
    type Value = Option<K::Value>;

    fn shape(&self) -> Shape {
        self.kind.shape()
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Option<K::Value>> {
        self.kind.read(context, node).map(Some)
    }

    fn presence(&self) -> Presence {
        Presence::Without(self.without)
    }

    fn fallback(&self, _place: &Place) -> Option<K::Value> {
        None
    }

    fn render(&self, value: &Option<K::Value>) -> String {
        value.as_ref().map(|value| self.kind.render(value)).unwrap_or_default()
    }
}

/// `kind`; absent, its stand-in until a later step works the value out, as `how` tells the operator.
pub(crate) fn derived<K: Kind>(kind: K, how: &'static str) -> Derived<K> {
    Derived { kind, how }
}

pub(crate) struct Derived<K> {
    kind: K,
    how: &'static str,
}

impl<K: Kind> Kind for Derived<K> {
    type Value = K::Value;

    fn shape(&self) -> Shape {
        self.kind.shape()
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<K::Value> {
        self.kind.read(context, node)
    }

    fn presence(&self) -> Presence {
        Presence::Without(self.how)
    }

    fn fallback(&self, place: &Place) -> K::Value {
        self.kind.fallback(place)
    }

    fn render(&self, value: &K::Value) -> String {
        self.kind.render(value)
    }
}

/// `kind`, or `false` for none at all. Absent, it is what the absence of `kind` means.
pub(crate) fn or_false<K: Kind>(kind: K) -> OrFalse<K> {
    OrFalse { kind }
}

pub(crate) struct OrFalse<K> {
    kind: K,
}

impl<K: Kind> Kind for OrFalse<K> {
    type Value = Option<K::Value>;

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![self.kind.shape(), Shape::False])
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Option<K::Value>> {
        match node.value {
            DeValue::Boolean(false) => Some(None),
            DeValue::Boolean(true) if matches!(self.presence(), Presence::Default(_)) => {
                let message = format!("`{}` cannot be `true`", context.key());
                let complaint = Diagnostic::error("wrong-type", &node.place(), message);
                context.report(
                    complaint.help("it is on by default: leave it out, or write `false` to switch it off"),
                );
                None
            }
            _ => self.kind.read(context, node).map(Some),
        }
    }

    fn presence(&self) -> Presence {
        self.kind.presence()
    }

    fn fallback(&self, place: &Place) -> Option<K::Value> {
        Some(self.kind.fallback(place))
    }

    fn render(&self, value: &Option<K::Value>) -> String {
        value.as_ref().map_or_else(|| "false".to_owned(), |value| self.kind.render(value))
    }
}

/// `kind`, together with the place where it stands.
pub(crate) fn located<K: Kind>(kind: K) -> WithPlace<K> {
    WithPlace { kind }
}

pub(crate) struct WithPlace<K> {
    kind: K,
}

impl<K: Kind> Kind for WithPlace<K> {
    type Value = Located<K::Value>;

    fn shape(&self) -> Shape {
        self.kind.shape()
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Located<K::Value>> {
        self.kind.read(context, node).map(|value| Located::new(value, node.place()))
    }

    fn presence(&self) -> Presence {
        self.kind.presence()
    }

    fn fallback(&self, place: &Place) -> Located<K::Value> {
        Located::new(self.kind.fallback(place), place.clone())
    }

    fn render(&self, value: &Located<K::Value>) -> String {
        self.kind.render(value)
    }
}

/// `kind`, turned into the type that the rest of the program wants.
pub(crate) fn converted<K: Kind, T>(kind: K, convert: fn(K::Value) -> T) -> Converted<K, T> {
    Converted { kind, convert }
}

pub(crate) struct Converted<K: Kind, T> {
    kind: K,
    convert: fn(K::Value) -> T,
}

impl<K: Kind, T> Kind for Converted<K, T> {
    type Value = T;

    fn shape(&self) -> Shape {
        self.kind.shape()
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<T> {
        self.kind.read(context, node).map(self.convert)
    }

    fn presence(&self) -> Presence {
        self.kind.presence()
    }

    fn fallback(&self, place: &Place) -> T {
        (self.convert)(self.kind.fallback(place))
    }

    /// The way back is not known; the default's own text is what absence shows.
    fn render(&self, _value: &T) -> String {
        match self.presence() {
            Presence::Default(text) => text,
            Presence::Required | Presence::Without(_) => String::new(),
        }
    }
}
