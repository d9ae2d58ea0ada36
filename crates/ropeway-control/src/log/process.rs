//! The process's own log: what happened to it, on standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use super::lines::Lines;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of text per message, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// The installed log, whose level can be changed while the process runs.
///
/// Nobody who logs waits for standard error: a thread writes to it, and what it does not keep up with is dropped, counted
/// and told of.
#[derive(Clone, Debug)]
pub struct ProcessLog {
    lines: Lines,
    filter: Handle<EnvFilter, Registry>,
}

impl ProcessLog {
    /// Installs the log for the whole process. `level` is `error`, `warn`, `info`, `debug`, `trace` or `off`, or a
    /// comma-separated list of `module=level`.
    ///
    /// # Errors
    /// When `level` cannot be understood, the thread cannot be started, or a log was installed before.
    pub fn install(level: &str, format: Format) -> Result<Self, InstallError> {
        let (filter, handle) = reload::Layer::new(filter(level).map_err(InstallError::Level)?);
        let lines = Lines::start(io::stderr(), tell_of_dropped).map_err(InstallError::Thread)?;
        let layer = fmt::layer().with_writer(lines.clone()).with_target(false);
        let registry = tracing_subscriber::registry().with(filter);
        match format {
            Format::Text => registry.with(layer.with_ansi(io::stderr().is_terminal())).try_init(),
            Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        }
        .map_err(|_| InstallError::InstalledBefore)?;
        std::panic::set_hook(Box::new(tell_of_panic));
        Ok(Self { lines, filter: handle })
    }

    /// Changes the level.
    ///
    /// # Errors
    /// When `level` cannot be understood; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), ParseError> {
        let filter = filter(level)?;
        // Fails only when the subscriber is gone, and then there is nothing to set.
        let _ = self.filter.reload(filter);
        Ok(())
    }

    /// Messages that were dropped since the start because standard error did not take them in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Waits until everything that was logged is written, at most for `patience`.
    pub fn flush(&self, patience: Duration) {
        self.lines.flush(patience);
    }
}

fn tell_of_dropped(lost: u64) {
    // An error, so that no level hides that something is missing.
    tracing::error!(lost, "standard error was not read in time: messages of this log are lost here");
}

/// Panics are logged like everything else: the hook of the standard library would wait for standard error.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("with a value that is no text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(place, %backtrace, "a thread panicked: {message}");
    } else {
        tracing::error!(place, "a thread panicked: {message}");
    }
}

/// Why the log could not be installed.
#[derive(Debug)]
pub enum InstallError {
    /// The level is not one.
    Level(ParseError),
    /// The thread that writes cannot be started.
    Thread(io::Error),
    /// The process has a log already.
    InstalledBefore,
}

impl std::fmt::Display for InstallError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Level(error) => write!(out, "the log level cannot be understood: {error}"),
            Self::Thread(error) => write!(out, "the thread that writes the log cannot be started: {error}"),
            Self::InstalledBefore => out.write_str("the process has a log already"),
        }
    }
}

impl std::error::Error for InstallError {}

fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_understood_and_nonsense_is_not() {
        for level in ["off", "error", "warn", "info", "debug", "trace", "warn,ropeway_proxy=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        assert!(filter("ropeway=loudly").is_err());
    }
}
