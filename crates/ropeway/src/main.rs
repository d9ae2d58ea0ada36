//! The command line of Ropeway. It reads arguments and calls the crates that do the work.

#![forbid(unsafe_code)]

mod arguments;
mod commands;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// HTTP/2 and handshakes allocate; `docs/adr/0013-memory-comes-from-mimalloc.md` has what this saves there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => commands::run::run(arguments),
        Command::Check(arguments) => commands::check::check(&arguments),
        Command::Proxy(arguments) => commands::proxy::proxy(arguments),
        Command::Init(arguments) => commands::init::init(&arguments),
        Command::Cert(arguments) => commands::cert::cert(&arguments.command),
        Command::Demo(arguments) => commands::demo::demo(&arguments),
        Command::Schema => commands::documents::schema(),
        Command::Status(arguments) => commands::remote::status(&arguments),
        Command::Reload(arguments) => commands::remote::reload(&arguments),
        Command::Drain(arguments) => commands::remote::drain(&arguments),
        Command::Completions(arguments) => commands::documents::completions(&arguments),
        Command::Man(arguments) => commands::documents::man(&arguments),
    }
}
