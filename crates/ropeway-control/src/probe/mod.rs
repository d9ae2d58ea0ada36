//! Active checks: asks every server of a checked upstream, again and again, whether it is fit to answer.
//!
//! Each server is checked by one task. A task goes on over a reload, with what it learned, as long as its server and
//! the settings of its check stay the same; otherwise it ends, and with it whatever it was waiting for.

mod check;
mod connection;
mod grpc;
mod http;
mod http2;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ropeway_proxy::tls::UpstreamTls;
use ropeway_proxy::upstream::ServerLive;
use tokio::runtime::Handle;

use crate::current::Current;
use crate::task::Task;
use watch::Watch;

pub use check::{Check, CheckKind};
pub use connection::Transport;
pub use grpc::GrpcCheck;
pub use http::HttpCheck;

/// A server that is to be checked.
#[derive(Clone, Debug)]
pub struct CheckedServer {
    /// Its upstream, by name.
    pub upstream: Arc<str>,
    /// Its name, for messages.
    pub name: Arc<str>,
    /// Its address as configured, which is its identity within the upstream.
    pub authority: Arc<str>,
    /// How.
    pub check: Arc<Check>,
    /// TLS of its connections; `None` asks in the clear.
    pub tls: Option<Arc<UpstreamTls>>,
    /// Where the result goes.
    pub live: Arc<ServerLive>,
}

impl CheckedServer {
    fn key(&self) -> Key {
        (Arc::clone(&self.upstream), Arc::clone(&self.authority))
    }
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct LastCheck {
    /// When it ended, by the wall clock.
    pub at: SystemTime,
    /// Whether it passed.
    pub ok: bool,
    /// What was seen, in words.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
}

/// All checks.
pub struct Prober {
    current: Arc<Current>,
    handle: Handle,
    watched: Mutex<Watched>,
}

/// By upstream and address.
type Watched = HashMap<Key, (Arc<Watch>, Task)>;

/// An upstream, by name, and the address of one of its servers.
type Key = (Arc<str>, Arc<str>);

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

impl Prober {
    /// Checks nothing yet; the checks will run on `handle`.
    #[must_use]
    pub fn new(current: Arc<Current>, handle: Handle) -> Self {
        Self { current, handle, watched: Mutex::default() }
    }

    /// Checks exactly these servers. Those whose check and live state are the same as before go on undisturbed, from the
    /// next check on with the TLS that is given now; the others are checked at once.
    pub fn reconcile(&self, servers: Vec<CheckedServer>) {
        let mut watched = self.lock();
        let mut before = std::mem::take(&mut *watched);
        for server in servers {
            let key = server.key();
            let kept = before.remove(&key).filter(|(watch, _)| watch.is_same(&server));
            if let Some((watch, _)) = &kept {
                watch.renew_tls(&server);
            }
            watched.insert(key, kept.unwrap_or_else(|| self.watch(server)));
        }
    }

    /// Begins to check those of these servers that were not checked before, ahead of their going into service. Answers
    /// what to [forget](Self::forget) if they do not.
    pub(crate) fn prepare(&self, servers: &[CheckedServer]) -> Vec<Key> {
        let mut watched = self.lock();
        let mut added = Vec::new();
        for server in servers {
            let key = server.key();
            if !watched.contains_key(&key) {
                watched.insert(key.clone(), self.watch(server.clone()));
                added.push(key);
            }
        }
        added
    }

    /// Ends what was prepared in vain.
    pub(crate) fn forget(&self, prepared: &[Key]) {
        let mut watched = self.lock();
        prepared.iter().for_each(|key| drop(watched.remove(key)));
    }

    /// The latest result for a server, by the name of its upstream and its address; `None` before the first.
    #[must_use]
    pub fn last_check(&self, upstream: &str, authority: &str) -> Option<LastCheck> {
        let key = (Arc::from(upstream), Arc::from(authority));
        self.lock().get(&key).and_then(|(watch, _)| watch.last())
    }

    /// Whether every server that can be checked was checked at least once.
    #[must_use]
    pub fn all_checked_once(&self) -> bool {
        self.lock().values().all(|(watch, _)| watch.last().is_some() || !watch.is_due())
    }

    fn watch(&self, server: CheckedServer) -> (Arc<Watch>, Task) {
        let watch = Arc::new(Watch::new(server));
        let (watching, current) = (Arc::clone(&watch), Arc::clone(&self.current));
        let task = Task::start(&self.handle, async move { watching.run(&current).await });
        (watch, task)
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
