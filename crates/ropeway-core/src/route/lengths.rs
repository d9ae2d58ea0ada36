//! Which lengths the keys of a hash table have.

/// A set of lengths in bytes, one bit each.
///
/// A part of a request whose length no key has cannot be in the table, so it need not be hashed. That also bounds
/// what a hostile request costs: a path of ten thousand slashes is hashed once for each length that the operator
/// configured, not once for each slash.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    words: Vec<u64>,
    longest: usize,
}

impl Lengths {
    pub(super) fn insert(&mut self, length: usize) {
        let (word, bit) = place(length);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= bit;
        }
        self.longest = self.longest.max(length);
    }

    pub(super) fn contains(&self, length: usize) -> bool {
        let (word, bit) = place(length);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// The longest length in the set, 0 when it is empty.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }
}

const fn place(length: usize) -> (usize, u64) {
    (length / 64, 1 << (length % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_what_was_inserted_and_nothing_else() {
        let inserted = [0, 1, 63, 64, 65, 127, 128, 1000];
        let mut lengths = Lengths::default();
        inserted.iter().for_each(|&length| lengths.insert(length));
        for length in 0..2000 {
            assert_eq!(lengths.contains(length), inserted.contains(&length), "{length}");
        }
        assert_eq!(lengths.longest(), 1000);
        assert!(!lengths.contains(usize::MAX));
    }
}
