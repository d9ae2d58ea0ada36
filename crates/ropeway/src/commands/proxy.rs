//! `ropeway proxy`

use std::process::ExitCode;

use ropeway_config::Style;
use ropeway_control::quick::QuickProxy;
use ropeway_control::run::{self, RunOptions, Source};

use super::output::WRONG;
use crate::arguments::ProxyArguments;

/// Serves what the arguments describe.
pub fn proxy(arguments: ProxyArguments) -> ExitCode {
    let quick = QuickProxy {
        listen: arguments.listen.into_iter().map(with_address).collect(),
        to: arguments.to,
        balance: arguments.balance,
        admin: arguments.admin,
        access_log: arguments.access_log,
    };
    match quick.config() {
        Ok(config) => run::run(RunOptions { source: Source::Memory(Box::new(config)), on_start: None }),
        Err(diagnostics) => {
            eprintln!("{}", diagnostics.render(Style::for_stderr()).trim_end());
            ExitCode::from(WRONG)
        }
    }
}

/// `:8080` stands for every IPv4 address.
fn with_address(listen: String) -> String {
    if listen.starts_with(':') { format!("0.0.0.0{listen}") } else { listen }
}
