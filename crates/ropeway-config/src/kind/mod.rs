//! Kinds of values: how each is read, described and defaulted.

mod choice;
mod collection;
mod duration;
mod modifier;
mod number;
mod size;
mod table;
mod text;

pub(crate) use choice::{Choice, choice, choices};
pub(crate) use collection::{Named, at_least_one, list, named, one_or_many, pairs};
pub(crate) use duration::{duration, duration_or_off, hours, millis, minutes, seconds};
pub(crate) use modifier::{converted, derived, located, optional, or, or_false};
pub(crate) use number::{boolean, fraction, integer, limit};
pub(crate) use size::{KIB, MIB, size, size_or_unlimited};
pub(crate) use table::{short_for, table};
pub(crate) use text::{Text, TextError, quote, text};

use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::place::Place;
use crate::shape::{Presence, Shape};

/// A kind of value.
pub(crate) trait Kind {
    type Value;

    /// What its values look like.
    fn shape(&self) -> Shape;

    /// Reads `node`; reports what is wrong and answers `None` when it cannot be used.
    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Self::Value>;

    /// What absence means.
    fn presence(&self) -> Presence {
        Presence::Required
    }

    /// The default, or for a required key a harmless stand-in for a value that could not be read. A configuration
    /// with a stand-in in it never leaves this crate, because the error that led to it has been reported.
    fn fallback(&self, place: &Place) -> Self::Value;

    /// The value as TOML.
    fn render(&self, value: &Self::Value) -> String;
}

/// Reports that `node` is of the wrong type; `expected` completes "expected ...".
pub(crate) fn wrong_type(context: &mut Context, node: Node<'_>, expected: &str) -> Diagnostic {
    let message = format!("`{}` is {}, expected {expected}", context.key(), node.type_name());
    Diagnostic::error("wrong-type", &node.place(), message)
}
