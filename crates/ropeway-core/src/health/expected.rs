//! What an HTTP check expects of a response.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use memchr::memmem;

/// What the response to a check must look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The statuses that pass. Default 200 to 399.
    pub statuses: StatusSet,
    /// Bytes that the body must contain somewhere. Default none.
    pub body: Option<Box<[u8]>>,
}

/// In what way a response is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Its status is another.
    Status(u16),
    /// Its body does not contain what it should.
    Body,
}

/// Statuses of final responses, written as in `200-399` or `200,204,301-308`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet {
    ranges: Vec<RangeInclusive<u16>>,
}

/// Why a text is not a set of statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusSetError {
    /// This part is neither a status nor a range of statuses.
    Malformed(Box<str>),
    /// This part has a status outside 100 to 599 (RFC 9110, 15).
    OutOfRange(Box<str>),
    /// This range ends before it begins.
    Backwards(Box<str>),
}

impl Expectation {
    /// Whether the body has to be read before a response can be judged.
    #[must_use]
    pub const fn needs_body(&self) -> bool {
        self.body.is_some()
    }

    /// Judges a response. `body` is as much of the body as was read; it may be empty if it is not
    /// [needed](Self::needs_body).
    pub fn judge(&self, status: u16, body: &[u8]) -> Result<(), Mismatch> {
        if !self.statuses.contains(status) {
            return Err(Mismatch::Status(status));
        }
        match &self.body {
            Some(wanted) if memmem::find(body, wanted).is_none() => Err(Mismatch::Body),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(out, "status {status}"),
            Self::Body => out.write_str("the body does not contain the expected text"),
        }
    }
}

impl StatusSet {
    /// Whether a status is in the set.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&status))
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        Self { ranges: vec![200..=399] }
    }
}

impl FromStr for StatusSet {
    type Err = StatusSetError;

    /// Reads statuses and ranges between commas; blanks around them are allowed.
    fn from_str(text: &str) -> Result<Self, StatusSetError> {
        let ranges = text.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { ranges })
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(out, "{comma}{first}")?,
                (first, last) => write!(out, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn range(part: &str) -> Result<RangeInclusive<u16>, StatusSetError> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (status(first.trim(), part)?, status(last.trim(), part)?);
    if first > last { Err(StatusSetError::Backwards(part.into())) } else { Ok(first..=last) }
}

fn status(text: &str, part: &str) -> Result<u16, StatusSetError> {
    // Digits only: the standard library would accept a plus sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StatusSetError::Malformed(part.into()));
    }
    let number = text.parse().ok().filter(|number| (100..=599).contains(number));
    number.ok_or_else(|| StatusSetError::OutOfRange(part.into()))
}

impl fmt::Display for StatusSetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(part) => {
                write!(out, "`{part}` is not a status or a range of statuses such as 200-399")
            }
            Self::OutOfRange(part) => write!(out, "`{part}` is not within 100 to 599"),
            Self::Backwards(part) => write!(out, "the range `{part}` ends before it begins"),
        }
    }
}

impl std::error::Error for StatusSetError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> StatusSet {
        text.parse().expect("a valid set")
    }

    #[test]
    fn reads_statuses_and_ranges() {
        let mixed = set(" 200, 204 ,301 - 308");
        let inside: Vec<u16> = (0..=u16::MAX).filter(|&status| mixed.contains(status)).collect();
        assert_eq!(inside, [200, 204, 301, 302, 303, 304, 305, 306, 307, 308]);
        assert_eq!(mixed.to_string(), "200,204,301-308");
        assert_eq!(set("200-399"), StatusSet::default());
    }

    #[test]
    fn refuses_what_is_not_a_set() {
        let error = |text: &str| text.parse::<StatusSet>().expect_err(text);
        for text in ["", "2xx", "200,", "200-", "-200", "+200", "200-300-400", "20 0"] {
            assert!(matches!(error(text), StatusSetError::Malformed(_)), "{text}");
        }
        for text in ["99", "600", "0-200", "200-70000", "99999999999999999999"] {
            assert!(matches!(error(text), StatusSetError::OutOfRange(_)), "{text}");
        }
        assert_eq!(error("200,399-200"), StatusSetError::Backwards("399-200".into()));
    }

    #[test]
    fn judges_the_status_before_the_body() {
        let plain = Expectation::default();
        assert!(!plain.needs_body());
        assert_eq!(plain.judge(204, b""), Ok(()));
        assert_eq!(plain.judge(500, b""), Err(Mismatch::Status(500)));

        let ready = Expectation { body: Some(b"ready"[..].into()), ..Expectation::default() };
        assert!(ready.needs_body());
        assert_eq!(ready.judge(200, b"all ready now"), Ok(()));
        assert_eq!(ready.judge(200, b"read"), Err(Mismatch::Body));
        assert_eq!(ready.judge(503, b"ready"), Err(Mismatch::Status(503)));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bounds in proptest::collection::vec((100_u16..600, 100_u16..600), 1..6)) {
            let ranges = bounds.iter().map(|&(a, b)| a.min(b)..=a.max(b)).collect();
            let original = StatusSet { ranges };
            prop_assert_eq!(set(&original.to_string()), original);
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = text.parse::<StatusSet>();
        }
    }
}
