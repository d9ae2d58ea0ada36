//! The servers of one table.

use super::Live;
use super::attempt::Attempt;

/// One server that may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Position in the upstream's list of servers; unique.
    pub index: u32,
    /// Effective weight in units of 1 / [`WEIGHT_UNIT`](super::WEIGHT_UNIT): see
    /// [`effective_weight`](super::effective_weight). With 0 the server is never picked.
    pub weight: u32,
    /// Stable hash of the server's name, for instance [`hash_key`](super::hash_key) of its address as configured.
    /// The hashing policies place servers by it, so that their order in the list does not matter.
    pub identity: u64,
}

/// The candidates that have a weight. Algorithms name them by their position here.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    candidates: Box<[Candidate]>,
    total_weight: u64,
}

impl Roster {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let candidates: Box<[_]> =
            candidates.iter().filter(|candidate| candidate.weight > 0).copied().collect();
        let total_weight = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        Self { candidates, total_weight }
    }

    pub(super) const fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(super) fn as_slice(&self) -> &[Candidate] {
        &self.candidates
    }

    pub(super) fn get(&self, position: usize) -> Option<&Candidate> {
        self.candidates.get(position)
    }

    pub(super) fn weights(&self) -> impl Iterator<Item = u32> {
        self.candidates.iter().map(|candidate| candidate.weight)
    }

    /// The sum of all weights.
    pub(super) const fn total_weight(&self) -> u64 {
        self.total_weight
    }

    /// The first server that qualifies, starting at a position and going round once.
    pub(super) fn first_accepted<L: Live + ?Sized>(
        &self,
        start: usize,
        attempt: &Attempt<'_, L>,
    ) -> Option<&Candidate> {
        let (before, from_start) = self.candidates.split_at_checked(start).unwrap_or((&self.candidates, &[]));
        from_start.iter().chain(before).find(|candidate| attempt.accepts(candidate))
    }
}
