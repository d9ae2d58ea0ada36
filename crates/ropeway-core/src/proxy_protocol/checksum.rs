//! The checksum of a header (section 2.2.3, RFC 9260 appendix A).

use crc::{CRC_32_ISCSI, Crc};

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The checksum of a header in which four bytes are zero: those between `before` and `after`.
pub(super) fn of_header(before: &[u8], after: &[u8]) -> [u8; 4] {
    let mut digest = CRC32C.digest();
    digest.update(before);
    digest.update(&[0; 4]);
    digest.update(after);
    digest.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 B.4: 32 bytes of zero.
    #[test]
    fn the_published_example_holds() {
        assert_eq!(of_header(&[0; 20], &[0; 8]), [0x8a, 0x91, 0x36, 0xaa]);
        assert_eq!(CRC32C.checksum(b"123456789"), 0xe306_9283);
    }
}
