//! `ropeway demo`

use std::process::ExitCode;

use ropeway_control::demo::{self, DemoOptions};

use super::output::failed;
use crate::arguments::DemoArguments;

/// Shows a proxy at work.
pub fn demo(arguments: &DemoArguments) -> ExitCode {
    let options =
        DemoOptions { listen: arguments.listen, admin: arguments.admin, traffic: !arguments.no_traffic };
    demo::run(options).unwrap_or_else(failed)
}
