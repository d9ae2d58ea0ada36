//! Names and matches of routes.

use ropeway_core::route::{HostMatch, PathMatch as CorePath, RouteMatch, RouteTable};

use super::names::refuse_duplicates;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Place;
use crate::schema::{Config, HostPattern, PathMatch, Protocol, Route};

/// Before names are derived: those that the file gives must be distinct.
pub(super) fn check_names(context: &mut Context, config: &Config) {
    let given = config.routes.iter().map(|route| &route.name).filter(|name| !name.is_empty());
    refuse_duplicates(context, "route", given);
}

/// Warns of matches that an earlier route has already taken, as the data plane's own table sees it.
pub(super) fn check_reachable(context: &mut Context, config: &Config) {
    // A condition that could not be read looks like none here.
    if context.has_errors() {
        return;
    }
    let (mut matches, mut owners) = (Vec::new(), Vec::new());
    for route in &config.routes {
        for (one, place) in matches_of(route) {
            matches.push(one);
            owners.push((route, place));
        }
    }
    for shadowed in RouteTable::build(&matches).shadowed() {
        let pair = (owners.get(shadowed.route as usize), owners.get(shadowed.by as usize));
        if let (Some((route, place)), Some((earlier, earlier_place))) = pair {
            let message = format!("no request reaches this: the route `{}` matches the same", earlier.name);
            let complaint = Diagnostic::warning("unreachable-route", place, message);
            let related = if std::ptr::eq(*route, *earlier) { "twice in one route" } else { "taken here" };
            context.report(complaint.related(earlier_place, related));
        }
    }
}

/// gRPC is spoken by HTTP/2 only, so that is what a translation of gRPC-Web needs behind it.
pub(super) fn check_grpc_web(context: &mut Context, config: &Config) {
    for route in config.routes.iter().filter(|route| route.grpc_web) {
        let upstream = config.upstreams.iter().find(|upstream| upstream.name.value == route.upstream.value);
        let Some(upstream) = upstream.filter(|upstream| upstream.protocol != Protocol::Http2) else {
            continue;
        };
        let message =
            format!("`grpc_web` needs HTTP/2, and the upstream `{}` is asked by HTTP/1.1", upstream.name);
        let complaint = Diagnostic::error("grpc-web-without-http2", &route.upstream.place, message);
        context.report(
            complaint.related(&upstream.name.place, "here").help("add `protocol = \"h2\"` to the upstream"),
        );
    }
}

/// One match for each host, with the place that shows it best.
fn matches_of(route: &Route) -> Vec<(RouteMatch, Place)> {
    let path = match &route.matches.path {
        PathMatch::Exact(path) => CorePath::Exact(path.as_bytes().into()),
        PathMatch::Prefix(path) => CorePath::Prefix(path.as_bytes().into()),
    };
    let of_host = |host: HostMatch| RouteMatch { host, path: path.clone() };
    if route.matches.host.is_empty() {
        return vec![(of_host(HostMatch::Any), route.upstream.place.clone())];
    }
    let hosts = route.matches.host.iter();
    hosts.map(|host| (of_host(core_host(host)), host.place.clone())).collect()
}

fn core_host(host: &HostPattern) -> HostMatch {
    match host {
        HostPattern::Exact(host) => HostMatch::Exact(host.as_bytes().into()),
        HostPattern::Wildcard(below) => HostMatch::Wildcard(below.as_bytes().into()),
    }
}
