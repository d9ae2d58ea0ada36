//! Random choice in proportion to weight.

use super::alias_table::AliasTable;
use super::attempt::Attempt;
use super::roster::Roster;
use super::{Candidate, Live};

/// How often a server is drawn before the servers are searched one by one.
const DRAWS: usize = 8;

/// Draws servers by weight among those that qualify.
#[derive(Clone, Debug)]
pub(super) struct WeightedRandom {
    table: AliasTable,
}

impl WeightedRandom {
    pub(super) fn build(roster: &Roster) -> Self {
        Self { table: AliasTable::build(roster.weights()) }
    }

    /// A server that qualifies, in proportion to its weight among those that do.
    pub(super) fn pick<'r, L: Live + ?Sized>(
        &self,
        roster: &'r Roster,
        attempt: &mut Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        self.pick_other_than(None, roster, attempt)
    }

    /// The same among the servers other than one.
    pub(super) fn pick_other_than<'r, L: Live + ?Sized>(
        &self,
        other: Option<u32>,
        roster: &'r Roster,
        attempt: &mut Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        for _ in 0..DRAWS {
            let candidate = roster.get(self.table.draw(attempt.request.random))?;
            if Some(candidate.index) != other && attempt.accepts(candidate) {
                return Some(candidate);
            }
        }
        search(other, roster, attempt)
    }
}

/// Looks at every server once. Each one replaces the choice so far with the probability that its weight has among
/// those seen, which leaves each with its proper share at the end.
fn search<'r, L: Live + ?Sized>(
    other: Option<u32>,
    roster: &'r Roster,
    attempt: &mut Attempt<'_, L>,
) -> Option<&'r Candidate> {
    let (mut chosen, mut seen) = (None, 0_u64);
    for candidate in roster.as_slice() {
        if Some(candidate.index) == other || !attempt.accepts(candidate) {
            continue;
        }
        let weight = u64::from(candidate.weight);
        seen += weight;
        if attempt.request.random.below(seen) < weight {
            chosen = Some(candidate);
        }
    }
    chosen
}
