//! Where access records go.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
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

impl Destination {
    /// Whether it is a named pipe.
    pub(super) fn is_pipe(&self) -> bool {
        match self {
            Self::File(path) => path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()),
            Self::Stdout | Self::Stderr => false,
        }
    }
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
