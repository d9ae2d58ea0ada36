//! What a pick sees besides the table: live state, and the request.

use super::{PeakEwma, Rng};

/// The state that changes with every request. Servers are named by [`Candidate::index`](super::Candidate::index).
///
/// Reads need no order among each other: a value that is a moment old makes a pick slightly worse, never wrong.
pub trait Live {
    /// Returns a shared counter and adds one to it. Called several times in one pick when servers are passed over.
    fn next_cursor(&self) -> u64;

    /// Requests in flight to this server, from all workers.
    fn in_flight(&self, server: u32) -> u32;

    /// Requests in flight to all servers of the upstream, from all workers. `None`: not tracked, the servers are
    /// added up instead. See [`Needs::total_in_flight`](super::Needs::total_in_flight).
    fn total_in_flight(&self) -> Option<u64> {
        None
    }

    /// Response times of this server. `None`: not tracked, the server counts as one that has not yet answered.
    fn latency(&self, server: u32) -> Option<&PeakEwma> {
        let _ = server;
        None
    }

    /// Whether this server may be given one more request.
    fn has_capacity(&self, server: u32) -> bool {
        let _ = server;
        true
    }
}

/// The request that a server is picked for.
#[derive(Debug)]
pub struct Pick<'a> {
    /// Hash of what the request is balanced by; read only by the hashing policies.
    pub hash: u64,
    /// Randomness, one generator per worker; read only by the random policies.
    pub random: &'a mut Rng,
    /// Servers that this request has tried before. They are not picked again.
    pub exclude: &'a [u32],
    /// Now, in microseconds on the clock that feeds [`PeakEwma`]; read only by [`Policy::PeakEwma`](super::Policy).
    pub now_us: u64,
}
