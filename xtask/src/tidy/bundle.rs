//! The dashboard's bundle is committed beside its source: each must be what the other was when it was built.
//!
//! `npm run build` in `dashboard/` writes down the SHA-256 of every file that went in and came out. Comparing needs
//! no Node.js, so that it works wherever Rust does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Lines as `sha256sum` writes them, with paths from the root of the repository.
const RECORD: &str = "crates/ropeway-control/dashboard/bundle.sha256";

// The same lists as in dashboard/record_bundle.mjs.
const FILES: [&str; 5] = [
    "dashboard/index.html",
    "dashboard/package-lock.json",
    "dashboard/package.json",
    "dashboard/tsconfig.json",
    "dashboard/vite.config.ts",
];
const FOLDERS: [&str; 3] = ["dashboard/public", "dashboard/src", "crates/ropeway-control/dashboard/dist"];

const REMEDY: &str = "build the dashboard (CONTRIBUTING.md) and commit the bundle together with its source";

/// Path to SHA-256 in hexadecimal digits.
type Hashes = BTreeMap<String, String>;

/// A finding for each file that is not what it was when the bundle was built.
///
/// # Errors
/// When a file or folder cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let record = fs::read_to_string(root.join(RECORD)).map_err(|error| format!("{RECORD}: {error}"))?;
    Ok(differences(&recorded(&record), &present(root)?))
}

fn differences(recorded: &Hashes, present: &Hashes) -> Vec<String> {
    let changed = present.iter().filter_map(|(path, hash)| match recorded.get(path) {
        None => Some(format!("{path}: new since the dashboard's bundle was built: {REMEDY}")),
        Some(then) if then != hash => {
            Some(format!("{path}: changed since the dashboard's bundle was built: {REMEDY}"))
        }
        Some(_) => None,
    });
    let gone = recorded.keys().filter(|path| !present.contains_key(*path));
    changed
        .chain(gone.map(|path| format!("{path}: gone since the dashboard's bundle was built: {REMEDY}")))
        .collect()
}

/// A line that is none of `sha256sum` names no file, and the file that it was about is a finding.
fn recorded(record: &str) -> Hashes {
    let pairs = record.lines().filter_map(|line| line.split_once("  "));
    pairs.map(|(hash, path)| (path.to_owned(), hash.to_owned())).collect()
}

fn present(root: &Path) -> Result<Hashes, String> {
    let mut hashes = Hashes::new();
    for file in FILES {
        add_file(root, file, &mut hashes)?;
    }
    for folder in FOLDERS {
        add_folder(root, folder, &mut hashes)?;
    }
    Ok(hashes)
}

fn add_folder(root: &Path, folder: &str, hashes: &mut Hashes) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{folder}: {error}");
    for entry in fs::read_dir(root.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(failed)?.is_dir() {
            add_folder(root, &path, hashes)?;
        } else {
            add_file(root, &path, hashes)?;
        }
    }
    Ok(())
}

fn add_file(root: &Path, path: &str, hashes: &mut Hashes) -> Result<(), String> {
    let content = fs::read(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
    let hash = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    hashes.insert(path.to_owned(), hash);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of letters, for the reader's eyes.
    fn hashes(text: &str) -> Hashes {
        recorded(&text.replace(' ', "  ").replace(',', "\n"))
    }

    #[test]
    fn a_bundle_that_is_what_was_built_is_fine() {
        let built = hashes("aa dashboard/src/page.tsx,bb dist/index.html");
        assert_eq!(differences(&built, &built.clone()), Vec::<String>::new());
    }

    #[test]
    fn each_file_that_is_new_changed_or_gone_is_named() {
        let built = hashes("aa src/same.ts,bb src/changed.ts,cc src/gone.ts");
        let now = hashes("aa src/same.ts,b0 src/changed.ts,dd src/new.ts");
        let found = differences(&built, &now);
        let starts: Vec<&str> = found.iter().map(|finding| finding.split(" since").next().unwrap()).collect();
        assert_eq!(starts, ["src/changed.ts: changed", "src/new.ts: new", "src/gone.ts: gone"]);
    }

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let folder = std::env::temp_dir().join(format!("ropeway-bundle-{}", std::process::id()));
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(folder.join("deep/abc"), "abc").unwrap();
        let mut found = Hashes::new();
        let outcome = add_folder(&folder, "deep", &mut found);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(outcome, Ok(()));
        // The example of FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  deep/abc";
        assert_eq!(found, recorded(known));
    }
}
