//! From a file, or a text, to a [`Config`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::check;
use crate::context::{Context, Environment, Node};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::include;
use crate::place::{Place, Source};
use crate::reader::read_section;
use crate::schema::Config;
use crate::syntax::{is_duplicate, repair};

/// The largest file that is read, in bytes. More than any configuration, less than what would hurt.
const LARGEST_FILE: u64 = 64 << 20;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, included files merged in.
    pub config: Config,
    /// What an operator should look at all the same.
    pub warnings: Vec<Diagnostic>,
    /// Every file that was read, the main file first: what to watch for changes.
    pub files: Vec<PathBuf>,
}

/// Reads the file at `path`, and what it includes, with this process's environment.
///
/// # Errors
/// Everything that is wrong with it, not just the first thing.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    load_with(path, Environment::of_process())
}

/// [`load`] with an environment of the caller's choice.
///
/// # Errors
/// As for [`load`].
pub fn load_with(path: &Path, environment: Environment) -> Result<Loaded, Diagnostics> {
    let mut context = Context::new(environment);
    let mut files = vec![path.to_owned()];
    let config = read_source(&mut context, path).map(|source| {
        let mut config = read_config(&mut context, &source);
        files.extend(include::merge(&mut context, &mut config, path.parent().unwrap_or(Path::new(""))));
        check::check(&mut context, &mut config, &source);
        if context.has_errors() {
            check::check_files(&mut context, &config);
        }
        config
    });
    finish(context, config, files)
}

/// Reads `text`, which messages will call `name`. Nothing but the text is read: `include` is an error here.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Diagnostics> {
    parse_with(name, text, Environment::of_process())
}

/// [`parse`] with an environment of the caller's choice.
///
/// # Errors
/// As for [`parse`].
pub fn parse_with(name: &str, text: &str, environment: Environment) -> Result<Loaded, Diagnostics> {
    let mut context = Context::new(environment);
    let source = Source::new(name, text);
    let mut config = read_config(&mut context, &source);
    include::refuse(&mut context, &config);
    check::check(&mut context, &mut config, &source);
    finish(context, Some(config), Vec::new())
}

fn finish(context: Context, config: Option<Config>, files: Vec<PathBuf>) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = context.diagnostics;
    diagnostics
        .sort_by_key(|one| (one.severity, one.place.source().name().to_owned(), one.place.span().start));
    let failed = diagnostics.iter().any(|one| one.severity == Severity::Error);
    match config {
        Some(config) if !failed => Ok(Loaded { config, warnings: diagnostics, files }),
        _ => Err(Diagnostics(diagnostics)),
    }
}

/// Reads a file, and complains when that is not possible.
pub(crate) fn read_source(context: &mut Context, path: &Path) -> Option<Arc<Source>> {
    let name = path.display().to_string();
    let complain = |context: &mut Context, why: String| {
        let nothing = Source::new(name.clone(), "");
        let message = format!("cannot read {name}: {why}");
        context.report(Diagnostic::error("unreadable-file", &Place::start_of(&nothing), message));
        None
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return complain(context, "it is a directory".to_owned()),
        Ok(metadata) if metadata.len() > LARGEST_FILE => {
            return complain(context, format!("it is larger than {LARGEST_FILE} bytes"));
        }
        Ok(_) => {}
        Err(error) => return complain(context, error.to_string()),
    }
    match std::fs::read(path) {
        Ok(bytes) => utf8(context, &name, bytes),
        Err(error) => complain(context, error.to_string()),
    }
}

fn utf8(context: &mut Context, name: &str, bytes: Vec<u8>) -> Option<Arc<Source>> {
    match String::from_utf8(bytes) {
        Ok(text) => Some(Source::new(name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let source = Source::new(name, String::from_utf8_lossy(error.as_bytes()));
            let place = Place::new(source, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            context.report(Diagnostic::error("not-utf8", &place, "the file is not UTF-8").label("this byte"));
            None
        }
    }
}

/// Reads one file's tables, as far as its syntax is right.
pub(crate) fn read_config(context: &mut Context, source: &Arc<Source>) -> Config {
    let (document, errors) = DeTable::parse_recoverable(source.text());
    if errors.iter().all(is_duplicate) {
        report_duplicates(context, source, &errors);
        return read_document(context, source, document.into_inner());
    }
    let repaired = repair(source.text());
    for error in repaired.errors {
        let place = Place::new(Arc::clone(source), error.span);
        context.report(Diagnostic::error("syntax", &place, error.message));
    }
    context.gaps_in(source, repaired.gaps);
    let (document, duplicates) = DeTable::parse_recoverable(&repaired.text);
    report_duplicates(context, source, &duplicates);
    read_document(context, source, document.into_inner())
}

fn report_duplicates(context: &mut Context, source: &Arc<Source>, errors: &[toml::de::Error]) {
    let is_same = |one: &toml::de::Error, other: &toml::de::Error| {
        (one.span(), one.message()) == (other.span(), other.message())
    };
    for (at, error) in errors.iter().enumerate() {
        // The parser comes by an inline table more than once.
        if errors.iter().take(at).any(|earlier| is_same(earlier, error)) {
            continue;
        }
        let place = Place::new(Arc::clone(source), error.span().unwrap_or(0..0));
        let complaint = Diagnostic::error("duplicate-key", &place, error.message());
        context.report(complaint.help(if error.message() == "duplicate key" {
            "it was given before; remove one of the two"
        } else {
            "an inline table, `name = { ... }`, is whole as it is: write its keys below a line `[name]` instead"
        }));
    }
}

fn read_document(context: &mut Context, source: &Arc<Source>, document: DeTable<'_>) -> Config {
    let root = DeValue::Table(document);
    let node = Node::over(source, &root, 0..0);
    read_section(context, node.entries().unwrap_or_default(), node.place(), None)
}
