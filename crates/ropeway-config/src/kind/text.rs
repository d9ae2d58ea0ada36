//! Values written as a string with a grammar of their own.

use std::marker::PhantomData;

use toml::de::DeValue;

use super::{Kind, wrong_type};
use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::interpolate::interpolated;
use crate::place::Place;
use crate::shape::Shape;

/// A type that a string of the file is read into.
pub(crate) trait Text: Sized {
    /// What it is, with its article: `an address and port`.
    const WHAT: &'static str;
    /// A typical one.
    const EXAMPLE: &'static str;

    fn parse(text: &str) -> Result<Self, TextError>;

    /// A harmless stand-in.
    fn stand_in() -> Self;

    /// As it would be written.
    fn write(&self) -> String;
}

/// Why a string is not what it should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TextError {
    /// It is of the right kind, but not allowed here.
    pub is_refused: bool,
    /// Completes "is not ...: "; may be empty.
    pub why: String,
    /// What to write instead in general.
    pub help: Option<String>,
    /// What was probably meant.
    pub meant: Option<String>,
}

impl TextError {
    pub(crate) fn because(why: impl Into<String>) -> TextError {
        TextError { why: why.into(), ..TextError::default() }
    }

    /// For what is of the right kind, but not allowed here.
    pub(crate) fn refused(why: impl Into<String>) -> TextError {
        TextError { is_refused: true, ..TextError::because(why) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> TextError {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn meant(mut self, meant: impl Into<String>) -> TextError {
        self.meant = Some(meant.into());
        self
    }
}

/// A string that is a `T`.
pub(crate) fn text<T: Text>() -> TextKind<T> {
    TextKind { example: T::EXAMPLE, value: PhantomData }
}

pub(crate) struct TextKind<T> {
    example: &'static str,
    value: PhantomData<T>,
}

impl<T> TextKind<T> {
    /// With an example that fits the key better than the type's own.
    pub(crate) fn such_as(mut self, example: &'static str) -> TextKind<T> {
        self.example = example;
        self
    }
}

impl<T: Text> Kind for TextKind<T> {
    type Value = T;

    fn shape(&self) -> Shape {
        Shape::Text { what: T::WHAT, example: self.example }
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<T> {
        let DeValue::String(text) = node.value else {
            self.report_unquoted(context, node);
            return None;
        };
        let text = interpolated(context, node, text)?;
        match T::parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                context.report(complain(context.key(), node, T::WHAT, &text, error));
                None
            }
        }
    }

    fn fallback(&self, _place: &Place) -> T {
        T::stand_in()
    }

    fn render(&self, value: &T) -> String {
        quote(&value.write())
    }
}

impl<T: Text> TextKind<T> {
    /// Offers the value in quotes, where that would be right or nearly so.
    fn report_unquoted(&self, context: &mut Context, node: Node<'_>) {
        let complaint = wrong_type(context, node, &format!("{} such as \"{}\"", T::WHAT, self.example));
        let is_scalar = !node.value.is_table() && !node.value.is_array();
        let meant = match T::parse(node.place().text()) {
            Ok(value) => Some(value.write()),
            Err(error) => error.meant,
        };
        context.report(match meant.filter(|_| is_scalar).map(|meant| quote(&meant)) {
            Some(meant) => complaint.help(format!("did you mean {meant}?")).replacement(meant),
            None => complaint,
        });
    }
}

fn complain(key: &str, node: Node<'_>, what: &str, text: &str, error: TextError) -> Diagnostic {
    let message = match error.is_refused {
        true => format!("`{key}`: {} cannot be used here", quote(text)),
        false => format!("`{key}`: {} is not {what}", quote(text)),
    };
    let mut complaint = Diagnostic::error("bad-value", &node.place(), message).label(error.why);
    complaint.help = error.help;
    if let Some(meant) = error.meant {
        let meant = quote(&meant);
        complaint.help.get_or_insert_with(|| format!("did you mean {meant}?"));
        complaint.replacement = Some(meant);
    }
    complaint
}

/// `text` as a TOML basic string.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Any text but the empty one.
impl Text for String {
    const WHAT: &'static str = "a text";
    const EXAMPLE: &'static str = "text";

    fn parse(text: &str) -> Result<String, TextError> {
        if text.is_empty() {
            return Err(TextError::because("this is empty"));
        }
        Ok(text.to_owned())
    }

    fn stand_in() -> String {
        String::new()
    }

    fn write(&self) -> String {
        self.clone()
    }
}
