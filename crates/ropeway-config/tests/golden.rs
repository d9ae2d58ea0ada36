//! What is said about every kind of mistake: each file in `errors/` and `warnings/` beside what it leads to.
//!
//! After a change on purpose: `INSTA_UPDATE=always cargo test -p ropeway-config --test golden`, and read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use ropeway_config::{Diagnostic, Environment, Style, parse_with};

/// The variables that the files may name.
fn environment() -> Environment {
    [("PORT", "8080"), ("APP_NAME", "app")].into_iter().collect()
}

#[test]
fn errors() {
    for_each_file("errors", |name, text| match parse_with(name, text, environment()) {
        Ok(_) => panic!("{name} loads without an error"),
        Err(errors) => errors.render(Style::Plain),
    });
}

#[test]
fn warnings() {
    for_each_file("warnings", |name, text| {
        let loaded = parse_with(name, text, environment()).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!loaded.warnings.is_empty(), "{name} leads to no warning");
        loaded.warnings.iter().map(|warning| warning.render(Style::Plain)).collect::<Vec<_>>().join("\n\n")
    });
}

#[test]
fn errors_for_machines() {
    let text = include_str!("errors/unknown_upstream.toml");
    let errors = parse_with("ropeway.toml", text, environment()).unwrap_err();
    let json = errors.to_json();
    assert_eq!(json.as_array().map(Vec::len), Some(errors.iter().count()));
    insta::with_settings!({ snapshot_path => "errors", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("for_machines", serde_json::to_string_pretty(&json).unwrap());
    });
}

/// A replacement that is offered must make its error go away.
#[test]
fn replacements_are_right() {
    let mut tried = 0;
    for file in files("errors") {
        let text = fs::read_to_string(&file).unwrap();
        let Err(errors) = parse_with("ropeway.toml", &text, environment()) else { continue };
        for error in errors.iter().filter(|error| error.replacement.is_some()) {
            let repaired = repair(&text, error);
            let left = match parse_with("ropeway.toml", &repaired, environment()) {
                Ok(_) => 0,
                Err(errors) => errors.iter().filter(|other| other.message == error.message).count(),
            };
            assert_eq!(left, 0, "{} stays after the repair:\n{repaired}", error.message);
            tried += 1;
        }
    }
    assert!(tried > 25, "only {tried} replacements were offered");
}

fn repair(text: &str, error: &Diagnostic) -> String {
    let mut repaired = text.to_owned();
    repaired.replace_range(error.place.span(), error.replacement.as_deref().unwrap());
    repaired
}

fn for_each_file(folder: &str, check: impl Fn(&str, &str) -> String) {
    let files = files(folder);
    assert!(!files.is_empty());
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let rendered = check(&format!("{stem}.toml"), &fs::read_to_string(&file).unwrap());
        insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(stem, rendered);
        });
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}
