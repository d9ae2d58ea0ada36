//! One word out of a fixed set.

use std::marker::PhantomData;

use toml::de::DeValue;

use super::{Kind, wrong_type};
use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::interpolate::interpolated;
use crate::place::Place;
use crate::reader::quoted_list;
use crate::shape::Shape;
use crate::suggest::closest;

/// An enum whose variants are words of the file.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    /// Every variant: its word, itself, what it means. The first is the fallback.
    const WORDS: &'static [(&'static str, Self, &'static str)];

    /// Words that others use, and the ones that were meant.
    const ELSEWHERE: &'static [(&'static str, &'static str)];

    /// The word.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value, _)| *value == self).map_or("", |(word, _, _)| word)
    }
}

/// One of the words of `T`.
pub(crate) fn choice<T: Choice>() -> ChoiceKind<T> {
    ChoiceKind(PhantomData)
}

pub(crate) struct ChoiceKind<T>(PhantomData<T>);

impl<T: Choice> Kind for ChoiceKind<T> {
    type Value = T;

    fn shape(&self) -> Shape {
        Shape::Choice(T::WORDS.iter().map(|(word, _, doc)| (*word, *doc)).collect())
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<T> {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _, _)| *word).collect();
        let DeValue::String(text) = node.value else {
            let complaint = wrong_type(context, node, &format!("one of {}", quoted_list(&words)));
            context.report(complaint);
            return None;
        };
        let text = interpolated(context, node, text)?;
        let found = T::WORDS.iter().find(|(word, _, _)| *word == text).map(|(_, value, _)| *value);
        if found.is_none() {
            report_unknown_word(context, node, &text, &words, T::ELSEWHERE);
        }
        found
    }

    fn fallback(&self, _place: &Place) -> T {
        T::WORDS[0].1
    }

    fn render(&self, value: &T) -> String {
        format!("\"{}\"", value.word())
    }
}

fn report_unknown_word(
    context: &mut Context,
    node: Node<'_>,
    text: &str,
    words: &[&str],
    elsewhere: &[(&'static str, &'static str)],
) {
    let meant = elsewhere.iter().find(|(other, _)| other.eq_ignore_ascii_case(text)).map(|(_, word)| *word);
    let message = format!("`{}` cannot be \"{text}\"", context.key());
    let complaint = Diagnostic::error("unknown-value", &node.place(), message);
    let complaint = complaint.help(format!("it is one of {}", quoted_list(words)));
    context.report(match meant.or_else(|| closest(text, words.iter().copied())) {
        Some(word) => complaint.label(format!("did you mean \"{word}\"?")).replacement(format!("\"{word}\"")),
        None => complaint,
    });
}

/// Declares an enum and its words at once.
macro_rules! choices {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $(
                $(#[doc = $variant_doc:literal])*
                $variant:ident = $word:literal $(elsewhere $($other:literal)+)?,
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $variant_doc])* $variant, )*
        }

        impl $crate::kind::Choice for $name {
            const WORDS: &'static [(&'static str, Self, &'static str)] =
                &[$( ($word, Self::$variant, concat!($($variant_doc),*)) ),*];

            const ELSEWHERE: &'static [(&'static str, &'static str)] = &[$( $( $( ($other, $word), )+ )? )*];
        }

        impl $name {
            /// The word that stands for it in the file.
            pub fn as_str(self) -> &'static str {
                $crate::kind::Choice::word(self)
            }
        }
    };
}

pub(crate) use choices;
