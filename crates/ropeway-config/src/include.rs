//! More files: which ones a pattern names, and how what they hold is merged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::check::refuse_duplicates;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::load::{read_config, read_source};
use crate::place::{Located, Place, Source};
use crate::schema::Config;
use crate::syntax::repair;

/// What an included file may hold.
const MERGED: [&str; 3] = ["listener", "route", "upstream"];

/// Reads the files that `config` includes, with patterns relative to `folder`, and merges them into it. Answers which
/// files were read.
pub(crate) fn merge(context: &mut Context, config: &mut Config, folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in config.include.clone() {
        for file in matching(context, &pattern, folder) {
            // A file that two patterns name is read once.
            if !files.contains(&file) {
                merge_file(context, config, &file);
                files.push(file);
            }
        }
    }
    refuse_duplicates(context, "listener", config.listeners.iter().map(|listener| &listener.name));
    refuse_duplicates(context, "upstream", config.upstreams.iter().map(|upstream| &upstream.name));
    files
}

/// Complains about `include` where no files may be read.
pub(crate) fn refuse(context: &mut Context, config: &Config) {
    for pattern in &config.include {
        let message = "`include` works only in a configuration that is read from a file";
        context.report(Diagnostic::error("include-not-possible", &pattern.place, message));
    }
}

fn merge_file(context: &mut Context, config: &mut Config, file: &Path) {
    let Some(source) = read_source(context, file) else { return };
    refuse_other_keys(context, &source);
    let included = read_config(context, &source);
    config.listeners.extend(included.listeners);
    config.routes.extend(included.routes);
    config.upstreams.extend(included.upstreams);
}

fn refuse_other_keys(context: &mut Context, source: &Arc<Source>) {
    let repaired = repair(source.text());
    let (document, _) = DeTable::parse_recoverable(&repaired.text);
    for key in document.get_ref().keys().filter(|key| !MERGED.contains(&key.get_ref().as_ref())) {
        let place = Place::new(Arc::clone(source), key.span());
        let message = format!("`{}` cannot be set in an included file", key.get_ref());
        let complaint = Diagnostic::error("not-in-include", &place, message);
        context.report(
            complaint.help("included files hold listeners, routes and upstreams; move it to the main file"),
        );
    }
}

/// The files that `pattern` names, in alphabetical order. A plain name must exist; a pattern without
/// matches is warned of.
fn matching(context: &mut Context, pattern: &Located<String>, folder: &Path) -> Vec<PathBuf> {
    let (parent, name) =
        pattern.rsplit_once('/').map_or(("", pattern.as_str()), |(parent, name)| match parent {
            "" => ("/", name),
            parent => (parent, name),
        });
    let is_wild = |part: &str| part.contains(['*', '?']);
    if is_wild(parent) || name.is_empty() {
        let message = format!("`{pattern}` is not a pattern for files");
        let complaint = Diagnostic::error("bad-include", &pattern.place, message);
        context.report(complaint.help("`*` and `?` may stand in the last part only: \"conf.d/*.toml\""));
        return Vec::new();
    }
    let parent = folder.join(parent);
    if !is_wild(name) {
        return existing(context, pattern, parent.join(name));
    }
    let entries = std::fs::read_dir(&parent).into_iter().flatten().filter_map(Result::ok);
    let is_file = |path: &PathBuf| path.is_file();
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(|file| wild_match(name, file)));
    let mut files: Vec<PathBuf> = named.map(|entry| entry.path()).filter(is_file).collect();
    files.sort();
    if files.is_empty() {
        let message = format!("no file matches `{pattern}`");
        let complaint = Diagnostic::warning("empty-include", &pattern.place, message);
        context.report(
            complaint.help(format!("nothing is included; the files would be in {}", parent.display())),
        );
    }
    files
}

fn existing(context: &mut Context, pattern: &Located<String>, file: PathBuf) -> Vec<PathBuf> {
    if file.is_file() {
        return vec![file];
    }
    let message = format!("there is no file {}", file.display());
    context.report(Diagnostic::error("bad-include", &pattern.place, message));
    Vec::new()
}

/// `*` stands for any number of characters, `?` for one. As in a shell, neither stands for a dot at the beginning.
fn wild_match(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    let (mut at_pattern, mut at_name, mut last_star) = (0, 0, None);
    while let Some(letter) = name.get(at_name) {
        match pattern.get(at_pattern) {
            Some('*') => {
                last_star = Some((at_pattern, at_name));
                at_pattern += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == letter => {
                at_pattern += 1;
                at_name += 1;
            }
            // Let the last star take one character more, and try again from there.
            _ => match last_star {
                Some((star, taken)) => {
                    last_star = Some((star, taken + 1));
                    (at_pattern, at_name) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at_pattern).all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::wild_match;

    #[test]
    fn patterns() {
        for (pattern, name) in
            [("*.toml", "a.toml"), ("*", "x"), ("a?c", "abc"), ("*a*b", "xaab"), (".*", ".x")]
        {
            assert!(wild_match(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.toml", "a.tom"), ("*.toml", ".toml"), ("a?c", "ac"), ("*.toml", "a.toml~"), ("", "a")]
        {
            assert!(!wild_match(pattern, name), "{pattern} {name}");
        }
    }
}
