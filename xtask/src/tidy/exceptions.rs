//! `xtask/tidy.toml`: what may break a rule, for which reason, and by how much.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The whole list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exceptions {
    pub long_file: Vec<LongFile>,
    pub long_function: Vec<LongFunction>,
    pub unsafe_code: Vec<UnsafeCode>,
}

/// A file longer than the rule allows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongFile {
    pub path: String,
    /// Its length without tests: exactly, so that it can only shrink.
    pub lines: usize,
    pub reason: String,
}

/// A function longer than the rule allows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongFunction {
    pub path: String,
    /// `name`, or `Type::name` for a method.
    pub function: String,
    /// Its length: exactly, so that it can only shrink.
    pub lines: usize,
    pub reason: String,
}

/// A file outside the one folder for it that needs `unsafe`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsafeCode {
    pub path: String,
    pub reason: String,
}

impl Exceptions {
    /// # Errors
    /// When the file cannot be read, is not of this shape, or an entry has no reason.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let list: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some((path, _)) = list.entries().find(|(_, reason)| reason.trim().is_empty()) {
            return Err(format!("the exception of {path} has no reason"));
        }
        Ok(list)
    }

    /// (path, reason) of every entry.
    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.long_file.iter().map(|entry| (&*entry.path, &*entry.reason));
        let functions = self.long_function.iter().map(|entry| (&*entry.path, &*entry.reason));
        let unsafes = self.unsafe_code.iter().map(|entry| (&*entry.path, &*entry.reason));
        files.chain(functions).chain(unsafes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_fine() {
        assert!(Exceptions::parse("").unwrap().long_file.is_empty());
    }

    #[test]
    fn every_entry_needs_a_reason() {
        let list = "[[unsafe_code]]\npath = \"a.rs\"\nreason = \" \"\n";
        assert_eq!(Exceptions::parse(list).unwrap_err(), "the exception of a.rs has no reason");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let list = "[[long_file]]\npath = \"a.rs\"\nlines = 700\nreason = \"r\"\nuntil = \"later\"\n";
        assert!(Exceptions::parse(list).unwrap_err().contains("until"));
    }
}
