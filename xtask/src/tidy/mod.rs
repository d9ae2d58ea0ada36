//! House rules that a program can check. Each finding names the place and the way out.
//!
//! Length and `unsafe` have exceptions, listed with their reasons in `xtask/tidy.toml`. That list only
//! shrinks: an entry that is no longer needed, or allows more than is used, is a finding itself.

mod bundle;
mod exceptions;
mod lengths;
mod manifests;
mod names;
mod sources;
mod unsafe_code;

use std::path::Path;

use exceptions::Exceptions;

/// Checks the repository at `root` and returns what it found, in the order of the rules.
///
/// # Errors
/// When a file of the repository cannot be read or parsed.
pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let exceptions = Exceptions::read(&root.join("xtask/tidy.toml"))?;
    let sources = sources::rust(root)?;
    let mut findings = names::check(&sources::paths(root)?);
    findings.extend(manifests::check(root)?);
    findings.extend(lengths::check(&sources, &exceptions));
    findings.extend(unsafe_code::check(&sources, &exceptions));
    findings.extend(bundle::check(root)?);
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(check(root), Ok(Vec::new()));
    }
}
