//! What a pick and the building of a table cost, for each policy and number of servers.
//!
//! `cargo bench -p ropeway-core --bench pick` prints nanoseconds per pick, the median of several rounds. Half of the
//! servers are busy, and their response times differ, so that no policy takes a short cut. The counters that are
//! shared by workers are real atomics, but there is one thread: contention is not measured here.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use ropeway_core::balance::{Candidate, Live, PeakEwma, Pick, PickTable, Policy, Rng, WEIGHT_UNIT, hash_key};

const PICKS: u32 = 100_000;
const ROUNDS: usize = 9;
const SERVERS: [u32; 3] = [3, 100, 1_000];

fn main() {
    println!("| policy | {} |", SERVERS.map(|servers| format!("{servers} servers | build")).join(" | "));
    println!("|---|{}", "---:|---:|".repeat(SERVERS.len()));
    for (name, policy) in policies() {
        let costs = SERVERS.map(|servers| cost(&policy, servers));
        println!("| {name} | {} |", costs.join(" | "));
    }
}

fn policies() -> [(&'static str, Policy); 9] {
    let bounded_load = Some(Policy::DEFAULT_BOUNDED_LOAD);
    [
        ("round robin", Policy::RoundRobin),
        ("least connections", Policy::LeastConnections),
        ("random", Policy::Random),
        ("power of two", Policy::PowerOfTwo),
        ("peak EWMA", Policy::PeakEwma),
        ("hash, source IP", Policy::Hash),
        ("ring hash", Policy::RingHash { bounded_load: None }),
        ("ring hash, bounded", Policy::RingHash { bounded_load }),
        ("Maglev", Policy::Maglev { table_size: Policy::DEFAULT_MAGLEV_TABLE }),
    ]
}

/// Nanoseconds per pick, and milliseconds per table.
fn cost(policy: &Policy, servers: u32) -> String {
    let candidates: Vec<_> = (0..servers).map(candidate).collect();
    let started = Instant::now();
    let table = PickTable::build(policy, &candidates);
    let build_ms = started.elapsed().as_secs_f64() * 1e3;
    let upstream = Upstream::new(servers);
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| nanoseconds_per_pick(&table, &upstream)).collect();
    rounds.sort_by(f64::total_cmp);
    format!("{:.1} ns | {build_ms:.2} ms", rounds[ROUNDS / 2])
}

fn nanoseconds_per_pick(table: &PickTable, upstream: &Upstream) -> f64 {
    let (mut random, mut keys) = (Rng::new(1), Rng::new(2));
    let started = Instant::now();
    for _ in 0..PICKS {
        let hash = keys.next_u64();
        let request = Pick { hash, random: &mut random, exclude: &[], now_us: 2_000_000 };
        black_box(table.pick(upstream, request));
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(PICKS)
}

fn candidate(index: u32) -> Candidate {
    let name = format!("10.0.{}.{}:80", index / 256, index % 256);
    Candidate { index, weight: WEIGHT_UNIT * (1 + index % 3), identity: hash_key(name.as_bytes()) }
}

/// Live state as a proxy keeps it.
struct Upstream {
    cursor: AtomicU64,
    in_flight: Vec<AtomicU32>,
    total_in_flight: u64,
    latency: Vec<PeakEwma>,
    capacity: u32,
}

impl Upstream {
    fn new(servers: u32) -> Self {
        let in_flight: Vec<_> = (0..servers).map(|server| AtomicU32::new(server % 2)).collect();
        let total_in_flight = u64::from(servers / 2);
        let latency = (0..servers).map(|server| observed(1_000 + u64::from(server))).collect();
        Self { cursor: AtomicU64::new(0), in_flight, total_in_flight, latency, capacity: 200 }
    }
}

fn observed(response_time_us: u64) -> PeakEwma {
    let latency = PeakEwma::default();
    latency.observe(response_time_us, 1_000_000);
    latency
}

impl Live for Upstream {
    fn next_cursor(&self) -> u64 {
        self.cursor.fetch_add(1, Ordering::Relaxed)
    }

    fn in_flight(&self, server: u32) -> u32 {
        self.in_flight.get(server as usize).map_or(0, |requests| requests.load(Ordering::Relaxed))
    }

    fn total_in_flight(&self) -> Option<u64> {
        Some(self.total_in_flight)
    }

    fn latency(&self, server: u32) -> Option<&PeakEwma> {
        self.latency.get(server as usize)
    }

    fn has_capacity(&self, server: u32) -> bool {
        self.in_flight(server) < self.capacity
    }
}
