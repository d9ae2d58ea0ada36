//! The dynamic table (RFC 7541, sections 2.3.2 and 4).

use std::collections::VecDeque;

/// What an entry counts beyond its texts (RFC 7541, section 4.1).
const OVERHEAD: usize = 32;
const LEAST_TEXTS: usize = 512;

/// The last fields of a connection that were kept, with a mark of the owner's on each.
///
/// The texts of all entries stand in one buffer, one behind the other. New ones are appended. When there is
/// no room for more, and at least half of the buffer is of entries that are gone, the rest moves to the
/// front: so no more bytes are moved than were appended.
#[derive(Debug)]
pub(super) struct Table<M> {
    /// The newest first.
    entries: VecDeque<Entry<M>>,
    texts: Vec<u8>,
    /// How many bytes have been removed from the front of `texts`.
    removed: usize,
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<M> {
    /// Where its texts begin, as if nothing had been removed.
    start: usize,
    name_len: u32,
    value_len: u32,
    mark: M,
}

impl<M: Copy> Table<M> {
    /// An empty table of at most `limit` bytes.
    pub(super) fn new(limit: u32) -> Self {
        let (entries, texts) = (VecDeque::new(), Vec::new());
        Self { entries, texts, removed: 0, size: 0, limit: limit as usize }
    }

    /// Name and value of the entry that came so many insertions before the newest.
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8], M)> {
        let entry = self.entries.get(age)?;
        let texts = self.texts.get(entry.start.wrapping_sub(self.removed)..)?;
        let (name, behind) = texts.split_at_checked(entry.name_len as usize)?;
        Some((name, behind.get(..entry.value_len as usize)?, entry.mark))
    }

    /// Adds an entry, for which the oldest ones go. One that is too large for the table leaves it empty.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], mark: M) {
        let size = size_of_entry(name, value);
        self.evict_to(self.limit.saturating_sub(size));
        if size > self.limit {
            return;
        }
        self.make_room(name.len() + value.len());
        let start = self.removed.wrapping_add(self.texts.len());
        self.texts.extend_from_slice(name);
        self.texts.extend_from_slice(value);
        // The limit is a number of 32 bits, and no text is larger.
        let (name_len, value_len) = (name.len() as u32, value.len() as u32);
        self.entries.push_front(Entry { start, name_len, value_len, mark });
        self.size += size;
    }

    /// Sets the largest size from now on.
    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit as usize;
        self.evict_to(self.limit);
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size
            && let Some(entry) = self.entries.pop_back()
        {
            self.size -= entry.name_len as usize + entry.value_len as usize + OVERHEAD;
        }
    }

    /// Makes room for texts that, with those that are in use, fit the limit.
    fn make_room(&mut self, len: usize) {
        if self.texts.len() + len <= self.texts.capacity() {
            return;
        }
        let unused = self.entries.back().map(|oldest| oldest.start.wrapping_sub(self.removed));
        let unused = unused.unwrap_or(self.texts.len()).min(self.texts.len());
        if unused >= self.texts.len() - unused {
            self.texts.drain(..unused);
            self.removed = self.removed.wrapping_add(unused);
        }
        let needed = self.texts.len() + len;
        if needed > self.texts.capacity() {
            // Twice the limit is always enough: more than half is in use, which fits it with what is new.
            let most = self.limit.saturating_mul(2);
            let capacity = self.texts.capacity().saturating_mul(2).max(LEAST_TEXTS).min(most).max(needed);
            self.texts.reserve_exact(capacity - self.texts.len());
        }
    }
}

/// RFC 7541, section 4.1.
pub(super) const fn size_of_entry(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + OVERHEAD
}

#[cfg(test)]
impl<M: Copy> Table<M> {
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The newest first.
    pub(super) fn fields(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = (0..self.entries.len()).filter_map(|age| self.get(age));
        entries.map(|(name, value, _)| (name.to_vec(), value.to_vec())).collect()
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.texts.capacity() + self.entries.capacity() * size_of::<Entry<M>>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|at| (at.wrapping_mul(31) + seed) as u8).collect()
    }

    #[test]
    fn an_empty_table_costs_nothing() {
        let table = Table::<()>::new(4096);
        assert_eq!(table.memory(), 0);
        assert!(table.get(0).is_none());
    }

    #[test]
    fn what_is_too_large_empties_the_table() {
        let mut table = Table::new(100);
        table.insert(b"name", &text(64, 0), ());
        assert_eq!(table.size(), 100);
        table.insert(b"name", &text(65, 0), ());
        assert_eq!((table.size(), table.fields().len()), (0, 0));
    }

    #[test]
    fn a_lower_limit_removes_the_oldest() {
        let mut table = Table::new(200);
        for name in [b"a", b"b", b"c"] {
            table.insert(name, b"1234567", ());
        }
        table.set_limit(80);
        assert_eq!(
            table.fields(),
            [(b"c".to_vec(), b"1234567".to_vec()), (b"b".to_vec(), b"1234567".to_vec())]
        );
        table.set_limit(0);
        assert_eq!(table.size(), 0);
    }

    proptest! {
        /// The table is a list from which the last go, whatever its buffer does.
        #[test]
        fn entries_are_the_newest_that_fit(
            changes in vec((0..40_usize, 0..400_usize, prop::option::weighted(0.1, 0..1000_u32)), 0..200),
        ) {
            let mut table = Table::new(1000);
            let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let mut limit = 1000;
            for (number, (name, value, new_limit)) in changes.into_iter().enumerate() {
                if let Some(new_limit) = new_limit {
                    table.set_limit(new_limit);
                    limit = new_limit as usize;
                } else {
                    let (name, value) = (text(name, number), text(value, number * 7));
                    table.insert(&name, &value, number);
                    expected.insert(0, (name, value));
                }
                let mut left = limit;
                let fit = expected.iter().take_while(|(name, value)| {
                    left.checked_sub(size_of_entry(name, value)).map(|less| left = less).is_some()
                });
                let fit = fit.count();
                expected.truncate(fit);
                prop_assert_eq!(table.fields(), &expected[..]);
                prop_assert_eq!(table.size(), limit - left);
                prop_assert!(table.texts.capacity() <= 2000);
            }
        }
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut table = Table::new(4096);
        for number in 0..100_000 {
            table.insert(&text(number % 50, number), &text(number * 7919 % 700, number), 0_u16);
        }
        for _ in 0..1000 {
            table.insert(b"", b"", 0);
        }
        assert_eq!(table.fields().len(), 128);
        assert!(table.memory() <= 2 * 4096 + 128 * size_of::<Entry<u16>>(), "{}", table.memory());
    }
}
