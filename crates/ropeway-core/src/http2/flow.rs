//! Windows (RFC 9113, section 5.2).

use super::frames::MOST;

/// What every window has at first (RFC 9113, section 6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// What the peer may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inflow {
    /// How much of it is left; less than none, after our SETTINGS have made windows smaller.
    left: i64,
    /// What was taken and is not given back yet.
    taken: u32,
    /// How much there is when nothing is under way.
    size: u32,
}

impl Inflow {
    pub fn new(size: u32) -> Self {
        Self { left: i64::from(size), taken: 0, size }
    }

    /// The peer has sent so many bytes. Whether it was allowed to.
    pub fn arrive(&mut self, bytes: usize) -> bool {
        self.left -= i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left >= 0
    }

    /// So many of these bytes were used. What the peer is to be told then, if it is worth a frame.
    pub fn give_back(&mut self, bytes: usize) -> Option<u32> {
        self.taken = self.taken.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.taken < self.size.div_ceil(2) || self.taken == 0 {
            return None;
        }
        let increment = std::mem::take(&mut self.taken).min(MOST);
        self.left += i64::from(increment);
        Some(increment)
    }

    /// Changes its size, which the peer knows of or has to be told the increment of.
    pub fn resize(&mut self, size: u32) {
        self.left += i64::from(size) - i64::from(self.size);
        self.size = size;
    }
}

/// What we may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outflow(i64);

impl Outflow {
    pub fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    pub fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }

    pub fn take(&mut self, bytes: usize) {
        self.0 -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// Whether so much more is allowed at all.
    pub fn widen(&mut self, increment: i64) -> bool {
        self.0 += increment;
        self.0 <= i64::from(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_given_back_in_halves() {
        let mut window = Inflow::new(100);
        assert!(window.arrive(100) && window.give_back(49).is_none());
        assert_eq!(window.give_back(1), Some(50));
        assert!(window.arrive(50) && !window.arrive(1));
    }

    #[test]
    fn a_window_that_became_smaller_is_filled_first() {
        let mut window = Outflow::new(10);
        window.take(10);
        assert!(window.widen(-5) && window.room() == 0);
        assert!(window.widen(6) && window.room() == 1);
        assert!(!window.widen(i64::from(MOST)));
    }
}
