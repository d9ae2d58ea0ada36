//! Least connections: the fewest requests in flight per unit of weight.

use super::attempt::Attempt;
use super::roster::Roster;
use super::round_robin::RoundRobin;
use super::{Candidate, Live};

/// How many turns are drawn to choose among equals before the next one in the list is taken.
const TURNS: usize = 4;

/// Looks at every server: O(n), about a nanosecond each. A heap would find the least at once, but every request of
/// every worker would have to update it, under a lock.
#[derive(Clone, Debug)]
pub(super) struct LeastConnections {
    turns: RoundRobin,
}

/// Requests in flight per unit of weight, compared without division.
#[derive(Clone, Copy)]
struct Load {
    in_flight: u32,
    weight: u32,
}

/// The lowest load among the servers that qualify.
struct Least {
    load: Load,
    position: usize,
    /// How many servers have this load.
    equals: usize,
}

impl LeastConnections {
    pub(super) fn build(roster: &Roster) -> Self {
        Self { turns: RoundRobin::build(roster) }
    }

    pub(super) fn pick<'r, L: Live + ?Sized>(
        &self,
        roster: &'r Roster,
        attempt: &Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        let least = Least::find(roster, attempt)?;
        if least.equals > 1 {
            return self.take_turns(&least, roster, attempt);
        }
        roster.get(least.position)
    }

    /// Chooses among equals by weighted round robin: an idle upstream is balanced like one that takes turns. As
    /// there, a server that is not among the equals loses its turn, so that its successor is not favoured.
    fn take_turns<'r, L: Live + ?Sized>(
        &self,
        least: &Least,
        roster: &'r Roster,
        attempt: &Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        let qualifies = |candidate: &Candidate| {
            Load::of(candidate, attempt.live).compare(least.load).is_le() && attempt.accepts(candidate)
        };
        let mut position = least.position;
        for _ in 0..TURNS {
            position = self.turns.next_turn(attempt.live)?;
            let candidate = roster.get(position)?;
            if qualifies(candidate) {
                return Some(candidate);
            }
        }
        let (before, after) = roster.as_slice().split_at_checked(position)?;
        // Another worker may have changed the loads meanwhile, so that no server is as idle as the least one was.
        after
            .iter()
            .chain(before)
            .find(|candidate| qualifies(candidate))
            .or_else(|| roster.get(least.position))
    }
}

impl Least {
    fn find<L: Live + ?Sized>(roster: &Roster, attempt: &Attempt<'_, L>) -> Option<Self> {
        let mut least: Option<Self> = None;
        for (position, candidate) in roster.as_slice().iter().enumerate() {
            let load = Load::of(candidate, attempt.live);
            let order = least.as_ref().map_or(std::cmp::Ordering::Less, |least| load.compare(least.load));
            if order.is_gt() || !attempt.accepts(candidate) {
                continue;
            }
            match &mut least {
                Some(least) if order.is_eq() => least.equals += 1,
                _ => least = Some(Self { load, position, equals: 1 }),
            }
        }
        least
    }
}

impl Load {
    fn of<L: Live + ?Sized>(candidate: &Candidate, live: &L) -> Self {
        Self { in_flight: live.in_flight(candidate.index), weight: candidate.weight }
    }

    /// Compares `in_flight / weight` by cross-multiplication, which is exact.
    fn compare(self, other: Self) -> std::cmp::Ordering {
        let own = u64::from(self.in_flight) * u64::from(other.weight);
        own.cmp(&(u64::from(other.in_flight) * u64::from(self.weight)))
    }
}
