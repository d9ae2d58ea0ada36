//! The process itself: admin listener, logs, limits, shutdown, name resolution.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{ADMIN_DEFAULT, NameServer};
use crate::kind::{
    KIB, MIB, Text, TextError, boolean, choice, choices, converted, derived, duration, hours, integer, limit,
    list, located, millis, minutes, optional, or, seconds, size, table, text,
};
use crate::place::Located;
use crate::section::section;

section! {
    /// The admin listener: dashboard, API, `/metrics`, `/status`, `/healthz`, `/readyz`. It has no password yet, so it
    /// listens on the loopback address unless `allow_remote` says otherwise.
    pub struct Admin {
        /// `false` switches the admin listener off.
        enabled: bool = boolean(true),
        /// Address and port.
        bind: Located<SocketAddr> = located(or(text(), ADMIN_DEFAULT)),
        /// Allows `bind` to be an address that other machines can reach. Whoever can connect sees every number, so
        /// protect the port by other means.
        allow_remote: bool = boolean(false),
    }
}

section! {
    /// Logs. The process's own log goes to standard error.
    pub struct Log {
        /// The least important message that is still written.
        level: LogLevel = or(choice(), LogLevel::Info),
        /// How the process's own messages look.
        format: LogFormat = or(choice(), LogFormat::Text),
        /// One line for every request.
        access: Option<AccessLog> = optional(table(), "no access log"),
    }
}

choices! {
    /// Importance of a message.
    pub enum LogLevel {
        /// What the process cannot do.
        Error = "error",
        /// What an operator should look at.
        Warn = "warn",
        /// What happens: start, reload, servers that come and go.
        Info = "info",
        /// What each part does.
        Debug = "debug",
        /// Every step of the libraries, too; a release build leaves those out, and says no more than with `debug`.
        Trace = "trace",
    }
}

choices! {
    /// Form of the process's own log.
    pub enum LogFormat {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// The access log: one line for every request. Workers never wait for it: what the writer cannot keep up with is
    /// dropped and counted. A file is reopened on SIGUSR1.
    pub struct AccessLog {
        /// How a line looks.
        format: AccessLogFormat = or(choice(), AccessLogFormat::Json),
        /// Where the lines go.
        output: Located<LogOutput> = located(or(text(), LogOutput::Stdout)),
        /// How much each worker may hold back for the writer.
        buffer: u64 = or(size(64 * KIB, 1024 * MIB), MIB),
    }
}

choices! {
    /// Form of the access log.
    pub enum AccessLogFormat {
        /// One JSON object a line, with everything that is known of the request.
        Json = "json",
        /// The "combined" format of Apache and nginx.
        Combined = "combined",
    }
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

impl Text for LogOutput {
    const WHAT: &'static str = "`stdout`, `stderr` or the absolute path of a file";
    const EXAMPLE: &'static str = "/var/log/ropeway/access.log";

    fn parse(text: &str) -> Result<LogOutput, TextError> {
        match text {
            "stdout" => Ok(LogOutput::Stdout),
            "stderr" => Ok(LogOutput::Stderr),
            path if path.starts_with('/') && !path.contains('\0') => Ok(LogOutput::File(PathBuf::from(path))),
            _ => Err(TextError::because("a path starts with `/`")),
        }
    }

    fn stand_in() -> LogOutput {
        LogOutput::Stdout
    }

    fn write(&self) -> String {
        match self {
            LogOutput::Stdout => "stdout".to_owned(),
            LogOutput::Stderr => "stderr".to_owned(),
            LogOutput::File(path) => path.display().to_string(),
        }
    }
}

section! {
    /// Limits of the whole process, all listeners together. At a limit the answer is fast, and counted.
    pub struct Limits {
        /// Client connections open at the same time. Near it idle ones make room; beyond it new ones are answered 503.
        connections: Option<u32> = optional(integer(1..=100_000_000), "as many as the descriptor limit allows"),
        /// Requests in flight at the same time. Further ones are answered 503 at once.
        requests: Option<u32> = limit(100_000_000, "no limit"),
    }
}

section! {
    /// How the process ends on SIGTERM and SIGINT.
    pub struct Shutdown {
        /// How long requests in flight may take to finish before their connections are closed.
        drain_timeout: Duration = or(duration(millis(1), hours(24)), seconds(30)),
    }
}

section! {
    /// How host names of servers are resolved. It happens in the background: a name that does not resolve never blocks
    /// start-up, its server is merely down.
    pub struct Dns {
        /// Name servers, port 53 unless given.
        servers: Vec<SocketAddr> = derived(
            list(converted(text::<NameServer>(), |server| server.0)),
            "those of the system (/etc/resolv.conf)"
        ),
        /// A name is resolved again when its TTL is over, at the earliest after 1 s and at the latest after this.
        interval: Duration = or(duration(seconds(1), hours(24)), seconds(10)),
        /// How long one look-up may take.
        timeout: Duration = or(duration(millis(50), minutes(1)), seconds(2)),
    }
}
