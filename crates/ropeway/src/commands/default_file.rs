//! Which configuration file is meant when none is named.

use std::path::{Path, PathBuf};

const SYSTEM: &str = "/etc/ropeway/ropeway.toml";
const LOCAL: &str = "ropeway.toml";

/// The file that was named; else that of the system, when there is one; else the one in this directory.
pub fn named_or_default(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        let system = Path::new(SYSTEM);
        if system.exists() { system.to_owned() } else { PathBuf::from(LOCAL) }
    })
}
