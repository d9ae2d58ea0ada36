//! Which server answers a request.
//!
//! [`select_tier`] reduces the servers of an upstream to the [`Candidate`]s that may be picked now;
//! [`PickTable::build`] turns them into an immutable table for one [`Policy`]; [`PickTable::pick`] chooses a server
//! for one request. A table is rebuilt when the set of usable servers or a weight changes, which is rare, and is
//! shared by all workers. What changes with every request (requests in flight, latencies, the round-robin cursor)
//! stays with the caller, who shows it through [`Live`].
//!
//! | Policy | Cost of a pick | Reads |
//! |---|---|---|
//! | [`RoundRobin`](Policy::RoundRobin) | O(1) | cursor |
//! | [`LeastConnections`](Policy::LeastConnections) | O(n) | requests in flight, cursor |
//! | [`Random`](Policy::Random) | O(1) | |
//! | [`PowerOfTwo`](Policy::PowerOfTwo) | O(1) | requests in flight |
//! | [`PeakEwma`](Policy::PeakEwma) | O(1) | requests in flight, latency |
//! | [`SourceIp`](Policy::SourceIp), [`Hash`](Policy::Hash) | O(1) | hash |
//! | [`RingHash`](Policy::RingHash) | O(log n) | hash; requests in flight when bounded |
//! | [`Maglev`](Policy::Maglev) | O(1) | hash |
//!
//! Every policy passes over the servers that a request has tried before and those at their cap. While few servers
//! are passed over this does not change the cost; when most are, a pick falls back to looking at every server once.
//! No pick allocates. A table takes a few bytes per server; for hashing it takes 64 KiB with up to 256 servers and
//! twice that with more, except for a ring, which takes 5 to 6 bytes for each of 128 points per unit of weight.

mod alias_table;
mod attempt;
mod hash;
mod least_connections;
mod live;
mod maglev;
mod peak_ewma;
mod pick_table;
mod policy;
mod power_of_two;
mod rendezvous;
mod ring_hash;
mod rng;
mod roster;
mod round_robin;
mod server_state;
mod slot_table;
mod slow_start;
mod smooth_sequence;
mod weighted_random;

#[cfg(test)]
mod tests;

pub use hash::{hash_ip, hash_key};
pub use live::{Live, Pick};
pub use peak_ewma::PeakEwma;
pub use pick_table::PickTable;
pub use policy::{Needs, Policy};
pub use rng::Rng;
pub use roster::Candidate;
pub use server_state::{AdminState, HealthState, Selection, ServerState, ServerView, select_tier};
pub use slow_start::{SlowStart, WEIGHT_UNIT, effective_weight};
