//! The handle to a running proxy.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use ropeway_config::Config;
use ropeway_core::balance::AdminState;
use ropeway_core::health::TransitionCause;
use ropeway_proxy::clock::Clock;
use ropeway_proxy::runtime::{Runtime, Settings};
use ropeway_proxy::snapshot::Snapshot;
use ropeway_proxy::upstream::{Server, Upstream};
use tokio::sync::watch;

use crate::compile::{self, Compiled};
use crate::current::Current;
use crate::discovery::Discovery;
use crate::events::{EventKind, Events};
use crate::probe::{LastCheck, Prober};
use crate::registry::Registry;
use crate::reload::{Diff, ReloadError};
use crate::run::{Source, StartError};

/// A running proxy: the workers, the configuration in service, and what was learned since the start.
///
/// Shared as `Arc<Control>` by the admin API, the signal handler and the ticker. Dropping the last handle stops the
/// workers.
#[derive(Debug)]
pub struct Control {
    runtime: Runtime,
    current: Arc<Current>,
    registry: Registry,
    source: Source,
    loaded: ArcSwap<LoadedConfig>,
    started_at: SystemTime,
    clock: Clock,
    workers: usize,
    probes: Prober,
    discovery: Discovery,
    ready: AtomicBool,
    draining: AtomicBool,
    stop: watch::Sender<bool>,
    reopen: watch::Sender<u64>,
    reloading: Mutex<()>,
}

/// A configuration, and since when it is in service.
#[derive(Debug)]
struct LoadedConfig {
    config: Arc<Config>,
    at: SystemTime,
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

    /// Milliseconds of the process's clock, as [`ServerLive`](ropeway_proxy::upstream::ServerLive) counts them.
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

    /// Whether new traffic should be sent here: every server that is checked has been checked once, and the process
    /// is not draining. Once ready, a reload does not take it back.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        if self.is_draining() {
            return false;
        }
        if !self.ready.load(Ordering::Acquire) && self.probes.all_checked_once() {
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

    /// Asks for log files to be opened again, as SIGUSR1 does.
    pub fn reopen_logs(&self) {
        self.reopen.send_modify(|count| *count += 1);
    }

    /// Changes whenever log files are to be opened again.
    #[must_use]
    pub fn reopen_requested(&self) -> watch::Receiver<u64> {
        self.reopen.subscribe()
    }
}
