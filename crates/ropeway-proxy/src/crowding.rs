//! Making room near a cap on connections.
//!
//! Idle connections would keep newcomers out for as long as the idle time-out says, and somebody may open them for just
//! that. So from 15/16 of a cap on the time that a connection may be idle shrinks, to a quarter with every second in
//! which that lasts; those that have been idle for longest go first.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// So long after the last newcomer who found it crowded, it is not crowded any more.
const CALM_AFTER_MS: u64 = 2_000;
const STEP_MS: u64 = 1_000;
/// No connection has less time than this.
const SHORTEST_IDLE_MS: u64 = 1_000;

/// Whether there are nearly as many connections as there may be.
#[derive(Debug, Default)]
pub(crate) struct Crowding {
    since_ms: AtomicU64,
    /// 0 before the first time.
    last_ms: AtomicU64,
}

impl Crowding {
    /// Whether `open` of at most `most` is a crowd.
    pub fn is_crowd(open: u32, most: u32) -> bool {
        open > most - most / 16
    }

    /// Notes that a newcomer found it crowded.
    pub fn note(&self, now_ms: u64) {
        let was_calm = self.is_over(now_ms);
        self.last_ms.store(now_ms.max(1), Relaxed);
        if was_calm {
            self.since_ms.store(now_ms, Relaxed);
        }
    }

    /// Whether nobody has found it crowded of late.
    pub fn is_over(&self, now_ms: u64) -> bool {
        let last_ms = self.last_ms.load(Relaxed);
        last_ms == 0 || now_ms.saturating_sub(last_ms) > CALM_AFTER_MS
    }

    /// How long a connection may be idle that may be so for `idle_ms` at other times.
    pub fn shorten(&self, idle_ms: u64, now_ms: u64) -> u64 {
        if self.is_over(now_ms) {
            return idle_ms;
        }
        let steps = 1 + now_ms.saturating_sub(self.since_ms.load(Relaxed)) / STEP_MS;
        let quarters = u32::try_from(2 * steps).unwrap_or(u32::MAX);
        idle_ms.checked_shr(quarters).unwrap_or_default().max(SHORTEST_IDLE_MS.min(idle_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_shrinks_for_as_long_as_it_is_crowded() {
        let crowding = Crowding::default();
        assert_eq!(crowding.shorten(64_000, 5_000), 64_000);
        crowding.note(5_000);
        assert_eq!(crowding.shorten(64_000, 5_000), 16_000);
        crowding.note(6_100);
        assert_eq!(crowding.shorten(64_000, 6_100), 4_000);
        crowding.note(7_200);
        assert_eq!(crowding.shorten(64_000, 7_200), SHORTEST_IDLE_MS);
        for second in 8..200 {
            crowding.note(second * 1_000);
        }
        assert_eq!(crowding.shorten(64_000, 199_000), SHORTEST_IDLE_MS);
        assert_eq!(crowding.shorten(300, 199_000), 300, "never longer than configured");
        assert_eq!(crowding.shorten(64_000, 199_001 + CALM_AFTER_MS), 64_000);
    }

    #[test]
    fn a_new_crowd_begins_anew() {
        let crowding = Crowding::default();
        crowding.note(1_000);
        crowding.note(2_500);
        let later = 2_501 + CALM_AFTER_MS;
        crowding.note(later);
        assert_eq!(crowding.shorten(64_000, later), 16_000);
    }

    #[test]
    fn the_last_sixteenth_is_a_crowd() {
        assert!(!Crowding::is_crowd(15, 16) && Crowding::is_crowd(16, 16));
        assert!(!Crowding::is_crowd(0, 0), "nobody is there");
        assert!(!Crowding::is_crowd(u32::MAX / 2, u32::MAX));
        assert!(!Crowding::is_crowd(3, 3), "the last place of a few is no sign yet");
    }
}
