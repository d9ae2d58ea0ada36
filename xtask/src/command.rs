//! Running other programs.

use std::path::Path;
use std::process::{Command, Output};

/// Cargo, the one that runs this program, at the root of the repository.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// What a program printed, once it has ended well.
///
/// # Errors
/// When it cannot be run, or fails; with what it said of that.
pub fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| unable(command, &error))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(format!("{} failed with {}:\n{}", name(command), output.status, text(&output.stderr)))
    }
}

/// Runs a program that takes long, and lets it say what it does.
///
/// # Errors
/// When it cannot be run, or fails.
pub fn watch(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| unable(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed with {status}", name(command))) }
}

/// What a program printed, whatever else is in it.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn unable(command: &Command, error: &std::io::Error) -> String {
    format!("{}: {error}", name(command))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
