//! The choice of algorithm, and what each one needs to know.

/// How an upstream chooses a server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Policy {
    /// Each server in its turn, in proportion to its weight and evenly spread. Exact across all workers.
    #[default]
    RoundRobin,
    /// The server with the fewest requests in flight per unit of weight; equals take turns.
    LeastConnections,
    /// Any server, with a probability in proportion to its weight.
    Random,
    /// Two random servers, and of these the one with fewer requests in flight per unit of weight.
    PowerOfTwo,
    /// Two random servers, and of these the one that is expected to answer sooner: see
    /// [`PeakEwma`](super::PeakEwma).
    PeakEwma,
    /// The same server for the same client address; the caller passes [`hash_ip`](super::hash_ip).
    SourceIp,
    /// The same server for the same key; the caller passes [`hash_key`](super::hash_key).
    Hash,
    /// The same server for the same key, on a ring of virtual nodes, optionally with a bound on each server's load.
    RingHash {
        /// A server is passed over when it would have more than this many times its fair share of the requests in
        /// flight. At least 1; customary is [`Policy::DEFAULT_BOUNDED_LOAD`]. `None`: no bound.
        bounded_load: Option<f32>,
    },
    /// The same server for the same key, by Google's Maglev table.
    Maglev {
        /// Entries in the table, raised to the next prime. The shares of the servers are even within 1 % when it is
        /// at least a hundred times their number. Default [`Policy::DEFAULT_MAGLEV_TABLE`], at most
        /// [`Policy::MAX_MAGLEV_TABLE`].
        table_size: u32,
    },
}

impl Policy {
    /// The customary bound of [`Policy::RingHash`], as a multiple of the fair share.
    pub const DEFAULT_BOUNDED_LOAD: f32 = 1.25;
    /// The customary size of a [`Policy::Maglev`] table, in entries: the smaller one of the paper.
    pub const DEFAULT_MAGLEV_TABLE: u32 = 65_537;
    /// The largest size of a [`Policy::Maglev`] table, in entries: about eight times the larger one of the paper.
    pub const MAX_MAGLEV_TABLE: u32 = 5_000_011;

    /// What the caller must track and pass for this policy.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        let mut needs =
            Needs { cursor: false, in_flight: false, total_in_flight: false, latency: false, hash: false };
        match self {
            Self::RoundRobin => needs.cursor = true,
            Self::LeastConnections => (needs.cursor, needs.in_flight) = (true, true),
            Self::Random => {}
            Self::PowerOfTwo => needs.in_flight = true,
            Self::PeakEwma => (needs.in_flight, needs.latency) = (true, true),
            Self::SourceIp | Self::Hash | Self::Maglev { .. } => needs.hash = true,
            Self::RingHash { bounded_load } => {
                needs.hash = true;
                (needs.in_flight, needs.total_in_flight) = (bounded_load.is_some(), bounded_load.is_some());
            }
        }
        needs
    }
}

/// What a [`Policy`] reads, so that the caller tracks nothing in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// [`Live::next_cursor`](super::Live::next_cursor) must count up.
    pub cursor: bool,
    /// [`Live::in_flight`](super::Live::in_flight) must be right across workers.
    pub in_flight: bool,
    /// [`Live::total_in_flight`](super::Live::total_in_flight) makes a pick cheaper.
    pub total_in_flight: bool,
    /// [`Live::latency`](super::Live::latency) must be fed with response times.
    pub latency: bool,
    /// [`Pick::hash`](super::Pick::hash) must be set.
    pub hash: bool,
}
