//! Printing, and how a command ends.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Wrong usage or configuration.
pub const WRONG: u8 = 2;

/// Prints `text` to standard output. A reader that has seen enough, such as `head`, is no failure.
pub fn print(text: impl AsRef<[u8]>) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => failed(error),
        _ => ExitCode::SUCCESS,
    }
}

/// Says why a command failed.
pub fn failed(reason: impl Display) -> ExitCode {
    eprintln!("error: {reason}");
    ExitCode::FAILURE
}
