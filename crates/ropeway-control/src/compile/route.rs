//! Routes, and the table that finds them.

use std::collections::HashMap;
use std::sync::Arc;

use ropeway_config::schema::{self, HeaderEdits, HeaderName, HeaderValue, HostHeader, HostPattern};
use ropeway_core::route::{HostMatch, PathMatch, RouteMatch, RouteTable};
use ropeway_proxy::snapshot::{FieldEdits, HostRewrite, Route, RouteTimeouts};

use super::{Compiler, millis};

impl Compiler<'_> {
    /// The routes, in file order; `upstreams` says where each upstream is.
    pub(super) fn routes(
        &mut self,
        config: &[schema::Route],
        upstreams: &HashMap<&str, usize>,
    ) -> Vec<Route> {
        let routes = config.iter().enumerate();
        routes
            .filter_map(|(position, route)| {
                // The configuration has no route to an upstream that is not there.
                let upstream = *upstreams.get(route.upstream.value.as_str())?;
                Some(self.route(route, position, upstream))
            })
            .collect()
    }

    fn route(&mut self, config: &schema::Route, position: usize, upstream: usize) -> Route {
        let name: Arc<str> = config.name.value.as_str().into();
        let counters = self.registry.route(&mut self.usage, &name, position, self.now_ms);
        Route {
            name,
            upstream,
            timeouts: RouteTimeouts {
                response_ms: millis(config.timeout.response),
                stream_idle_ms: millis(config.timeout.stream_idle),
                tunnel_idle_ms: millis(config.timeout.tunnel_idle),
            },
            max_body: config.limits.body,
            request_edits: edits(&config.headers.request),
            response_edits: edits(&config.headers.response),
            host: match &config.host {
                HostHeader::Keep => HostRewrite::Keep,
                HostHeader::Upstream => HostRewrite::Server,
                HostHeader::Rewrite(host) => HostRewrite::Literal(host.as_bytes().into()),
            },
            grpc_web: config.grpc_web,
            counters,
        }
    }
}

/// The table that finds a route by its position. A route has one match for each of its hosts.
pub(super) fn table(routes: &[schema::Route]) -> RouteTable {
    let numbered = (0_u32..).zip(routes);
    let matches =
        numbered.flat_map(|(number, route)| matches(route).into_iter().map(move |one| (number, one)));
    RouteTable::build_numbered(matches)
}

fn matches(route: &schema::Route) -> Vec<RouteMatch> {
    let path = match &route.matches.path {
        schema::PathMatch::Exact(path) => PathMatch::Exact(path.as_bytes().into()),
        schema::PathMatch::Prefix(path) => PathMatch::Prefix(path.as_bytes().into()),
    };
    let hosts = &route.matches.host;
    if hosts.is_empty() {
        return vec![RouteMatch { host: HostMatch::Any, path }];
    }
    hosts.iter().map(|pattern| RouteMatch { host: host(&pattern.value), path: path.clone() }).collect()
}

fn host(pattern: &HostPattern) -> HostMatch {
    match pattern {
        HostPattern::Exact(host) => HostMatch::Exact(host.as_bytes().into()),
        HostPattern::Wildcard(below) => HostMatch::Wildcard(below.as_bytes().into()),
    }
}

/// To set a field is to take out those that are there, and to append one.
fn edits(config: &HeaderEdits) -> FieldEdits {
    let removed = config.remove.iter().chain(config.set.iter().map(|(name, _)| name));
    let appended = config.set.iter().chain(&config.add);
    FieldEdits {
        remove: removed.map(|name| name.as_str().as_bytes().into()).collect(),
        append: appended.flat_map(|(name, value)| line(&name.value, value)).collect(),
    }
}

fn line(name: &HeaderName, value: &HeaderValue) -> Vec<u8> {
    format!("{name}: {value}\r\n").into_bytes()
}
