//! The table that one upstream picks from.

use super::attempt::Attempt;
use super::least_connections::LeastConnections;
use super::maglev::Maglev;
use super::rendezvous::Rendezvous;
use super::ring_hash::RingHash;
use super::roster::Roster;
use super::round_robin::RoundRobin;
use super::weighted_random::WeightedRandom;
use super::{Candidate, Live, Needs, Pick, Policy, peak_ewma, power_of_two};

/// Everything that can be prepared for picking among a set of servers. Immutable, and shared by all workers.
#[derive(Clone, Debug)]
pub struct PickTable {
    policy: Policy,
    roster: Roster,
    algorithm: Algorithm,
}

#[derive(Clone, Debug)]
enum Algorithm {
    RoundRobin(RoundRobin),
    LeastConnections(LeastConnections),
    Random(WeightedRandom),
    PowerOfTwo(WeightedRandom),
    PeakEwma(WeightedRandom),
    Rendezvous(Rendezvous),
    RingHash(RingHash),
    Maglev(Maglev),
}

impl PickTable {
    /// Prepares to pick among these servers, which should be those that [`select_tier`](super::select_tier) selects.
    /// Servers without weight are left out.
    #[must_use]
    pub fn build(policy: &Policy, candidates: &[Candidate]) -> Self {
        let roster = Roster::new(candidates);
        let algorithm = match policy {
            Policy::RoundRobin => Algorithm::RoundRobin(RoundRobin::build(&roster)),
            Policy::LeastConnections => Algorithm::LeastConnections(LeastConnections::build(&roster)),
            Policy::Random => Algorithm::Random(WeightedRandom::build(&roster)),
            Policy::PowerOfTwo => Algorithm::PowerOfTwo(WeightedRandom::build(&roster)),
            Policy::PeakEwma => Algorithm::PeakEwma(WeightedRandom::build(&roster)),
            Policy::SourceIp | Policy::Hash => Algorithm::Rendezvous(Rendezvous::build(&roster)),
            Policy::RingHash { bounded_load } => Algorithm::RingHash(RingHash::build(&roster, *bounded_load)),
            Policy::Maglev { table_size } => Algorithm::Maglev(Maglev::build(&roster, *table_size)),
        };
        Self { policy: *policy, roster, algorithm }
    }

    /// Picks the server for a request: its [`Candidate::index`]. `None` exactly when no server qualifies, because
    /// there is none, or each one is excluded or at its cap.
    #[must_use]
    pub fn pick<L: Live + ?Sized>(&self, live: &L, request: Pick<'_>) -> Option<u32> {
        let roster = &self.roster;
        let attempt = &mut Attempt { live, request };
        let candidate = match &self.algorithm {
            Algorithm::RoundRobin(turns) => turns.pick(roster, attempt),
            Algorithm::LeastConnections(least) => least.pick(roster, attempt),
            Algorithm::Random(random) => random.pick(roster, attempt),
            Algorithm::PowerOfTwo(random) => power_of_two::pick(random, roster, attempt, power_of_two::load),
            Algorithm::PeakEwma(random) => power_of_two::pick(random, roster, attempt, peak_ewma::cost),
            Algorithm::Rendezvous(slots) => slots.pick(roster, attempt),
            Algorithm::RingHash(ring) => ring.pick(roster, attempt),
            Algorithm::Maglev(maglev) => maglev.pick(roster, attempt),
        };
        candidate.map(|candidate| candidate.index)
    }

    /// The policy that the table was built for.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the caller must track and pass.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        self.policy.needs()
    }

    /// How many servers can be picked.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.roster.len()
    }

    /// Whether no server can be picked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.roster.len() == 0
    }

    /// The servers that can be picked.
    #[must_use]
    pub fn servers(&self) -> &[Candidate] {
        self.roster.as_slice()
    }
}
