//! Consistent hashing on a ring of virtual nodes, with or without a bound on each server's load.
//!
//! Each server has points on a circle of numbers, and a key belongs to the server of the first point at or after its
//! hash (Karger and others, 1997). A server that leaves hands over its keys and no others. The shares of servers of
//! equal weight differ: by about 9 %, standard deviation, with 128 points each.
//!
//! With bounded load (Mirrokni, Thorup and Zadimoghaddam, 2018) a key walks on to the next server when the one it
//! belongs to would have more than a set multiple of its fair share of the requests in flight. Popular keys then
//! spread over as many servers as they need, and all others stay where they are.

use super::attempt::Attempt;
use super::rendezvous::first_in_rank;
use super::roster::Roster;
use super::slot_table::SlotTable;
use super::{Candidate, Live, Rng, WEIGHT_UNIT};

/// Points on the ring for a configured weight of 1.
const POINTS_PER_WEIGHT: u64 = 128;

/// Most points on a ring. Above that the points of all servers are halved until they fit, so that each server keeps
/// a part of the points that it had.
const MAX_POINTS: u64 = 131_072;

/// How many points a key walks on before the servers are ranked for it.
const WALK: usize = 32;

/// The resolution of the bound on load.
const FACTOR_UNIT: u64 = 1_024;

/// Points in order, and to whom they belong.
#[derive(Clone, Debug)]
pub(super) struct RingHash {
    points: Box<[u32]>,
    owners: SlotTable,
    /// In 1 / [`FACTOR_UNIT`].
    bounded_load: Option<u64>,
}

impl RingHash {
    pub(super) fn build(roster: &Roster, bounded_load: Option<f32>) -> Self {
        let halvings = halvings(roster);
        let mut points: Vec<Point> = Vec::new();
        for (position, candidate) in (0_u32..).zip(roster.as_slice()) {
            let identity = candidate.identity;
            let mut places = Rng::new(identity);
            let place = |_| Point { place: on_ring(places.next_u64()), identity, position };
            points.extend((0..points_of(candidate.weight, halvings)).map(place));
        }
        points.sort_unstable();
        Self {
            owners: SlotTable::new(&points.iter().map(|point| point.position).collect::<Vec<_>>()),
            points: points.iter().map(|point| point.place).collect(),
            bounded_load: bounded_load.map(|factor| (factor.max(1.0) * FACTOR_UNIT as f32) as u64),
        }
    }

    /// Walks on from the server that the key belongs to until one qualifies and is within the bound. When a short
    /// walk finds none, the servers are ranked for the key, so that the cost has a limit. A server beyond the bound
    /// is taken only when all that qualify are.
    pub(super) fn pick<'r, L: Live + ?Sized>(
        &self,
        roster: &'r Roster,
        attempt: &Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        let hash = attempt.request.hash;
        let bound = self.bounded_load.map(|factor| Bound::new(factor, roster, attempt.live));
        let within = |candidate: &Candidate| {
            attempt.accepts(candidate)
                && bound.as_ref().is_none_or(|bound| bound.allows(candidate, attempt.live))
        };
        let mut walk = self.walk(hash).filter_map(|position| roster.get(position));
        walk.find(|candidate| within(candidate))
            .or_else(|| first_in_rank(hash, roster, within).map(|(_, candidate)| candidate))
            .or_else(|| {
                first_in_rank(hash, roster, |candidate| attempt.accepts(candidate))
                    .map(|(_, candidate)| candidate)
            })
    }

    /// The positions of the servers at and after a hash, in the order of their points.
    fn walk(&self, hash: u64) -> impl Iterator<Item = usize> {
        let place = on_ring(hash);
        let start = self.points.partition_point(|&point| point < place);
        let wrap = self.points.len();
        (start..start + WALK.min(wrap))
            .filter_map(move |at| self.owners.get(if at < wrap { at } else { at - wrap }))
    }
}

/// Ordered by place, and at equal places by identity: the order of the servers in the list does not matter.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    place: u32,
    identity: u64,
    position: u32,
}

/// The ring has 2^32 places.
const fn on_ring(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn points_of(weight: u32, halvings: u32) -> u64 {
    let points = u64::from(weight) * POINTS_PER_WEIGHT / u64::from(WEIGHT_UNIT);
    points.checked_shr(halvings).unwrap_or(0).max(1)
}

/// How often the points must be halved to be no more than the limit, or one per server.
fn halvings(roster: &Roster) -> u32 {
    let limit = MAX_POINTS.max(roster.len() as u64);
    let points = |halvings| roster.weights().map(|weight| points_of(weight, halvings)).sum::<u64>();
    (0..u64::BITS).find(|&halvings| points(halvings) <= limit).unwrap_or(u64::BITS)
}

/// How many requests in flight a server may have, compared in whole numbers, which is exact.
struct Bound {
    /// The factor in 1 / [`FACTOR_UNIT`], times the requests in flight with this one.
    scaled_total: u128,
    total_weight: u64,
}

impl Bound {
    /// The fair share is the server's part, by weight, of the requests in flight with this one. Since the factor is
    /// at least 1, not all servers can be at their bound.
    fn new<L: Live + ?Sized>(factor: u64, roster: &Roster, live: &L) -> Self {
        let in_flight = |candidate: &Candidate| u64::from(live.in_flight(candidate.index));
        let total = live.total_in_flight().unwrap_or_else(|| roster.as_slice().iter().map(in_flight).sum());
        let scaled_total = u128::from(factor) * (u128::from(total) + 1);
        Self { scaled_total, total_weight: roster.total_weight() }
    }

    /// Whether the server with one more request has no more than its bound, rounded up. Workers that pick at the
    /// same instant can each add one to that.
    fn allows<L: Live + ?Sized>(&self, candidate: &Candidate, live: &L) -> bool {
        let in_flight = u128::from(live.in_flight(candidate.index)) * u128::from(FACTOR_UNIT);
        let share = self.scaled_total.saturating_mul(u128::from(candidate.weight));
        in_flight * u128::from(self.total_weight) < share
    }
}
