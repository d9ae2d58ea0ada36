//! Loading good files.

use std::time::Duration;

use ropeway_config::schema::{Balance, ServerAddress};
use ropeway_config::{Environment, parse_with};

fn load(text: &str) -> ropeway_config::Loaded {
    parse_with("ropeway.toml", text, Environment::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_smallest_file_gets_every_default() {
    let config = load(include_str!("../../../examples/smallest.toml")).config;

    let listener = &config.listeners[0];
    assert_eq!(listener.name.as_str(), "web");
    assert_eq!(listener.bind[0].value, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(listener.timeout.head, Duration::from_secs(10));
    assert_eq!(listener.timeout.idle, Duration::from_secs(75));
    assert_eq!(listener.timeout.body_idle, Duration::from_secs(60));
    assert_eq!(listener.timeout.min_rate, Some(500));
    assert_eq!(listener.timeout.min_rate_grace, Duration::from_secs(20));
    assert_eq!((listener.limits.head, listener.limits.fields), (65_536, 128));

    let route = &config.routes[0];
    assert_eq!((route.name.as_str(), route.upstream.as_str()), ("default", "app"));
    assert_eq!(route.timeout.response, Duration::from_secs(60));
    assert_eq!(route.timeout.stream_idle, Duration::from_secs(300));
    assert_eq!(route.timeout.tunnel_idle, Duration::from_secs(3600));

    let upstream = config.upstream("app").unwrap();
    assert_eq!(upstream.balance, Balance::RoundRobin);
    assert_eq!(upstream.servers.len(), 3);
    assert_eq!(upstream.servers[1].name.as_str(), "127.0.0.1:8002");
    assert_eq!(upstream.servers[2].address.value, ServerAddress::Ip("127.0.0.1:8003".parse().unwrap()));
    assert_eq!(upstream.servers[0].weight, 1);
    assert_eq!(upstream.timeout.connect, Duration::from_secs(3));
    assert_eq!(upstream.keep_alive.idle, Duration::from_secs(4));
    assert!(upstream.health.is_none());
    let passive = upstream.passive.as_ref().unwrap();
    assert_eq!((passive.connect_failures, passive.timeouts, passive.status_5xx), (Some(5), Some(5), Some(5)));
    assert_eq!((passive.eject, passive.max_ejected), (Duration::from_secs(10), 50));
    assert_eq!((upstream.retry.attempts, upstream.retry.budget), (1, 20));

    assert!(config.admin.enabled);
    assert_eq!(config.admin.bind.value, "127.0.0.1:9900".parse().unwrap());
    assert!(config.log.access.is_none());
}
