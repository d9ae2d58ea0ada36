//! Durations: `"5s"`, `"250ms"`, `"1m30s"`, `"1h"`, `"2d"`.

use std::time::Duration;

use toml::de::DeValue;

use super::number::report_out_of_range;
use super::{Kind, wrong_type};
use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::interpolate::interpolated;
use crate::place::Place;
use crate::shape::{Presence, Shape};

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

pub(crate) const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const PATTERN: &str = r"^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";

/// A duration from `min` to `max`, both included.
pub(crate) fn duration(min: Duration, max: Duration) -> DurationKind {
    DurationKind { min, max }
}

pub(crate) struct DurationKind {
    min: Duration,
    max: Duration,
}

impl DurationKind {
    fn quantity(&self, zero: Option<&'static str>) -> Shape {
        let (min, max) = (in_quotes(self.min), in_quotes(self.max));
        Shape::Quantity { what: "duration", pattern: PATTERN, min, max, zero, plain_integer: false }
    }

    fn in_range(&self, context: &mut Context, node: Node<'_>, value: Duration) -> Option<Duration> {
        if (self.min..=self.max).contains(&value) {
            return Some(value);
        }
        report_out_of_range(context, node, &in_quotes(self.min), &in_quotes(self.max));
        None
    }
}

impl Kind for DurationKind {
    type Value = Duration;

    fn shape(&self) -> Shape {
        self.quantity(None)
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Duration> {
        let value = read_duration(context, node)?;
        self.in_range(context, node, value)
    }

    fn fallback(&self, _place: &Place) -> Duration {
        self.max
    }

    fn render(&self, value: &Duration) -> String {
        in_quotes(*value)
    }
}

/// A duration from `min` to `max`, or `"0"`: `zero` says what that switches off.
pub(crate) fn duration_or_off(min: Duration, max: Duration, zero: &'static str) -> DurationOrOff {
    DurationOrOff { bounds: DurationKind { min, max }, zero }
}

pub(crate) struct DurationOrOff {
    bounds: DurationKind,
    zero: &'static str,
}

impl Kind for DurationOrOff {
    type Value = Option<Duration>;

    fn shape(&self) -> Shape {
        self.bounds.quantity(Some(self.zero))
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Option<Duration>> {
        let value = read_duration(context, node)?;
        if value.is_zero() {
            return Some(None);
        }
        self.bounds.in_range(context, node, value).map(Some)
    }

    fn presence(&self) -> Presence {
        Presence::Default(self.render(&None))
    }

    fn fallback(&self, _place: &Place) -> Option<Duration> {
        None
    }

    fn render(&self, value: &Option<Duration>) -> String {
        in_quotes(value.unwrap_or_default())
    }
}

fn read_duration(context: &mut Context, node: Node<'_>) -> Option<Duration> {
    let DeValue::String(text) = node.value else {
        report_unquoted(context, node);
        return None;
    };
    let text = interpolated(context, node, text)?;
    let value = parse(&text);
    if value.is_none() {
        let message = format!("`{}`: \"{text}\" is not a duration", context.key());
        let complaint = Diagnostic::error("bad-duration", &node.place(), message);
        context.report(
            complaint.help("write a whole number and a unit, such as \"250ms\", \"5s\", \"1m30s\" or \"1h\""),
        );
    }
    value
}

fn report_unquoted(context: &mut Context, node: Node<'_>) {
    let complaint = wrong_type(context, node, "a duration in quotes such as \"5s\"");
    let place = node.place();
    context.report(match node.value {
        DeValue::Integer(_) => {
            let meant = format!("\"{}s\"", place.text());
            complaint.help(format!("if seconds are meant, write {meant}")).replacement(meant)
        }
        _ => complaint,
    });
}

/// `1m30s` and the like: each unit at most once, the larger first. `0` needs no unit.
fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let unit_length = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        let position = units.iter().position(|(name, _)| *name == unit)?;
        let (_, millis) = units.get(position)?;
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        units = units.get(position + 1..)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(Duration::from_millis(total))
}

/// `"1m30s"`, quotes included.
pub(super) fn in_quotes(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "\"0\"".to_owned();
    }
    let mut out = String::from("\"");
    for (unit, millis) in UNITS {
        if rest >= millis {
            out.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, value) in [
            ("250ms", millis(250)),
            ("5s", seconds(5)),
            ("1m30s", seconds(90)),
            ("1h", hours(1)),
            ("2d1h1ms", hours(49) + millis(1)),
            ("0", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
            assert_eq!(in_quotes(value), format!("\"{text}\""));
        }
        assert_eq!(parse("90s"), Some(seconds(90)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn refuses_the_rest() {
        for text in
            ["", "5", "s", "5 s", "1.5s", "-5s", "5S", "30s1m", "5s5s", "99999999999999999999s", "5sec", "٣s"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{}d", u64::MAX)), None);
    }
}
