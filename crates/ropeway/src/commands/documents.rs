//! `ropeway schema`, `ropeway completions` and `ropeway man`: what is made from declarations.

use std::process::ExitCode;

use clap::CommandFactory;

use super::output::{failed, print};
use crate::arguments::{Arguments, CompletionsArguments, ManArguments};

/// Prints the JSON schema.
pub fn schema() -> ExitCode {
    print(format!("{:#}\n", ropeway_config::json_schema()))
}

/// Prints completions.
pub fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "ropeway", &mut script);
    print(script)
}

/// Prints the manual page, or writes all of them.
pub fn man(arguments: &ManArguments) -> ExitCode {
    if let Some(directory) = &arguments.out {
        return match clap_mangen::generate_to(Arguments::command(), directory) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(format_args!("{} cannot be written to: {error}", directory.display())),
        };
    }
    let mut page = Vec::new();
    match clap_mangen::Man::new(Arguments::command()).render(&mut page) {
        Ok(()) => print(page),
        Err(error) => failed(error),
    }
}
