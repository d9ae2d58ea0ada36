//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

use serde_json::{Value, json};

use crate::place::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably does not do what was meant.
    Warning,
}

/// One thing to tell the operator about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable name for this kind of problem, for machines and for searching: `unknown-key`, `duplicate-name`, ...
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where.
    pub place: Place,
    /// A few words shown beside the caret; may be empty.
    pub label: String,
    /// Other places that belong to the problem, each with what it has to do with it.
    pub related: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// Text that would be right in place of the text at `place`, when there is one obvious candidate.
    pub replacement: Option<String>,
}

impl Diagnostic {
    /// An error `code` at `place`.
    pub fn error(code: &'static str, place: &Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, place, message.into())
    }

    /// A warning `code` at `place`.
    pub fn warning(code: &'static str, place: &Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, place, message.into())
    }

    fn new(severity: Severity, code: &'static str, place: &Place, message: String) -> Diagnostic {
        let place = place.clone();
        let (label, related) = (String::new(), Vec::new());
        Diagnostic { severity, code, message, place, label, related, help: None, replacement: None }
    }

    /// Adds the words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, place: &Place, why: impl Into<String>) -> Diagnostic {
        self.related.push((place.clone(), why.into()));
        self
    }

    /// Adds the text that would be right in place of what stands there.
    #[must_use]
    pub fn replacement(mut self, text: impl Into<String>) -> Diagnostic {
        self.replacement = Some(text.into());
        self
    }

    /// For people: message, excerpt of the file with a caret, help. Ends without a newline.
    pub fn render(&self, style: Style) -> String {
        crate::render::render(self, style)
    }

    /// For machines: one object with `severity`, `code`, `message`, `file`, `line`, `column`, `span` (byte offsets),
    /// `label`, `help`, `replacement` and `related`.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "code": self.code,
            "message": self.message,
            "file": self.place.source().name(),
            "line": self.place.line(),
            "column": self.place.column(),
            "span": [self.place.span().start, self.place.span().end],
            "label": self.label,
            "help": self.help,
            "replacement": self.replacement,
            "related": self.related.iter().map(related_json).collect::<Vec<_>>(),
        })
    }
}

fn related_json((place, why): &(Place, String)) -> Value {
    json!({
        "file": place.source().name(),
        "line": place.line(),
        "column": place.column(),
        "span": [place.span().start, place.span().end],
        "message": why,
    })
}

/// How to draw a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences.
    Plain,
    /// ANSI colours, for a terminal.
    Colour,
}

impl Style {
    /// What suits standard error: colours on a terminal, unless `NO_COLOR` is set.
    #[must_use]
    pub fn for_stderr() -> Self {
        use std::io::IsTerminal;
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if !plain && std::io::stderr().is_terminal() { Self::Colour } else { Self::Plain }
    }
}

/// How many diagnostics are drawn: more than one would read, few enough to be quick with a large generated file.
const MOST_RENDERED: usize = 100;

/// Everything that is wrong with a configuration: at least one error, and the warnings found on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// All of it, errors first, each in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.iter().filter(|one| one.severity == Severity::Error).count()
    }

    /// For people: the first 100 diagnostics, separated by empty lines, and a last line that counts them all.
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for one in self.iter().take(MOST_RENDERED) {
            out.push_str(&one.render(style));
            out.push_str("\n\n");
        }
        if self.0.len() > MOST_RENDERED {
            out.push_str(&format!("... and {} more\n\n", self.0.len() - MOST_RENDERED));
        }
        out.push_str(&self.summary());
        out
    }

    /// For machines: an array of [`Diagnostic::to_json`].
    pub fn to_json(&self) -> Value {
        Value::Array(self.iter().map(Diagnostic::to_json).collect())
    }

    fn summary(&self) -> String {
        let errors = self.error_count();
        let warnings = self.0.len() - errors;
        match warnings {
            0 => counted(errors, "error"),
            _ => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Diagnostics {}
