//! Properties of the policies, seen from outside through [`PickTable`].

mod disruption;
mod distribution;
mod least_loaded;
mod qualification;
mod tiers;

use std::cell::{Cell, RefCell};

use super::*;

/// Every policy, the ring with and without its bound.
fn policies() -> [Policy; 10] {
    [
        Policy::RoundRobin,
        Policy::LeastConnections,
        Policy::Random,
        Policy::PowerOfTwo,
        Policy::PeakEwma,
        Policy::SourceIp,
        Policy::Hash,
        Policy::RingHash { bounded_load: None },
        Policy::RingHash { bounded_load: Some(Policy::DEFAULT_BOUNDED_LOAD) },
        Policy::Maglev { table_size: 251 },
    ]
}

/// Candidates with these effective weights. Their indices are not their positions in the table.
fn candidates(weights: &[u32]) -> Vec<Candidate> {
    (0_u32..)
        .zip(weights)
        .map(|(position, &weight)| {
            let index = index_of(position);
            Candidate { index, weight, identity: hash_key(format!("10.0.0.{index}:80").as_bytes()) }
        })
        .collect()
}

/// The index of the candidate at this position.
fn index_of(position: u32) -> u32 {
    2 * position + 1
}

/// Live state in plain memory.
#[derive(Default)]
struct World {
    cursor: Cell<u64>,
    in_flight: RefCell<Vec<u32>>,
    total_in_flight: Option<u64>,
    latency: Vec<PeakEwma>,
    full: Vec<u32>,
}

impl World {
    fn with_in_flight(in_flight: &[u32]) -> Self {
        let world = Self::default();
        for (position, &requests) in (0..).zip(in_flight) {
            world.add(index_of(position), requests);
        }
        world
    }

    fn with_full(full: Vec<u32>) -> Self {
        Self { full, ..Self::default() }
    }

    fn add(&self, server: u32, requests: u32) {
        let mut in_flight = self.in_flight.borrow_mut();
        let server = server as usize;
        let servers = in_flight.len().max(server + 1);
        in_flight.resize(servers, 0);
        in_flight[server] += requests;
    }
}

impl Live for World {
    fn next_cursor(&self) -> u64 {
        self.cursor.replace(self.cursor.get() + 1)
    }

    fn in_flight(&self, server: u32) -> u32 {
        self.in_flight.borrow().get(server as usize).copied().unwrap_or(0)
    }

    fn total_in_flight(&self) -> Option<u64> {
        self.total_in_flight
    }

    fn latency(&self, server: u32) -> Option<&PeakEwma> {
        self.latency.get(server as usize)
    }

    fn has_capacity(&self, server: u32) -> bool {
        !self.full.contains(&server)
    }
}

/// Picks for a request with this hash that has tried these servers before.
fn pick(table: &PickTable, world: &World, random: &mut Rng, hash: u64, exclude: &[u32]) -> Option<u32> {
    table.pick(world, Pick { hash, random, exclude, now_us: 1_000_000 })
}

/// Picks for many requests with different keys, and counts the picks by position.
fn tally(table: &PickTable, world: &World, picks: u64, exclude: &[u32]) -> Vec<u64> {
    let random = &mut Rng::new(1);
    let keys = &mut Rng::new(2);
    let mut counts = vec![0; table.len()];
    for _ in 0..picks {
        let server = pick(table, world, random, keys.next_u64(), exclude).unwrap();
        let position = table.servers().iter().position(|candidate| candidate.index == server);
        counts[position.unwrap()] += 1;
    }
    counts
}
