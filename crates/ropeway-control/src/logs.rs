//! The logs of a running process: what the configuration says about them, and following it over a reload.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ropeway_config::schema::{self, AccessLog as AccessLogTable, LogLevel, LogOutput};
use ropeway_config::{Diagnostic, Diagnostics};
use ropeway_proxy::access_log::{LogBatch, LogReceiver};
use rustix::io::Errno;

use crate::log::{AccessLog, Batch, BatchSource, Destination, Format, Losses, ProcessLog, Sink};

/// How long each of the logs may take to be written when everything else has ended.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// The process's own log and the access log.
#[derive(Debug)]
pub(crate) struct Logs {
    /// `None` when somebody else installed a log before: a program that embeds this one, or a test.
    process: Option<ProcessLog>,
    /// `None` once the workers have ended and all is written.
    access: Mutex<Option<AccessLog>>,
}

impl Logs {
    /// Begins to write access records to `sink`. Without an access log in the configuration nothing arrives until a
    /// reload brings one.
    pub(crate) fn start(
        process: Option<ProcessLog>,
        records: Option<LogReceiver>,
        sink: Sink,
    ) -> io::Result<Self> {
        let access = records.map(|records| AccessLog::start(Records(records), sink)).transpose()?;
        Ok(Self { process, access: Mutex::new(access) })
    }

    /// The number of the destination for a snapshot that is about to be put into service: that of `sink`, or of the one
    /// that is written to already.
    pub(crate) fn expect(&self, sink: Option<Sink>) -> u64 {
        match (&*self.access(), sink) {
            (Some(access), Some(sink)) => access.expect(sink),
            (Some(access), None) => access.destination(),
            (None, _) => 0,
        }
    }

    /// Follows a configuration that is in service now, whose access records go to `destination`.
    pub(crate) fn follow(&self, before: &schema::Log, now: &schema::Log, destination: u64) {
        if before.level != now.level
            && let Some(process) = &self.process
            && let Err(error) = process.set_level(level(now.level))
        {
            tracing::error!(%error, "the log level stays as it was");
        }
        if let Some(access) = &*self.access() {
            access.turn_to(destination);
        }
    }

    /// Opens files again, after they were rotated.
    pub(crate) fn reopen(&self) {
        if let Some(access) = &*self.access() {
            access.reopen();
        }
    }

    /// Access records that were lost on their way to their destination.
    pub(crate) fn losses(&self) -> Losses {
        self.access().as_ref().map(AccessLog::losses).unwrap_or_default()
    }

    /// Messages of the process's own log that were dropped.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.process.as_ref().map(ProcessLog::dropped).unwrap_or_default()
    }

    /// Writes what is left of the access log and ends it, at most within [`LAST_WORDS`]. Says how many records are
    /// lost if that was not enough; `handed_over` are all that workers handed over since the start.
    pub(crate) fn finish(&self, handed_over: impl FnOnce() -> u64) {
        let Some(access) = self.access().take() else { return };
        if let Err(stalled) = access.finish(LAST_WORDS) {
            let lost = handed_over().saturating_sub(stalled.settled);
            tracing::error!(lost, "the access log took no more records in time: those that waited are lost");
        }
    }

    fn access(&self) -> MutexGuard<'_, Option<AccessLog>> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the destination of the access log.
///
/// # Errors
/// When it cannot be written, with the place where `config` names it.
pub(crate) fn open(config: &schema::Log) -> Result<Sink, Diagnostics> {
    let destination = destination(config);
    Sink::opened(destination.clone()).map_err(|error| {
        let access = config.access.as_ref();
        Diagnostics(access.map(|access| unwritable(access, &destination, &error)).into_iter().collect())
    })
}

/// [`open`], if `now` has another destination than `before`. One that stays and broke meanwhile is no reason to refuse a
/// reload.
pub(crate) fn open_changed(before: &schema::Log, now: &schema::Log) -> Result<Option<Sink>, Diagnostics> {
    let has_changed = destination(before) != destination(now);
    has_changed.then(|| open(now)).transpose()
}

fn unwritable(access: &AccessLogTable, file: &Destination, error: &io::Error) -> Diagnostic {
    let message = format!("the access log cannot be written to {file} (`log.access.output`): {error}");
    let help = match error.kind() {
        io::ErrorKind::NotFound => "create the directory, or name a file in another",
        io::ErrorKind::PermissionDenied => "let the user that runs ropeway write there, or name another file",
        io::ErrorKind::IsADirectory => "name a file in this directory",
        _ if Errno::from_io_error(error) == Some(Errno::NXIO) => {
            "a pipe has to have a reader first: start what reads it, or name a file"
        }
        _ => "name another file, or `stdout`",
    };
    Diagnostic::error("unwritable-log", &access.output.place, message).help(help)
}

/// Installs the process's own log. `None` when there is one already.
pub(crate) fn install(config: &schema::Log) -> Option<ProcessLog> {
    let format = match config.format {
        schema::LogFormat::Text => Format::Text,
        schema::LogFormat::Json => Format::Json,
    };
    ProcessLog::install(level(config.level), format).ok()
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

fn destination(config: &schema::Log) -> Destination {
    match config.access.as_ref().map(|access| &access.output.value) {
        Some(LogOutput::Stderr) => Destination::Stderr,
        Some(LogOutput::File(path)) => Destination::File(path.clone()),
        Some(LogOutput::Stdout) | None => Destination::Stdout,
    }
}

/// What the workers hand over.
struct Records(LogReceiver);

impl Batch for LogBatch {
    fn destination(&self) -> u64 {
        self.destination
    }

    fn count(&self) -> u64 {
        self.count
    }
}

impl BatchSource for Records {
    type Batch = LogBatch;

    fn receive(&self, timeout: Duration) -> Option<LogBatch> {
        self.0.recv(timeout).unwrap_or_else(|_closed| {
            // The workers have ended; the order to stop is about to come.
            std::thread::sleep(timeout);
            None
        })
    }
}
