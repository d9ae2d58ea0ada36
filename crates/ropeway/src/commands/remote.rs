//! `ropeway status`, `ropeway reload` and `ropeway drain`: what is asked of a running process.

use std::process::ExitCode;

use ropeway_control::client::{AdminClient, ClientError, signal_reload, signal_stop, status_table};

use super::output::{WRONG, failed, print};
use crate::arguments::{DrainArguments, ReloadArguments, ServerName, StatusArguments};

/// What the admin API answers when the configuration of a reload is wrong.
const UNPROCESSABLE: u16 = 422;

/// Shows the state of a process.
pub fn status(arguments: &StatusArguments) -> ExitCode {
    match AdminClient::new(arguments.at.admin).status() {
        Ok(status) if arguments.json => print(format!("{status:#}\n")),
        Ok(status) => print(status_table(&status)),
        Err(error) => failed(error),
    }
}

/// Has a process read its configuration again.
pub fn reload(arguments: &ReloadArguments) -> ExitCode {
    if let Some(pid) = arguments.pid {
        return signalled(signal_reload(pid), pid, "reload");
    }
    match AdminClient::new(arguments.at.admin).reload() {
        Ok(summary) => print(format!("reloaded: {summary}\n")),
        Err(ClientError::Refused { status: UNPROCESSABLE, reason }) => {
            eprintln!("{reason}\n\nNothing changed: the configuration from before stays in service.");
            ExitCode::from(WRONG)
        }
        Err(error) => failed(error),
    }
}

/// Drains a server, or a whole process.
pub fn drain(arguments: &DrainArguments) -> ExitCode {
    if let Some(pid) = arguments.pid {
        return signalled(signal_stop(pid), pid, "drain and end");
    }
    let client = AdminClient::new(arguments.at.admin);
    match &arguments.server {
        Some(server) => drain_server(client, server, arguments.undo),
        None => match client.drain() {
            Ok(()) => print("the process finishes what it has, and ends\n"),
            Err(error) => failed(error),
        },
    }
}

fn drain_server(client: AdminClient, name: &ServerName, undo: bool) -> ExitCode {
    let ServerName { upstream, server } = name;
    let (state, now) = if undo { ("ready", "takes part again") } else { ("drain", "gets no new requests") };
    match client.set_server_state(upstream, server, state) {
        Ok(()) => print(format!("{upstream}/{server} {now}\n")),
        Err(error) => failed(error),
    }
}

fn signalled(outcome: std::io::Result<()>, pid: i32, what: &str) -> ExitCode {
    match outcome {
        Ok(()) => print(format!("process {pid} was told to {what}; its log says more\n")),
        Err(error) => failed(format_args!("process {pid} cannot be told: {error}")),
    }
}
