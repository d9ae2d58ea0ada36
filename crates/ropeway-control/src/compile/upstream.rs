//! Upstreams and their servers.

use std::sync::Arc;

use ropeway_config::schema::{self, Balance, RetryOn as On, ServerAddress, ServerState};
use ropeway_core::balance::{AdminState, Policy, SlowStart, hash_key};
use ropeway_core::health::PassiveConfig;
use ropeway_core::retry::{RetryOn, RetryPolicy};
use ropeway_proxy::upstream::{
    BudgetRules, Endpoint, HashKey, KeepAlive, ProxyProtocolVersion, Server, ServerLive, Upstream,
    UpstreamSettings,
};

use super::health::{Checking, checking};
use super::{Compiler, millis};
use crate::discovery::NamedServer;
use crate::probe::CheckedServer;

/// Retries per second that a budget allows beside its share of the requests.
const RETRIES_PER_SECOND: u32 = 10;

impl Compiler<'_> {
    pub(super) fn upstream(&mut self, config: &schema::Upstream) -> Upstream {
        let name: Arc<str> = config.name.value.as_str().into();
        let live = self.registry.upstream(&mut self.usage, &name, self.now_ms);
        let tls = self.tls.upstreams.get(&config.name.value).cloned();
        let checking = config.health.as_ref().map(|health| checking(health, config, tls.as_ref()));
        let servers = config.servers.iter();
        let servers = servers.map(|server| self.server(&name, config, server, checking.as_ref())).collect();
        let settings = UpstreamSettings { tls, ..settings(config) };
        Upstream::new(name, servers, settings, live, self.now_ms)
    }

    fn server(
        &mut self,
        upstream: &Arc<str>,
        group: &schema::Upstream,
        config: &schema::Server,
        checking: Option<&Checking>,
    ) -> Server {
        let name: Arc<str> = config.name.value.as_str().into();
        let authority: Arc<str> = config.address.value.to_string().into();
        let key = (Arc::clone(upstream), Arc::clone(&name), Arc::clone(&authority));
        let state = (admin_state(config.state), checking.is_some());
        let endpoints = endpoints(&config.address.value);
        let live = self.registry.server(&mut self.usage, key, endpoints, state, self.now_ms);
        self.resolve(upstream, &config.address.value, &live);
        if let Some(checking) = checking {
            self.checked.push(CheckedServer {
                upstream: Arc::clone(upstream),
                name: Arc::clone(&name),
                authority: Arc::clone(&authority),
                check: Arc::clone(&checking.check),
                tls: checking.tls.clone(),
                live: Arc::clone(&live),
            });
        }
        Server {
            identity: hash_key(name.as_bytes()),
            name,
            authority,
            weight: config.weight.into(),
            backup: config.backup,
            max_connections: config.max_connections.or(group.limits.connections_per_server),
            live,
        }
    }

    fn resolve(&mut self, upstream: &Arc<str>, address: &ServerAddress, live: &Arc<ServerLive>) {
        if let ServerAddress::Name { host, port } = address {
            self.named.push(NamedServer {
                upstream: Arc::clone(upstream),
                host: host.as_str().into(),
                port: *port,
                live: Arc::clone(live),
            });
        }
    }
}

/// What is known of the address without asking anybody.
fn endpoints(address: &ServerAddress) -> Vec<Endpoint> {
    match address {
        ServerAddress::Ip(address) => vec![Endpoint::Tcp(*address)],
        ServerAddress::Unix(path) => vec![Endpoint::Unix(path.clone())],
        ServerAddress::Name { .. } => Vec::new(),
    }
}

fn settings(config: &schema::Upstream) -> UpstreamSettings {
    let (policy, hash_key) = policy(&config.balance);
    UpstreamSettings {
        policy,
        hash_key,
        connect_timeout_ms: millis(config.timeout.connect),
        keep_alive: KeepAlive {
            idle_ms: millis(config.keep_alive.idle),
            learn: config.keep_alive.learn,
            max_idle: usize::try_from(config.keep_alive.max_idle).unwrap_or(usize::MAX),
            max_requests: config.keep_alive.max_requests.map_or(0, u64::from),
        },
        max_streams: config.limits.streams_per_connection.map_or(usize::MAX, |most| most as usize),
        retry: retry(&config.retry),
        retry_budget: BudgetRules {
            percent: config.retry.budget.into(),
            floor_per_second: RETRIES_PER_SECOND,
        },
        passive: config.passive.as_ref().map(passive),
        panic_threshold: config.panic_threshold.into(),
        slow_start: config.slow_start.map(|window| SlowStart { window_ms: millis(window) }),
        checked: config.health.is_some(),
        tls: None,
        http2: config.protocol == schema::Protocol::Http2,
        all_trailers: config.request_trailers == schema::RequestTrailers::All,
        proxy_protocol: config.proxy_protocol.map(proxy_protocol),
    }
}

pub(super) fn proxy_protocol(version: schema::ProxyProtocolVersion) -> ProxyProtocolVersion {
    match version {
        schema::ProxyProtocolVersion::V1 => ProxyProtocolVersion::V1,
        schema::ProxyProtocolVersion::V2 => ProxyProtocolVersion::V2,
    }
}

/// The algorithm, and what it hashes if it does.
fn policy(balance: &Balance) -> (Policy, HashKey) {
    match balance {
        Balance::RoundRobin => (Policy::RoundRobin, HashKey::SourceIp),
        Balance::LeastConnections => (Policy::LeastConnections, HashKey::SourceIp),
        Balance::Random => (Policy::Random, HashKey::SourceIp),
        Balance::PowerOfTwo => (Policy::PowerOfTwo, HashKey::SourceIp),
        Balance::PeakEwma => (Policy::PeakEwma, HashKey::SourceIp),
        Balance::SourceIp => (Policy::SourceIp, HashKey::SourceIp),
        Balance::Hash { key } => (Policy::Hash, hashed(key)),
        Balance::RingHash { key, bounded_load } => {
            (Policy::RingHash { bounded_load: bounded_load.map(|factor| factor as f32) }, hashed(key))
        }
        Balance::Maglev { key, table_size } => (Policy::Maglev { table_size: *table_size }, hashed(key)),
    }
}

fn hashed(key: &schema::HashKey) -> HashKey {
    match key {
        schema::HashKey::SourceIp => HashKey::SourceIp,
        schema::HashKey::Path => HashKey::Path,
        schema::HashKey::Uri => HashKey::Uri,
        schema::HashKey::Header(name) => HashKey::Header(name.as_str().as_bytes().into()),
        schema::HashKey::Cookie(name) => HashKey::Cookie(name.as_bytes().into()),
    }
}

fn retry(config: &schema::Retry) -> RetryPolicy {
    let on = |what| config.on.contains(&what);
    RetryPolicy {
        attempts: config.attempts,
        on: RetryOn {
            connect_failure: on(On::Connect),
            reset_before_response: on(On::Reset),
            timeout: on(On::Timeout),
            status_502: on(On::Status502),
            status_503: on(On::Status503),
            status_504: on(On::Status504),
            grpc_unavailable: on(On::GrpcUnavailable),
        },
        idempotent_only: true,
    }
}

fn passive(config: &schema::Passive) -> PassiveConfig {
    PassiveConfig {
        consecutive_connect_failures: config.connect_failures,
        consecutive_timeouts: config.timeouts,
        consecutive_resets: config.resets,
        consecutive_5xx: config.status_5xx,
        base_ejection_ms: millis(config.eject),
        max_ejection_ms: millis(config.eject_max),
        max_ejected_percent: config.max_ejected,
        ..PassiveConfig::default()
    }
}

fn admin_state(state: ServerState) -> AdminState {
    match state {
        ServerState::Ready => AdminState::Ready,
        ServerState::Drain => AdminState::Drain,
        ServerState::Disabled => AdminState::Disabled,
    }
}
