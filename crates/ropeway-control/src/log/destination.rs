//! Where access records go.

use std::fmt;
use std::path::PathBuf;

/// Where access records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The standard output of the process.
    Stdout,
    /// The standard error of the process, between the messages of its own log.
    Stderr,
    /// A file, created when it is not there and appended to when it is.
    File(PathBuf),
}

impl fmt::Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => out.write_str("stdout"),
            Self::Stderr => out.write_str("stderr"),
            Self::File(path) => write!(out, "{}", path.display()),
        }
    }
}
