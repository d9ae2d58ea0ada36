//! Keeps the addresses of servers that are given by name up to date.
//!
//! Every distinct name is followed by one task, whatever number of servers uses it. A name that does not resolve
//! never blocks anything: its servers stay unusable until it does. A name that did resolve keeps its last good
//! answer while looking it up again fails.

mod name;
mod order;
mod source;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ropeway_proxy::upstream::ServerLive;
use tokio::runtime::Handle;

use crate::current::Current;
use crate::task::Task;
use name::Name;

pub use order::interleave;
pub use source::{Answer, Dns, DnsSettings, Lookup, Source};

/// A server whose address is a name.
#[derive(Clone, Debug)]
pub struct NamedServer {
    /// Its upstream, by name.
    pub upstream: Arc<str>,
    /// The name to resolve.
    pub host: Arc<str>,
    /// The port to connect to.
    pub port: u16,
    /// Where its addresses go.
    pub live: Arc<ServerLive>,
}

/// All names that are followed.
pub struct Discovery {
    current: Arc<Current>,
    handle: Handle,
    followed: Mutex<Followed>,
}

struct Followed {
    source: Arc<dyn Source>,
    interval: Duration,
    names: HashMap<Arc<str>, (Arc<Name>, Task)>,
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

impl Discovery {
    /// Follows nothing yet. Answers are asked for again after their TTL, at least 1 s and at most `interval`.
    #[must_use]
    pub fn new(current: Arc<Current>, handle: Handle, source: Arc<dyn Source>, interval: Duration) -> Self {
        let followed = Mutex::new(Followed { source, interval, names: HashMap::new() });
        Self { current, handle, followed }
    }

    /// Asks `source` from now on. The names keep the answers that they have.
    pub fn replace_source(&self, source: Arc<dyn Source>, interval: Duration) {
        let mut followed = self.lock();
        followed.source = source;
        followed.interval = interval;
        let names: Vec<Arc<Name>> = followed.names.values().map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            let task = self.follow(&name, &followed);
            followed.names.insert(Arc::clone(&name.host), (name, task));
        }
    }

    /// Follows the names of exactly these servers. A name that was followed before keeps its answer, and gives it to
    /// its new servers at once.
    pub fn reconcile(&self, servers: &[NamedServer]) {
        let wanted = by_host(servers);
        let mut followed = self.lock();
        followed.names.retain(|host, _| wanted.contains_key(host));
        for (host, servers) in wanted {
            if let Some((name, _)) = followed.names.get(&host) {
                name.serve(servers, &self.current);
                continue;
            }
            let name = Arc::new(Name::new(Arc::clone(&host), servers));
            let task = self.follow(&name, &followed);
            followed.names.insert(host, (name, task));
        }
    }

    /// Begins to follow those names of these servers that were not followed before, ahead of their going into service.
    /// Answers what to [forget](Self::forget) if they do not.
    pub(crate) fn prepare(&self, servers: &[NamedServer]) -> Vec<Arc<str>> {
        let mut followed = self.lock();
        let mut added = Vec::new();
        for (host, servers) in by_host(servers) {
            if !followed.names.contains_key(&host) {
                let name = Arc::new(Name::new(Arc::clone(&host), servers));
                let task = self.follow(&name, &followed);
                followed.names.insert(Arc::clone(&host), (name, task));
                added.push(host);
            }
        }
        added
    }

    /// Ends what was prepared in vain.
    pub(crate) fn forget(&self, prepared: &[Arc<str>]) {
        let mut followed = self.lock();
        prepared.iter().for_each(|host| drop(followed.names.remove(host)));
    }

    /// Whether every name was looked up at least once, with or without success.
    #[must_use]
    pub fn all_tried_once(&self) -> bool {
        let followed = self.lock();
        followed.names.values().all(|(name, _)| name.was_tried())
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, name: &Arc<Name>, followed: &Followed) -> Task {
        let (name, source) = (Arc::clone(name), Arc::clone(&followed.source));
        let (interval, current) = (followed.interval, Arc::clone(&self.current));
        Task::start(&self.handle, async move { name.follow(&*source, interval, &current).await })
    }
}

fn by_host(servers: &[NamedServer]) -> HashMap<Arc<str>, Vec<NamedServer>> {
    let mut hosts: HashMap<Arc<str>, Vec<NamedServer>> = HashMap::new();
    for server in servers {
        hosts.entry(Arc::clone(&server.host)).or_default().push(server.clone());
    }
    hosts
}

#[cfg(test)]
mod tests;
