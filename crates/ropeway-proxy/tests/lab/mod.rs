//! A data plane with one listener and origins of its own, inside the test's process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use ropeway_core::balance::{Policy, hash_key};
use ropeway_core::forwarding::{ForwardingPolicy, TrustedProxies};
use ropeway_core::http1::{BodyLimits, HeadLimits};
use ropeway_core::rate::MinRate;
use ropeway_core::retry::RetryPolicy;
use ropeway_core::route::{HostMatch, PathMatch, RouteMatch, RouteTable};
use ropeway_proxy::access_log::LogTarget;
use ropeway_proxy::clock::Clock;
use ropeway_proxy::counters::PerWorker;
use ropeway_proxy::runtime::{Runtime, Settings};
use ropeway_proxy::snapshot::{
    ClientTimeouts, FieldEdits, HostRewrite, Listener, ListenerLive, Route, RouteTimeouts, Snapshot,
};
use ropeway_proxy::upstream::{
    BudgetRules, Endpoint, HashKey, KeepAlive, Server, ServerLive, Upstream, UpstreamLive, UpstreamSettings,
};

/// Starts one worker in front of `origins`.
pub fn start(origins: &[SocketAddr], access_log: Option<LogTarget>) -> (Runtime, SocketAddr) {
    let clock = Clock::start();
    let settings = Settings { workers: 1, clock, log_buffer: 1 << 20 };
    let runtime = Runtime::start(settings, snapshot(origins, access_log, clock)).unwrap();
    let address = runtime.local_addresses()[0].1;
    (runtime, address)
}

/// A new snapshot that says the same as the one in service, to be applied as a reload would.
#[allow(dead_code, reason = "not every test reloads")]
pub fn same_again(runtime: &Runtime) -> Snapshot {
    let old = runtime.snapshot();
    let any = RouteMatch { host: HostMatch::Any, path: PathMatch::Prefix((*b"/").into()) };
    Snapshot {
        generation: old.generation + 1,
        listeners: old.listeners.clone(),
        table: RouteTable::build(&[any]),
        routes: vec![route()],
        upstreams: old.upstreams.clone(),
        max_connections: old.max_connections,
        max_requests: old.max_requests,
        server_descriptors: old.server_descriptors,
        access_log: old.access_log,
        challenges: Arc::clone(&old.challenges),
        identity_fields: old.identity_fields,
    }
}

/// An origin that answers every read that ends a head with `response`, without allocating.
pub fn origin(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    stream.write_all(response).unwrap();
                }
            });
        }
    });
    address
}

/// Sends `request` and reads a response of exactly `length` bytes, without allocating.
#[allow(dead_code, reason = "not every test counts allocations")]
pub fn ask(stream: &mut TcpStream, request: &[u8], length: usize) {
    let mut buffer = [0; 16 * 1024];
    stream.write_all(request).unwrap();
    stream.read_exact(&mut buffer[..length]).unwrap();
    assert!(buffer.starts_with(b"HTTP/1.1 200 "));
}

fn snapshot(origins: &[SocketAddr], access_log: Option<LogTarget>, clock: Clock) -> Snapshot {
    let any = RouteMatch { host: HostMatch::Any, path: PathMatch::Prefix((*b"/").into()) };
    Snapshot {
        generation: 1,
        listeners: vec![Arc::new(listener())],
        table: RouteTable::build(&[any]),
        routes: vec![route()],
        upstreams: vec![Arc::new(upstream(origins, clock))],
        max_connections: 1000,
        max_requests: None,
        server_descriptors: None,
        access_log,
        challenges: Arc::default(),
        identity_fields: false,
    }
}

fn route() -> Route {
    Route {
        name: "all".into(),
        upstream: 0,
        timeouts: RouteTimeouts { response_ms: 10_000, stream_idle_ms: 10_000, tunnel_idle_ms: 10_000 },
        max_body: None,
        request_edits: FieldEdits::default(),
        response_edits: FieldEdits::default(),
        host: HostRewrite::Keep,
        grpc_web: false,
        counters: PerWorker::new(1),
    }
}

fn listener() -> Listener {
    Listener {
        name: "web".into(),
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        timeouts: ClientTimeouts {
            head_ms: 10_000,
            idle_ms: 75_000,
            body_idle_ms: 60_000,
            send_idle_ms: 60_000,
            min_rate: Some(MinRate::default()),
            linger_ms: 2_000,
        },
        head_limits: HeadLimits::default(),
        body_limits: BodyLimits::default(),
        forwarding: ForwardingPolicy {
            trusted: TrustedProxies::default(),
            x_forwarded: true,
            x_real_ip: true,
            forwarded: true,
            via: Some(b"ropeway".to_vec()),
        },
        request_id: Some((*b"X-Request-Id").into()),
        server_name_field: Some((*b"X-Served-By").into()),
        max_connections: None,
        max_connections_per_client: None,
        max_requests_per_connection: None,
        abort_on_close: false,
        tls: None,
        http2: None,
        proxy_protocol: None,
        redirect_https: false,
        hsts: None,
        live: Arc::new(ListenerLive::new(1)),
    }
}

fn upstream(origins: &[SocketAddr], clock: Clock) -> Upstream {
    let server = |address: &SocketAddr| {
        let name: Arc<str> = address.to_string().into();
        Server {
            identity: hash_key(name.as_bytes()),
            authority: Arc::clone(&name),
            name,
            weight: 1,
            backup: false,
            max_connections: None,
            live: Arc::new(ServerLive::new(1, vec![Endpoint::Tcp(*address)])),
        }
    };
    let settings = UpstreamSettings {
        policy: Policy::RoundRobin,
        hash_key: HashKey::SourceIp,
        connect_timeout_ms: 3_000,
        keep_alive: KeepAlive { idle_ms: 60_000, learn: false, max_idle: 64, max_requests: 0 },
        max_streams: usize::MAX,
        retry: RetryPolicy::default(),
        retry_budget: BudgetRules { percent: 20, floor_per_second: 10 },
        passive: Some(ropeway_core::health::PassiveConfig::default()),
        panic_threshold: 0,
        slow_start: None,
        checked: false,
        tls: None,
        http2: false,
        all_trailers: false,
        proxy_protocol: None,
    };
    let servers = origins.iter().map(server).collect();
    Upstream::new("app".into(), servers, settings, Arc::new(UpstreamLive::default()), clock.now_ms())
}
