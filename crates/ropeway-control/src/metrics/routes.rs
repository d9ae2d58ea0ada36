//! What is counted per route.

use std::fmt;

use ropeway_core::grpc::GrpcStatus;
use ropeway_proxy::counters::{ByClass, PerWorker, RouteCounters};
use ropeway_proxy::snapshot::Snapshot;

use super::distribution::Distribution;
use super::families as family;
use super::page::Page;
use crate::registry::COUNTED_ROUTES;

/// The name under which the routes beyond [`COUNTED_ROUTES`] are counted together.
pub const OTHER: &str = "other";

/// The counters of all routes, each set once, with the value of its `route` label.
#[must_use]
pub fn route_counters(snapshot: &Snapshot) -> Vec<(&str, &PerWorker<RouteCounters>)> {
    let (counted, rest) = snapshot.routes.split_at(snapshot.routes.len().min(COUNTED_ROUTES));
    let named = counted.iter().map(|route| (&*route.name, &route.counters));
    named.chain(rest.first().map(|route| (OTHER, &route.counters))).collect()
}

pub(super) fn encode(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let routes = route_counters(snapshot);

    let mut requests = page.family(&family::REQUESTS)?;
    for (route, counters) in &routes {
        for (index, class) in ByClass::NAMES.iter().enumerate() {
            let count = counters.sum(|worker| worker.classes.iter().nth(index).unwrap_or(0));
            requests.counter(&[route, class], count)?;
        }
    }
    let mut ends = page.family(&family::REQUEST_ENDS)?;
    for (route, counters) in &routes {
        for (reason, count) in super::scrape::occurred(counters, |worker| &worker.ends) {
            ends.counter(&[route, reason], count)?;
        }
    }
    let mut calls = page.family(&family::GRPC_REQUESTS)?;
    for (route, counters) in &routes {
        for status in GrpcStatus::ALL {
            let count = counters.sum(|worker| worker.grpc.count(*status));
            if count > 0 {
                calls.counter(&[route, &status.code().to_string()], count)?;
            }
        }
    }
    let mut durations = page.family(&family::REQUEST_DURATION)?;
    for (route, counters) in &routes {
        durations.histogram(&[route], &Distribution::of(counters, |worker| &worker.total))?;
    }
    let mut received = page.family(&family::REQUEST_BYTES)?;
    for (route, counters) in &routes {
        received.counter(&[route], counters.sum(|worker| worker.bytes_in.get()))?;
    }
    let mut sent = page.family(&family::RESPONSE_BYTES)?;
    for (route, counters) in &routes {
        sent.counter(&[route], counters.sum(|worker| worker.bytes_out.get()))?;
    }
    Ok(())
}
