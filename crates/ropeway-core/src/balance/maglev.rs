//! Maglev hashing (Eisenbud and others, 2016, section 3.4).
//!
//! Each server has its own order of preference over the entries of a table, and the servers take turns in claiming
//! the first entry on their list that is still free. A lookup is one read, and the shares of the servers are nearly
//! equal. When a server leaves, a few keys besides its own move too: with the default table 0.2 % of all keys for ten
//! servers, 0.6 % for a hundred.

use super::attempt::Attempt;
use super::rendezvous::pick_by_rank;
use super::rng::{mix, scale};
use super::roster::Roster;
use super::slot_table::SlotTable;
use super::{Candidate, Live, Policy};

/// Tells apart the two hashes that a server's preferences come from. Arbitrary.
const SKIP_SEED: u64 = 0x6a09_e667_f3bc_c909;

/// Whose each entry is.
#[derive(Clone, Debug)]
pub(super) struct Maglev {
    entries: SlotTable,
}

impl Maglev {
    pub(super) fn build(roster: &Roster, table_size: u32) -> Self {
        let size = u64::from(table_size.min(Policy::MAX_MAGLEV_TABLE)).max(roster.len() as u64);
        let size = next_prime(size);
        Self { entries: SlotTable::new(&claim_entries(roster, size)) }
    }

    /// When the owner does not qualify, the servers that do are ranked for the key, which spreads the keys of a full
    /// server over all others.
    pub(super) fn pick<'r, L: Live + ?Sized>(
        &self,
        roster: &'r Roster,
        attempt: &Attempt<'_, L>,
    ) -> Option<&'r Candidate> {
        let hash = attempt.request.hash;
        let entry = usize::try_from(scale(hash, self.entries.len() as u64)).ok()?;
        let owner = self.entries.get(entry).and_then(|position| roster.get(position));
        owner.filter(|candidate| attempt.accepts(candidate)).or_else(|| pick_by_rank(hash, roster, attempt))
    }
}

/// Fills the table: in each round every server saves up its weight, and claims an entry when it has saved as much as
/// the heaviest one weighs. All may claim in the first round, so that the lightest has an entry too.
fn claim_entries(roster: &Roster, size: u64) -> Vec<u32> {
    let heaviest = roster.weights().max().map_or(0, u64::from);
    let mut claimants: Vec<_> = (0_u32..)
        .zip(roster.as_slice())
        .map(|(position, candidate)| Claimant::new(position, candidate, heaviest, size))
        .collect();
    claimants.sort_unstable_by_key(|claimant| claimant.identity);
    let mut entries = vec![None; usize::try_from(size).unwrap_or(0)];
    let mut free = if claimants.is_empty() { 0 } else { entries.len() };
    while free > 0 {
        for claimant in &mut claimants {
            claimant.saved += claimant.weight;
            if claimant.saved < heaviest || free == 0 {
                continue;
            }
            claimant.saved -= heaviest;
            claimant.claim(&mut entries);
            free -= 1;
        }
    }
    entries.into_iter().flatten().collect()
}

/// A server on its way through its order of preference.
struct Claimant {
    position: u32,
    identity: u64,
    weight: u64,
    saved: u64,
    /// The entry that comes next on the list.
    next: u64,
    /// The distance between entries on the list. The size of the table is prime, so that every distance leads to
    /// every entry.
    skip: u64,
    size: u64,
}

impl Claimant {
    fn new(position: u32, candidate: &Candidate, heaviest: u64, size: u64) -> Self {
        let Candidate { identity, weight, .. } = *candidate;
        let weight = u64::from(weight);
        Self {
            position,
            identity,
            weight,
            saved: heaviest - weight,
            next: scale(mix(identity), size),
            skip: 1 + scale(mix(identity ^ SKIP_SEED), size - 1),
            size,
        }
    }

    /// Claims the first free entry on the list. There must be one.
    fn claim(&mut self, entries: &mut [Option<u32>]) {
        for _ in 0..self.size {
            let entry = usize::try_from(self.next).ok().and_then(|next| entries.get_mut(next));
            self.next = (self.next + self.skip) % self.size;
            if let Some(free @ None) = entry {
                *free = Some(self.position);
                return;
            }
        }
    }
}

/// The smallest prime that is not below a number. Numbers up to a few millions take microseconds.
fn next_prime(from: u64) -> u64 {
    (from.max(2)..).find(|&number| is_prime(number)).unwrap_or(from)
}

fn is_prime(number: u64) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number > 1 && !divisors.any(|divisor| number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(weights: &[u32], size: u64) -> Vec<usize> {
        let candidates: Vec<_> = (0..)
            .zip(weights)
            .map(|(index, &weight)| Candidate { index, weight, identity: mix(u64::from(index) + 1) })
            .collect();
        let entries = claim_entries(&Roster::new(&candidates), size);
        assert_eq!(entries.len() as u64, size);
        let count = |position| entries.iter().filter(|&&owner| owner == position).count();
        (0_u32..).take(weights.len()).map(count).collect()
    }

    #[test]
    fn equal_servers_claim_equally_many_entries() {
        let mut shares = shares(&[100; 5], 101);
        shares.sort_unstable();
        assert_eq!(shares, [20, 20, 20, 20, 21]);
    }

    #[test]
    fn entries_are_in_proportion_to_weight() {
        let shares = shares(&[300, 100, 200], 601);
        for (share, expected) in shares.into_iter().zip([300, 100, 200]) {
            assert!(share.abs_diff(expected) <= 2, "{share} instead of {expected}");
        }
    }

    #[test]
    fn the_lightest_server_has_an_entry() {
        assert_eq!(shares(&[u32::MAX, 1, 1], 5), [3, 1, 1]);
    }

    #[test]
    fn there_can_be_as_many_servers_as_entries() {
        assert_eq!(shares(&[1; 7], 7), [1; 7]);
    }

    #[test]
    fn without_servers_the_table_is_empty() {
        assert!(claim_entries(&Roster::new(&[]), 7).is_empty());
    }

    #[test]
    fn tables_are_prime() {
        assert_eq!([0, 2, 3, 4, 90, 65_536, 5_000_000].map(next_prime), [2, 2, 3, 5, 97, 65_537, 5_000_011]);
    }
}
