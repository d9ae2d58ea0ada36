//! The failures in a row of one server, counted by all workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::PassiveConfig;

/// How a request to a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The connection could not be opened.
    Connect,
    /// The server did not read the request or answer it in time.
    Timeout,
    /// The server closed or reset the connection without a whole response.
    Reset,
    /// The server answered with a status of 500 to 599.
    ServerError,
}

/// How many requests to one server failed in a row, by kind. Shared by all workers.
///
/// A success on a healthy server only reads, so the cache line stays shared between the workers' processors. The
/// counters carry no other data with them, hence no ordering: a success that races with a failure may count as
/// the earlier or the later of the two, both of which are true.
#[derive(Debug, Default)]
pub struct PassiveCell {
    /// A counter of 16 bits for each kind.
    streaks: AtomicU64,
}

const LANE_BITS: u32 = 16;
const LANE: u64 = (1 << LANE_BITS) - 1;

impl PassiveCell {
    /// A server without failures.
    #[must_use]
    pub const fn new() -> Self {
        Self { streaks: AtomicU64::new(0) }
    }

    /// A request was answered, and not with a status of 500 to 599: ends every streak.
    pub fn on_success(&self) {
        if self.streaks.load(Relaxed) != 0 {
            self.streaks.store(0, Relaxed);
        }
    }

    /// A request failed. True if failures of this kind in a row, this one included, have reached the threshold:
    /// then [`EjectionBook::try_eject`](super::EjectionBook::try_eject) decides. It stays true for every further
    /// failure, so that a server that could not be ejected is proposed again.
    pub fn on_failure(&self, kind: FailureKind, config: &PassiveConfig) -> bool {
        let mut seen = self.streaks.load(Relaxed);
        loop {
            let counted = count(seen, kind);
            match self.streaks.compare_exchange_weak(seen, counted, Relaxed, Relaxed) {
                Ok(_) => return reached(streak(counted, kind), config.threshold(kind)),
                Err(current) => seen = current,
            }
        }
    }

    /// How many failures of a kind there were in a row.
    #[must_use]
    pub fn streak(&self, kind: FailureKind) -> u32 {
        streak(self.streaks.load(Relaxed), kind)
    }

    /// Forgets the failures: for a server that comes back from an ejection, which requests that were under way
    /// when it left must not send away again.
    pub fn reset(&self) {
        self.streaks.store(0, Relaxed);
    }
}

/// Adds one to a kind's counter, up to its maximum. A response, even one of 500, shows that the server can be
/// reached, so it ends the other kinds' streaks.
const fn count(streaks: u64, kind: FailureKind) -> u64 {
    let lane = LANE << shift(kind);
    let kept = if matches!(kind, FailureKind::ServerError) { streaks & lane } else { streaks };
    if kept & lane == lane { kept } else { kept + (1 << shift(kind)) }
}

const fn streak(streaks: u64, kind: FailureKind) -> u32 {
    ((streaks >> shift(kind)) & LANE) as u32
}

const fn shift(kind: FailureKind) -> u32 {
    kind as u32 * LANE_BITS
}

fn reached(streak: u32, threshold: Option<u32>) -> bool {
    threshold.is_some_and(|threshold| streak >= threshold.min(LANE as u32))
}

#[cfg(test)]
mod tests {
    use super::FailureKind::{Connect, Reset, ServerError, Timeout};
    use super::*;

    #[test]
    fn the_fifth_failure_in_a_row_reaches_the_threshold_and_so_do_the_next() {
        let (cell, config) = (PassiveCell::new(), PassiveConfig::default());
        let answers: Vec<bool> = (0..7).map(|_| cell.on_failure(Connect, &config)).collect();
        assert_eq!(answers, [false, false, false, false, true, true, true]);
        cell.reset();
        assert!(!cell.on_failure(Connect, &config));
    }

    #[test]
    fn a_success_ends_every_streak() {
        let (cell, config) = (PassiveCell::new(), PassiveConfig::default());
        for kind in [Connect, Timeout, Reset, ServerError] {
            (0..4).for_each(|_| assert!(!cell.on_failure(kind, &config)));
            cell.on_success();
            assert!(!cell.on_failure(kind, &config));
            assert_eq!(cell.streak(kind), 1);
        }
    }

    #[test]
    fn kinds_are_counted_apart() {
        let (cell, config) = (PassiveCell::new(), PassiveConfig::default());
        for kind in [Connect, Timeout, Reset] {
            (0..4).for_each(|_| assert!(!cell.on_failure(kind, &config)));
        }
        assert_eq!([Connect, Timeout, Reset, ServerError].map(|kind| cell.streak(kind)), [4, 4, 4, 0]);
        assert!(cell.on_failure(Timeout, &config));
    }

    #[test]
    fn a_response_of_500_ends_the_streaks_of_connections() {
        let (cell, config) = (PassiveCell::new(), PassiveConfig::default());
        (0..4).for_each(|_| assert!(!cell.on_failure(Connect, &config)));
        cell.on_failure(ServerError, &config);
        assert_eq!([Connect, ServerError].map(|kind| cell.streak(kind)), [0, 1]);
    }

    #[test]
    fn a_kind_without_threshold_never_ejects() {
        let (cell, config) =
            (PassiveCell::new(), PassiveConfig { consecutive_5xx: None, ..PassiveConfig::default() });
        (0..100_000).for_each(|_| assert!(!cell.on_failure(ServerError, &config)));
    }

    #[test]
    fn counters_saturate_without_touching_their_neighbours() {
        let cell = PassiveCell::new();
        let config = PassiveConfig { consecutive_timeouts: Some(u32::MAX), ..PassiveConfig::default() };
        let reached = (0..70_000).filter(|_| cell.on_failure(Timeout, &config)).count();
        assert_eq!(reached, 70_000 - 65_534);
        assert_eq!([Connect, Timeout, Reset, ServerError].map(|kind| cell.streak(kind)), [0, 65_535, 0, 0]);
    }

    #[test]
    fn workers_that_fail_together_are_all_counted() {
        let (cell, config) = (PassiveCell::new(), PassiveConfig::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).filter(|_| cell.on_failure(Reset, &config)).count());
            }
        });
        assert_eq!(cell.streak(Reset), 4_000);
    }
}
