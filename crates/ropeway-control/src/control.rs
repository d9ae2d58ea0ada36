//! The handle to a running proxy.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use ropeway_config::schema::{self, Config};
use ropeway_config::{Diagnostic, Loaded};
use ropeway_core::balance::AdminState;
use ropeway_proxy::clock::Clock;
use ropeway_proxy::runtime::{Applied, Runtime, Settings};
use ropeway_proxy::snapshot::Snapshot;
use ropeway_proxy::upstream::{Server, ServerLive, Upstream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::acme::Acme;
use crate::compile::{self, Surroundings};
use crate::current::Current;
use crate::discovery::{Discovery, Dns, DnsSettings, NamedServer};
use crate::events::{EventKind, Events};
use crate::log::{Losses, ProcessLog};
use crate::logs::{self, Logs};
use crate::probe::{CheckedServer, LastCheck, Prober};
use crate::process;
use crate::registry::Registry;
use crate::reload::{Changes, Diff, ReloadError};
use crate::run::{self, Source, StartError};
use crate::tls::{self, LiveTls};

/// Memory for access records per worker when the file names none, in bytes.
const DEFAULT_LOG_BUFFER: u64 = 1 << 20;

/// How long a reload waits at most for the first checks of new servers.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often it looks.
const WARM_UP_POLL: Duration = Duration::from_millis(2);

/// A running proxy: the workers, the configuration in service, and what was learned since the start.
///
/// Shared as `Arc<Control>` by the admin API, the signal handler and the ticker. Dropping the last handle stops the
/// workers.
pub struct Control {
    runtime: Runtime,
    tls: LiveTls,
    acme: Acme,
    current: Arc<Current>,
    registry: Registry,
    source: Source,
    loaded: ArcSwap<LoadedConfig>,
    started_at: SystemTime,
    clock: Clock,
    workers: usize,
    descriptors: Option<u64>,
    probes: Prober,
    discovery: Discovery,
    logs: Logs,
    ready: AtomicBool,
    draining: AtomicBool,
    reload_failed: AtomicBool,
    stop: watch::Sender<bool>,
    /// Held during a reload: there is one at a time.
    reloading: Mutex<()>,
    /// Held while a reload is put into service, and not while files are read for it.
    swapping: Mutex<()>,
}

/// A configuration, and since when it is in service.
#[derive(Debug)]
struct LoadedConfig {
    config: Arc<Config>,
    at: SystemTime,
}

/// One reload at a time.
struct Turn<'a> {
    _held: MutexGuard<'a, ()>,
}

/// What a proxy is started with.
#[derive(Debug)]
pub(crate) struct StartInput {
    pub config: Config,
    pub source: Source,
    pub process_log: Option<ProcessLog>,
    /// The runtime of the control plane.
    pub handle: Handle,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Names that fit no server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownServer {
    /// The upstream that was asked for.
    pub upstream: String,
    /// The server that was asked for.
    pub server: String,
}

impl fmt::Display for UnknownServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upstream `{}` has no server `{}`", self.upstream, self.server)
    }
}

impl std::error::Error for UnknownServer {}

impl Control {
    /// The data plane: counters of the workers, open connections, active requests, real listen addresses.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The snapshot in service: listeners, routes, upstreams and their servers, each with its live state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.snapshot()
    }

    /// The configuration in service.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.loaded.load().config)
    }

    /// When the configuration in service was put there.
    #[must_use]
    pub fn loaded_at(&self) -> SystemTime {
        self.loaded.load().at
    }

    /// Whether the last reload was put into service; true also before the first.
    #[must_use]
    pub fn last_reload_ok(&self) -> bool {
        !self.reload_failed.load(Ordering::Acquire)
    }

    /// When the process started to serve.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// Time since the process started, by the monotonic clock.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Milliseconds of the process's clock, as [`ServerLive`] counts them.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The wall-clock time of a moment of the process's clock, for the histories of servers.
    #[must_use]
    pub fn wall_time(&self, ms: u64) -> SystemTime {
        let age = Duration::from_millis(self.now_ms().saturating_sub(ms));
        SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Number of worker threads.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Certificates and what else TLS needs of files.
    #[must_use]
    pub fn tls(&self) -> &LiveTls {
        &self.tls
    }

    /// Certificates that are ordered.
    #[must_use]
    pub fn acme(&self) -> &Acme {
        &self.acme
    }

    /// What happened lately.
    #[must_use]
    pub fn events(&self) -> &Events {
        self.current.events()
    }

    /// The result of the latest active check of a server; `None` before the first, and without checks.
    #[must_use]
    pub fn last_check(&self, upstream: &Upstream, server: &Server) -> Option<LastCheck> {
        self.probes.last_check(&upstream.name, &server.authority)
    }

    /// Whether new traffic should be sent here: every name was looked up once, every server that is checked was
    /// checked once, and the process is not draining. Once ready, a reload does not take it back.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        if self.is_draining() {
            return false;
        }
        if !self.ready.load(Ordering::Acquire)
            && self.discovery.all_tried_once()
            && self.probes.all_checked_once()
        {
            self.ready.store(true, Ordering::Release);
        }
        self.ready.load(Ordering::Acquire)
    }

    /// Whether the process finishes what it has and takes nothing new.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Asks the process to drain and to end, as SIGTERM does.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Becomes `true` when [`Self::stop`] was called.
    #[must_use]
    pub fn stop_requested(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Opens log files again, as SIGUSR1 does.
    pub fn reopen_logs(&self) {
        self.logs.reopen();
        tracing::info!("log files are opened again");
    }

    /// Access records that were lost on their way to their destination. Those that did not even get on their way are
    /// counted by the workers.
    #[must_use]
    pub fn access_log_losses(&self) -> Losses {
        self.logs.losses()
    }

    /// Messages of the process's own log that were dropped because standard error did not take them in time.
    #[must_use]
    pub fn dropped_messages(&self) -> u64 {
        self.logs.dropped_messages()
    }
}

/// Changes.
impl Control {
    /// Starts the workers, and everything that runs beside them.
    pub(crate) fn start(input: StartInput) -> Result<Arc<Self>, StartError> {
        let StartInput { config, source, process_log, handle } = input;
        let clock = Clock::start();
        let descriptors = process::raise_descriptor_limit();
        let workers = config.workers.map_or_else(process::usable_cpus, usize::from);
        let registry = Registry::new(workers);
        let live_tls = LiveTls::default();
        let tls = tls::build(&config, &live_tls).map_err(StartError::Config)?;
        let compiled = compile::compile(
            &config,
            &tls,
            &registry,
            &Surroundings { generation: 1, descriptors, now_ms: clock.now_ms(), log_destination: 0 },
        );
        let log = logs::open(&config.log).map_err(StartError::Config)?;
        let settings = Settings { workers, clock, log_buffer: log_buffer(&config) };
        let runtime = Runtime::start(settings, compiled.snapshot).map_err(StartError::Bind)?;
        registry.put_into_service(&compiled.usage, clock.now_ms());
        let logs = Logs::start(process_log, runtime.log_batches(), log).map_err(StartError::System)?;
        let current = Arc::new(Current::new(runtime.snapshot(), clock));
        let dns = Arc::new(Dns::new(dns_settings(&config)));
        let discovery = Discovery::new(Arc::clone(&current), handle.clone(), dns, config.dns.interval);
        let probes = Prober::new(Arc::clone(&current), handle.clone());
        let acme = Acme::new(Arc::clone(&current), handle, Arc::clone(live_tls.challenges()));
        discovery.reconcile(&compiled.named);
        probes.reconcile(compiled.checked);
        live_tls.follow(tls);
        acme.reconcile(&config);
        let control = Arc::new(Self {
            runtime,
            tls: live_tls,
            acme,
            current,
            registry,
            source,
            loaded: ArcSwap::from_pointee(LoadedConfig { config: Arc::new(config), at: SystemTime::now() }),
            started_at: SystemTime::now(),
            clock,
            workers,
            descriptors,
            probes,
            discovery,
            logs,
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            reload_failed: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            reloading: Mutex::default(),
            swapping: Mutex::default(),
        });
        control.announce_start();
        Ok(control)
    }

    fn announce_start(&self) {
        let addresses = self.runtime.local_addresses();
        for (listener, address) in &addresses {
            tracing::info!(%listener, %address, "listening");
        }
        let list: Vec<String> = addresses.iter().map(|(_, address)| address.to_string()).collect();
        self.events().push(EventKind::Started, format!("serving on {}", list.join(", ")));
    }

    /// Reads the file again and puts it into service. No connection is dropped, and what was learned stays. If the
    /// file is wrong, or a new address cannot be bound, nothing changes.
    ///
    /// Blocks while files are read, new servers are checked for the first time (at most a second), and sockets are
    /// bound. Reloads wait for each other.
    ///
    /// # Errors
    /// [`ReloadError`] says why nothing changed; it has been logged, and is among the [events](Self::events).
    pub fn reload(&self) -> Result<Diff, ReloadError> {
        let turn = self.turn();
        let outcome = self.load().and_then(|loaded| self.apply(&turn, loaded.config, loaded.warnings));
        self.reload_failed.store(outcome.is_err(), Ordering::Release);
        match &outcome {
            Ok(diff) => {
                tracing::info!(generation = diff.generation, "reloaded: {diff}");
                for key in &diff.needs_restart {
                    tracing::warn!(key, "changed in the file, and will count from the next start");
                }
                self.events().push(EventKind::Reloaded, diff.to_string());
            }
            Err(error) => {
                tracing::error!("reload failed, the old configuration stays: {error}");
                self.events().push(EventKind::ReloadFailed, error.summary());
            }
        }
        outcome
    }

    /// Puts the configuration in service there again, after a file changed that it names.
    pub(crate) fn rebuild(&self) -> Result<(), ReloadError> {
        let turn = self.turn();
        let config = Config::clone(&self.config());
        self.apply(&turn, config, Vec::new()).map(|_| ())
    }

    /// The right to change what is in service. It is taken before anything is read: what was read earlier could
    /// otherwise be put into service over something newer.
    fn turn(&self) -> Turn<'_> {
        Turn { _held: self.reloading.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    fn swap(&self) -> MutexGuard<'_, ()> {
        self.swapping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> Result<Loaded, ReloadError> {
        match &self.source {
            Source::File(path) => ropeway_config::load(path).map_err(ReloadError::Config),
            Source::Memory(_) => Err(ReloadError::NoFile),
        }
    }

    fn apply(
        &self,
        _turn: &Turn<'_>,
        config: Config,
        mut warnings: Vec<Diagnostic>,
    ) -> Result<Diff, ReloadError> {
        let before = self.config();
        let log = logs::open_changed(&before.log, &config.log).map_err(ReloadError::Config)?;
        let mut tls = tls::build(&config, &self.tls).map_err(ReloadError::Config)?;
        let tls_warnings = std::mem::take(&mut tls.warnings);
        // From here on no disk is waited for, so that a drain does not, either.
        let _no_drain = self.swap();
        if self.is_draining() {
            return Err(ReloadError::Draining);
        }
        let generation = self.snapshot().generation + 1;
        let log_destination = self.logs.expect(log);
        let surroundings = Surroundings {
            generation,
            descriptors: self.descriptors,
            now_ms: self.now_ms(),
            log_destination,
        };
        let compiled = compile::compile(&config, &tls, &self.registry, &surroundings);
        let applied = self.warm_up_and_apply(compiled.snapshot, &compiled.named, &compiled.checked)?;
        self.registry.put_into_service(&compiled.usage, self.now_ms());
        self.current.replace(self.runtime.snapshot());
        self.follow(&before, &config, &compiled.named, compiled.checked);
        let files = self.tls.follow(tls);
        self.logs.follow(&before.log, &config.log, log_destination);
        run::report(&warnings);
        warnings.extend(tls_warnings);
        let diff = Diff {
            generation,
            bound: applied.bound,
            closed: applied.closed,
            warnings,
            files: Changes { changed: files, ..Changes::default() },
            ..Diff::between(&before, &config)
        };
        self.loaded.store(Arc::new(LoadedConfig { config: Arc::new(config), at: SystemTime::now() }));
        Ok(diff)
    }

    /// Has new servers resolved and checked before they get traffic, so that a reload that brings a new upstream has
    /// somebody to answer its first request. Whoever takes long is not waited for.
    fn warm_up_and_apply(
        &self,
        snapshot: Snapshot,
        named: &[NamedServer],
        checked: &[CheckedServer],
    ) -> Result<Applied, ReloadError> {
        let hosts = self.discovery.prepare(named);
        let checks = self.probes.prepare(checked);
        let deadline = Instant::now() + WARM_UP;
        while !(self.discovery.all_tried_once() && self.probes.all_checked_once())
            && Instant::now() < deadline
        {
            std::thread::sleep(WARM_UP_POLL);
        }
        let now_ms = self.now_ms();
        snapshot.upstreams.iter().for_each(|upstream| upstream.refresh(now_ms));
        self.runtime.apply(snapshot).map_err(|error| {
            self.discovery.forget(&hosts);
            self.probes.forget(&checks);
            ReloadError::Bind(error)
        })
    }

    /// Has everything beside the workers follow a new configuration.
    fn follow(&self, before: &Config, now: &Config, named: &[NamedServer], checked: Vec<CheckedServer>) {
        if before.dns != now.dns {
            self.discovery.replace_source(Arc::new(Dns::new(dns_settings(now))), now.dns.interval);
        }
        self.discovery.reconcile(named);
        self.probes.reconcile(checked);
        self.acme.reconcile(now);
    }

    /// Lets a server finish what it has, takes it out at once, or takes it back. Holds until the configuration of the
    /// server's state changes, or the process ends.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn set_admin_state(
        &self,
        upstream: &str,
        server: &str,
        state: AdminState,
    ) -> Result<(), UnknownServer> {
        self.change(upstream, server, |live| live.set_admin(state), state.name())
    }

    /// Sets the weight of a server, 0 to 256, or takes it back to the configured one. Holds until the process ends.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn set_weight(&self, upstream: &str, server: &str, weight: Option<u32>) -> Result<(), UnknownServer> {
        let what =
            weight.map_or("of its configured weight".to_owned(), |weight| format!("of weight {weight}"));
        self.change(upstream, server, |live| live.set_weight_override(weight), &what)
    }

    fn change(
        &self,
        upstream: &str,
        server: &str,
        change: impl FnOnce(&ServerLive),
        what: &str,
    ) -> Result<(), UnknownServer> {
        let unknown = || UnknownServer { upstream: upstream.to_owned(), server: server.to_owned() };
        let found = self.current.upstream(upstream).ok_or_else(unknown)?;
        let member = found.servers.iter().find(|member| &*member.name == server).ok_or_else(unknown)?;
        change(&member.live);
        self.current.refresh(upstream);
        self.current.announce_servers();
        tracing::info!(upstream, server, "an operator made the server {what}");
        self.events().push(EventKind::Operator, format!("{upstream}: {server} is {what}"));
        Ok(())
    }

    /// Stops accepting connections and ends those that are open as soon as they are idle.
    pub(crate) fn drain(&self) {
        if self.draining.swap(true, Ordering::AcqRel) {
            return;
        }
        // A reload that is being put into service ends first; no other is any more.
        let _no_swap = self.swap();
        let connections = self.runtime.open_connections();
        tracing::info!(connections, "draining");
        self.events().push(EventKind::Draining, format!("draining {connections} connections"));
        self.runtime.drain();
    }

    /// Closes what is left, and writes the rest of the access log.
    pub(crate) fn finish(&self) {
        self.runtime.abort();
        self.logs.finish(|| self.runtime.worker_counters().sum(|worker| worker.log_written.get()));
    }

    pub(crate) fn current(&self) -> &Current {
        &self.current
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }
}

fn log_buffer(config: &Config) -> usize {
    let bytes = config.log.access.as_ref().map_or(DEFAULT_LOG_BUFFER, |access| access.buffer);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn dns_settings(config: &Config) -> DnsSettings {
    let schema::Dns { servers, interval, timeout } = config.dns.clone();
    DnsSettings { servers, interval, timeout }
}

#[cfg(test)]
mod tests;
