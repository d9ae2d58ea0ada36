//! Booleans, integers and fractions.

use std::ops::RangeInclusive;

use toml::de::{DeInteger, DeValue};

use super::{Kind, wrong_type};
use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::place::Place;
use crate::shape::{Presence, Shape};

/// `true` or `false`; `default` when absent.
pub(crate) fn boolean(default: bool) -> Boolean {
    Boolean { default }
}

pub(crate) struct Boolean {
    default: bool,
}

impl Kind for Boolean {
    type Value = bool;

    fn shape(&self) -> Shape {
        Shape::Boolean
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<bool> {
        if let DeValue::Boolean(value) = node.value {
            return Some(*value);
        }
        let complaint = wrong_type(context, node, "`true` or `false`");
        context.report(complaint);
        None
    }

    fn presence(&self) -> Presence {
        Presence::Default(self.default.to_string())
    }

    fn fallback(&self, _place: &Place) -> bool {
        self.default
    }

    fn render(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// A whole number within `range`.
pub(crate) fn integer<T: Copy + Into<u64>>(range: RangeInclusive<T>) -> Integer<T> {
    Integer { min: *range.start(), max: *range.end() }
}

pub(crate) struct Integer<T> {
    min: T,
    max: T,
}

impl<T: Copy + Into<u64> + TryFrom<u64>> Kind for Integer<T> {
    type Value = T;

    fn shape(&self) -> Shape {
        Shape::Integer { min: self.min.into(), max: self.max.into(), zero: None }
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<T> {
        T::try_from(read_integer(context, node, self.min.into()..=self.max.into())?).ok()
    }

    fn fallback(&self, _place: &Place) -> T {
        self.min
    }

    fn render(&self, value: &T) -> String {
        (*value).into().to_string()
    }
}

/// A whole number up to `max`, where 0 means none (`zero` says none of what) and is also the default.
pub(crate) fn limit<T: Copy + Into<u64>>(max: T, zero: &'static str) -> Limit<T> {
    Limit { max, zero }
}

pub(crate) struct Limit<T> {
    max: T,
    zero: &'static str,
}

impl<T: Copy + Into<u64> + TryFrom<u64>> Kind for Limit<T> {
    type Value = Option<T>;

    fn shape(&self) -> Shape {
        Shape::Integer { min: 0, max: self.max.into(), zero: Some(self.zero) }
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Option<T>> {
        match read_integer(context, node, 0..=self.max.into())? {
            0 => Some(None),
            value => Some(T::try_from(value).ok()),
        }
    }

    fn presence(&self) -> Presence {
        Presence::Default("0".to_owned())
    }

    fn fallback(&self, _place: &Place) -> Option<T> {
        None
    }

    fn render(&self, value: &Option<T>) -> String {
        value.map_or(0, Into::into).to_string()
    }
}

fn read_integer(context: &mut Context, node: Node<'_>, range: RangeInclusive<u64>) -> Option<u64> {
    let DeValue::Integer(integer) = node.value else {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let complaint = wrong_type(context, node, &expected);
        context.report(complaint);
        return None;
    };
    let value = unsigned(integer).filter(|value| range.contains(value));
    if value.is_none() {
        report_out_of_range(context, node, &range.start().to_string(), &range.end().to_string());
    }
    value
}

/// The integer, unless it is negative or does not fit.
pub(super) fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

pub(super) fn report_out_of_range(context: &mut Context, node: Node<'_>, min: &str, max: &str) {
    let place = node.place();
    let message = format!("`{}` is out of range: {}", context.key(), place.text());
    let complaint =
        Diagnostic::error("out-of-range", &place, message).label(format!("allowed: {min} to {max}"));
    context.report(complaint);
}

/// A number within `range`, with or without a fraction.
pub(crate) fn fraction(range: RangeInclusive<f64>) -> Fraction {
    Fraction { min: *range.start(), max: *range.end() }
}

pub(crate) struct Fraction {
    min: f64,
    max: f64,
}

impl Kind for Fraction {
    type Value = f64;

    fn shape(&self) -> Shape {
        Shape::Number { min: self.min, max: self.max }
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<f64> {
        let value = match node.value {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => unsigned(integer).map(|value| value as f64),
            _ => {
                let complaint =
                    wrong_type(context, node, &format!("a number from {} to {}", self.min, self.max));
                context.report(complaint);
                return None;
            }
        };
        let value = value.filter(|value| (self.min..=self.max).contains(value));
        if value.is_none() {
            report_out_of_range(context, node, &self.min.to_string(), &self.max.to_string());
        }
        value
    }

    fn fallback(&self, _place: &Place) -> f64 {
        self.min
    }

    fn render(&self, value: &f64) -> String {
        value.to_string()
    }
}
