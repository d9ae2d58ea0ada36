//! Making room near a cap on connections.
//!
//! Idle connections would keep newcomers out for as long as the idle time-out says, and somebody may open them for just
//! that. So one place in sixteen is kept free: while it is not, the time that a connection may be idle shrinks, and as many
//! are closed as are too many, those first that have been idle for long.

use std::cell::Cell;

/// Between two looks.
const LOOK_MS: u64 = 1_000;
/// No connection has less time than this.
const SHORTEST_IDLE_MS: u64 = 1_000;

/// How many of the connections that are open are too many.
pub(crate) fn excess(open: u32, most: u32) -> u32 {
    open.saturating_sub(most - most.div_ceil(16))
}

/// What one worker does about it.
#[derive(Debug, Default)]
pub(crate) struct Crowding {
    /// 0 while there is room.
    since_ms: Cell<u64>,
    look_at_ms: Cell<u64>,
    /// How many connections are to go before the next look.
    wanted: Cell<u32>,
}

impl Crowding {
    /// Takes note of how many connections are too many. Whether the idle ones are to look how long they may stay.
    pub fn look(&self, excess: u32, now_ms: u64) -> bool {
        if excess == 0 {
            self.since_ms.set(0);
            self.wanted.set(0);
            return false;
        }
        if self.since_ms.get() == 0 {
            self.since_ms.set(now_ms.max(1));
            self.look_at_ms.set(now_ms);
        }
        if self.look_at_ms.get() > now_ms {
            return false;
        }
        self.look_at_ms.set(now_ms + LOOK_MS);
        self.wanted.set(excess);
        true
    }

    /// How many connections are still to go.
    #[inline]
    pub fn wanted(&self) -> u32 {
        self.wanted.get()
    }

    /// Notes that so many go.
    pub fn note_gone(&self, count: u32) {
        self.wanted.set(self.wanted.get().saturating_sub(count));
    }

    /// How long a connection may be idle now that may be so for `idle_ms` when there is room: a quarter of that, and a
    /// quarter of that again with every second.
    pub fn shorten(&self, idle_ms: u64, now_ms: u64) -> u64 {
        let steps = 1 + now_ms.saturating_sub(self.since_ms.get()) / LOOK_MS;
        let shift = u32::try_from(2 * steps).unwrap_or(u32::MAX);
        idle_ms.checked_shr(shift).unwrap_or_default().max(SHORTEST_IDLE_MS.min(idle_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_in_sixteen_is_to_be_free() {
        assert_eq!((excess(3_750, 4_000), excess(3_751, 4_000), excess(4_000, 4_000)), (0, 1, 250));
        assert_eq!((excess(3, 4), excess(4, 4)), (0, 1), "at least one");
        assert_eq!((excess(0, 0), excess(u32::MAX / 2, u32::MAX)), (0, 0));
    }

    #[test]
    fn idle_time_shrinks_for_as_long_as_it_is_crowded() {
        let crowding = Crowding::default();
        assert!(crowding.look(5, 5_000));
        assert_eq!(crowding.shorten(64_000, 5_000), 16_000);
        assert!(!crowding.look(5, 5_900), "once a second");
        assert!(crowding.look(5, 6_000));
        assert_eq!(crowding.shorten(64_000, 6_000), 4_000);
        assert_eq!(crowding.shorten(64_000, 9_000), SHORTEST_IDLE_MS);
        assert_eq!(crowding.shorten(64_000, 900_000), SHORTEST_IDLE_MS);
        assert_eq!(crowding.shorten(300, 900_000), 300, "never longer than configured");
        assert!(!crowding.look(0, 900_000));
        assert!(crowding.look(5, 900_100), "a new crowd begins anew");
        assert_eq!(crowding.shorten(64_000, 900_100), 16_000);
    }

    #[test]
    fn no_more_have_to_go_than_are_too_many() {
        let crowding = Crowding::default();
        assert_eq!(crowding.wanted(), 0);
        crowding.look(2, 1_000);
        crowding.note_gone(1);
        assert_eq!(crowding.wanted(), 1);
        crowding.note_gone(3);
        assert_eq!(crowding.wanted(), 0);
        crowding.look(2, 1_500);
        assert_eq!(crowding.wanted(), 0, "those who go take their time");
        crowding.look(2, 2_000);
        assert_eq!(crowding.wanted(), 2);
    }
}
