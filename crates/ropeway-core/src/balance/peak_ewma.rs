//! Response times of a server, as a moving average that believes bad news at once.

use std::sync::atomic::{AtomicU64, Ordering};

use super::attempt::Attempt;
use super::{Candidate, Live};

/// What a request in flight to a server that never answered costs, in microseconds: far above any usual response
/// time, and far from overflow. See [`PeakEwma::cost`].
const UNKNOWN_COST_US: f64 = 1e12;

/// Exponentially weighted moving average of the response times of one server, with peaks taken at once. Shared by
/// all workers without a lock.
///
/// # The mathematics
///
/// After a response time `r`, observed `t` after the previous one, the average `a` becomes
///
/// ```text
/// a = r                        if r > a   (a peak)
/// a = a k + r (1 - k)          otherwise, with k = exp(-t / decay)
/// ```
///
/// The weight depends on the time that has passed and not on the number of responses, so that a busy server and an
/// idle one forget equally fast: after `decay` an old value counts for 37 %, after three times that for 5 %. Slowness
/// is believed at once because it costs users; recovery only as time goes by, because one fast response proves
/// little. Without responses the average decays towards zero in the same way, so that a server that was avoided for
/// being slow is tried again.
///
/// The cost of one more request is `a x (requests in flight + 1)`: about how long it would wait if the server works
/// on its requests one after the other.
///
/// A server that never answered costs nothing while it is idle, and more than any other as soon as one request is in
/// flight. So a new server gets one request at a time until it has answered one: it is neither flooded nor starved.
#[derive(Debug)]
pub struct PeakEwma {
    /// The bits of the average in microseconds; zero bits: nothing was observed yet.
    average_us: AtomicU64,
    /// When a response time was last observed, in microseconds.
    observed_at_us: AtomicU64,
    decay_us: f64,
}

impl PeakEwma {
    /// How fast old response times are forgotten unless told otherwise: 10 s, in microseconds.
    pub const DEFAULT_DECAY_US: u64 = 10_000_000;

    /// An average of nothing yet. `decay_us` is the time in microseconds after which an old value counts for 37 %;
    /// at least 1.
    #[must_use]
    pub const fn new(decay_us: u64) -> Self {
        let decay_us = if decay_us == 0 { 1.0 } else { decay_us as f64 };
        Self { average_us: AtomicU64::new(0), observed_at_us: AtomicU64::new(0), decay_us }
    }

    /// Takes in a response time, both in microseconds. `now_us` may be older than that of another worker.
    ///
    /// Observe failures too, with no less than the time that a healthy response takes: a server that fails fast
    /// would otherwise look like the best one.
    pub fn observe(&self, response_time_us: u64, now_us: u64) {
        // Each observer gets an interval of its own, however many there are at once.
        let previous_us = self.observed_at_us.fetch_max(now_us, Ordering::Relaxed);
        let keep = self.kept_after(now_us.saturating_sub(previous_us));
        let observed = response_time_us.max(1) as f64;
        let update = |bits| {
            let average = f64::from_bits(bits);
            let smoothed = observed.mul_add(1.0 - keep, average * keep);
            Some(if observed > average { observed } else { smoothed }.to_bits())
        };
        // The closure never declines, so that this always stores.
        let _ = self.average_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// The average in microseconds as it is now, or `None` when nothing was observed yet.
    #[must_use]
    pub fn load(&self, now_us: u64) -> Option<f64> {
        let average = f64::from_bits(self.average_us.load(Ordering::Relaxed));
        let idle_us = now_us.saturating_sub(self.observed_at_us.load(Ordering::Relaxed));
        (average > 0.0).then(|| average * self.kept_after(idle_us))
    }

    /// What one more request would cost, in microseconds.
    #[must_use]
    pub fn cost(&self, in_flight: u32, now_us: u64) -> f64 {
        self.load(now_us)
            .map_or_else(|| unknown_cost(in_flight), |average| average * (f64::from(in_flight) + 1.0))
    }

    /// How much of an old value counts after this time.
    fn kept_after(&self, elapsed_us: u64) -> f64 {
        (-(elapsed_us as f64) / self.decay_us).exp()
    }
}

impl Default for PeakEwma {
    fn default() -> Self {
        Self::new(Self::DEFAULT_DECAY_US)
    }
}

fn unknown_cost(in_flight: u32) -> f64 {
    UNKNOWN_COST_US * f64::from(in_flight)
}

/// The cost of one more request per unit of weight, for the better of two.
pub(super) fn cost<L: Live + ?Sized>(candidate: &Candidate, attempt: &Attempt<'_, L>) -> f64 {
    let in_flight = attempt.live.in_flight(candidate.index);
    let latency = attempt.live.latency(candidate.index);
    let cost =
        latency.map_or_else(|| unknown_cost(in_flight), |cell| cell.cost(in_flight, attempt.request.now_us));
    cost / f64::from(candidate.weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[track_caller]
    fn assert_close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= expected.abs() * 1e-9, "{value} instead of {expected}");
    }

    #[test]
    fn a_peak_counts_at_once() {
        let cell = PeakEwma::default();
        cell.observe(1_000, SECOND);
        cell.observe(50_000, SECOND);
        assert_eq!(cell.load(SECOND), Some(50_000.0));
    }

    #[test]
    fn recovery_counts_as_time_goes_by() {
        let cell = PeakEwma::default();
        cell.observe(50_000, 10 * SECOND);
        cell.observe(1_000, 10 * SECOND);
        assert_eq!(cell.load(10 * SECOND), Some(50_000.0));
        cell.observe(1_000, 20 * SECOND);
        let kept = (-1.0_f64).exp();
        assert_close(cell.load(20 * SECOND).unwrap(), 50_000.0 * kept + 1_000.0 * (1.0 - kept));
    }

    #[test]
    fn an_avoided_server_is_forgiven() {
        let cell = PeakEwma::new(SECOND);
        cell.observe(5_000_000, SECOND);
        assert_close(cell.load(2 * SECOND).unwrap(), 5_000_000.0 * (-1.0_f64).exp());
        assert!(cell.load(60 * SECOND).unwrap() < 1e-9);
    }

    #[test]
    fn a_late_observer_does_not_turn_time_back() {
        let cell = PeakEwma::default();
        cell.observe(8_000, 30 * SECOND);
        cell.observe(1_000, 10 * SECOND);
        assert_eq!(cell.load(30 * SECOND), Some(8_000.0));
        assert_eq!(cell.load(20 * SECOND), Some(8_000.0));
    }

    #[test]
    fn a_new_server_is_tried_with_one_request_at_a_time() {
        let (new, slow) = (PeakEwma::default(), PeakEwma::default());
        assert_eq!(new.load(SECOND), None);
        slow.observe(30 * SECOND, SECOND);
        assert!(new.cost(0, SECOND) < slow.cost(0, SECOND));
        assert!(new.cost(1, SECOND) > slow.cost(1_000, SECOND));
    }

    #[test]
    fn cost_grows_with_what_is_in_flight() {
        let cell = PeakEwma::default();
        cell.observe(2_000, SECOND);
        assert_eq!(cell.cost(0, SECOND), 2_000.0);
        assert_eq!(cell.cost(4, SECOND), 10_000.0);
    }

    #[test]
    fn extremes_stay_finite() {
        let cell = PeakEwma::new(0);
        cell.observe(u64::MAX, u64::MAX);
        cell.observe(0, 0);
        assert!(cell.cost(u32::MAX, 0).is_finite());
        assert!(PeakEwma::default().cost(u32::MAX, u64::MAX).is_finite());
    }
}
