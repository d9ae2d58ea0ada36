//! The absences that the crates were split for, kept in their manifests.

use std::fs;
use std::path::Path;

/// A crate, what its manifest may never name, and why.
const ABSENCES: [(&str, &[&str], &str); 3] = [
    (
        "crates/ropeway-core/Cargo.toml",
        &["tokio", "serde", "serde_json", "toml", "socket2", "rustix", "libc", "tracing", "log"],
        "the core is pure: no sockets, async, serialisation or logging",
    ),
    (
        "crates/ropeway-proxy/Cargo.toml",
        &["serde", "serde_json", "toml", "ropeway-config", "ropeway-control"],
        "the data plane knows no file format and nothing of the control plane",
    ),
    (
        "crates/ropeway-config/Cargo.toml",
        &["tokio", "socket2", "rustix", "ropeway-proxy", "ropeway-control"],
        "the file format knows no sockets and nothing of the data plane",
    ),
];

/// A finding for each dependency, of whatever kind, that must be absent.
///
/// # Errors
/// When a manifest cannot be read or parsed.
pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for (path, forbidden, reason) in ABSENCES {
        let text = fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        let manifest: toml::Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
        let named = dependencies(&manifest);
        let present = forbidden.iter().filter(|name| named.iter().any(|dependency| dependency == *name));
        findings.extend(present.map(|name| format!("{path}: may not depend on {name}: {reason}")));
    }
    Ok(findings)
}

/// The packages that a manifest names, in every kind of section; a feature `x/serde` names serde as well.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                names.extend(table.iter().flat_map(|(name, details)| package_and_features(name, details)));
            }
            "target" => names.extend(table.values().filter_map(toml::Value::as_table).flat_map(dependencies)),
            _ => {}
        }
    }
    names
}

/// The package behind `name`, renamed or not, and the features asked of it (`ipnet` with `serde` brings serde).
fn package_and_features(name: &str, details: &toml::Value) -> Vec<String> {
    let package = details.get("package").and_then(toml::Value::as_str).unwrap_or(name);
    let features = details.get("features").and_then(toml::Value::as_array).into_iter().flatten();
    let features = features.filter_map(toml::Value::as_str).map(str::to_owned);
    std::iter::once(package.to_owned()).chain(features).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(manifest: &str) -> Vec<String> {
        dependencies(&manifest.parse().unwrap())
    }

    #[test]
    fn sees_every_kind_of_section() {
        let manifest = "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"1\"\n\
                        [target.'cfg(unix)'.build-dependencies]\nc = \"1\"\n[features]\nd = []\n";
        assert_eq!(named(manifest), ["a", "b", "c"]);
    }

    #[test]
    fn sees_through_renaming_and_into_features() {
        let manifest = "[dependencies]\nrt = { package = \"tokio\", version = \"1\" }\n\
                        ipnet = { version = \"2\", features = [\"serde\"] }\n";
        assert_eq!(named(manifest), ["ipnet", "serde", "tokio"]);
    }
}
