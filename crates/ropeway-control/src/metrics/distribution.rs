//! A latency histogram summed up over the workers.

use ropeway_proxy::counters::{Histogram, LATENCY_BOUNDS_US, PerWorker};

const BUCKETS: usize = LATENCY_BOUNDS_US.len() + 1;
const US_PER_SECOND: f64 = 1e6;
const US_PER_MS: f64 = 1e3;

/// How often a duration fell into which bucket, and the sum of all durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl Distribution {
    /// Sums up the histogram that `read` finds in the block of each worker.
    #[must_use]
    pub fn of<T>(workers: &PerWorker<T>, read: impl Fn(&T) -> &Histogram) -> Self {
        let mut total = Self::default();
        for block in workers.iter() {
            total.sum_us += read(block).add_to(&mut total.buckets);
        }
        total
    }

    /// How many durations were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all durations.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us as f64 / US_PER_SECOND
    }

    /// How many durations fell into each bucket; the last one is that of durations beyond the last bound.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.buckets
    }

    /// Upper bounds in seconds, the last one infinite, each with the count of its bucket alone.
    #[must_use]
    pub fn buckets(&self) -> [(f64, u64); BUCKETS] {
        std::array::from_fn(|index| {
            let bound = LATENCY_BOUNDS_US.get(index).map_or(f64::INFINITY, |us| *us as f64 / US_PER_SECOND);
            (bound, self.buckets[index])
        })
    }

    /// The duration in milliseconds that the share `quantile` (0 to 1) of all durations did not exceed, by linear
    /// interpolation inside its bucket; `None` when nothing was recorded. What lies beyond the last bound counts as
    /// that bound.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = quantile * self.count() as f64;
        let (mut below, mut lower_us) = (0u64, 0u64);
        for (count, upper_us) in self.buckets.iter().zip(LATENCY_BOUNDS_US) {
            let reached = below + count;
            if *count > 0 && reached as f64 >= rank {
                let inside = (rank - below as f64) / *count as f64;
                let us = lower_us as f64 + inside * (upper_us - lower_us) as f64;
                return Some(us / US_PER_MS);
            }
            (below, lower_us) = (reached, upper_us);
        }
        (self.count() > 0).then_some(lower_us as f64 / US_PER_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(durations_us: &[u64]) -> Distribution {
        let workers = PerWorker::<Histogram>::new(2);
        for (index, us) in durations_us.iter().enumerate() {
            workers.of(index % 2).unwrap().observe(*us);
        }
        Distribution::of(&workers, |histogram| histogram)
    }

    #[test]
    fn workers_are_summed_up() {
        let total = recorded(&[50, 60, 70_000_000]);
        assert_eq!(total.count(), 3);
        assert!((total.sum_seconds() - 70.00011).abs() < 1e-9);
        let buckets = total.buckets();
        assert_eq!(buckets[0], (0.0001, 2));
        assert_eq!(buckets[BUCKETS - 1], (f64::INFINITY, 1));
        assert_eq!((total.counts()[0], total.counts()[BUCKETS - 1]), (2, 1));
    }

    #[test]
    fn quantiles_are_interpolated_inside_their_bucket() {
        // Ten in (0, 100], ten in (100, 250].
        let total = recorded(&[vec![90; 10], vec![200; 10]].concat());
        assert_eq!(total.quantile_ms(0.25), Some(0.05));
        assert_eq!(total.quantile_ms(0.5), Some(0.1));
        assert_eq!(total.quantile_ms(1.0), Some(0.25));
    }

    #[test]
    fn nothing_recorded_has_no_quantile_and_the_unbounded_bucket_answers_with_the_last_bound() {
        assert_eq!(Distribution::default().quantile_ms(0.99), None);
        assert_eq!(recorded(&[70_000_000]).quantile_ms(0.5), Some(60_000.0));
    }
}
