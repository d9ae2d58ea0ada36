//! The files of the repository that the rules speak about.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what tools made or other people wrote.
const NOT_OURS: [&str; 7] = [".git", "target", "node_modules", "corpus", "artifacts", "coverage", "dist"];

/// One parsed Rust file.
pub struct Source {
    /// Relative to the repository, with `/` between its parts.
    pub path: String,
    pub text: String,
    pub syntax: syn::File,
}

impl Source {
    /// # Errors
    /// When `text` is not Rust.
    pub fn parse(path: &str, text: String) -> Result<Self, String> {
        let syntax = syn::parse_file(&text).map_err(|error| format!("{path}: {error}"))?;
        Ok(Self { path: path.to_owned(), text, syntax })
    }

    /// A file that holds nothing but tests.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
    }
}

/// Every Rust file, in the order of its path.
///
/// # Errors
/// When a file cannot be read or parsed.
pub fn rust(root: &Path) -> Result<Vec<Source>, String> {
    let ours = paths(root)?.into_iter().filter(|path| path.ends_with(".rs"));
    ours.map(|path| {
        let text = fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        Source::parse(&path, text)
    })
    .collect()
}

/// Every file's path relative to the repository, sorted.
///
/// # Errors
/// When a folder cannot be listed.
pub fn paths(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    collect(root, root, &mut found).map_err(|error| format!("{}: {error}", root.display()))?;
    found.sort();
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            collect(root, &entry.path(), found)?;
        } else if kind.is_file() {
            found.push(relative(root, &entry.path()));
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let inner: PathBuf = path.strip_prefix(root).unwrap_or(path).to_owned();
    inner.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
