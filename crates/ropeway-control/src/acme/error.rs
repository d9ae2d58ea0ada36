//! Why an order failed.

use std::fmt;
use std::io;
use std::path::Path;

use instant_acme::{Error, Problem};

/// Why an order failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderError {
    /// The authority could not be asked. It may be back in a moment, and it counts no failure against us.
    Unreachable(String),
    /// The authority said no, or something that makes no sense.
    Refused(String),
    /// A file of ours cannot be read or written; the authority has made nothing for us that would be lost by it.
    Storage(String),
    /// The authority made something that did not get into the storage. It counts how many it makes.
    Lost(String),
}

impl OrderError {
    pub(super) fn refused(why: impl fmt::Display) -> Self {
        Self::Refused(why.to_string())
    }

    /// The same, where what the authority made is lost.
    pub(super) fn lost(self) -> Self {
        match self {
            Self::Unreachable(_) | Self::Storage(_) => Self::Lost(self.to_string()),
            Self::Refused(_) | Self::Lost(_) => self,
        }
    }

    /// Whether it may be tried again in a moment, because nobody counts.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Storage(_))
    }

    pub(super) fn storage(path: &Path, error: &io::Error) -> Self {
        Self::Storage(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the authority cannot be reached: {why}"),
            Self::Refused(why) => write!(f, "the authority refused: {why}"),
            Self::Storage(why) => write!(f, "the storage cannot be used: {why}"),
            Self::Lost(why) => write!(f, "what the authority made is lost: {why}"),
        }
    }
}

impl From<Error> for OrderError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Refused(describe(&problem)),
            Error::Other(inner) => Self::Unreachable(chain(&*inner)),
            Error::Http(_) | Error::Json(_) | Error::InvalidUri(_) => {
                Self::Unreachable(format!("its answer is not that of an ACME server: {error}"))
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

/// A problem document (RFC 8555 section 6.7) in one line.
pub(super) fn describe(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("unknown");
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let mut text = printable(kind);
    if let Some(detail) = &problem.detail {
        text = format!("{text}: {}", printable(detail));
    }
    for part in &problem.subproblems {
        let name = part.identifier.as_ref().map(|name| format!("{name:?}")).unwrap_or_default();
        text =
            format!("{text}; {} {}", printable(&name), printable(part.detail.as_deref().unwrap_or_default()));
    }
    match hint(kind) {
        Some(hint) => format!("{text} ({hint})"),
        None => text,
    }
}

/// What to do about it.
fn hint(kind: &str) -> Option<&'static str> {
    match kind {
        "externalAccountRequired" => Some("add `eab = { kid = ..., key = ... }` to `[acme]`"),
        "accountDoesNotExist" => {
            Some("the account in the storage is unknown there: move its file away for a new one")
        }
        "connection" | "dns" => Some("the authority must reach this proxy by the name of the host"),
        _ => None,
    }
}

/// Text of the authority, fit for one line of a log.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(500).collect()
}

/// An error with those that led to it, each once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_to_do() {
        let problem = |json: &str| describe(&serde_json::from_str(json).unwrap());
        assert_eq!(
            problem(
                r#"{"type":"urn:ietf:params:acme:error:externalAccountRequired","detail":"no\nbinding"}"#
            ),
            "externalAccountRequired: no binding (add `eab = { kid = ..., key = ... }` to `[acme]`)"
        );
        assert_eq!(problem("{}"), "unknown");
    }
}
