//! The Huffman code (RFC 7541, section 5.2 and appendix B).

mod codes;

use codes::{CODES, Code, LONG_CODES, SHORT, SHORT_CODES, SHORTEST, SYMBOLS, Symbol};

use super::Broken;

/// Padding is less than a byte.
const MOST_PADDING: u32 = 7;

/// Decodes a string into `out`, in place of what was there.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    out.resize(bytes.len() * 8 / SHORTEST, 0);
    let mut free = out.iter_mut();
    let mut bits = Bits { rest: bytes, next: 0, count: 0 };
    // What reads as EOS is padding if it is short enough.
    while let Some(symbol) = bits.symbol() {
        if u32::from(symbol.len) > bits.count {
            return Err(Broken);
        }
        bits.next <<= symbol.len;
        bits.count -= u32::from(symbol.len);
        *free.next().ok_or(Broken)? = symbol.byte;
    }
    if bits.count > MOST_PADDING {
        return Err(Broken);
    }
    let len = bytes.len() * 8 / SHORTEST - free.len();
    out.truncate(len);
    Ok(())
}

/// The bits of a string.
struct Bits<'a> {
    rest: &'a [u8],
    /// From the top, the next bits; behind the last one of the string, ones.
    next: u64,
    /// How many of them are of the string.
    count: u32,
}

impl Bits<'_> {
    /// What is next; nothing if that is EOS.
    #[inline]
    fn symbol(&mut self) -> Option<Symbol> {
        if self.count < u32::BITS {
            self.fill();
        }
        let short = SHORT_CODES.get((self.next >> (u64::BITS as usize - SHORT)) as usize)?;
        if short.len > 0 { Some(*short) } else { long_symbol((self.next >> u32::BITS) as u32) }
    }

    fn fill(&mut self) {
        if let Some((word, rest)) = self.rest.split_first_chunk() {
            self.next |= u64::from(u32::from_be_bytes(*word)) << (u32::BITS - self.count);
            self.count += u32::BITS;
            self.rest = rest;
            return;
        }
        for byte in std::mem::take(&mut self.rest) {
            self.next |= u64::from(*byte) << (u64::BITS - u8::BITS - self.count);
            self.count += u8::BITS;
        }
        self.next |= u64::MAX >> self.count;
    }
}

#[cold]
fn long_symbol(next: u32) -> Option<Symbol> {
    let row = LONG_CODES.iter().find(|row| next <= row.last)?;
    let place = row.symbol + ((next - row.first) >> (u32::BITS - row.len)) as usize;
    SYMBOLS.get(place).map(|byte| Symbol { byte: *byte, len: row.len as u8 })
}

/// How many bytes [`encode`] makes of these.
pub(super) fn encoded_len(bytes: &[u8]) -> usize {
    let bits: usize = bytes.iter().map(|byte| usize::from(code(*byte).len)).sum();
    bits.div_ceil(8)
}

/// Appends a string in the code.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    // The last bits of `word` are those that are not written yet, fewer than 32 of them.
    let (mut word, mut count) = (0_u64, 0);
    for byte in bytes {
        let code = code(*byte);
        word = word << code.len | u64::from(code.bits);
        count += u32::from(code.len);
        if count >= u32::BITS {
            count -= u32::BITS;
            out.extend_from_slice(&((word >> count) as u32).to_be_bytes());
        }
    }
    if count > 0 {
        let padded = word << (u64::BITS - count) | u64::MAX >> count;
        out.extend(padded.to_be_bytes().iter().take(count.div_ceil(8) as usize));
    }
}

fn code(byte: u8) -> Code {
    CODES.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// RFC 7541, appendices C.4 and C.6.
    const EXAMPLES: &[(&[u8], &[u8])] = &[
        (b"www.example.com", &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]),
        (b"no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
        (b"custom-key", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f]),
        (b"custom-value", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf]),
        (b"302", &[0x64, 0x02]),
        (b"private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
        (b"gzip", &[0x9b, 0xd9, 0xab]),
        (b"", &[]),
    ];

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut out = b"what was there".to_vec();
        decode(bytes, &mut out).map(|()| out)
    }

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        assert_eq!(out.len(), encoded_len(bytes));
        out
    }

    #[test]
    fn examples_of_the_specification_read_and_write_alike() {
        for (text, code) in EXAMPLES {
            assert_eq!(encoded(text), *code);
            assert_eq!(decoded(code).as_deref(), Ok(*text));
        }
    }

    /// The numbers that the appendix has, and some of its codes.
    #[test]
    fn the_code_is_that_of_the_specification() {
        const NUMBERS: [usize; 31] = [
            0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29,
            0, 3,
        ];
        for (len, number) in NUMBERS.into_iter().enumerate() {
            assert_eq!(codes::count(len), number, "of {len} bits");
        }
        for (byte, bits, len) in [
            (b'0', 0, 5),
            (b' ', 0x14, 6),
            (b'#', 0xffa, 12),
            (b'~', 0x1ffd, 13),
            (0, 0x1ff8, 13),
            (b'\n', 0x3fff_fffc, 30),
            (22, 0x3fff_fffe, 30),
            (255, 0x3ff_ffee, 26),
        ] {
            assert_eq!((code(byte).bits, code(byte).len), (bits, len), "{byte}");
        }
    }

    #[test]
    fn padding_is_short_and_of_ones_and_there_is_no_eos() {
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xb0]), Err(Broken), "zeros");
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf, 0xff]), Err(Broken), "more than seven bits");
        assert_eq!(decoded(&[0xff]), Err(Broken), "nothing but padding");
        assert_eq!(decoded(&[0xff; 4]), Err(Broken), "EOS");
        assert_eq!(decoded(&[0x07, 0xff, 0xff, 0xff, 0xfe, 0x07]), Err(Broken), "EOS between zeros");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xf0]), Err(Broken), "half a symbol");
    }

    #[test]
    fn every_byte_is_decoded_next_to_every_other() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let text = [first, second, first];
                assert_eq!(decoded(&encoded(&text)).as_deref(), Ok(&text[..]));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decoded(&encoded(&text)), Ok(text));
        }

        /// There is one way to write a text, so that whatever is accepted is what would have been written.
        #[test]
        fn what_is_decoded_is_encoded(code in vec(prop_oneof![any::<u8>(), Just(0xff)], 0..40)) {
            if let Ok(text) = decoded(&code) {
                prop_assert!(text.len() <= code.len() * 8 / SHORTEST);
                prop_assert_eq!(encoded(&text), code);
            }
        }
    }
}
