//! Sizes in bytes: `"64KiB"`, `"10MB"`, or a plain integer.

use toml::de::DeValue;

use super::number::{report_out_of_range, unsigned};
use super::{Kind, wrong_type};
use crate::context::{Context, Node};
use crate::diagnostic::Diagnostic;
use crate::interpolate::interpolated;
use crate::place::Place;
use crate::shape::{Presence, Shape};

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;

/// The units: binary ones first, largest first, so that a size is written in the roundest of them.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", MIB),
    ("KiB", KIB),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

const PATTERN: &str = r"^[0-9]+([KMGT]iB|[kKMGT]B|B)?$";

/// A size from `min` to `max` bytes, both included.
pub(crate) fn size(min: u64, max: u64) -> Size {
    Size { min, max }
}

pub(crate) struct Size {
    min: u64,
    max: u64,
}

impl Size {
    fn quantity(&self, zero: Option<&'static str>) -> Shape {
        let (min, max) = (in_quotes(self.min), in_quotes(self.max));
        Shape::Quantity { what: "size", pattern: PATTERN, min, max, zero, plain_integer: true }
    }

    fn in_range(&self, context: &mut Context, node: Node<'_>, value: u64) -> Option<u64> {
        if (self.min..=self.max).contains(&value) {
            return Some(value);
        }
        report_out_of_range(context, node, &in_quotes(self.min), &in_quotes(self.max));
        None
    }
}

impl Kind for Size {
    type Value = u64;

    fn shape(&self) -> Shape {
        self.quantity(None)
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<u64> {
        let value = read_size(context, node)?;
        self.in_range(context, node, value)
    }

    fn fallback(&self, _place: &Place) -> u64 {
        self.max
    }

    fn render(&self, value: &u64) -> String {
        in_quotes(*value)
    }
}

/// A size up to `max` bytes, where 0 means no limit and is the default.
pub(crate) fn size_or_unlimited(max: u64) -> SizeOrUnlimited {
    SizeOrUnlimited { bounds: Size { min: 1, max } }
}

pub(crate) struct SizeOrUnlimited {
    bounds: Size,
}

impl Kind for SizeOrUnlimited {
    type Value = Option<u64>;

    fn shape(&self) -> Shape {
        self.bounds.quantity(Some("no limit"))
    }

    fn read(&self, context: &mut Context, node: Node<'_>) -> Option<Option<u64>> {
        match read_size(context, node)? {
            0 => Some(None),
            value => self.bounds.in_range(context, node, value).map(Some),
        }
    }

    fn presence(&self) -> Presence {
        Presence::Default(self.render(&None))
    }

    fn fallback(&self, _place: &Place) -> Option<u64> {
        None
    }

    fn render(&self, value: &Option<u64>) -> String {
        in_quotes(value.unwrap_or_default())
    }
}

fn read_size(context: &mut Context, node: Node<'_>) -> Option<u64> {
    let text = match node.value {
        DeValue::Integer(integer) => {
            let value = unsigned(integer);
            if value.is_none() {
                report_out_of_range(context, node, "0", "the largest 64-bit number");
            }
            return value;
        }
        DeValue::String(text) => interpolated(context, node, text)?,
        _ => {
            let complaint = wrong_type(context, node, "a size such as \"64KiB\", or a number of bytes");
            context.report(complaint);
            return None;
        }
    };
    let value = parse(&text);
    if value.is_none() {
        report_bad_size(context, node, &text);
    }
    value
}

fn report_bad_size(context: &mut Context, node: Node<'_>, text: &str) {
    let message = format!("`{}`: \"{text}\" is not a size", context.key());
    let complaint = Diagnostic::error("bad-size", &node.place(), message);
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', ' ']);
    let unit = text.trim_start_matches(digits).trim().to_ascii_uppercase();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    context.report(if is_number && unit.len() == 1 {
        let meant = format!("\"{digits}{unit}iB\"");
        complaint.label(format!("did you mean {meant}?")).replacement(meant)
    } else {
        complaint.help("write a whole number and a unit: \"64KiB\" (1024), \"10MB\" (1000), or plain bytes")
    });
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1,
        "KB" => 1000,
        _ => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    count.parse::<u64>().ok()?.checked_mul(factor)
}

/// `"64KiB"`, quotes included.
fn in_quotes(bytes: u64) -> String {
    let whole = UNITS.iter().find(|(_, factor)| bytes.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) if bytes > 0 => format!("\"{}{unit}\"", bytes / factor),
        _ => "\"0\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("1MiB", MIB),
            ("10MB", 10_000_000),
            ("300B", 300),
            ("0", 0),
            ("3TiB", 3 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
            assert_eq!(in_quotes(bytes), format!("\"{text}\""));
        }
        assert_eq!(parse("64KB"), Some(64_000));
        assert_eq!(parse("4096"), Some(4096));
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "KiB", "64K", "64 KiB", "-1B", "1.5MiB", "99999999999TiB", "64kib"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
