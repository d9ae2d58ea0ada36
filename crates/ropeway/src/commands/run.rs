//! `ropeway run`

use std::process::ExitCode;

use ropeway_control::run::{self, RunOptions, Source};

use super::default_file::named_or_default;
use crate::arguments::RunArguments;

/// Serves what the file describes.
pub fn run(arguments: RunArguments) -> ExitCode {
    run::run(RunOptions { source: Source::File(named_or_default(arguments.config)), on_start: None })
}
