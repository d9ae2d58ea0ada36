//! The process's own log: what happened to it, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of text per message, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// The installed log, whose level can be changed while the process runs.
#[derive(Clone, Debug)]
pub struct ProcessLog {
    filter: Handle<EnvFilter, Registry>,
}

impl ProcessLog {
    /// Installs the log for the whole process. `level` is `error`, `warn`, `info`, `debug`, `trace` or `off`, or a
    /// comma-separated list of `module=level`.
    ///
    /// # Errors
    /// When `level` cannot be understood, or when a log was installed before.
    pub fn install(level: &str, format: Format) -> Result<Self, InstallError> {
        let (filter, handle) = reload::Layer::new(filter(level).map_err(InstallError::Level)?);
        let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
        let registry = tracing_subscriber::registry().with(filter);
        match format {
            Format::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
            Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        }
        .map_err(|_| InstallError::InstalledBefore)?;
        Ok(Self { filter: handle })
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
}

/// Why the log could not be installed.
#[derive(Debug)]
pub enum InstallError {
    /// The level is not one.
    Level(ParseError),
    /// The process has a log already.
    InstalledBefore,
}

impl std::fmt::Display for InstallError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Level(error) => write!(out, "the log level cannot be understood: {error}"),
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
