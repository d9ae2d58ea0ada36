//! A list of positions in as few bytes as the largest position allows.

/// Positions of servers, one byte each for up to 256 servers. Tables have tens of thousands of entries, and there is
/// one for each upstream: the smaller they are, the more of them stay in the processor's caches.
#[derive(Clone, Debug)]
pub(super) enum SlotTable {
    Byte(Box<[u8]>),
    Short(Box<[u16]>),
    Long(Box<[u32]>),
}

impl SlotTable {
    pub(super) fn new(positions: &[u32]) -> Self {
        Self::narrow(positions)
            .map(Self::Byte)
            .or_else(|| Self::narrow(positions).map(Self::Short))
            .unwrap_or_else(|| Self::Long(positions.into()))
    }

    fn narrow<T: TryFrom<u32>>(positions: &[u32]) -> Option<Box<[T]>> {
        positions.iter().map(|&position| T::try_from(position).ok()).collect()
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Byte(slots) => slots.len(),
            Self::Short(slots) => slots.len(),
            Self::Long(slots) => slots.len(),
        }
    }

    pub(super) fn get(&self, slot: usize) -> Option<usize> {
        match self {
            Self::Byte(slots) => slots.get(slot).map(|&position| usize::from(position)),
            Self::Short(slots) => slots.get(slot).map(|&position| usize::from(position)),
            Self::Long(slots) => slots.get(slot).map(|&position| position as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_returns_what_was_put_in() {
        for largest in [0, 255, 256, 65_535, 65_536, u32::MAX] {
            let positions = [3, largest, 0];
            let table = SlotTable::new(&positions);
            assert_eq!(table.len(), 3);
            let read: Vec<_> = (0..4).map(|slot| table.get(slot)).collect();
            assert_eq!(read, [Some(3), Some(largest as usize), Some(0), None]);
        }
    }

    #[test]
    fn the_narrowest_width_is_used() {
        assert!(matches!(SlotTable::new(&[255]), SlotTable::Byte(_)));
        assert!(matches!(SlotTable::new(&[256]), SlotTable::Short(_)));
        assert!(matches!(SlotTable::new(&[65_536]), SlotTable::Long(_)));
    }
}
