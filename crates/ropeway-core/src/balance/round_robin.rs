//! Weighted round robin, exact across workers.

use super::attempt::Attempt;
use super::roster::Roster;
use super::slot_table::SlotTable;
use super::smooth_sequence::smooth_sequence;
use super::{Candidate, Live};

/// How often a turn is handed on before the servers are searched one by one.
const TURNS: usize = 8;

/// The order of turns, taken with the shared cursor.
#[derive(Clone, Debug)]
pub(super) struct RoundRobin {
    sequence: SlotTable,
}

impl RoundRobin {
    pub(super) fn build(roster: &Roster) -> Self {
        Self { sequence: SlotTable::new(&smooth_sequence(roster.weights())) }
    }

    /// A server that does not qualify loses its turn, and the request draws the next turn from the cursor. Going on
    /// from the lost turn without drawing would be simpler, but it would give the successor of a full server twice
    /// its share.
    pub(super) fn pick<'r, L: Live + ?Sized>(
        &self,
        roster: &'r Roster,
        attempt: &Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        let mut position = 0;
        for _ in 0..TURNS {
            position = self.next_turn(attempt.live)?;
            let candidate = roster.get(position)?;
            if attempt.accepts(candidate) {
                return Some(candidate);
            }
        }
        roster.first_accepted(position, attempt)
    }

    /// Draws a turn: the position in the roster that has it. `None` only without servers.
    pub(super) fn next_turn<L: Live + ?Sized>(&self, live: &L) -> Option<usize> {
        let turn = live.next_cursor().checked_rem(self.sequence.len() as u64)?;
        self.sequence.get(usize::try_from(turn).ok()?)
    }
}
