//! What is learned at run time, kept by identity so that a reload forgets nothing.
//!
//! An upstream, a listener and a route are the same as before if they have the same name, a server if it has the same
//! upstream, name and address. What the configuration in service does not use is forgotten after a while, and not at
//! once: an operator who takes a server out of the file by mistake finds its numbers unchanged after
//! putting it back.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway_core::balance::{AdminState, HealthState};
use ropeway_proxy::counters::{PerWorker, RouteCounters};
use ropeway_proxy::snapshot::ListenerLive;
use ropeway_proxy::upstream::{Endpoint, ServerLive, UpstreamLive};

/// How many routes are counted one by one, in the order of the file. The others share the counters of one, which
/// bounds the size of a scrape.
pub const COUNTED_ROUTES: usize = 1_000;

/// How long something unused is kept.
const KEPT_UNUSED_MS: u64 = 600_000;

/// All live state.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    entries: Mutex<Entries>,
}

/// What identifies a server: its upstream, its name, and its address as configured.
pub(crate) type ServerKey = (Arc<str>, Arc<str>, Arc<str>);

#[derive(Debug)]
struct Entries {
    upstreams: HashMap<Arc<str>, Kept<Arc<UpstreamLive>>>,
    servers: HashMap<ServerKey, Kept<KnownServer>>,
    listeners: HashMap<Arc<str>, Kept<Arc<ListenerLive>>>,
    routes: HashMap<Arc<str>, Kept<PerWorker<RouteCounters>>>,
    other_routes: PerWorker<RouteCounters>,
}

/// A server, and what the configuration in service says about it.
#[derive(Clone, Debug)]
struct KnownServer {
    live: Arc<ServerLive>,
    admin: AdminState,
    checked: bool,
}

/// A value, and since when no configuration in service uses it.
#[derive(Debug)]
struct Kept<T> {
    value: T,
    unused_since_ms: Option<u64>,
}

/// What one compiled configuration uses. Nothing that is in service changes before it is
/// [put into service](Registry::put_into_service).
#[derive(Debug, Default)]
pub(crate) struct Usage {
    upstreams: Vec<Arc<str>>,
    servers: Vec<(ServerKey, AdminState, bool)>,
    listeners: Vec<Arc<str>>,
    routes: Vec<Arc<str>>,
}

impl Registry {
    /// Knows nothing yet. `workers` is the number of workers, each of which gets its own counters.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let entries = Entries {
            upstreams: HashMap::new(),
            servers: HashMap::new(),
            listeners: HashMap::new(),
            routes: HashMap::new(),
            other_routes: PerWorker::new(workers),
        };
        Self { workers, entries: Mutex::new(entries) }
    }

    pub(crate) fn upstream(&self, usage: &mut Usage, name: &Arc<str>, now_ms: u64) -> Arc<UpstreamLive> {
        usage.upstreams.push(Arc::clone(name));
        take(&mut self.lock().upstreams, name, now_ms, Arc::default).value.clone()
    }

    pub(crate) fn listener(&self, usage: &mut Usage, name: &Arc<str>, now_ms: u64) -> Arc<ListenerLive> {
        usage.listeners.push(Arc::clone(name));
        let new = || Arc::new(ListenerLive::new(self.workers));
        take(&mut self.lock().listeners, name, now_ms, new).value.clone()
    }

    /// The counters of the route that is `position`th in its file.
    pub(crate) fn route(
        &self,
        usage: &mut Usage,
        name: &Arc<str>,
        position: usize,
        now_ms: u64,
    ) -> PerWorker<RouteCounters> {
        let mut entries = self.lock();
        if position >= COUNTED_ROUTES {
            return entries.other_routes.clone();
        }
        usage.routes.push(Arc::clone(name));
        take(&mut entries.routes, name, now_ms, || PerWorker::new(self.workers)).value.clone()
    }

    /// The state of a server. `endpoints` are the addresses that a new server begins with; `checked` says whether
    /// active checks decide about it.
    pub(crate) fn server(
        &self,
        usage: &mut Usage,
        key: ServerKey,
        endpoints: Vec<Endpoint>,
        (admin, checked): (AdminState, bool),
        now_ms: u64,
    ) -> Arc<ServerLive> {
        let new = || {
            let live = Arc::new(ServerLive::new(self.workers, endpoints));
            live.set_admin(admin);
            KnownServer { live, admin, checked }
        };
        let mut entries = self.lock();
        let kept = take(&mut entries.servers, &key, now_ms, new);
        let KnownServer { live, checked: was_checked, .. } = &kept.value;
        match kept.unused_since_ms {
            // Nobody has looked at it since it left.
            Some(_) => live.set_health(HealthState::Unchecked, now_ms),
            // It serves now, and goes on until its first check says otherwise.
            None if checked && !was_checked => live.set_health(HealthState::Up, now_ms),
            None => {}
        }
        usage.servers.push((key, admin, checked));
        Arc::clone(live)
    }

    /// Follows the configuration with this usage into service: states that it sets are set now, and what it does not
    /// use begins to age.
    pub(crate) fn put_into_service(&self, usage: &Usage, now_ms: u64) {
        let mut entries = self.lock();
        mark(&mut entries.upstreams, &usage.upstreams, now_ms);
        mark(&mut entries.listeners, &usage.listeners, now_ms);
        mark(&mut entries.routes, &usage.routes, now_ms);
        let servers: Vec<ServerKey> = usage.servers.iter().map(|(key, ..)| key.clone()).collect();
        mark(&mut entries.servers, &servers, now_ms);
        for (key, admin, checked) in &usage.servers {
            if let Some(kept) = entries.servers.get_mut(key) {
                kept.value.configure(*admin, *checked, now_ms);
            }
        }
    }

    /// Forgets what was not used for ten minutes.
    pub(crate) fn sweep(&self, now_ms: u64) {
        let mut entries = self.lock();
        entries.upstreams.retain(|_, kept| kept.is_worth_keeping(now_ms));
        entries.servers.retain(|_, kept| kept.is_worth_keeping(now_ms));
        entries.listeners.retain(|_, kept| kept.is_worth_keeping(now_ms));
        entries.routes.retain(|_, kept| kept.is_worth_keeping(now_ms));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownServer {
    /// A state that the file sets counts when the file changes it; until then an operator may have set another.
    fn configure(&mut self, admin: AdminState, checked: bool, now_ms: u64) {
        if self.admin != admin {
            self.live.set_admin(admin);
        }
        if self.checked && !checked {
            self.live.set_health(HealthState::Unchecked, now_ms);
        }
        (self.admin, self.checked) = (admin, checked);
    }
}

impl<T> Kept<T> {
    fn is_worth_keeping(&self, now_ms: u64) -> bool {
        self.unused_since_ms.is_none_or(|since| now_ms.saturating_sub(since) < KEPT_UNUSED_MS)
    }
}

/// The entry under `key`. A new one counts as unused until its configuration is in service.
fn take<'a, K: Hash + Eq + Clone, T>(
    entries: &'a mut HashMap<K, Kept<T>>,
    key: &K,
    now_ms: u64,
    new: impl FnOnce() -> T,
) -> &'a mut Kept<T> {
    entries.entry(key.clone()).or_insert_with(|| Kept { value: new(), unused_since_ms: Some(now_ms) })
}

fn mark<K: Hash + Eq, T>(entries: &mut HashMap<K, Kept<T>>, used: &[K], now_ms: u64) {
    for kept in entries.values_mut() {
        kept.unused_since_ms.get_or_insert(now_ms);
    }
    for key in used {
        if let Some(kept) = entries.get_mut(key) {
            kept.unused_since_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ServerKey {
        ("app".into(), name.into(), "10.0.0.1:80".into())
    }

    fn server(registry: &Registry, usage: &mut Usage, name: &str, checked: bool) -> Arc<ServerLive> {
        registry.server(usage, key(name), Vec::new(), (AdminState::Ready, checked), 0)
    }

    #[test]
    fn the_same_server_keeps_its_state() {
        let registry = Registry::new(1);
        let mut first = Usage::default();
        let live = server(&registry, &mut first, "a", true);
        registry.put_into_service(&first, 0);
        live.set_health(HealthState::Down, 1);

        let mut second = Usage::default();
        let again = server(&registry, &mut second, "a", true);
        let other = server(&registry, &mut second, "b", true);
        assert!(Arc::ptr_eq(&live, &again));
        assert_eq!(again.health(), HealthState::Down);
        assert!(!Arc::ptr_eq(&live, &other));
    }

    #[test]
    fn what_is_unused_is_forgotten_after_a_while() {
        let registry = Registry::new(1);
        let mut usage = Usage::default();
        let live = server(&registry, &mut usage, "a", true);
        registry.put_into_service(&usage, 0);
        live.set_health(HealthState::Up, 0);
        registry.put_into_service(&Usage::default(), 1_000);

        registry.sweep(KEPT_UNUSED_MS);
        let back = server(&registry, &mut Usage::default(), "a", true);
        assert!(Arc::ptr_eq(&live, &back));
        assert_eq!(back.health(), HealthState::Unchecked, "its last check is out of date");

        registry.sweep(KEPT_UNUSED_MS + 1_000);
        assert!(!Arc::ptr_eq(&live, &server(&registry, &mut Usage::default(), "a", true)));
    }

    #[test]
    fn a_server_that_serves_goes_on_when_checks_are_added() {
        let registry = Registry::new(1);
        let mut usage = Usage::default();
        let live = server(&registry, &mut usage, "a", false);
        registry.put_into_service(&usage, 0);
        assert_eq!(live.health(), HealthState::Unchecked);

        let mut usage = Usage::default();
        server(&registry, &mut usage, "a", true);
        assert_eq!(live.health(), HealthState::Up);
        registry.put_into_service(&usage, 0);

        let mut usage = Usage::default();
        server(&registry, &mut usage, "a", false);
        registry.put_into_service(&usage, 0);
        assert_eq!(live.health(), HealthState::Unchecked, "nobody checks it any more");
    }

    #[test]
    fn a_configured_state_counts_when_it_changes() {
        let registry = Registry::new(1);
        let configure = |admin| {
            let mut usage = Usage::default();
            let live = registry.server(&mut usage, key("a"), Vec::new(), (admin, false), 0);
            registry.put_into_service(&usage, 0);
            live
        };
        let live = configure(AdminState::Ready);
        live.set_admin(AdminState::Drain);
        configure(AdminState::Ready);
        assert_eq!(live.admin(), AdminState::Drain, "the operator's word stands");
        configure(AdminState::Disabled);
        assert_eq!(live.admin(), AdminState::Disabled);
    }

    #[test]
    fn a_configuration_that_is_refused_changes_nothing() {
        let registry = Registry::new(1);
        let mut usage = Usage::default();
        let live = server(&registry, &mut usage, "a", false);
        registry.put_into_service(&usage, 0);

        let refused =
            registry.server(&mut Usage::default(), key("a"), Vec::new(), (AdminState::Disabled, false), 0);
        assert!(Arc::ptr_eq(&live, &refused));
        assert_eq!(live.admin(), AdminState::Ready);
    }

    #[test]
    fn routes_beyond_the_cap_share_their_counters() {
        let registry = Registry::new(1);
        let mut usage = Usage::default();
        let counters =
            |usage: &mut Usage, name: &str, position| registry.route(usage, &name.into(), position, 0);
        let own = counters(&mut usage, "a", COUNTED_ROUTES - 1);
        let shared = counters(&mut usage, "b", COUNTED_ROUTES);
        let also_shared = counters(&mut usage, "c", COUNTED_ROUTES + 1);
        shared.of(0).unwrap().bytes_in.add(7);
        assert_eq!(also_shared.sum(|route| route.bytes_in.get()), 7);
        assert_eq!(own.sum(|route| route.bytes_in.get()), 0);
    }
}
