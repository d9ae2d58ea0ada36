use ropeway_core::balance::{AdminState, Policy};
use ropeway_core::forwarding::ForwardingPolicy;
use ropeway_core::health::PassiveConfig;
use ropeway_core::http1::{BodyLimits, HeadLimits};
use ropeway_core::rate::MinRate;
use ropeway_core::retry::RetryPolicy;
use ropeway_core::route::RouteInput;
use ropeway_proxy::snapshot::HostRewrite;
use ropeway_proxy::upstream::{Endpoint, HashKey};

use super::*;
use crate::fixture::{app, compiled, config};
use crate::probe::CheckKind;

struct Request(&'static str, &'static str);

impl RouteInput for Request {
    fn host(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.1.as_bytes()
    }
}

fn compile_alone(config: &Config) -> Compiled {
    compiled(config, &Registry::new(2))
}

/// The defaults of the file are those of the rules.
#[test]
fn the_smallest_file_gives_the_default_rules() {
    let Compiled { snapshot, named, checked, .. } = compile_alone(&app("servers = [\"127.0.0.1:8001\"]"));
    let listener = &snapshot.listeners[0];
    assert_eq!(listener.head_limits, HeadLimits::default());
    assert_eq!(listener.body_limits, BodyLimits::default());
    assert_eq!(listener.timeouts.min_rate, Some(MinRate::default()));
    assert_eq!(listener.timeouts.idle_ms, 75_000);
    let forwarding = &listener.forwarding;
    let default = ForwardingPolicy::default();
    assert_eq!(
        (forwarding.x_forwarded, forwarding.x_real_ip, forwarding.forwarded, &forwarding.via),
        (default.x_forwarded, default.x_real_ip, default.forwarded, &default.via)
    );
    assert!(forwarding.trusted.is_empty());
    let upstream = &snapshot.upstreams[0];
    assert_eq!(upstream.settings.policy, Policy::RoundRobin);
    assert_eq!(upstream.settings.retry, RetryPolicy::default());
    assert_eq!(
        (upstream.settings.retry_budget.percent, upstream.settings.retry_budget.floor_per_second),
        (20, 10)
    );
    assert_eq!(upstream.settings.passive, Some(PassiveConfig::default()));
    assert_eq!(upstream.settings.connect_timeout_ms, 3_000);
    assert_eq!((upstream.settings.keep_alive.idle_ms, upstream.settings.keep_alive.learn), (4_000, true));
    assert!(!upstream.settings.checked && named.is_empty() && checked.is_empty());
    assert_eq!(snapshot.routes[0].timeouts.response_ms, 60_000);
    assert_eq!(snapshot.routes[0].host, HostRewrite::Keep);
    assert_eq!((snapshot.max_connections, snapshot.max_requests), (448, None));
    assert!(snapshot.access_log.is_none());
}

#[test]
fn a_route_with_several_hosts_is_one_route() {
    let config = config(
        r#"
        [listener.web]
        bind = "127.0.0.1:0"
        [[route]]
        name = "shops"
        match = { host = ["a.example", "*.b.example"], path = "/buy" }
        upstream = "second"
        [[route]]
        name = "rest"
        match = { path = { exact = "/rest" } }
        upstream = "first"
        [upstream.first]
        servers = ["127.0.0.1:8001"]
        [upstream.second]
        servers = ["127.0.0.1:8002"]
        "#,
    );
    let snapshot = compile_alone(&config).snapshot;
    let route = |request| {
        let route = &snapshot.routes[snapshot.table.find(&request)? as usize];
        Some((&*route.name, &*snapshot.upstreams[route.upstream].name))
    };
    assert_eq!(snapshot.routes.len(), 2);
    assert_eq!(route(Request("a.example", "/buy/it")), Some(("shops", "second")));
    assert_eq!(route(Request("x.b.example", "/buy")), Some(("shops", "second")));
    assert_eq!(route(Request("b.example", "/buy")), None);
    assert_eq!(route(Request("b.example", "/rest")), Some(("rest", "first")));
}

#[test]
fn to_set_a_field_takes_out_what_is_there() {
    let config = config(
        r#"
        [listener.web]
        bind = "127.0.0.1:0"
        [[route]]
        upstream = "app"
        headers = { request = { set = { x-env = "prod" }, add = { x-more = "1" }, remove = ["x-old"] } }
        host = "inner.example"
        [upstream.app]
        servers = ["127.0.0.1:8001"]
        "#,
    );
    let snapshot = compile_alone(&config).snapshot;
    let edits = &snapshot.routes[0].request_edits;
    let removed: Vec<&str> = edits.remove.iter().map(|name| str::from_utf8(name).unwrap()).collect();
    assert_eq!(removed, ["x-old", "x-env"]);
    assert_eq!(str::from_utf8(&edits.append).unwrap(), "x-env: prod\r\nx-more: 1\r\n");
    assert!(snapshot.routes[0].response_edits.is_empty());
    assert_eq!(snapshot.routes[0].host, HostRewrite::Literal((*b"inner.example").into()));
}

#[test]
fn servers_of_every_kind() {
    let compiled = compile_alone(&app(r#"servers = [
            { address = "127.0.0.1:8001", name = "one", weight = 3, max_connections = 5 },
            { address = "app.example:80", backup = true },
            { address = "unix:/run/app.sock", state = "drain" },
        ]
        balance = { type = "ring_hash", key = "cookie:session", bounded_load = 1.5 }
        limits = { connections_per_server = 9 }"#));
    let upstream = &compiled.snapshot.upstreams[0];
    let [one, named, unix] = &upstream.servers[..] else { panic!("three servers") };
    assert_eq!(
        (&*one.name, &*one.authority, one.weight, one.max_connections),
        ("one", "127.0.0.1:8001", 3, Some(5))
    );
    assert_eq!(*one.live.endpoints(), [Endpoint::Tcp("127.0.0.1:8001".parse().unwrap())]);
    assert_eq!((&*named.name, named.backup, named.max_connections), ("app.example:80", true, Some(9)));
    assert!(named.live.endpoints().is_empty(), "a name has no address before it resolves");
    assert_eq!(*unix.live.endpoints(), [Endpoint::Unix("/run/app.sock".into())]);
    assert_eq!(unix.live.admin(), AdminState::Drain);
    assert_eq!(upstream.settings.policy, Policy::RingHash { bounded_load: Some(1.5) });
    assert_eq!(upstream.settings.hash_key, HashKey::Cookie((*b"session").into()));
    let [resolved] = &compiled.named[..] else { panic!("one name") };
    assert_eq!((&*resolved.upstream, &*resolved.host, resolved.port), ("app", "app.example", 80));
    assert!(Arc::ptr_eq(&resolved.live, &named.live));
}

#[test]
fn checks_are_compiled_with_their_pace() {
    let compiled = compile_alone(&app(r#"servers = ["127.0.0.1:8001", "127.0.0.1:8002"]
        health = { type = "http", path = "/ok", method = "HEAD", host = "inner", status = "200,204", body = "fine",
                   headers = { x-check = "1" }, port = 9000, interval = "3s", jitter = 0, timeout = "1s", fall = 4, rise = 5 }"#));
    assert!(compiled.snapshot.upstreams[0].settings.checked);
    let addresses: Vec<&str> = compiled.checked.iter().map(|server| &*server.authority).collect();
    assert_eq!(addresses, ["127.0.0.1:8001", "127.0.0.1:8002"]);
    let check = &compiled.checked[0].check;
    assert_eq!(check.transport.port, Some(9_000));
    assert_eq!((check.pace.interval_ms, check.pace.jitter_percent, check.pace.timeout_ms), (3_000, 0, 1_000));
    assert_eq!((check.pace.fall, check.pace.rise), (4, 5));
    let CheckKind::Http(http) = &check.kind else { panic!("an HTTP check") };
    assert_eq!((&*http.method, &*http.path, http.host.as_deref()), ("HEAD", "/ok", Some("inner")));
    assert_eq!(http.headers, [("x-check".to_owned(), "1".to_owned())]);
    assert_eq!(http.expected.statuses.to_string(), "200,204");
    assert_eq!(http.expected.body.as_deref(), Some(&b"fine"[..]));
}

#[test]
fn compiling_again_takes_over_what_was_learned() {
    let registry = Registry::new(1);
    let before = compiled(&app("servers = [\"127.0.0.1:8001\", \"127.0.0.1:8002\"]"), &registry).snapshot;
    let after = compiled(&app("servers = [\"127.0.0.1:8002\"]\npanic_threshold = 10"), &registry).snapshot;
    assert!(Arc::ptr_eq(&before.listeners[0].live, &after.listeners[0].live));
    assert!(Arc::ptr_eq(&before.upstreams[0].live, &after.upstreams[0].live));
    assert!(Arc::ptr_eq(&before.upstreams[0].servers[1].live, &after.upstreams[0].servers[0].live));
    before.routes[0].counters.of(0).unwrap().bytes_in.add(7);
    assert_eq!(after.routes[0].counters.sum(|route| route.bytes_in.get()), 7);
}
