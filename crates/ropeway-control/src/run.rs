//! The life of a process, from the configuration to the last connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ropeway_config::schema::Config;
use ropeway_config::{Diagnostic, Diagnostics, Style};
use ropeway_proxy::runtime::BindError;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::control::{Control, StartInput};
use crate::log::ProcessLog;
use crate::signals::{self, Request, Signals};
use crate::{admin, logs, ticker, tls};

/// Exit code for a wrong configuration, as for a wrong command line.
const EXIT_CONFIGURATION: u8 = 2;

/// Threads of the control plane. Its work is small and mostly waiting; two keep a slow scrape from delaying checks.
const CONTROL_THREADS: usize = 2;

/// How often a drain looks whether it is over.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// How long connections and tasks may take to end once they were told to.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long the process may take to end in good order after a second signal.
const HURRY: Duration = Duration::from_secs(1);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, which is read again on a reload.
    File(PathBuf),
    /// Made by the caller; there is nothing to reload.
    Memory(Box<Config>),
}

/// What to run.
pub struct RunOptions {
    /// The configuration.
    pub source: Source,
    /// Called once, when the process serves, on a thread of the control plane. It should not take long.
    pub on_start: Option<OnStart>,
}

/// Is told about the proxy that was started.
pub type OnStart = Box<dyn FnOnce(Arc<Control>) + Send>;

impl fmt::Debug for RunOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RunOptions").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Why a process did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong.
    Config(Diagnostics),
    /// A listener has no socket.
    Bind(BindError),
    /// The admin listener has no socket.
    Admin(SocketAddr, io::Error),
    /// The system refused something else.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(diagnostics) => out.write_str(diagnostics.render(Style::Plain).trim_end()),
            Self::Bind(BindError { listener, address, source }) => {
                write!(out, "listener `{listener}` cannot listen on {address}: {source}")
            }
            Self::Admin(address, source) => write!(
                out,
                "the admin listener cannot listen on {address}: {source} (set `bind` or `enabled = false` in [admin])"
            ),
            Self::System(source) => write!(out, "the process cannot start: {source}"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// 2 if the configuration is to blame, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(EXIT_CONFIGURATION),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs the proxy until a signal ends it. Messages go to standard error.
///
/// SIGTERM and SIGINT stop accepting and wait for what is under way, at most for `shutdown.drain_timeout`; a second
/// one does not wait, and ends the process within a second whatever it is doing. SIGHUP reads the file again. SIGUSR1
/// opens log files again.
///
/// Exit codes: 0 after a signal, also if the drain ran out of time; 1 when the process could not start, or when a
/// second signal cut the drain short; 2 when the configuration is wrong.
pub fn run(options: RunOptions) -> ExitCode {
    match try_run(options) {
        Ok(code) => code,
        Err(error) => {
            match &error {
                StartError::Config(diagnostics) => eprintln!("{}", diagnostics.render(Style::for_stderr())),
                other => eprintln!("error: {other}"),
            }
            error.exit_code()
        }
    }
}

fn try_run(options: RunOptions) -> Result<ExitCode, StartError> {
    let (config, warnings) = load(&options.source)?;
    let process_log = logs::install(&config.log);
    report(&warnings);
    let outcome = live(config, options, process_log.clone());
    if let Some(log) = process_log {
        log.flush(logs::LAST_WORDS);
    }
    outcome
}

fn live(
    config: Config,
    options: RunOptions,
    process_log: Option<ProcessLog>,
) -> Result<ExitCode, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("ropeway-control")
        .enable_all()
        .build()
        .map_err(StartError::System)?;
    // Before anything is started: from here on a signal is a request and no longer the end.
    let signals = listen_for_signals(&runtime).map_err(StartError::System)?;
    let input = StartInput { config, source: options.source, process_log, handle: runtime.handle().clone() };
    let ended = runtime.block_on(serve(input, signals, options.on_start));
    runtime.shutdown_timeout(FAREWELL);
    let (control, code) = ended?;
    control.finish();
    Ok(code)
}

fn listen_for_signals(runtime: &Runtime) -> io::Result<Signals> {
    let _entered = runtime.enter();
    let signals = Signals::listen()?;
    signals::end_after_second_stop(HURRY)?;
    Ok(signals)
}

/// The configuration, with what is questionable in it.
fn load(source: &Source) -> Result<(Config, Vec<Diagnostic>), StartError> {
    match source {
        Source::File(path) => {
            let loaded = ropeway_config::load(path).map_err(StartError::Config)?;
            Ok((loaded.config, loaded.warnings))
        }
        Source::Memory(config) => Ok(((**config).clone(), Vec::new())),
    }
}

pub(crate) fn report(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!(place = %warning.place, "{}", warning.message);
    }
}

async fn serve(
    input: StartInput,
    mut signals: Signals,
    on_start: Option<OnStart>,
) -> Result<(Arc<Control>, ExitCode), StartError> {
    let admin = bind_admin(&input.config).await?;
    let control = Control::start(input)?;
    tokio::spawn(ticker::run(Arc::downgrade(&control)));
    tokio::spawn(tls::watch::run(Arc::downgrade(&control)));
    let admin = admin.map(|listener| tokio::spawn(serve_admin(Arc::clone(&control), listener)));
    if let Some(on_start) = on_start {
        on_start(Arc::clone(&control));
    }
    wait_for_stop(&control, &mut signals).await;
    let code = drain(&control, &mut signals).await;
    close(&control).await;
    if let Some(admin) = admin {
        end(admin).await;
    }
    Ok((control, code))
}

async fn bind_admin(config: &Config) -> Result<Option<TcpListener>, StartError> {
    if !config.admin.enabled {
        return Ok(None);
    }
    let address = config.admin.bind.value;
    TcpListener::bind(address).await.map(Some).map_err(|error| StartError::Admin(address, error))
}

async fn serve_admin(control: Arc<Control>, listener: TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "admin listener");
    }
    if let Err(error) = admin::serve(control, listener).await {
        tracing::error!(%error, "the admin listener ended");
    }
}

/// Does what signals ask for until one asks to stop.
async fn wait_for_stop(control: &Arc<Control>, signals: &mut Signals) {
    let mut stop = control.stop_requested();
    loop {
        let request = tokio::select! {
            request = signals.next() => request,
            _ = stop.wait_for(|requested| *requested) => Request::Stop,
        };
        match request {
            Request::Stop => return,
            Request::ReopenLogs => control.reopen_logs(),
            Request::Reload => {
                let control = Arc::clone(control);
                // Reads files and waits for the workers to bind: not for a thread that drives tasks. The outcome is
                // logged there.
                tokio::task::spawn_blocking(move || control.reload());
            }
        }
    }
}

/// Finishes what is under way, at most for the configured time.
async fn drain(control: &Arc<Control>, signals: &mut Signals) -> ExitCode {
    let deadline = Instant::now() + control.config().shutdown.drain_timeout;
    control.drain();
    while !control.runtime().is_drained() {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => {
                    tracing::warn!(connections = control.runtime().open_connections(), "second signal: ending now");
                    return ExitCode::FAILURE;
                }
                Request::ReopenLogs => control.reopen_logs(),
                Request::Reload => tracing::warn!("no reload: the process is shutting down"),
            },
            () = tokio::time::sleep(DRAIN_POLL) => {}
            () = tokio::time::sleep_until(deadline) => {
                let connections = control.runtime().open_connections();
                tracing::warn!(connections, "the drain took too long: closing what is left");
                return ExitCode::SUCCESS;
            }
        }
    }
    tracing::info!("drained");
    ExitCode::SUCCESS
}

/// Closes what is left, and gives the workers a moment to tell the clients why.
async fn close(control: &Control) {
    control.runtime().abort();
    let all_closed = async {
        while control.runtime().open_connections() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    };
    // Whoever is not closed by then is closed by the end of the process.
    let _ = tokio::time::timeout(FAREWELL, all_closed).await;
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    // Ends at once, as cancelled.
    let _ = task.await;
}
