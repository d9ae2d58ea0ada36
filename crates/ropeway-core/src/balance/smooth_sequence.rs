//! The order in which weighted round robin takes the servers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest sequence in entries, unless there are more than 512 servers: then 128 entries for each.
const MAX_PERIOD: u64 = 65_536;
const MIN_ENTRIES_PER_SERVER: u64 = 128;

/// Positions in the order in which they are taken, for one period; each position occurs in proportion to its weight,
/// and as evenly spread as can be: after any `t` entries a position of weight `w` out of `W` has occurred
/// `floor(t w / W)` or `ceil(t w / W)` times. Equal weights give 0, 1, 2 and so on.
///
/// The period is the sum of the weights after division by their common divisor, and the proportions are exact, as
/// long as it does not exceed 65,536 entries (or 128 per server, if that is more). Above that the weights are scaled
/// down, none below one entry, and no server's share is off by more than 1 % of all requests.
///
/// The `j`-th turn of a position is allowed from time `floor(j W / w)` and due by `ceil((j + 1) W / w)`. Of the turns
/// allowed at a time, the one due first is taken. Earliest-deadline-first misses no deadline here, because the turns
/// fill the time exactly (this is proportionate fairness: Baruah, Cohen, Plaxton and Varvel, 1996).
pub(super) fn smooth_sequence(weights: impl Iterator<Item = u32>) -> Vec<u32> {
    let weights = reduce(weights.map(u64::from).collect());
    let period: u64 = weights.iter().sum();
    let mut turns: Vec<_> = weights.iter().map(|&weight| Turns { weight, taken: 0, period }).collect();
    let mut later: BinaryHeap<_> =
        (0_u32..).zip(&turns).map(|(at, turn)| Reverse((turn.allowed(), at))).collect();
    let mut allowed = BinaryHeap::with_capacity(turns.len());
    let mut sequence = Vec::new();
    for time in 0..period {
        while let Some(&Reverse((from, position))) = later.peek()
            && from <= time
        {
            later.pop();
            let due = turns.get(position as usize).map_or(period, Turns::due);
            allowed.push(Reverse((due, position)));
        }
        let Some(Reverse((_, position))) = allowed.pop() else { break };
        sequence.push(position);
        if let Some(turn) = turns.get_mut(position as usize) {
            turn.taken += 1;
            later.push(Reverse((turn.allowed(), position)));
        }
    }
    sequence
}

/// The turns of one position. `weight` is at least 1 and `taken` at most `weight`.
struct Turns {
    weight: u64,
    taken: u64,
    period: u64,
}

impl Turns {
    /// The time from which the next turn may be taken.
    const fn allowed(&self) -> u64 {
        self.taken * self.period / self.weight
    }

    /// The time before which the next turn must have been taken.
    const fn due(&self) -> u64 {
        ((self.taken + 1) * self.period).div_ceil(self.weight)
    }
}

/// Divides the weights, all above zero, by their common divisor, and scales them down if the period is too long.
fn reduce(weights: Vec<u64>) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let period = weights.iter().sum::<u64>() / divisor;
    let longest = MAX_PERIOD.max(MIN_ENTRIES_PER_SERVER * weights.len() as u64);
    if period > longest {
        return scale_down(&weights, longest);
    }
    weights.into_iter().map(|weight| weight / divisor).collect()
}

/// Scales the weights to a sum of `period`. Rounding the running sum instead of each weight keeps the sum right, and
/// each weight within one.
fn scale_down(weights: &[u64], period: u64) -> Vec<u64> {
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let (mut sum, mut scaled_sum) = (0_u128, 0_u64);
    let scale = |&weight: &u64| {
        sum += u128::from(weight);
        let next = u64::try_from(sum * u128::from(period) / total.max(1)).unwrap_or(period);
        let scaled = next - scaled_sum;
        scaled_sum = next;
        scaled.max(1)
    };
    weights.iter().map(scale).collect()
}

const fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequence(weights: &[u32]) -> Vec<u32> {
        smooth_sequence(weights.iter().copied())
    }

    #[test]
    fn equal_weights_take_turns_in_order() {
        assert_eq!(sequence(&[100, 100, 100]), [0, 1, 2]);
        assert_eq!(sequence(&[7]), [0]);
        assert_eq!(sequence(&[]), []);
    }

    #[test]
    fn a_heavy_server_does_not_take_its_turns_in_one_go() {
        assert_eq!(sequence(&[500, 100, 100]), [0, 0, 0, 1, 0, 0, 2]);
        assert_eq!(sequence(&[1, 2]), [1, 0, 1]);
    }

    #[test]
    fn long_periods_are_scaled_within_one_percent_of_the_traffic() {
        let mut many_light: Vec<u32> = vec![1; 999];
        many_light.push(100_000_000);
        for weights in [many_light, (1..=1_000).map(|i| i * 7_919 + 13).collect(), vec![u32::MAX, 1, 65_521]]
        {
            let sequence = sequence(&weights);
            let period = sequence.len() as f64;
            assert!(sequence.len() <= 130_000, "{}", sequence.len());
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            for (position, &weight) in (0_u32..).zip(&weights) {
                let turns = sequence.iter().filter(|&&taken| taken == position).count();
                assert!(turns > 0);
                let error = turns as f64 / period - f64::from(weight) / total;
                assert!(error.abs() < 0.01, "{position}: {error}");
            }
        }
    }

    proptest! {
        #[test]
        fn after_any_time_each_server_had_its_share_rounded_up_or_down(
            weights in prop::collection::vec(1_u32..400, 1..24),
        ) {
            let sequence = sequence(&weights);
            let total: u64 = weights.iter().copied().map(u64::from).sum();
            prop_assert_eq!(total % sequence.len() as u64, 0);
            let mut taken = vec![0_u64; weights.len()];
            for (time, &position) in (1_u64..).zip(&sequence) {
                taken[position as usize] += 1;
                for (&taken, &weight) in taken.iter().zip(&weights) {
                    let share = time * u64::from(weight);
                    prop_assert!((share / total..=share.div_ceil(total)).contains(&taken));
                }
            }
        }
    }
}
