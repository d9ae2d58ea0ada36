//! Upstreams and their servers: what is configured, what is learned, and who is usable now.

mod settings;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ropeway_core::balance::{
    AdminState, Candidate, HealthState, Live, Needs, PeakEwma, PickTable, ServerState, ServerView,
    effective_weight, select_tier,
};
use ropeway_core::end::EndReason;
use ropeway_core::health::{Cause, Condition, EjectionBook, FailureKind, History, PassiveCell, Transition};

pub(crate) use self::settings::Quota;
pub use self::settings::{BudgetRules, HashKey, KeepAlive, ProxyProtocolVersion, UpstreamSettings};
use crate::complaint::Complaints;
use crate::counters::{PerWorker, ServerCounters};

/// The choice is refreshed for this long after a ramp, so that the full weight arrives in it.
const RAMP_AFTERGLOW_MS: u64 = 2_000;

/// A group of servers that can answer the same requests.
#[derive(Debug)]
pub struct Upstream {
    /// The name in the configuration.
    pub name: Arc<str>,
    /// The members, in file order; picks refer to them by index.
    pub servers: Vec<Server>,
    /// What the configuration says.
    pub settings: UpstreamSettings,
    /// State shared with the snapshots before and after.
    pub live: Arc<UpstreamLive>,
    /// What has to be tracked for the policy.
    pub(crate) needs: Needs,
    choice: ArcSwap<Choice>,
    /// A server of the choice was ejected since it was made.
    stale: AtomicBool,
    refreshing: Mutex<()>,
}

/// One member of an upstream.
#[derive(Debug)]
pub struct Server {
    /// The name in logs, metrics and the admin API; the address unless configured.
    pub name: Arc<str>,
    /// The address as configured, for the Host field and for messages.
    pub authority: Arc<str>,
    /// Share of the traffic, 0 to 256; 0 takes no new traffic.
    pub weight: u32,
    /// Only used when no other server can take a request.
    pub backup: bool,
    /// Most requests at one time; `None` is unlimited.
    pub max_connections: Option<u32>,
    /// Stable hash of the name, for the hashing policies.
    pub identity: u64,
    /// State shared with the snapshots before and after.
    pub live: Arc<ServerLive>,
}

/// An address that a connection can be opened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// What all workers share of an upstream; survives a reload.
#[derive(Debug, Default)]
pub struct UpstreamLive {
    cursor: Padded<AtomicU64>,
    ejections: Mutex<EjectionBook<u64>>,
}

/// A value that shares its cache line with nothing.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// What all workers share of a server; survives a reload.
#[derive(Debug)]
pub struct ServerLive {
    /// Requests in flight. Kept only while the policy or a cap needs it.
    in_flight: Padded<AtomicU32>,
    latency: PeakEwma,
    passive: PassiveCell,
    admin: AtomicU8,
    health: AtomicU8,
    ejected: AtomicBool,
    up_since_ms: AtomicU64,
    /// Weight set at run time, plus one; 0 leaves the configured one.
    weight_override: AtomicU32,
    endpoints: ArcSwap<Vec<Endpoint>>,
    /// Counts the changes of the set of addresses.
    moves: AtomicU64,
    history: Mutex<History>,
    pub(crate) complaints: Complaints,
    /// Per-worker counters.
    pub counters: PerWorker<ServerCounters>,
}

/// The outcome of the last look at all servers: who is picked from.
#[derive(Debug)]
pub struct Choice {
    /// The table that picks are made with.
    pub table: PickTable,
    /// Backup servers for a request that none in the table takes, since each has failed it or is at its cap.
    pub reserve: Option<PickTable>,
    /// Whether servers that are known to be bad are used because too few others are left.
    pub panic: bool,
    /// Whether backup servers are used because no primary is usable.
    pub backup: bool,
}

impl Upstream {
    /// An upstream whose choice is made from the live state of its servers as it is at `now_ms`.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        servers: Vec<Server>,
        settings: UpstreamSettings,
        live: Arc<UpstreamLive>,
        now_ms: u64,
    ) -> Self {
        let table = PickTable::build(&settings.policy, &[]);
        let empty = Choice { table, reserve: None, panic: false, backup: false };
        let upstream = Self {
            name,
            servers,
            needs: settings.policy.needs(),
            settings,
            live,
            choice: ArcSwap::from_pointee(empty),
            stale: AtomicBool::new(false),
            refreshing: Mutex::new(()),
        };
        upstream.refresh(now_ms);
        upstream
    }

    /// Who is picked from now.
    #[must_use]
    pub fn choice(&self) -> arc_swap::Guard<Arc<Choice>> {
        self.choice.load()
    }

    /// Looks at the state of all servers again and publishes the new choice. To be called after every change of a
    /// server's state, address or weight, and about once a second while [`Self::is_ramping`].
    pub fn refresh(&self, now_ms: u64) {
        // Of two at the same time, the one that looked first must not publish last.
        let _one_at_a_time = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        self.stale.store(false, Release);
        let views: Vec<ServerView> = self.servers.iter().map(|server| self.view(server, now_ms)).collect();
        let selection = select_tier(&views, self.settings.panic_threshold);
        let table = |candidates: &[Candidate]| PickTable::build(&self.settings.policy, candidates);
        self.choice.store(Arc::new(Choice {
            table: table(&selection.candidates),
            reserve: (!selection.reserve.is_empty()).then(|| table(&selection.reserve)),
            panic: selection.panic,
            backup: selection.backup,
        }));
    }

    /// Whether the choice still holds a server that was ejected, so that the caller refreshes.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Acquire)
    }

    /// Whether a server's share is still growing.
    #[must_use]
    pub fn is_ramping(&self, now_ms: u64) -> bool {
        self.settings.slow_start.is_some_and(|ramp| {
            self.servers.iter().any(|server| {
                let since = server.live.up_since_ms();
                since != 0 && now_ms.saturating_sub(since) <= ramp.window_ms.saturating_add(RAMP_AFTERGLOW_MS)
            })
        })
    }

    /// Ends the ejections whose time is over. Returns whether any did, so that the caller refreshes.
    ///
    /// What the book says now decides, and not what expired just now: a server may have been out of the
    /// configuration when its time was over, or the rule that ejected it may be gone.
    pub fn end_ejections(&self, now_ms: u64) -> bool {
        let mut book = self.live.ejections();
        if let Some(config) = &self.settings.passive {
            book.expire(now_ms, config);
        }
        let mut any = false;
        for server in self.servers.iter().filter(|server| server.live.is_ejected()) {
            let stays = self.settings.passive.is_some() && book.until(&server.identity).is_some();
            if !stays && server.live.ejected.swap(false, Release) {
                server.live.passive.reset();
                server.live.came_up(now_ms);
                server.live.note(now_ms, Condition::Ejected, Condition::Up, Cause::EjectionEnded, None);
                tracing::info!(upstream = %self.name, server = %server.name, "ejected server returns");
                any = true;
            }
        }
        any
    }

    /// Whether checks or live traffic found the server to be bad.
    fn is_bad(&self, server: u32) -> bool {
        self.servers.get(server as usize).is_none_or(|server| {
            server.live.is_ejected() || (self.settings.checked && server.live.health() == HealthState::Down)
        })
    }

    /// Why no server was picked.
    pub(crate) fn why_none(&self, choice: &Choice) -> EndReason {
        if !choice.table.is_empty() {
            EndReason::ServersFull
        } else if self.servers.iter().all(|server| server.live.endpoints.load().is_empty()) {
            EndReason::ServerUnresolved
        } else {
            EndReason::NoServer
        }
    }

    /// Whether requests in flight at this server are counted: only when the policy or a cap reads the count, because
    /// the counter is shared by all workers.
    #[inline]
    pub(crate) fn counts_in_flight(&self, server: &Server) -> bool {
        self.needs.in_flight || server.max_connections.is_some()
    }

    /// Counts a failure of live traffic and ejects the server when it was one too many.
    pub(crate) fn report_failure(&self, index: u32, kind: FailureKind, now_ms: u64) {
        let Some(config) = &self.settings.passive else { return };
        let Some(server) = self.servers.get(index as usize) else { return };
        if !server.live.passive.on_failure(kind, config) || server.live.is_ejected() {
            return;
        }
        let until = self.live.ejections().try_eject(&server.identity, now_ms, self.servers.len(), config);
        if let Some(until_ms) = until {
            server.live.ejected.store(true, Release);
            server.live.note(now_ms, Condition::Up, Condition::Ejected, Cause::RequestsFailed(kind), None);
            let seconds = until_ms.saturating_sub(now_ms) / 1_000;
            tracing::warn!(upstream = %self.name, server = %server.name, ?kind, seconds, "server ejected");
            self.leave_out_at_once(now_ms);
        }
    }

    /// Called by a worker, which must not spend the milliseconds that the table of a hashing policy takes: that is
    /// left to whoever asks [`Self::is_stale`], and until then picks pass over the ejected server.
    fn leave_out_at_once(&self, now_ms: u64) {
        if self.needs.hash {
            self.stale.store(true, Release);
        } else {
            self.refresh(now_ms);
        }
    }

    /// Ends a streak of failures.
    #[inline]
    pub(crate) fn report_success(&self, index: u32) {
        if self.settings.passive.is_some()
            && let Some(server) = self.servers.get(index as usize)
        {
            server.live.passive.on_success();
        }
    }

    fn view(&self, server: &Server, now_ms: u64) -> ServerView {
        let live = &server.live;
        let ramp = match (self.settings.slow_start, live.up_since_ms()) {
            (Some(ramp), since) if since != 0 => ramp.factor(now_ms.saturating_sub(since)),
            _ => 1.0,
        };
        ServerView {
            identity: server.identity,
            weight: effective_weight(live.weight_override().unwrap_or(server.weight), ramp),
            backup: server.backup,
            state: ServerState {
                admin: live.admin(),
                health: if self.settings.checked { live.health() } else { HealthState::Up },
                ejected: live.is_ejected(),
                resolved: !live.endpoints.load().is_empty(),
            },
        }
    }
}

impl Server {
    /// What the server is called in Host when the client's own is not passed on.
    pub(crate) fn host_field(&self) -> &str {
        if self.authority.starts_with("unix:") { "localhost" } else { &self.authority }
    }
}

impl UpstreamLive {
    fn ejections(&self) -> MutexGuard<'_, EjectionBook<u64>> {
        self.ejections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upstream as a retry sees it: it walks on from the turn that is next without taking turns of its own. In an
/// outage every other pick is a retry, and if those took turns they would disturb the order of the others.
pub(crate) struct Elsewhere<'a> {
    upstream: &'a Upstream,
    steps: Cell<u64>,
    /// Whether servers that are known to be bad are passed over, which a panic would pick from as well.
    good_only: bool,
}

impl<'a> Elsewhere<'a> {
    pub fn new(upstream: &'a Upstream, good_only: bool) -> Self {
        Self { upstream, steps: Cell::new(0), good_only }
    }
}

impl Live for Elsewhere<'_> {
    fn next_cursor(&self) -> u64 {
        let steps = self.steps.get();
        self.steps.set(steps + 1);
        self.upstream.live.cursor.0.load(Relaxed).wrapping_add(steps)
    }

    fn in_flight(&self, server: u32) -> u32 {
        self.upstream.in_flight(server)
    }

    fn latency(&self, server: u32) -> Option<&PeakEwma> {
        self.upstream.latency(server)
    }

    fn has_capacity(&self, server: u32) -> bool {
        self.upstream.has_capacity(server) && !(self.good_only && self.upstream.is_bad(server))
    }
}

impl Live for Upstream {
    #[inline]
    fn next_cursor(&self) -> u64 {
        self.live.cursor.0.fetch_add(1, Relaxed)
    }

    #[inline]
    fn in_flight(&self, server: u32) -> u32 {
        self.servers.get(server as usize).map_or(u32::MAX, |server| server.live.in_flight())
    }

    #[inline]
    fn latency(&self, server: u32) -> Option<&PeakEwma> {
        self.servers.get(server as usize).map(|server| &server.live.latency)
    }

    #[inline]
    fn has_capacity(&self, server: u32) -> bool {
        self.servers.get(server as usize).is_some_and(|server| {
            let has_room = server.max_connections.is_none_or(|most| server.live.in_flight() < most);
            has_room && !(self.is_stale() && server.live.is_ejected())
        })
    }
}

impl ServerLive {
    /// State of a server of which nothing is known but its addresses (empty: not resolved yet).
    #[must_use]
    pub fn new(workers: usize, endpoints: Vec<Endpoint>) -> Self {
        Self {
            in_flight: Padded::default(),
            latency: PeakEwma::new(PeakEwma::DEFAULT_DECAY_US),
            passive: PassiveCell::default(),
            admin: AtomicU8::new(AdminState::Ready as u8),
            health: AtomicU8::new(HealthState::Unchecked as u8),
            ejected: AtomicBool::new(false),
            up_since_ms: AtomicU64::new(0),
            weight_override: AtomicU32::new(0),
            endpoints: ArcSwap::from_pointee(endpoints),
            moves: AtomicU64::new(0),
            history: Mutex::new(History::default()),
            complaints: Complaints::default(),
            counters: PerWorker::new(workers),
        }
    }

    /// Requests in flight, while the policy or a cap needs them counted.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Relaxed)
    }

    /// The moving average of the response time.
    #[must_use]
    pub fn latency(&self) -> &PeakEwma {
        &self.latency
    }

    /// What the operator decided.
    #[must_use]
    pub fn admin(&self) -> AdminState {
        match self.admin.load(Acquire) {
            state if state == AdminState::Drain as u8 => AdminState::Drain,
            state if state == AdminState::Disabled as u8 => AdminState::Disabled,
            _ => AdminState::Ready,
        }
    }

    /// Sets what the operator decided. The caller refreshes the upstream.
    pub fn set_admin(&self, state: AdminState) {
        self.admin.store(state as u8, Release);
    }

    /// What active checks say.
    #[must_use]
    pub fn health(&self) -> HealthState {
        match self.health.load(Acquire) {
            state if state == HealthState::Up as u8 => HealthState::Up,
            state if state == HealthState::Down as u8 => HealthState::Down,
            _ => HealthState::Unchecked,
        }
    }

    /// Sets what active checks say. The caller refreshes the upstream.
    pub fn set_health(&self, state: HealthState, now_ms: u64) {
        let before = self.health.swap(state as u8, Release);
        if state == HealthState::Up && before == HealthState::Down as u8 {
            self.came_up(now_ms);
        }
    }

    /// Whether failures of live traffic took the server out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Acquire)
    }

    /// When the server came back, in milliseconds of the process's clock; 0 when it never went.
    #[must_use]
    pub fn up_since_ms(&self) -> u64 {
        self.up_since_ms.load(Relaxed)
    }

    /// The weight set at run time.
    #[must_use]
    pub fn weight_override(&self) -> Option<u32> {
        self.weight_override.load(Relaxed).checked_sub(1)
    }

    /// Sets or takes back a weight. The caller refreshes the upstream.
    pub fn set_weight_override(&self, weight: Option<u32>) {
        self.weight_override.store(weight.map_or(0, |weight| weight.saturating_add(1)), Relaxed);
    }

    /// Where the server is; empty while its name does not resolve.
    #[must_use]
    pub fn endpoints(&self) -> Arc<Vec<Endpoint>> {
        self.endpoints.load_full()
    }

    /// Sets where the server is. The caller refreshes the upstream when it was or becomes empty. Idle connections are
    /// given up if other addresses than before are named, and not if only their order is another.
    pub fn set_endpoints(&self, endpoints: Vec<Endpoint>) {
        let before = self.endpoints.load_full();
        let same = before.len() == endpoints.len() && before.iter().all(|old| endpoints.contains(old));
        self.endpoints.store(Arc::new(endpoints));
        if !same {
            self.moves.fetch_add(1, Release);
        }
    }

    /// How often the set of addresses has changed: a connection from before may lead to a machine that is no longer
    /// the server.
    #[inline]
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Acquire)
    }

    /// The latest changes of state.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a change of state to the history.
    pub fn note(&self, at_ms: u64, from: Condition, to: Condition, cause: Cause, detail: Option<Box<str>>) {
        self.history().push(Transition { at_ms, from, to, cause }, detail);
    }

    fn came_up(&self, now_ms: u64) {
        self.up_since_ms.store(now_ms.max(1), Relaxed);
    }

    #[inline]
    pub(crate) fn begin_request(&self) {
        self.in_flight.0.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(crate) fn end_request(&self) {
        self.in_flight.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use ropeway_core::balance::Policy;
    use ropeway_core::health::PassiveConfig;
    use ropeway_core::retry::RetryPolicy;

    use super::*;

    /// An upstream of two servers with this rule, and with live state that is there already.
    fn upstream(
        passive: Option<PassiveConfig>,
        live: &Arc<UpstreamLive>,
        servers: &[Arc<ServerLive>],
    ) -> Upstream {
        let server = |(identity, live): (u64, &Arc<ServerLive>)| Server {
            name: format!("server-{identity}").into(),
            authority: "127.0.0.1:1".into(),
            weight: 1,
            backup: false,
            max_connections: None,
            identity,
            live: Arc::clone(live),
        };
        let settings = UpstreamSettings {
            policy: Policy::RoundRobin,
            hash_key: HashKey::SourceIp,
            connect_timeout_ms: 3_000,
            keep_alive: KeepAlive { idle_ms: 4_000, learn: true, max_idle: 1, max_requests: 0 },
            max_streams: usize::MAX,
            retry: RetryPolicy::default(),
            retry_budget: BudgetRules { percent: 20, floor_per_second: 10 },
            passive,
            panic_threshold: 0,
            slow_start: None,
            checked: false,
            tls: None,
            http2: false,
            all_trailers: false,
            proxy_protocol: None,
        };
        Upstream::new("app".into(), (0..).zip(servers).map(server).collect(), settings, Arc::clone(live), 0)
    }

    fn servers() -> [Arc<ServerLive>; 2] {
        let endpoint = || vec![Endpoint::Unix("/nowhere".into())];
        std::array::from_fn(|_| Arc::new(ServerLive::new(1, endpoint())))
    }

    const AT_ONCE: PassiveConfig = PassiveConfig {
        consecutive_connect_failures: Some(1),
        consecutive_timeouts: None,
        consecutive_resets: None,
        consecutive_5xx: None,
        base_ejection_ms: 1_000,
        max_ejection_ms: 1_000,
        max_ejected_percent: 50,
        forgive_ms: 0,
    };

    #[test]
    fn an_ejection_ends_when_its_time_is_over() {
        let (live, servers) = (Arc::default(), servers());
        let upstream = upstream(Some(AT_ONCE), &live, &servers);
        upstream.report_failure(0, FailureKind::Connect, 10);
        assert_eq!(upstream.choice().table.len(), 1);
        assert!(!upstream.end_ejections(1_009) && servers[0].is_ejected());
        assert!(upstream.end_ejections(1_010) && !servers[0].is_ejected());
    }

    #[test]
    fn an_ejection_ends_with_the_rule_that_made_it() {
        let (live, servers) = (Arc::default(), servers());
        upstream(Some(AT_ONCE), &live, &servers).report_failure(0, FailureKind::Connect, 10);
        let after = upstream(None, &live, &servers);
        assert!(after.end_ejections(11) && !servers[0].is_ejected());
        after.refresh(11);
        assert_eq!(after.choice().table.len(), 2);
    }

    #[test]
    fn an_ejection_that_was_over_while_the_server_was_away_ends_when_it_comes_back() {
        let (live, servers) = (Arc::default(), servers());
        upstream(Some(AT_ONCE), &live, &servers).report_failure(0, FailureKind::Connect, 10);
        assert!(!upstream(Some(AT_ONCE), &live, &[]).end_ejections(2_000), "it is not there");
        assert!(upstream(Some(AT_ONCE), &live, &servers).end_ejections(2_000) && !servers[0].is_ejected());
    }
}
