//! The least rate at which a peer must move bytes.

/// A minimum data rate with a period of grace: the defence against peers that keep a connection busy by moving a
/// byte now and then, each one in time for an idle time-out.
///
/// Only the time spent waiting for the peer counts. A transfer may have waited for
/// `grace + bytes / bytes_per_second` in total; it is too slow from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes per second; 0 means that any rate will do. Default 500.
    pub bytes_per_second: u32,
    /// How long a transfer may wait before its rate counts, in milliseconds. Default 20,000.
    pub grace_ms: u32,
}

impl Default for MinRate {
    fn default() -> Self {
        Self { bytes_per_second: 500, grace_ms: 20_000 }
    }
}

impl MinRate {
    /// How long a transfer that has moved `bytes` may still wait, in milliseconds, if it has waited for `waited_ms`
    /// in total so far. 0 means that it is too slow; `u64::MAX` that there is no minimum.
    #[must_use]
    pub const fn remaining_ms(&self, bytes: u64, waited_ms: u64) -> u64 {
        if self.bytes_per_second == 0 {
            return u64::MAX;
        }
        let rate = self.bytes_per_second as u64;
        // Seconds and rest apart, so that the product cannot overflow: the rest is below 2^32.
        let earned_ms = (bytes / rate).saturating_mul(1000).saturating_add(bytes % rate * 1000 / rate);
        earned_ms.saturating_add(self.grace_ms as u64).saturating_sub(waited_ms)
    }

    /// When a wait that began at `wait_began_ms` makes the transfer too slow, if no further byte moves. `waited_ms`
    /// is what earlier waits of the same transfer took. All times are in milliseconds of one monotonic clock.
    #[must_use]
    pub const fn deadline_ms(&self, wait_began_ms: u64, bytes: u64, waited_ms: u64) -> u64 {
        wait_began_ms.saturating_add(self.remaining_ms(bytes, waited_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grace_comes_first_and_bytes_earn_time() {
        let minimum = MinRate::default();
        assert_eq!(minimum.deadline_ms(1_000, 0, 0), 21_000);
        assert_eq!(minimum.deadline_ms(1_000, 500, 0), 22_000);
        assert_eq!(minimum.deadline_ms(1_000, 501, 0), 22_002);
        assert_eq!(minimum.deadline_ms(1_000, 500, 20_500), 1_500);
    }

    #[test]
    fn a_transfer_that_fell_behind_is_due_at_once() {
        assert_eq!(MinRate::default().remaining_ms(500, 21_001), 0);
        assert_eq!(MinRate::default().deadline_ms(7, 500, 30_000), 7);
    }

    #[test]
    fn a_rate_of_zero_never_ends_a_transfer() {
        let off = MinRate { bytes_per_second: 0, grace_ms: 0 };
        assert_eq!(off.deadline_ms(5, 0, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_steady_sender_above_the_rate_is_never_cut(
            rate in 1_u32..1_000_000, grace_ms in 0_u32..60_000, seconds in 1_u64..100_000,
        ) {
            let minimum = MinRate { bytes_per_second: rate, grace_ms };
            let moved = u64::from(rate) * seconds;
            prop_assert_eq!(minimum.remaining_ms(moved, seconds * 1000), u64::from(grace_ms));
            prop_assert_eq!(minimum.remaining_ms(moved, seconds * 1000 + u64::from(grace_ms)), 0);
        }

        #[test]
        fn more_bytes_never_shorten_and_more_waiting_never_lengthens(
            rate: u32, grace_ms: u32, bytes: u64, waited: u64, more in 0_u64..1_000_000,
        ) {
            let minimum = MinRate { bytes_per_second: rate, grace_ms };
            let now = minimum.remaining_ms(bytes, waited);
            prop_assert!(minimum.remaining_ms(bytes.saturating_add(more), waited) >= now);
            prop_assert!(minimum.remaining_ms(bytes, waited.saturating_add(more)) <= now);
        }
    }
}
