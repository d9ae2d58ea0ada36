//! Whether a peer that is waited for takes what it is sent.

use ropeway_core::rate::MinRate;

use crate::deadline::TICK_MS;
use crate::link::Link;

/// How long one end may be waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub idle_ms: u64,
    pub min_rate: Option<MinRate>,
}

/// The waits for a peer to take more, and what it has taken.
///
/// A socket tells that it can be written to once a third of its buffer is free, which may be megabytes: long after the
/// peer has begun to take some of them. So the kernel is asked how much has arrived, and only when a wait has come to a
/// point where it would be over otherwise. All times are those of the coarse clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uptake {
    /// When the current wait began.
    since_ms: u64,
    /// How long earlier waits took together.
    waited_ms: u64,
    /// When the peer was last known to take something.
    moved_at_ms: u64,
    /// What the link, and the connection beneath it, had delivered when they were last looked at in this wait.
    seen: Option<(u64, u64)>,
    /// What the link had delivered before there was anything to judge.
    base: u64,
    /// Bytes that have certainly been taken.
    taken: u64,
}

impl Uptake {
    pub const fn new() -> Self {
        Self { since_ms: 0, waited_ms: 0, moved_at_ms: 0, seen: None, base: u64::MAX, taken: 0 }
    }

    /// The same with a wait that begins at once.
    pub const fn beginning(now_ms: u64) -> Self {
        Self { since_ms: now_ms, ..Self::new() }
    }

    /// A wait begins.
    pub fn begin(&mut self, now_ms: u64) {
        (self.since_ms, self.seen) = (now_ms, None);
    }

    /// The wait is over, because all that waited was taken.
    pub fn end(&mut self, now_ms: u64) {
        self.waited_ms += now_ms.saturating_sub(self.since_ms);
    }

    /// When to [`Self::look`], and when the wait is over if that has found nothing new.
    pub fn due_ms(&self, patience: Patience) -> u64 {
        let rate_at = patience
            .min_rate
            .map_or(u64::MAX, |rate| rate.deadline_ms(self.since_ms, self.taken, self.waited_ms));
        // What progress is compared with is not known before the wait was looked at for the first time.
        let idle_at = if self.seen.is_some() {
            self.moved_at_ms.saturating_add(patience.idle_ms)
        } else {
            self.since_ms
        };
        idle_at.min(rate_at).saturating_add(TICK_MS)
    }

    /// Asks how much of what went over the link has been taken; nothing before `sent_before` counts.
    pub fn look(&mut self, now_ms: u64, link: &Link, sent_before: u64) {
        self.note(now_ms, (link.delivered(), link.delivered_beneath()), sent_before);
    }

    fn note(&mut self, now_ms: u64, (delivered, beneath): (u64, u64), sent_before: u64) {
        // Of what was sent before, some may have been on its way still.
        self.base = self.base.min(sent_before).min(delivered);
        self.taken = delivered - self.base;
        if self.seen.is_none_or(|seen| delivered > seen.0 || beneath > seen.1) {
            self.moved_at_ms = now_ms;
        }
        self.seen = Some((delivered, beneath));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Patience = Patience { idle_ms: 1_000, min_rate: None };

    #[test]
    fn a_wait_ends_when_nothing_was_taken_since_the_first_look() {
        let mut uptake = Uptake::new();
        uptake.begin(5_000);
        assert_eq!(uptake.due_ms(IDLE), 5_100);
        uptake.note(5_100, (70, 0), 0);
        assert_eq!(uptake.due_ms(IDLE), 6_200);
        uptake.note(6_200, (70, 0), 0);
        assert_eq!(uptake.due_ms(IDLE), 6_200, "it is over");
    }

    #[test]
    fn a_byte_begins_the_wait_anew() {
        let mut uptake = Uptake::new();
        uptake.begin(5_000);
        uptake.note(5_100, (70, 0), 0);
        uptake.note(6_200, (71, 0), 0);
        assert_eq!(uptake.due_ms(IDLE), 7_300);
    }

    /// It says that the peer reads, and not what.
    #[test]
    fn what_moves_beneath_begins_the_wait_anew_and_earns_nothing() {
        let mut uptake = Uptake::new();
        uptake.begin(5_000);
        uptake.note(5_100, (70, 1_000), 0);
        uptake.note(6_200, (70, 1_001), 0);
        assert_eq!(uptake.due_ms(IDLE), 7_300);
        assert_eq!(uptake.taken, 70);
    }

    #[test]
    fn what_is_taken_earns_time() {
        let rate = MinRate { bytes_per_second: 1_000, grace_ms: 500 };
        let patience = Patience { idle_ms: 60_000, min_rate: Some(rate) };
        let mut uptake = Uptake::new();
        uptake.begin(5_000);
        uptake.note(5_100, (2_000, 0), 0);
        assert_eq!(uptake.due_ms(patience), 5_000 + 500 + 2_000 + TICK_MS);
        uptake.end(7_000);
        uptake.begin(9_000);
        uptake.note(9_100, (2_000, 0), 0);
        assert_eq!(uptake.due_ms(patience), 9_000 + 500 + TICK_MS, "two seconds are spent");
    }

    #[test]
    fn what_earlier_responses_still_have_on_their_way_is_not_held_against_a_peer() {
        let rate = MinRate { bytes_per_second: 1_000, grace_ms: 0 };
        let patience = Patience { idle_ms: 60_000, min_rate: Some(rate) };
        let mut uptake = Uptake::new();
        uptake.begin(0);
        uptake.note(100, (5_000, 0), 9_000);
        uptake.note(1_100, (7_000, 0), 9_000);
        assert_eq!(uptake.due_ms(patience), 2_000 + TICK_MS);
    }
}
