//! The better of two random servers.
//!
//! Two choices are enough to keep the longest queue near `log log n` (Mitzenmacher, 2001), cost the same for any
//! number of servers, and do not send every worker to the same idle server at once, as the least of all does.

use super::attempt::Attempt;
use super::roster::Roster;
use super::weighted_random::WeightedRandom;
use super::{Candidate, Live};

/// Draws two different servers by weight and returns the one that costs less; of equals the one drawn first.
pub(super) fn pick<'r, L: Live + ?Sized>(
    draw: &WeightedRandom,
    roster: &'r Roster,
    attempt: &mut Attempt<'_, L>,
    cost: impl Fn(&Candidate, &Attempt<'_, L>) -> f64,
) -> Option<&'r Candidate> {
    let first = draw.pick(roster, attempt)?;
    let Some(second) = draw.pick_other_than(Some(first.index), roster, attempt) else { return Some(first) };
    Some(if cost(second, attempt) < cost(first, attempt) { second } else { first })
}

/// Requests in flight per unit of weight.
pub(super) fn load<L: Live + ?Sized>(candidate: &Candidate, attempt: &Attempt<'_, L>) -> f64 {
    f64::from(attempt.live.in_flight(candidate.index)) / f64::from(candidate.weight)
}
