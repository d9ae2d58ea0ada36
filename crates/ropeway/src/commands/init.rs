//! `ropeway init`

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use super::output::{failed, print};
use crate::arguments::InitArguments;

/// Writes the commented file.
pub fn init(arguments: &InitArguments) -> ExitCode {
    let text = ropeway_config::commented_default();
    let file = arguments.file.as_path();
    if file == Path::new("-") {
        return print(text);
    }
    match write(file, &text, arguments.force) {
        Ok(()) => {
            print(format!("Wrote {0}. Next:\n\n  ropeway check {0}\n  ropeway run -c {0}\n", file.display()))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            failed(format_args!("{} is there already; --force replaces it", file.display()))
        }
        Err(error) => failed(format_args!("{} cannot be written: {error}", file.display())),
    }
}

fn write(file: &Path, text: &str, replace: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    if replace {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.write(true).open(file)?.write_all(text.as_bytes())
}
