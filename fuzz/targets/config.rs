//! Any text as a configuration file: reading it never panics, and whatever is wrong can be shown to people and
//! machines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_config::{Environment, Style, parse_with};

fuzz_target!(|text: &str| {
    match parse_with("fuzz.toml", text, Environment::default()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                assert!(!warning.render(Style::Plain).is_empty());
            }
        }
        Err(found) => {
            assert!(found.error_count() > 0, "refused without an error");
            assert!(!found.render(Style::Plain).is_empty());
            assert!(found.to_json().is_array());
        }
    }
});
