//! From a configuration to the snapshot that the data plane works with.
//!
//! The configuration has been checked by the time it comes here: compiling it cannot fail. Live state comes from the
//! [`Registry`], so that what was learned stays with whom it was learned about.

mod health;
mod listener;
mod route;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ropeway_config::schema::{AccessLogFormat, Config};
use ropeway_proxy::access_log::{LogFormat, LogTarget};
use ropeway_proxy::snapshot::Snapshot;

use crate::discovery::NamedServer;
use crate::probe::CheckedServer;
use crate::process;
use crate::registry::{Registry, Usage};
use crate::tls;

/// A compiled configuration, not yet in service.
#[derive(Debug)]
pub struct Compiled {
    /// For the workers.
    pub snapshot: Snapshot,
    /// Servers whose names are to be resolved.
    pub named: Vec<NamedServer>,
    /// Servers that are to be checked.
    pub checked: Vec<CheckedServer>,
    /// The live state that it uses.
    pub(crate) usage: Usage,
}

/// What a compiled configuration depends on beside the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// The number of the snapshot.
    pub generation: u64,
    /// How many descriptors the process may open; `None` is no limit.
    pub descriptors: Option<u64>,
    /// The process's clock.
    pub now_ms: u64,
    /// The number of the access log's destination.
    pub log_destination: u64,
}

/// Compiles `config` with the certificates in `tls` and the live state that `registry` has for it. Nothing that is in service changes.
#[must_use]
pub fn compile(
    config: &Config,
    tls: &tls::Built,
    registry: &Registry,
    surroundings: &Surroundings,
) -> Compiled {
    let mut compiler = Compiler {
        registry,
        tls,
        now_ms: surroundings.now_ms,
        usage: Usage::default(),
        named: Vec::new(),
        checked: Vec::new(),
    };
    let listeners: Vec<_> =
        config.listeners.iter().map(|listener| Arc::new(compiler.listener(listener))).collect();
    let upstreams = config.upstreams.iter().map(|upstream| Arc::new(compiler.upstream(upstream))).collect();
    let routes = compiler.routes(&config.routes, &positions(config));
    let max_connections = process::max_connections(config.limits.connections, surroundings.descriptors);
    let identity_fields = listeners.iter().any(|listener| listener.writes_identity());
    let snapshot = Snapshot {
        generation: surroundings.generation,
        listeners,
        table: route::table(&config.routes),
        routes,
        upstreams,
        max_connections,
        server_descriptors: process::server_descriptors(max_connections, surroundings.descriptors),
        max_requests: config.limits.requests,
        access_log: config.log.access.as_ref().map(|access| LogTarget {
            destination: surroundings.log_destination,
            format: log_format(access.format),
        }),
        challenges: Arc::clone(&tls.challenges),
        identity_fields,
    };
    Compiled { snapshot, named: compiler.named, checked: compiler.checked, usage: compiler.usage }
}

/// One compilation; its parts are in the files of this folder.
struct Compiler<'a> {
    registry: &'a Registry,
    tls: &'a tls::Built,
    now_ms: u64,
    usage: Usage,
    named: Vec<NamedServer>,
    checked: Vec<CheckedServer>,
}

/// Where each upstream is in the list of upstreams.
fn positions(config: &Config) -> HashMap<&str, usize> {
    config
        .upstreams
        .iter()
        .enumerate()
        .map(|(index, upstream)| (upstream.name.value.as_str(), index))
        .collect()
}

fn log_format(format: AccessLogFormat) -> LogFormat {
    match format {
        AccessLogFormat::Json => LogFormat::Json,
        AccessLogFormat::Combined => LogFormat::Combined,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
