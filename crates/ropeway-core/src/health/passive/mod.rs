//! Passive health: servers whose requests keep failing are taken out of their pool for a while.

mod book;
mod cell;

pub use book::EjectionBook;
pub use cell::{FailureKind, PassiveCell};

/// When a server is ejected, and for how long.
///
/// A threshold of `None` means that failures of this kind never eject; one above 65,535 counts as that many, one
/// of 0 as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassiveConfig {
    /// How many connections must fail in a row. Default 5.
    pub consecutive_connect_failures: Option<u32>,
    /// How many requests must time out in a row. Default 5.
    pub consecutive_timeouts: Option<u32>,
    /// How many connections must be closed without a response in a row. Default 5.
    pub consecutive_resets: Option<u32>,
    /// How many responses in a row must have a status of 500 to 599. Default 5.
    pub consecutive_5xx: Option<u32>,
    /// How long the first ejection lasts, in milliseconds; the n-th lasts n times as long. Default 10,000.
    pub base_ejection_ms: u64,
    /// How long an ejection lasts at most, in milliseconds. Default 300,000.
    pub max_ejection_ms: u64,
    /// How much of a pool may be ejected at the same time, in percent. Default 50.
    pub max_ejected_percent: u8,
    /// How long a server must stay in its pool until one of its past ejections is forgotten, in milliseconds;
    /// 0 remembers none. Default 60,000.
    pub forgive_ms: u64,
}

impl Default for PassiveConfig {
    fn default() -> Self {
        Self {
            consecutive_connect_failures: Some(5),
            consecutive_timeouts: Some(5),
            consecutive_resets: Some(5),
            consecutive_5xx: Some(5),
            base_ejection_ms: 10_000,
            max_ejection_ms: 300_000,
            max_ejected_percent: 50,
            forgive_ms: 60_000,
        }
    }
}

impl PassiveConfig {
    /// How many failures of a kind, in a row, eject a server; `None` if they never do.
    #[must_use]
    pub const fn threshold(&self, kind: FailureKind) -> Option<u32> {
        match kind {
            FailureKind::Connect => self.consecutive_connect_failures,
            FailureKind::Timeout => self.consecutive_timeouts,
            FailureKind::Reset => self.consecutive_resets,
            FailureKind::ServerError => self.consecutive_5xx,
        }
    }
}
