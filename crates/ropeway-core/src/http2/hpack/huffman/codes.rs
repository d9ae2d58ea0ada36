//! The codes, counted out from their lengths while this is compiled.

#![expect(clippy::indexing_slicing, reason = "a place outside of a table fails the build")]

/// The bits in the code of each byte. The code is canonical: shorter codes are smaller, and codes of one
/// length ascend with their bytes, so that the lengths are all there is to know of it.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];
/// The fewest and the most bits that a code has.
pub(super) const SHORTEST: usize = 5;
const LONGEST: usize = 30;
/// Codes up to this length, those of nearly all text, are decoded by one look into a table.
pub(super) const SHORT: usize = 8;

pub(super) static CODES: [Code; 256] = codes();
pub(super) static SHORT_CODES: [Symbol; 1 << SHORT] = short_codes();
pub(super) static LONG_CODES: [Row; LONGEST - SHORT] = long_codes();
/// All bytes by the lengths of their codes. EOS, of thirty bits and the last of all codes, would come behind
/// them.
pub(super) static SYMBOLS: [u8; 256] = symbols();

#[derive(Clone, Copy, Default)]
pub(super) struct Code {
    pub(super) bits: u32,
    pub(super) len: u8,
}

/// A byte, and the length of its code.
#[derive(Clone, Copy)]
pub(super) struct Symbol {
    pub(super) byte: u8,
    /// Zero where the code is a longer one.
    pub(super) len: u8,
}

/// The codes of one length.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) len: u32,
    /// The first code and the last one, with what may follow it, as they stand at the top of a word.
    pub(super) first: u32,
    pub(super) last: u32,
    /// The place of the first one in [`SYMBOLS`].
    pub(super) symbol: usize,
}

const fn codes() -> [Code; 256] {
    let mut codes = [Code { bits: 0, len: 0 }; 256];
    let (mut bits, mut len) = (0, SHORTEST);
    while len <= LONGEST {
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == len {
                codes[byte] = Code { bits, len: len as u8 };
                bits += 1;
            }
            byte += 1;
        }
        bits <<= 1;
        len += 1;
    }
    codes
}

const fn short_codes() -> [Symbol; 1 << SHORT] {
    let codes = codes();
    let mut symbols = [Symbol { byte: 0, len: 0 }; 1 << SHORT];
    let mut byte = 0;
    while byte < 256 {
        let Code { bits, len } = codes[byte];
        if len as usize <= SHORT {
            // Whatever follows the code.
            let mut at = (bits as usize) << (SHORT - len as usize);
            let end = (bits as usize + 1) << (SHORT - len as usize);
            while at < end {
                symbols[at] = Symbol { byte: byte as u8, len };
                at += 1;
            }
        }
        byte += 1;
    }
    symbols
}

const fn long_codes() -> [Row; LONGEST - SHORT] {
    let mut rows = [Row { len: 0, first: 0, last: 0, symbol: 0 }; LONGEST - SHORT];
    let (mut code, mut symbol, mut len) = (0_u64, 0, SHORTEST);
    while len <= LONGEST {
        // EOS is no byte, but has a code.
        let count = count(len) + (len == LONGEST) as usize;
        let end = code + count as u64;
        if len > SHORT {
            let behind = u32::BITS as usize - len;
            let (first, last) = ((code << behind) as u32, ((end << behind) - 1) as u32);
            rows[len - SHORT - 1] = Row { len: len as u32, first, last, symbol };
        }
        symbol += count;
        code = end << 1;
        len += 1;
    }
    rows
}

const fn symbols() -> [u8; 256] {
    let mut symbols = [0; 256];
    let (mut place, mut len) = (0, SHORTEST);
    while len <= LONGEST {
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == len {
                symbols[place] = byte as u8;
                place += 1;
            }
            byte += 1;
        }
        len += 1;
    }
    symbols
}

/// How many bytes have a code of this length.
pub(super) const fn count(len: usize) -> usize {
    let (mut count, mut byte) = (0, 0);
    while byte < 256 {
        count += (LENGTHS[byte] as usize == len) as usize;
        byte += 1;
    }
    count
}
