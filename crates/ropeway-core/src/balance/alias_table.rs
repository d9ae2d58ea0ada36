//! Drawing a position in proportion to its weight in constant time.

use super::Rng;
use super::rng::scale;

/// Walker's alias method, built as by Vose (1991): each slot is one position up to a threshold, and another above.
/// The probabilities are exact within 2^-32.
#[derive(Clone, Debug)]
pub(super) struct AliasTable {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The slot's own position is drawn with a probability of `threshold` / 2^32, its alias otherwise.
    threshold: u64,
    alias: u32,
}

/// What a position still needs to be drawn, in units in which every slot has room for the sum of all weights.
struct Share {
    position: u32,
    size: u128,
}

impl AliasTable {
    pub(super) fn build(weights: impl Iterator<Item = u32>) -> Self {
        let weights: Vec<u32> = weights.collect();
        let room: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        let count = weights.len() as u128;
        let shares = (0_u32..).zip(&weights);
        let (mut small, mut large): (Vec<Share>, Vec<Share>) = shares
            .map(|(position, &weight)| Share { position, size: u128::from(weight) * count })
            .partition(|share| share.size < room);
        let mut slots: Box<[Slot]> =
            (0_u32..).zip(&weights).map(|(alias, _)| Slot { threshold: 1 << 32, alias }).collect();
        while let Some(share) = small.pop()
            && let Some(mut donor) = large.pop()
        {
            if let Some(slot) = slots.get_mut(share.position as usize) {
                let threshold = u64::try_from((share.size << 32) / room.max(1)).unwrap_or(1 << 32);
                *slot = Slot { threshold, alias: donor.position };
            }
            donor.size -= room - share.size;
            if donor.size < room { small.push(donor) } else { large.push(donor) }
        }
        Self { slots }
    }

    /// Draws a position; 0 when there is none.
    pub(super) fn draw(&self, random: &mut Rng) -> usize {
        let position = scale(random.next_u64(), self.slots.len() as u64);
        let fraction = random.next_u64() >> 32;
        let position = usize::try_from(position).unwrap_or(0);
        match self.slots.get(position) {
            Some(slot) if fraction >= slot.threshold => slot.alias as usize,
            _ => position,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_slots_add_up_to_the_weights(weights in prop::collection::vec(1_u32..100_000, 1..50)) {
            let table = AliasTable::build(weights.iter().copied());
            let mut drawn = vec![0_u64; weights.len()];
            for (position, slot) in table.slots.iter().enumerate() {
                drawn[position] += slot.threshold;
                drawn[slot.alias as usize] += (1 << 32) - slot.threshold;
            }
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            let all: f64 = (weights.len() as f64) * 2_f64.powi(32);
            for (&drawn, &weight) in drawn.iter().zip(&weights) {
                prop_assert!((drawn as f64 / all - f64::from(weight) / total).abs() < 1e-7);
            }
        }
    }
}
