//! What finding a route costs, by the number of routes in the table.
//!
//! `cargo bench -p ropeway-core --bench route` prints nanoseconds per lookup, the best of several rounds. Under an
//! instruction counter, name a case and a number of routes to run only that (`route prefix 10000`), and count what
//! happens inside `round`.

use std::hint::black_box;
use std::time::Instant;

use ropeway_core::route::{HostMatch, PathMatch, RouteInput, RouteMatch, RouteTable};

const SIZES: [u32; 3] = [1, 100, 10_000];
const LOOKUPS: u32 = 100_000;
const ROUNDS: u32 = 15;

/// A kind of table, and requests for its routes.
struct Case {
    name: &'static str,
    route: fn(u32) -> RouteMatch,
    request: fn(u32) -> Request,
}

struct Request {
    host: String,
    path: String,
}

impl RouteInput for Request {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
}

const CASES: [Case; 5] = [
    Case {
        name: "prefix",
        route: |n| RouteMatch { host: HostMatch::Any, path: prefix(format!("/service-{n:05}")) },
        request: |n| request("shop.example.com".into(), format!("/service-{n:05}/items/4711")),
    },
    Case {
        name: "exact",
        route: |n| RouteMatch { host: HostMatch::Any, path: exact(format!("/service-{n:05}/items/4711")) },
        request: |n| request("shop.example.com".into(), format!("/service-{n:05}/items/4711")),
    },
    Case {
        name: "host",
        route: |n| RouteMatch { host: HostMatch::Exact(host(n)), path: prefix("/".into()) },
        request: |n| request(format!("tenant-{n:05}.example.com"), "/items/4711".into()),
    },
    Case {
        name: "wildcard",
        route: |n| RouteMatch { host: HostMatch::Wildcard(host(n)), path: prefix("/items".into()) },
        request: |n| request(format!("www.tenant-{n:05}.example.com"), "/items/4711".into()),
    },
    Case {
        name: "no_route",
        route: |n| RouteMatch { host: HostMatch::Any, path: prefix(format!("/service-{n:05}")) },
        request: |n| request("shop.example.com".into(), format!("/unknown-{n:05}/items/4711")),
    },
];

fn prefix(path: String) -> PathMatch {
    PathMatch::Prefix(path.into_bytes().into())
}

fn exact(path: String) -> PathMatch {
    PathMatch::Exact(path.into_bytes().into())
}

fn host(n: u32) -> Box<[u8]> {
    format!("tenant-{n:05}.example.com").into_bytes().into()
}

const fn request(host: String, path: String) -> Request {
    Request { host, path }
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!("{:10} {:>8} {:>12}", "case", "routes", "ns/lookup");
    for case in &CASES {
        for size in SIZES {
            if chosen.iter().all(|arg| arg == case.name || *arg == size.to_string()) {
                println!("{:10} {size:>8} {:>12.1}", case.name, measure(case, size));
            }
        }
    }
}

/// Nanoseconds per lookup in the best round. The requests are the same few in every size, so that the processor's
/// caches hold the same amount of data and the difference shows the work.
fn measure(case: &Case, size: u32) -> f64 {
    let routes: Vec<RouteMatch> = (0..size).map(case.route).collect();
    let table = RouteTable::build(&routes);
    let requests: Vec<Request> = (0..8).map(|n| (case.request)(n * 1_237 % size)).collect();
    let rounds = (0..ROUNDS).map(|_| round(&table, &requests));
    rounds.fold(f64::INFINITY, f64::min)
}

#[inline(never)]
fn round(table: &RouteTable, requests: &[Request]) -> f64 {
    let start = Instant::now();
    for request in requests.iter().cycle().take(LOOKUPS as usize) {
        black_box(table.find(black_box(request)));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS)
}
