//! Reading binary formats: big-endian integers and vectors that say their own length.

/// What is left to read of some bytes. Every method answers `None`, and takes nothing, when fewer are left than it
/// needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireReader<'a> {
    rest: &'a [u8],
}

impl<'a> WireReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let (taken, rest) = self.rest.split_first_chunk::<LEN>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A vector behind one byte of length.
    pub(crate) fn vector8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u8()?;
        let vector = ahead.take(usize::from(len))?;
        *self = ahead;
        Some(vector)
    }

    /// A vector behind two bytes of length.
    pub(crate) fn vector16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u16()?;
        let vector = ahead.take(usize::from(len))?;
        *self = ahead;
        Some(vector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian() {
        let mut reader = WireReader::new(&[1, 2, 3, 4]);
        assert_eq!(reader.u8(), Some(1));
        assert_eq!(reader.u16(), Some(0x0203));
        assert!(!reader.is_empty());
        assert_eq!(reader.take(1), Some(&[4][..]));
        assert!(reader.is_empty());
    }

    #[test]
    fn what_is_too_short_takes_nothing() {
        let mut reader = WireReader::new(&[3, 1, 2]);
        assert_eq!(reader.array::<4>(), None);
        assert_eq!(reader.vector8(), None);
        assert_eq!(reader.vector16(), None);
        assert_eq!(reader.take(4), None);
        assert_eq!(reader.rest(), [3, 1, 2]);
    }

    #[test]
    fn vectors_say_their_length() {
        let mut reader = WireReader::new(&[2, 7, 8, 0, 1, 9, 0]);
        assert_eq!(reader.vector8(), Some(&[7, 8][..]));
        assert_eq!(reader.vector16(), Some(&[9][..]));
        assert_eq!(reader.vector8(), Some(&[][..]));
        assert_eq!(reader.len(), 0);
    }
}
