//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const ADMIN: &str = "127.0.0.1:9900";

/// Reverse proxy and load balancer
#[derive(Debug, Parser)]
#[command(
    name = "ropeway",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  ropeway demo                    see it work: no file, nothing to set up
  ropeway init                    write a commented ropeway.toml to start from
  ropeway check ropeway.toml      find mistakes before they are in service
  ropeway run -c ropeway.toml     serve
  ropeway proxy --listen 0.0.0.0:8080 --to 10.0.0.1:80 --to 10.0.0.2:80

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a proxy with three servers of its own, a dashboard and some traffic
    Demo(DemoArguments),
    /// Write a commented configuration file to start from
    Init(InitArguments),
    /// Check a configuration file and say everything that is wrong with it
    Check(CheckArguments),
    /// Serve what a configuration file describes, until a signal ends it
    Run(RunArguments),
    /// Serve without a file: one listener, some servers
    Proxy(ProxyArguments),
    /// Show the state of a running process
    Status(StatusArguments),
    /// Have a running process read its configuration again
    Reload(ReloadArguments),
    /// Take a server out of service gently, or let a whole process finish and end
    Drain(DrainArguments),
    /// Make certificates
    Cert(CertArguments),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Print the completions for a shell
    Completions(CompletionsArguments),
    /// Print the manual page, or write one for every command
    Man(ManArguments),
}

/// Arguments of `ropeway run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Signals:
  SIGTERM, SIGINT   stop accepting, finish what is under way, then end; a second one ends at once
  SIGHUP            read the file again; a file with mistakes changes nothing
  SIGUSR1           open log files again, after they were rotated

Examples:
  ropeway run -c ropeway.toml
  kill -HUP $(pidof ropeway)")]
pub struct RunArguments {
    /// The configuration file [default: /etc/ropeway/ropeway.toml, else ./ropeway.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `ropeway check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway check ropeway.toml
  ropeway check --json ropeway.toml | jq '.diagnostics[].message'")]
pub struct CheckArguments {
    /// The configuration file [default: /etc/ropeway/ropeway.toml, else ./ropeway.toml]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ropeway proxy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway proxy --listen 0.0.0.0:8080 --to 127.0.0.1:8001 --to 127.0.0.1:8002
  ropeway proxy --listen :8080 --to app.internal:80 --admin 127.0.0.1:9900 --access-log")]
pub struct ProxyArguments {
    /// Address and port to listen on; `:8080` listens on every IPv4 address
    #[arg(long, value_name = "ADDR", required = true, num_args = 1..)]
    pub listen: Vec<String>,
    /// A server that answers: ADDRESS:PORT, NAME:PORT or unix:PATH
    #[arg(long, value_name = "ADDR", required = true, num_args = 1..)]
    pub to: Vec<String>,
    /// How a server is chosen, such as round_robin, least_connections or peak_ewma
    #[arg(long, value_name = "NAME")]
    pub balance: Option<String>,
    /// Open an admin listener with dashboard and metrics
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// Write one line of JSON for every request to standard output
    #[arg(long)]
    pub access_log: bool,
}

/// Arguments of `ropeway init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway init
  ropeway init /etc/ropeway/ropeway.toml
  ropeway init - | less")]
pub struct InitArguments {
    /// The file to write; `-` prints it
    #[arg(value_name = "FILE", default_value = "ropeway.toml")]
    pub file: PathBuf,
    /// Replace the file when it is there
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `ropeway demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway demo
  ropeway demo --listen 127.0.0.1:8000 --no-traffic")]
pub struct DemoArguments {
    /// Where the proxy listens; a free port when this one is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the dashboard is; a free port when this one is taken
    #[arg(long, value_name = "ADDR", default_value = ADMIN)]
    pub admin: SocketAddr,
    /// Send no requests
    #[arg(long)]
    pub no_traffic: bool,
}

/// Arguments of `ropeway cert`.
#[derive(Debug, Args)]
pub struct CertArguments {
    /// What to make.
    #[command(subcommand)]
    pub command: CertCommand,
}

/// What certificates there are to make.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Make a certificate for localhost, and a local authority that signs it
    Dev(DevArguments),
}

/// Arguments of `ropeway cert dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
The authority is made once and kept, so that it has to be trusted once.

Examples:
  ropeway cert dev
  ropeway cert dev --dir /tmp/certs app.test '*.app.test'")]
pub struct DevArguments {
    /// The directory for the files
    #[arg(long, value_name = "DIR", default_value = "dev-certs")]
    pub dir: PathBuf,
    /// More names and addresses that the certificate is good for
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Where a running process is asked.
#[derive(Debug, Args)]
pub struct AdminArguments {
    /// The admin listener of the process
    #[arg(long, value_name = "ADDR", default_value = ADMIN)]
    pub admin: SocketAddr,
}

/// Arguments of `ropeway status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway status
  ropeway status --json | jq '.upstreams[].servers[] | {name, state}'")]
pub struct StatusArguments {
    /// Where to ask.
    #[command(flatten)]
    pub at: AdminArguments,
    /// Print everything, as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ropeway reload`.
#[derive(Debug, Args)]
#[command(after_help = "\
Through the admin listener the answer says what changed, or what is wrong with the file. A signal
is not answered: look into the log of the process.

Examples:
  ropeway reload
  ropeway reload --pid 4711")]
pub struct ReloadArguments {
    /// Where to ask.
    #[command(flatten)]
    pub at: AdminArguments,
    /// Send SIGHUP to this process instead
    #[arg(long, conflicts_with = "admin", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
}

/// Arguments of `ropeway drain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway drain app/10.0.0.1:8080           no new requests for this server
  ropeway drain app/10.0.0.1:8080 --undo    it takes part again
  ropeway drain                             the process finishes what it has, and ends
  ropeway drain --pid 4711                  the same by signal")]
pub struct DrainArguments {
    /// The server; without one, the whole process drains and ends
    #[arg(value_name = "UPSTREAM/SERVER", value_parser = server_of_upstream)]
    pub server: Option<ServerName>,
    /// Put the server back into service
    #[arg(long, requires = "server")]
    pub undo: bool,
    /// Where to ask.
    #[command(flatten)]
    pub at: AdminArguments,
    /// Send SIGTERM to this process instead
    #[arg(long, conflicts_with_all = ["admin", "server"], value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
}

/// A server by its upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    /// The name of the upstream.
    pub upstream: String,
    /// The name of the server, which is its address unless the configuration gives it one.
    pub server: String,
}

/// Arguments of `ropeway completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway completions bash > /etc/bash_completion.d/ropeway
  ropeway completions fish > ~/.config/fish/completions/ropeway.fish")]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Arguments of `ropeway man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ropeway man | man -l -
  ropeway man --out /usr/local/share/man/man1")]
pub struct ManArguments {
    /// Write the pages of all commands into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn server_of_upstream(text: &str) -> Result<ServerName, String> {
    match text.split_once('/') {
        Some((upstream, server)) if !upstream.is_empty() && !server.is_empty() => {
            Ok(ServerName { upstream: upstream.to_owned(), server: server.to_owned() })
        }
        _ => Err("a server is named UPSTREAM/SERVER, such as app/10.0.0.1:8080".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_server_is_named_with_its_upstream() {
        let name = server_of_upstream("app/unix:/run/app.sock").unwrap();
        assert_eq!((name.upstream.as_str(), name.server.as_str()), ("app", "unix:/run/app.sock"));
        for text in ["app", "app/", "/one", ""] {
            assert!(server_of_upstream(text).is_err(), "{text}");
        }
    }
}
