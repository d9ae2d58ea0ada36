//! The worker threads, and how the control plane steers them.

mod sockets;
mod thread;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use self::sockets::BindError;
use self::sockets::{Key, SocketSet};
use self::thread::{Command, WorkerThread};
use crate::access_log::{LogReceiver, ring};
use crate::clock::Clock;
use crate::counters::{PerWorker, WorkerCounters};
use crate::snapshot::Snapshot;
use crate::worker::Shared;

/// What is fixed for the life of the process.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Worker threads, at least 1.
    pub workers: usize,
    /// The clock that all times are counted by.
    pub clock: Clock,
    /// Bytes of access records that each worker holds at most while the writer is behind.
    pub log_buffer: usize,
}

/// A running data plane. Dropping it stops the workers.
#[derive(Debug)]
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<WorkerThread>,
    sockets: Mutex<HashMap<Key, SocketSet>>,
    log: Mutex<Option<LogReceiver>>,
}

/// What a new snapshot changed about the sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Addresses that are listened on from now on.
    pub bound: Vec<String>,
    /// Addresses that are not listened on any more.
    pub closed: Vec<String>,
}

impl Runtime {
    /// Binds all addresses and starts the workers.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound; nothing is started then.
    pub fn start(settings: Settings, snapshot: Snapshot) -> Result<Self, BindError> {
        let workers = settings.workers.max(1);
        let (sender, receiver) = ring(workers, settings.log_buffer);
        let wanted = sockets::wanted(&snapshot);
        let shared = Arc::new(Shared {
            clock: settings.clock,
            snapshot: ArcSwap::from_pointee(snapshot),
            connections: Arc::default(),
            active: AtomicU32::new(0),
            counters: PerWorker::new(workers),
            log: sender,
            process_id: process_id(),
        });
        let mut bound = HashMap::new();
        for key in wanted {
            let set = SocketSet::bind(&key, workers, &bound)?;
            bound.insert(key, set);
        }
        let threads = (0..workers).map(|index| WorkerThread::start(index, &shared, &bound)).collect();
        Ok(Self { shared, threads, sockets: Mutex::new(bound), log: Mutex::new(Some(receiver)) })
    }

    /// Puts a snapshot into service. Addresses that stay keep their sockets, servers that stay keep their idle
    /// connections, and no client connection is closed.
    ///
    /// # Errors
    ///
    /// The first new address that cannot be bound; nothing changes then.
    pub fn apply(&self, snapshot: Snapshot) -> Result<Applied, BindError> {
        let mut sockets = self.sockets();
        let wanted = sockets::wanted(&snapshot);
        let mut applied = Applied::default();
        let mut fresh = Vec::new();
        for key in wanted.iter().filter(|key| !sockets.contains_key(*key)) {
            fresh.push((key.clone(), SocketSet::bind(key, self.threads.len(), &sockets)?));
        }
        for (key, set) in fresh {
            applied.bound.push(format!("{} {}", key.listener, set.local));
            sockets.insert(key, set);
        }
        sockets.retain(|key, set| {
            let keep = wanted.contains(key);
            if !keep {
                applied.closed.push(format!("{} {}", key.listener, set.local));
            }
            keep
        });
        self.shared.snapshot.store(Arc::new(snapshot));
        for thread in &self.threads {
            thread.offer(&sockets);
            thread.tell(Command::Apply);
        }
        Ok(applied)
    }

    /// The snapshot in service.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Every listener's name with an address that it listens on, real port included.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<(String, SocketAddr)> {
        let mut all: Vec<_> =
            self.sockets().iter().map(|(key, set)| (key.listener.clone(), set.local)).collect();
        all.sort();
        all
    }

    /// What workers count for themselves.
    #[must_use]
    pub fn worker_counters(&self) -> &PerWorker<WorkerCounters> {
        &self.shared.counters
    }

    /// Client connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> u32 {
        self.shared.connections.open()
    }

    /// Requests in flight.
    #[must_use]
    pub fn active_requests(&self) -> u32 {
        let counters = &self.shared.counters;
        // Ended is read first, so that the difference errs on the side of more.
        let ended = counters.sum(|counters| counters.requests_ended.get());
        let started = counters.sum(|counters| counters.requests_started.get());
        u32::try_from(started.saturating_sub(ended)).unwrap_or(u32::MAX)
    }

    /// Stops to accept and closes connections as they become idle; requests under way are finished.
    pub fn drain(&self) {
        self.sockets().clear();
        for thread in &self.threads {
            thread.offer(&HashMap::new());
            thread.tell(Command::Drain);
        }
    }

    /// Whether no client connection is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.open_connections() == 0 && self.threads.iter().all(WorkerThread::has_stopped_accepting)
    }

    /// Closes what is left.
    pub fn abort(&self) {
        for thread in &self.threads {
            thread.tell(Command::Abort);
        }
    }

    /// The access records of all workers. There is one reader: later calls return `None`.
    #[must_use]
    pub fn log_batches(&self) -> Option<LogReceiver> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The clock that all times are counted by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<Key, SocketSet>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that tells this process from others, on this machine and elsewhere.
fn process_id() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Seeded by the operating system.
    RandomState::new().hash_one(std::process::id())
}
