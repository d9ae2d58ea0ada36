//! Certificates that are ordered from an authority by themselves (ACME, RFC 8555), and renewed in time.
//!
//! Each set of names has a `keeper`, which looks at the file in the `storage`, decides by the `schedule` when the
//! next certificate is due, and then places an `order`. The file is all that it hands on: listeners read it like any
//! other that changes, in this process and in those that share the storage.

mod account;
mod challenge;
mod error;
mod https;
mod keeper;
mod order;
mod relay;
mod schedule;
mod storage;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ropeway_config::Located;
use ropeway_config::schema::{self, AcmeName, Config};
use ropeway_proxy::challenges::Challenges;
use tokio::runtime::Handle;

use self::keeper::Keeper;
use self::storage::Storage;
use crate::current::Current;
use crate::task::Task;

/// Everything that is ordered.
#[derive(Debug)]
pub struct Acme {
    handle: Handle,
    current: Arc<Current>,
    challenges: Arc<Challenges>,
    orders: Arc<OrderCounts>,
    kept: Mutex<Vec<Kept>>,
    relay: Mutex<Option<(Arc<Authority>, Task)>>,
}

/// One set of names, and who looks after it.
#[derive(Debug)]
struct Kept {
    authority: Arc<Authority>,
    state: Arc<Mutex<OrderedCertificate>>,
    _keeper: Task,
}

/// Who gives certificates, and where they are kept.
#[derive(Debug, PartialEq)]
struct Authority {
    config: schema::Acme,
    storage: Storage,
}

impl Authority {
    fn new(config: &schema::Acme) -> Self {
        Self { storage: Storage::of(config), config: config.clone() }
    }
}

/// Orders since the process started.
#[derive(Debug, Default)]
struct OrderCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// What is known of a certificate that is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedCertificate {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// Until when the one that is there is good; `None` while there is none, and clients are shown a placeholder.
    pub not_after: Option<SystemTime>,
    /// When the next one is ordered, or tried to be.
    pub next_order: Option<SystemTime>,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// Why the last order failed; `None` when it did not.
    pub last_error: Option<String>,
}

/// The file with the certificate for `names`, ordered as `config` says, and its key.
pub(crate) fn certificate_file(config: &schema::Acme, names: &[Located<AcmeName>]) -> PathBuf {
    Storage::of(config).certificate_file(&set_of(names))
}

impl Acme {
    /// Nothing is ordered yet.
    pub(crate) fn new(current: Arc<Current>, handle: Handle, challenges: Arc<Challenges>) -> Self {
        Self {
            handle,
            current,
            challenges,
            orders: Arc::default(),
            kept: Mutex::default(),
            relay: Mutex::default(),
        }
    }

    /// Looks after what `config` wants, and no longer after anything else. Whoever has it in hand goes on with it.
    pub(crate) fn reconcile(&self, config: &Config) {
        // Held until everything is in its new place: whoever asks meanwhile would be told that nothing is ordered.
        let mut kept = self.kept();
        let mut before = std::mem::take(&mut *kept);
        let Some(acme) = &config.acme else {
            *lock(&self.relay) = None;
            return;
        };
        let authority = Arc::new(Authority::new(acme));
        self.relay(&authority);
        let now = sets(config).into_iter().map(|names| {
            let same = |kept: &Kept| kept.authority == authority && lock(&kept.state).names == names;
            let known = before.iter().position(same).map(|at| before.swap_remove(at));
            known.unwrap_or_else(|| self.keep(&authority, names))
        });
        *kept = now.collect();
    }

    /// Answers for the processes that share the storage.
    fn relay(&self, authority: &Arc<Authority>) {
        let mut relay = lock(&self.relay);
        if relay.as_ref().is_none_or(|(before, _)| before != authority) {
            let work = relay::run(Arc::clone(authority), Arc::clone(&self.challenges));
            *relay = Some((Arc::clone(authority), Task::start(&self.handle, work)));
        }
    }

    fn keep(&self, authority: &Arc<Authority>, names: Vec<String>) -> Kept {
        let state =
            OrderedCertificate { names, not_after: None, next_order: None, failures: 0, last_error: None };
        let state = Arc::new(Mutex::new(state));
        let keeper = Keeper::new(
            Arc::clone(authority),
            Arc::clone(&state),
            Arc::clone(&self.challenges),
            Arc::clone(&self.orders),
            Arc::clone(&self.current),
        );
        let task = Task::start(&self.handle, keeper.run());
        Kept { authority: Arc::clone(authority), state, _keeper: task }
    }

    /// What is ordered, in the order of the file.
    #[must_use]
    pub fn certificates(&self) -> Vec<OrderedCertificate> {
        self.kept().iter().map(|kept| lock(&kept.state).clone()).collect()
    }

    /// How many orders succeeded, and how many failed.
    #[must_use]
    pub fn orders(&self) -> (u64, u64) {
        (self.orders.succeeded.load(Relaxed), self.orders.failed.load(Relaxed))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        lock(&self.kept)
    }
}

/// The sets of names that certificates are ordered for, each once.
fn sets(config: &Config) -> Vec<Vec<String>> {
    let mut sets = Vec::new();
    for names in config.acme_sets() {
        let set = set_of(names);
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// Each name once; the first one of the file stays the first.
fn set_of(names: &[Located<AcmeName>]) -> Vec<String> {
    let mut set: Vec<String> = Vec::new();
    for name in names {
        if !set.iter().any(|known| known == name.as_str()) {
            set.push(name.as_str().to_owned());
        }
    }
    set
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
