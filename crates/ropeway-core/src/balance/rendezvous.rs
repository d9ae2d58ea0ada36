//! Weighted rendezvous hashing, looked up in a table.
//!
//! In rendezvous hashing (Thaler and Ravishankar, 1998) every key ranks the servers, and the first in rank gets it.
//! It is the one scheme that disturbs nothing: a server that leaves hands each of its keys to the next in rank, one
//! that comes takes only the keys that rank it first, and a change of weight moves keys only to or from that server.
//! But ranking costs a look at every server. So keys are gathered into 65,536 slots, and the first in rank of each
//! slot is looked up. All of the above holds for slots as it does for keys. With few servers their shares are also
//! more even than on a ring: within about 1 % for three of them.

use super::attempt::Attempt;
use super::rng::mix;
use super::roster::Roster;
use super::slot_table::SlotTable;
use super::{Candidate, Live};

const SLOT_BITS: u32 = 16;
const SLOTS: u64 = 1 << SLOT_BITS;

/// The first in rank of every slot.
#[derive(Clone, Debug)]
pub(super) struct Rendezvous {
    slots: SlotTable,
}

impl Rendezvous {
    /// Ranks every server for every slot: 2 ms for three servers, 100 ms for a thousand. Not for a request to wait on.
    pub(super) fn build(roster: &Roster) -> Self {
        let owner = |slot| first_in_rank(slot, roster, |_| true).map_or(0, |(position, _)| position);
        Self { slots: SlotTable::new(&(0..SLOTS).map(owner).collect::<Vec<_>>()) }
    }

    /// When the first in rank does not qualify, the next one that does: the server that the key will have if the
    /// first one leaves.
    pub(super) fn pick<'r, L: Live + ?Sized>(
        &self,
        roster: &'r Roster,
        attempt: &Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        let slot = attempt.request.hash >> (u64::BITS - SLOT_BITS);
        let owner = self.slots.get(usize::try_from(slot).ok()?).and_then(|position| roster.get(position));
        owner.filter(|candidate| attempt.accepts(candidate)).or_else(|| pick_by_rank(slot, roster, attempt))
    }
}

/// The first in rank for this key among the servers that qualify, without a table: O(n).
pub(super) fn pick_by_rank<'r, L: Live + ?Sized>(
    key: u64,
    roster: &'r Roster,
    attempt: &Attempt<'_, L>,
) -> Option<&'r Candidate> {
    first_in_rank(key, roster, |candidate| attempt.accepts(candidate)).map(|(_, candidate)| candidate)
}

/// Each server draws a waiting time from the exponential distribution with its weight as the rate, by hashing itself
/// with the key, and the shortest wins. The chance to win is then the server's part of the sum of the weights.
pub(super) fn first_in_rank(
    key: u64,
    roster: &Roster,
    accepts: impl Fn(&Candidate) -> bool,
) -> Option<(u32, &Candidate)> {
    let key = mix(key);
    let (mut first, mut shortest) = (None, f64::INFINITY);
    for (position, candidate) in (0_u32..).zip(roster.as_slice()) {
        let uniform = uniform(mix(key.wrapping_add(candidate.identity)));
        let weight = f64::from(candidate.weight);
        // -ln(u) >= 1 - u: for nearly all servers this spares the logarithm.
        if 1.0 - uniform >= shortest * weight || !accepts(candidate) {
            continue;
        }
        let waiting = -uniform.ln() / weight;
        if waiting < shortest {
            (first, shortest) = (Some((position, candidate)), waiting);
        }
    }
    first
}

/// Maps 64 uniform bits to a number above 0 and below 1.
fn uniform(bits: u64) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 52) as f64;
    ((bits >> 12) as f64 + 0.5) * STEP
}
