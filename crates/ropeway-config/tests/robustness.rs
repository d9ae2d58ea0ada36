//! No text makes the reader panic, and every complaint can be drawn.

use proptest::collection::vec;
use proptest::prelude::*;
use ropeway_config::{Environment, Style, parse_with};

fn survives(text: &str) {
    let environment = [("A", "b"), ("EMPTY", "")].into_iter().collect::<Environment>();
    let diagnostics = match parse_with("ropeway.toml", text, environment) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => {
            assert!(errors.error_count() > 0, "refused without an error: {text:?}");
            errors.0
        }
    };
    for one in &diagnostics {
        assert!(one.place.span().end <= text.len());
        assert!(!one.render(Style::Plain).is_empty());
        assert!(one.to_json().is_object());
    }
}

/// What a value may be replaced by: of every type, at every edge.
fn any_value() -> impl Strategy<Value = String> {
    let edges = [
        "0",
        "-1",
        "99999999999999999999999",
        "1e999",
        "nan",
        "0x_f",
        "true",
        "{}",
        "[]",
        "[[]]",
        "{ a = {} }",
        "\"\"",
        "\"0\"",
        "\"${\"",
        "\"${A}\"",
        "\"$${A}\"",
        "\"${A:-}\"",
        "\"99999999999999999999d\"",
        "\"1ms1ms\"",
        "\"*\"",
        "\"[::\"",
        "\"é:80\"",
        "1979-05-27",
        "\"unix:\"",
        "\"/\"",
        "'''\n'''",
        "\"\\u0000\"",
    ];
    prop_oneof![prop::sample::select(edges.to_vec()).prop_map(str::to_owned), ".{0,20}"]
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    /// A file with every key in it, with the value of one line replaced, and a piece cut out.
    #[test]
    fn a_damaged_file(line in 0_usize..200, value in any_value(), cut in 0_usize..6000, length in 0_usize..40) {
        let text = include_str!("every_key.toml");
        let lines = text.lines().enumerate().map(|(index, old)| match old.split_once(" = ") {
            Some((key, _)) if index == line => format!("{key} = {value}"),
            _ => old.to_owned(),
        });
        let replaced = lines.collect::<Vec<_>>().join("\n");
        survives(&replaced);
        let damaged: String =
            replaced.chars().enumerate().filter(|(at, _)| !(cut..cut + length).contains(at)).map(|(_, letter)| letter).collect();
        survives(&damaged);
    }
}

#[test]
fn deep_nesting_is_an_error() {
    survives(&format!("workers = {}", "[".repeat(100_000)));
    survives(&format!("a = {}1{}", "{ a = ".repeat(500), " }".repeat(500)));
}
