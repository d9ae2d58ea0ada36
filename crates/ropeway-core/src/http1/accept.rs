//! What kind of content a client would like best: the Accept field (RFC 9110 12.5.1).

use std::cmp::Reverse;

use super::grammar::{list_elements, trim_ows};
use super::head::Head;
use super::known::Known;

/// The most that a quality value can be, in thousandths.
const BEST: u16 = 1000;

/// Whether a client would rather read JSON than plain text or HTML.
///
/// By quality values, each that of the most specific range for a type; other parameters have no meaning here. Where they
/// are equal the choice is ours: what is named outright comes before what a wildcard stands for, and then what is named
/// first. A structured syntax of JSON (`application/problem+json`) stands for JSON. Ranges with a malformed quality value
/// count as absent, and without a field the answer is no.
#[must_use]
pub fn prefers_json(request: &Head) -> bool {
    let [mut json, mut plain, mut html] = [None; 3];
    let ranges = request.get_all(Known::Accept).flat_map(list_elements);
    for (index, range) in ranges.enumerate() {
        let mut parts = range.split(|&byte| byte == b';').map(trim_ows);
        let name = parts.next().unwrap_or_default();
        let Some(quality) = quality(parts) else { continue };
        let position = Reverse(index);
        note(&mut json, specificity(name, b"application", is_json), quality, position);
        note(
            &mut plain,
            specificity(name, b"text", |subtype| subtype.eq_ignore_ascii_case(b"plain")),
            quality,
            position,
        );
        note(
            &mut html,
            specificity(name, b"text", |subtype| subtype.eq_ignore_ascii_case(b"html")),
            quality,
            position,
        );
    }
    let [json, plain, html] = [json, plain, html].map(Option::<Match>::unwrap_or_default);
    json.quality > 0 && json.rank() > plain.rank().max(html.rank())
}

/// The range that speaks of a type.
#[derive(Clone, Copy, Debug)]
struct Match {
    specificity: u8,
    quality: u16,
    position: Reverse<usize>,
}

impl Default for Match {
    fn default() -> Self {
        Self { specificity: 0, quality: 0, position: Reverse(usize::MAX) }
    }
}

impl Match {
    fn rank(&self) -> (u16, u8, Reverse<usize>) {
        (self.quality, self.specificity, self.position)
    }
}

/// Keeps the most specific range; of those that are equally so, the one that likes the type best.
fn note(best: &mut Option<Match>, specificity: u8, quality: u16, position: Reverse<usize>) {
    let new = Match { specificity, quality, position };
    let known = best.map_or((0, 0), |known| (known.specificity, known.quality));
    if specificity > 0 && (specificity, quality) > known {
        *best = Some(new);
    }
}

/// How exactly a range names a type: 0 if it does not.
fn specificity(range: &[u8], kind: &[u8], is_subtype: impl Fn(&[u8]) -> bool) -> u8 {
    let mut halves = range.splitn(2, |&byte| byte == b'/');
    let (of, subtype) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    match (of, subtype) {
        (b"*", b"*") => 1,
        (of, b"*") if of.eq_ignore_ascii_case(kind) => 2,
        (of, subtype) if of.eq_ignore_ascii_case(kind) && is_subtype(subtype) => 3,
        _ => 0,
    }
}

fn is_json(subtype: &[u8]) -> bool {
    let suffix = subtype.len().checked_sub(b"+json".len()).and_then(|at| subtype.get(at..));
    subtype.eq_ignore_ascii_case(b"json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

/// The weight among the parameters of a range, in thousandths (RFC 9110 12.4.2); `None` if it is malformed.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let weight = parameters.find_map(|parameter| match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => Some(weight),
        _ => None,
    });
    let Some(weight) = weight else { return Some(BEST) };
    let (whole, decimals) = match weight {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut quality = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = decimals.get(place).copied().unwrap_or(b'0');
        quality = quality * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (quality <= BEST).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{HeadLimits, RequestHead};

    fn json_for(fields: &[&str]) -> bool {
        let lines: String = fields.iter().map(|value| format!("Accept: {value}\r\n")).collect();
        let mut request = RequestHead::new();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        request.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
        prefers_json(&request.head)
    }

    #[test]
    fn the_higher_quality_wins_whatever_the_order() {
        for accept in [
            "application/json",
            "text/html;q=0.1, application/json",
            "text/html;q=0.1, text/plain;q=0.2, application/json;q=0.3",
            "text/*;q=0.5, application/json;q=0.501",
            "*/*;q=0.9, Application/JSON",
            "text/plain; Q=0.999 , application/problem+json;v=1;q=1.000",
            "application/*, text/*;q=0.4",
            "text/html;q=0, text/plain;q=0.0, */*;q=0.1",
        ] {
            assert!(json_for(&[accept]), "{accept}");
        }
        for accept in [
            "application/json;q=0, text/plain",
            "application/json;q=0, */*",
            "application/json;q=0",
            "text/*, application/json;q=0.5",
            "application/json;q=0.5, text/html",
            "*/*, application/json;q=0.1",
            "image/png",
            "",
        ] {
            assert!(!json_for(&[accept]), "{accept}");
        }
    }

    #[test]
    fn of_equals_what_is_named_outright_and_first_is_taken() {
        for accept in
            ["application/json, text/plain, */*", "application/json, */*", "application/json, text/html"]
        {
            assert!(json_for(&[accept]), "{accept}");
        }
        for accept in ["*/*", "text/html, application/json", "application/*, text/html", "text/plain, */*"] {
            assert!(!json_for(&[accept]), "{accept}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        assert!(json_for(&["text/html;q=0.3", "application/json;q=0.4"]));
        assert!(!json_for(&["application/json;q=0.4", "text/html"]));
    }

    #[test]
    fn a_malformed_quality_makes_a_range_count_for_nothing() {
        for weight in ["2", "1.001", "0.1234", "-1", "", "0,5", ".5", "0.x"] {
            assert!(!json_for(&[&format!("application/json;q={weight}, text/plain;q=0.1")]), "{weight}");
        }
    }
}
