//! Bringing a server into rotation gradually.

/// How many units of effective weight make one of configured weight: the resolution of [`SlowStart`]. Servers that
/// are not warming up all have multiples of it, so that round robin still repeats after few turns.
pub const WEIGHT_UNIT: u32 = 100;

/// The share of its weight that a server has at the start, so that it is not left out altogether.
const FLOOR: f64 = 0.1;

/// A linear ramp from 10 % of a server's weight to all of it, counted from when the server became usable. While it
/// lasts, rebuild the table about once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowStart {
    /// Length of the ramp in milliseconds. Default 0: no ramp.
    pub window_ms: u64,
}

impl SlowStart {
    /// The share of its weight that a server has, from 0.1 to 1, `since_ms_up` milliseconds after it became usable.
    #[must_use]
    pub fn factor(self, since_ms_up: u64) -> f64 {
        if self.is_over(since_ms_up) {
            return 1.0;
        }
        (since_ms_up as f64 / self.window_ms as f64).max(FLOOR)
    }

    /// Whether the server has all of its weight by now.
    #[must_use]
    pub const fn is_over(self, since_ms_up: u64) -> bool {
        since_ms_up >= self.window_ms
    }
}

/// The effective weight of a server, for [`Candidate::weight`](super::Candidate::weight): the configured weight in
/// units of 1 / [`WEIGHT_UNIT`], times the factor of [`SlowStart`]. A configured weight above zero never becomes
/// zero; a configured weight of zero stays so. Factors outside of 0 to 1 are brought into that range.
#[must_use]
pub fn effective_weight(configured: u32, factor: f64) -> u32 {
    let full = configured.saturating_mul(WEIGHT_UNIT);
    // The product is below 2^32, and `as` would saturate if it were not.
    let scaled = (f64::from(full) * factor.clamp(0.0, 1.0)).round() as u32;
    scaled.max(configured.min(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_is_linear_above_its_floor() {
        let ramp = SlowStart { window_ms: 10_000 };
        let factors = [0, 500, 1_000, 5_000, 9_999, 10_000, u64::MAX].map(|since| ramp.factor(since));
        assert_eq!(factors, [0.1, 0.1, 0.1, 0.5, 0.9999, 1.0, 1.0]);
    }

    #[test]
    fn without_a_window_there_is_no_ramp() {
        assert_eq!(SlowStart::default().factor(0), 1.0);
        assert!(SlowStart::default().is_over(0));
    }

    #[test]
    fn weights_keep_their_proportion_and_never_vanish() {
        assert_eq!(effective_weight(3, 1.0), 300);
        assert_eq!(effective_weight(1, 0.37), 37);
        assert_eq!(effective_weight(1, 0.0), 1);
        assert_eq!(effective_weight(0, 1.0), 0);
        assert_eq!(effective_weight(u32::MAX, 1.0), u32::MAX);
        assert_eq!(effective_weight(2, f64::NAN), 1);
        assert_eq!(effective_weight(2, 7.0), 200);
    }
}
