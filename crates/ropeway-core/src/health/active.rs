//! Active health: a server is up or down by the results of its checks.
//!
//! ```text
//!                 first check passes                 `fall` failures in a row
//!   Unchecked ─────────────────────────▶ Up ─────────────────────────────────▶ Down
//!       │                                 ◀───────────────────────────────────  ▲
//!       │                                     `rise` successes in a row         │
//!       └───────────────────────────────────────────────────────────────────────┘
//!                                 first check fails
//! ```

use super::history::{Cause, Transition};
use crate::balance::HealthState;

/// How a server is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveConfig {
    /// From the start of one check to the start of the next, in milliseconds. Default 5,000.
    pub interval_ms: u64,
    /// How far an interval may be off, either way, in percent; 100 at most. Keeps many proxies from checking a
    /// server at the same instant. Default 20.
    pub jitter_percent: u8,
    /// When a check without an answer has failed, in milliseconds. Default 2,000.
    pub timeout_ms: u64,
    /// How many failures in a row take a server down; 0 counts as 1. Default 3.
    pub fall: u32,
    /// How many successes in a row bring it up again; 0 counts as 1. Default 2.
    pub rise: u32,
}

impl Default for ActiveConfig {
    fn default() -> Self {
        Self { interval_ms: 5_000, jitter_percent: 20, timeout_ms: 2_000, fall: 3, rise: 2 }
    }
}

impl ActiveConfig {
    /// The delay before the next check, in milliseconds and at least 1: the interval with its jitter, chosen by 64
    /// evenly distributed random bits. The first check of a server needs no delay.
    #[must_use]
    pub fn next_check_delay(&self, random: u64) -> u64 {
        let jitter = u128::from(self.interval_ms) * u128::from(self.jitter_percent.min(100)) / 100;
        let offset = u128::from(random) % (2 * jitter + 1);
        let delay = u128::from(self.interval_ms) - jitter + offset;
        u64::try_from(delay).unwrap_or(u64::MAX).max(1)
    }
}

/// The state machine of one server.
#[derive(Clone, Debug)]
pub struct ActiveHealth {
    state: HealthState,
    /// How many of the latest results, in a row, spoke against the state.
    streak: u32,
}

impl Default for ActiveHealth {
    fn default() -> Self {
        Self::new()
    }
}

impl ActiveHealth {
    /// A server that was never checked.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: HealthState::Unchecked, streak: 0 }
    }

    /// What the checks say.
    #[must_use]
    pub const fn state(&self) -> HealthState {
        self.state
    }

    /// How many of the latest results, in a row, spoke against the state: 2 for a server that is up and failed its
    /// last two checks.
    #[must_use]
    pub const fn streak(&self) -> u32 {
        self.streak
    }

    /// Takes the result of a check that ended at `now_ms`. The configuration is an argument so that the state
    /// outlives a reload that changes it. Answers the change, if the result made one.
    pub fn on_result(&mut self, passed: bool, now_ms: u64, config: &ActiveConfig) -> Option<Transition> {
        let (contradicts, threshold) = match self.state {
            HealthState::Unchecked => (true, 1),
            HealthState::Up => (!passed, config.fall),
            HealthState::Down => (passed, config.rise),
        };
        self.streak = if contradicts { self.streak.saturating_add(1) } else { 0 };
        if !contradicts || self.streak < threshold {
            return None;
        }
        Some(self.turn(passed, now_ms))
    }

    fn turn(&mut self, passed: bool, now_ms: u64) -> Transition {
        let (to, cause) = if passed {
            (HealthState::Up, Cause::ChecksPassed)
        } else {
            (HealthState::Down, Cause::ChecksFailed)
        };
        let from = std::mem::replace(&mut self.state, to);
        self.streak = 0;
        Transition { at_ms: now_ms, from: from.into(), to: to.into(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Condition;
    use super::*;
    use proptest::prelude::*;

    /// Feeds results (`+` passed, `-` failed) and answers the state after each (`U` up, `D` down).
    fn states(config: &ActiveConfig, results: &str) -> String {
        let mut health = ActiveHealth::new();
        let mut state_after = |result| {
            health.on_result(result == '+', 0, config);
            if health.state() == HealthState::Up { 'U' } else { 'D' }
        };
        results.chars().map(&mut state_after).collect()
    }

    #[test]
    fn the_first_result_decides_both_ways() {
        let mut health = ActiveHealth::new();
        let change = health.on_result(true, 7, &ActiveConfig::default());
        let (from, to) = (Condition::Unchecked, Condition::Up);
        assert_eq!(change, Some(Transition { at_ms: 7, from, to, cause: Cause::ChecksPassed }));

        let mut health = ActiveHealth::new();
        let change = health.on_result(false, 8, &ActiveConfig::default());
        let (from, to) = (Condition::Unchecked, Condition::Down);
        assert_eq!(change, Some(Transition { at_ms: 8, from, to, cause: Cause::ChecksFailed }));
    }

    #[test]
    fn falls_and_rises_by_streaks_only() {
        let config = ActiveConfig::default();
        assert_eq!(states(&config, "+--+--+---"), "UUUUUUUUUD");
        assert_eq!(states(&config, "-+-+-++--"), "DDDDDDUUU");
    }

    #[test]
    fn thresholds_of_zero_count_as_one() {
        let config = ActiveConfig { fall: 0, rise: 0, ..ActiveConfig::default() };
        assert_eq!(states(&config, "+-+-"), "UDUD");
    }

    #[test]
    fn a_shorter_fall_applies_to_the_streak_that_is_running() {
        let mut health = ActiveHealth::new();
        let patient = ActiveConfig { fall: 10, ..ActiveConfig::default() };
        health.on_result(true, 0, &patient);
        (0..5).for_each(|_| assert_eq!(health.on_result(false, 0, &patient), None));
        assert_eq!(health.streak(), 5);
        assert!(health.on_result(false, 0, &ActiveConfig::default()).is_some());
    }

    #[test]
    fn delays_span_the_jitter() {
        let config = ActiveConfig::default();
        assert_eq!(config.next_check_delay(0), 4_000);
        assert_eq!(config.next_check_delay(1_000), 5_000);
        assert_eq!(config.next_check_delay(2_000), 6_000);
        assert_eq!(ActiveConfig { jitter_percent: 0, ..config }.next_check_delay(u64::MAX), 5_000);
        assert_eq!(ActiveConfig { interval_ms: 0, ..config }.next_check_delay(9), 1);
    }

    proptest! {
        #[test]
        fn delays_stay_within_the_jitter(interval_ms: u64, jitter_percent: u8, random: u64) {
            let config = ActiveConfig { interval_ms, jitter_percent, ..ActiveConfig::default() };
            let (delay, interval) = (u128::from(config.next_check_delay(random)), u128::from(interval_ms));
            let jitter = interval * u128::from(jitter_percent.min(100)) / 100;
            prop_assert!(delay >= (interval - jitter).max(1));
            prop_assert!(delay <= (interval + jitter).max(1));
        }

        #[test]
        fn a_server_changes_exactly_when_its_last_results_agree_against_it(
            results in proptest::collection::vec(any::<bool>(), 1..100), fall in 1_usize..5, rise in 1_usize..5,
        ) {
            let config = ActiveConfig { fall: fall as u32, rise: rise as u32, ..ActiveConfig::default() };
            let mut health = ActiveHealth::new();
            let (mut up, mut since) = (results[0], 0);
            for (index, &passed) in results.iter().enumerate() {
                health.on_result(passed, 0, &config);
                let threshold = if up { fall } else { rise };
                let recent = &results[since..=index];
                if recent.len() >= threshold && recent[recent.len() - threshold..].iter().all(|&ok| ok != up) {
                    (up, since) = (!up, index + 1);
                }
                prop_assert_eq!(health.state() == HealthState::Up, up);
            }
        }
    }
}
