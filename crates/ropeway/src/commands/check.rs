//! `ropeway check`

use std::path::Path;
use std::process::ExitCode;

use ropeway_config::{Diagnostics, Loaded, Style};
use serde_json::json;

use super::default_file::named_or_default;
use super::output::{WRONG, print};
use crate::arguments::CheckArguments;

/// Says everything that is wrong with the file, and with the certificates and keys that it names.
pub fn check(arguments: &CheckArguments) -> ExitCode {
    let file = named_or_default(arguments.file.clone());
    let outcome = ropeway_config::load(&file).and_then(|mut loaded| {
        loaded.warnings.extend(ropeway_control::tls::check(&loaded.config)?);
        Ok(loaded)
    });
    if arguments.json {
        return for_machines(outcome);
    }
    match outcome {
        Ok(loaded) => accepted(&file, loaded),
        Err(diagnostics) => {
            eprintln!("{}", diagnostics.render(Style::for_stderr()).trim_end());
            ExitCode::from(WRONG)
        }
    }
}

fn accepted(file: &Path, loaded: Loaded) -> ExitCode {
    let config = &loaded.config;
    let counts = format!(
        "{}: fine ({}, {}, {})\n",
        file.display(),
        counted(config.listeners.len(), "listener"),
        counted(config.routes.len(), "route"),
        counted(config.upstreams.len(), "upstream"),
    );
    for warning in loaded.warnings {
        eprintln!("{}\n", warning.render(Style::for_stderr()));
    }
    print(counts)
}

fn for_machines(outcome: Result<Loaded, Diagnostics>) -> ExitCode {
    let (valid, diagnostics) = match outcome {
        Ok(loaded) => (true, Diagnostics(loaded.warnings)),
        Err(diagnostics) => (false, diagnostics),
    };
    let answer = json!({ "valid": valid, "diagnostics": diagnostics.to_json() });
    let printed = print(format!("{answer:#}\n"));
    if valid { printed } else { ExitCode::from(WRONG) }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
