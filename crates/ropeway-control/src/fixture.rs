//! What unit tests of several modules start from.

use std::sync::Arc;
use std::time::Duration;

use ropeway_config::schema::Config;
use ropeway_proxy::clock::Clock;
use ropeway_proxy::snapshot::Snapshot;

use crate::compile::{Compiled, Surroundings, compile};
use crate::current::Current;
use crate::registry::Registry;

/// The configuration that `text` is.
pub(crate) fn config(text: &str) -> Config {
    let loaded = ropeway_config::parse("test.toml", text);
    loaded.unwrap_or_else(|errors| panic!("{}", errors.render(ropeway_config::Style::Plain))).config
}

/// A listener, a route, and the upstream `app` with these keys.
pub(crate) fn app(keys: &str) -> Config {
    config(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\n{keys}\n"
    ))
}

/// `config`, compiled and in service.
pub(crate) fn compiled(config: &Config, registry: &Registry) -> Compiled {
    let compiled = compile(
        config,
        &crate::tls::Built::default(),
        registry,
        &Surroundings { generation: 1, descriptors: Some(1_024), now_ms: 0, log_destination: 0 },
    );
    registry.put_into_service(&compiled.usage, 0);
    compiled
}

/// What background tasks share when `snapshot` is in service.
pub(crate) fn current(snapshot: Snapshot) -> Arc<Current> {
    Arc::new(Current::new(Arc::new(snapshot), Clock::start()))
}

/// Waits until `condition` holds. Fails after a time that no machine needs.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), met).await;
    assert!(in_time.is_ok(), "never happened: {what}");
}
