//! The state of everything, as JSON. Its shape is documented in `docs/admin-api.md` and only grows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ropeway_config::schema;
use ropeway_core::balance::Policy;
use ropeway_core::health::Entry;
use ropeway_proxy::counters::{ByClass, LATENCY_BOUNDS_US, PerWorker, RouteCounters, ServerCounters};
use ropeway_proxy::snapshot::{Listener, Snapshot};
use ropeway_proxy::upstream::{Endpoint, Server, Upstream};
use serde::Serialize;

use super::certificates::{self, CertificateView};
use super::events::{self, EventView};
use super::orders::{self, OrderView};
use super::timestamp::rfc3339;
use crate::control::Control;
use crate::metrics::{self, Distribution};
use crate::server_state::ServerState;

/// Counts by name.
type Counts = BTreeMap<&'static str, u64>;

/// The answer of `GET /status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    version: &'static str,
    uptime_seconds: f64,
    generation: u64,
    loaded_at: String,
    workers: usize,
    /// Requests that had to wait for a busy worker.
    requests_held: u64,
    ready: bool,
    draining: bool,
    connections: Connections,
    requests: Requests,
    /// Upper bounds of the latency buckets; one more bucket has none.
    latency_bounds_ms: Vec<f64>,
    listeners: Vec<ListenerView>,
    routes: Vec<RouteView>,
    upstreams: Vec<UpstreamView>,
    /// Certificates that clients are shown.
    certificates: Vec<CertificateView>,
    /// Why files of TLS that changed were refused.
    tls_problems: Vec<String>,
    /// Certificates that are ordered.
    acme: Vec<OrderView>,
    events: Vec<EventView>,
}

#[derive(Clone, Debug, Serialize)]
struct Connections {
    open: u32,
    max: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Requests {
    active: u32,
    total: u64,
}

#[derive(Clone, Debug, Serialize)]
struct ListenerView {
    name: String,
    addresses: Vec<String>,
    connections_open: u32,
    accepted: u64,
    refused: u64,
    requests: u64,
    /// Requests that ended before a route was known.
    ends: Counts,
}

#[derive(Clone, Debug, Serialize)]
struct RouteView {
    name: String,
    host: String,
    path: String,
    upstream: String,
    requests: Counts,
    ends: Counts,
    latency_ms: Quantiles,
    latency_counts: Vec<u64>,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Clone, Debug, Serialize)]
struct UpstreamView {
    name: String,
    balance: &'static str,
    checked: bool,
    panic: bool,
    backup_in_use: bool,
    servers: Vec<ServerView>,
}

#[derive(Clone, Debug, Serialize)]
struct ServerView {
    name: String,
    address: String,
    endpoints: Vec<String>,
    weight: u32,
    configured_weight: u32,
    backup: bool,
    state: &'static str,
    admin: &'static str,
    health: &'static str,
    in_flight: u64,
    requests: Counts,
    ends: Counts,
    latency_ms: Quantiles,
    /// How many durations fell into each bucket of `latency_bounds_ms`, since the start of the process: who asks twice
    /// can tell the quantiles of the time between.
    latency_counts: Vec<u64>,
    connect_ms: Quantiles,
    connects: u64,
    reused: u64,
    replayed: u64,
    retries: u64,
    idle_connections: u64,
    http2_connections: u64,
    bytes_in: u64,
    bytes_out: u64,
    last_check: Option<CheckView>,
    history: Vec<ChangeView>,
}

/// Since the start of the process; `null` before the first request.
#[derive(Clone, Debug, Serialize)]
struct Quantiles {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct CheckView {
    at: String,
    ok: bool,
    detail: String,
    ms: f64,
}

#[derive(Clone, Debug, Serialize)]
struct ChangeView {
    at: String,
    from: &'static str,
    to: &'static str,
    cause: &'static str,
    detail: Option<String>,
}

pub(super) async fn status(State(control): State<Arc<Control>>) -> Json<Status> {
    Json(Status::of(&control))
}

impl Status {
    /// The state now.
    #[must_use]
    pub fn of(control: &Control) -> Self {
        let snapshot = control.snapshot();
        let runtime = control.runtime();
        let total = snapshot.listeners.iter().map(|listener| requests_of(listener)).sum();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: control.uptime().as_secs_f64(),
            generation: snapshot.generation,
            loaded_at: rfc3339(control.loaded_at()),
            workers: control.workers(),
            requests_held: runtime.worker_counters().sum(|worker| worker.requests_held.get()),
            ready: control.is_ready(),
            draining: control.is_draining(),
            connections: Connections { open: runtime.open_connections(), max: snapshot.max_connections },
            requests: Requests { active: runtime.active_requests(), total },
            latency_bounds_ms: LATENCY_BOUNDS_US.iter().map(|us| *us as f64 / 1e3).collect(),
            listeners: snapshot.listeners.iter().map(|listener| listener_view(control, listener)).collect(),
            routes: route_views(&snapshot, &control.config()),
            upstreams: snapshot.upstreams.iter().map(|upstream| upstream_view(control, upstream)).collect(),
            certificates: certificates::views(control),
            tls_problems: control.tls().problems(),
            acme: orders::views(control),
            events: events::views(control),
        }
    }
}

fn listener_view(control: &Control, listener: &Listener) -> ListenerView {
    let bound = control.runtime().local_addresses();
    let own = bound.into_iter().filter(|(name, _)| *name == listener.name);
    let counters = &listener.live.counters;
    ListenerView {
        name: listener.name.clone(),
        addresses: own.map(|(_, address)| address.to_string()).collect(),
        connections_open: listener.live.connections.open(),
        accepted: counters.sum(|worker| worker.accepted.get()),
        refused: counters.sum(|worker| worker.refused.get()),
        requests: requests_of(listener),
        ends: metrics::occurred(counters, |worker| &worker.ends),
    }
}

fn requests_of(listener: &Listener) -> u64 {
    listener.live.counters.sum(|worker| worker.requests.get())
}

/// The routes that are counted one by one, and one more for all others.
fn route_views(snapshot: &Snapshot, config: &schema::Config) -> Vec<RouteView> {
    let configured = snapshot.routes.iter().zip(&config.routes).map(Some).chain(std::iter::repeat(None));
    metrics::route_counters(snapshot)
        .into_iter()
        .zip(configured)
        .map(|((name, counters), configured)| match configured {
            Some((route, configured)) if *route.name == *name => {
                let upstream = snapshot.upstreams.get(route.upstream);
                let upstream = upstream.map_or_else(String::new, |upstream| upstream.name.to_string());
                route_view(name, (hosts(&configured.matches), path(&configured.matches)), upstream, counters)
            }
            _ => route_view(name, (String::new(), String::new()), String::new(), counters),
        })
        .collect()
}

fn route_view(
    name: &str,
    (host, path): (String, String),
    upstream: String,
    counters: &PerWorker<RouteCounters>,
) -> RouteView {
    let latency = Distribution::of(counters, |worker| &worker.total);
    RouteView {
        name: name.to_owned(),
        host,
        path,
        upstream,
        requests: classes(counters, |worker| &worker.classes),
        ends: metrics::occurred(counters, |worker| &worker.ends),
        latency_ms: quantiles(&latency),
        latency_counts: latency.counts().to_vec(),
        bytes_in: counters.sum(|worker| worker.bytes_in.get()),
        bytes_out: counters.sum(|worker| worker.bytes_out.get()),
    }
}

fn hosts(matches: &schema::Match) -> String {
    match matches.host.as_slice() {
        [] => "*".to_owned(),
        hosts => hosts.iter().map(|host| host.value.to_string()).collect::<Vec<_>>().join(", "),
    }
}

fn path(matches: &schema::Match) -> String {
    match &matches.path {
        schema::PathMatch::Prefix(path) => path.clone(),
        schema::PathMatch::Exact(path) => format!("= {path}"),
    }
}

fn upstream_view(control: &Control, upstream: &Upstream) -> UpstreamView {
    let choice = upstream.choice();
    UpstreamView {
        name: upstream.name.to_string(),
        balance: balance_name(&upstream.settings.policy),
        checked: upstream.settings.checked,
        panic: choice.panic,
        backup_in_use: choice.backup,
        servers: upstream.servers.iter().map(|server| server_view(control, upstream, server)).collect(),
    }
}

fn server_view(control: &Control, upstream: &Upstream, server: &Server) -> ServerView {
    let live = &server.live;
    let sum = |read: fn(&ServerCounters) -> u64| live.counters.sum(read);
    let latency = Distribution::of(&live.counters, |worker| &worker.first_byte);
    ServerView {
        name: server.name.to_string(),
        address: server.authority.to_string(),
        endpoints: live.endpoints().iter().map(endpoint_name).collect(),
        weight: live.weight_override().unwrap_or(server.weight),
        configured_weight: server.weight,
        backup: server.backup,
        state: ServerState::of(upstream, server).name(),
        admin: live.admin().name(),
        health: live.health().name(),
        in_flight: sum(|worker| worker.started.get()).saturating_sub(sum(|worker| worker.ended.get())),
        requests: classes(&live.counters, |worker| &worker.classes),
        ends: metrics::occurred(&live.counters, |worker| &worker.ends),
        latency_ms: quantiles(&latency),
        latency_counts: latency.counts().to_vec(),
        connect_ms: quantiles(&Distribution::of(&live.counters, |worker| &worker.connect)),
        connects: sum(|worker| worker.connects.get()),
        reused: sum(|worker| worker.reused.get()),
        replayed: sum(|worker| worker.replayed.get()),
        retries: sum(|worker| worker.retries.get()),
        idle_connections: sum(|worker| worker.idle_in.get())
            .saturating_sub(sum(|worker| worker.idle_out.get())),
        http2_connections: sum(|worker| worker.multiplexed_in.get())
            .saturating_sub(sum(|worker| worker.multiplexed_out.get())),
        bytes_in: sum(|worker| worker.bytes_in.get()),
        bytes_out: sum(|worker| worker.bytes_out.get()),
        last_check: control.last_check(upstream, server).map(|check| CheckView {
            at: rfc3339(check.at),
            ok: check.ok,
            detail: check.detail,
            ms: check.took.as_secs_f64() * 1e3,
        }),
        history: live.history().iter().map(|entry| change_view(control, entry)).collect(),
    }
}

fn change_view(control: &Control, entry: &Entry) -> ChangeView {
    let change = &entry.transition;
    ChangeView {
        at: rfc3339(control.wall_time(change.at_ms)),
        from: change.from.name(),
        to: change.to.name(),
        cause: change.cause.name(),
        detail: entry.detail.as_deref().map(str::to_owned),
    }
}

fn endpoint_name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// All classes, also those with a count of zero, so that readers need no default.
fn classes<T>(workers: &PerWorker<T>, read: impl Fn(&T) -> &ByClass) -> Counts {
    let mut counts: Counts = ByClass::NAMES.iter().map(|name| (*name, 0)).collect();
    for worker in workers.iter() {
        for (name, count) in ByClass::NAMES.iter().zip(read(worker).iter()) {
            *counts.entry(name).or_default() += count;
        }
    }
    counts
}

fn quantiles(distribution: &Distribution) -> Quantiles {
    // Microseconds are more than the buckets can tell.
    let rounded = |quantile| distribution.quantile_ms(quantile).map(|ms| (ms * 1e3).round() / 1e3);
    Quantiles { p50: rounded(0.5), p90: rounded(0.9), p99: rounded(0.99) }
}

/// The name in the configuration file.
fn balance_name(policy: &Policy) -> &'static str {
    match policy {
        Policy::RoundRobin => "round_robin",
        Policy::LeastConnections => "least_connections",
        Policy::Random => "random",
        Policy::PowerOfTwo => "power_of_two",
        Policy::PeakEwma => "peak_ewma",
        Policy::SourceIp => "source_ip",
        Policy::Hash => "hash",
        Policy::RingHash { .. } => "ring_hash",
        Policy::Maglev { .. } => "maglev",
    }
}
