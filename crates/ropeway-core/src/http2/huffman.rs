//! Whether a string is one in the Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).

/// How many symbols have a code of 0, 1, 2 ... 30 bits. The code is canonical, so that this is all there is to know of
/// it; the last symbol is EOS.
const SYMBOLS: [u32; 31] =
    [0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];
const EOS: u32 = 0x3fff_ffff;
const MOST_PADDING: u32 = 7;
const NUMBER_SIGN: u32 = 0xffa;

/// Whether the bytes are whole symbols, none of them EOS, and at most seven bits of padding with its beginning.
pub(super) fn is_valid(bytes: &[u8]) -> bool {
    let rest = read(bytes, |code| code != EOS);
    rest.is_some_and(|rest| rest.bits <= MOST_PADDING && rest.code == (1 << rest.bits) - 1)
}

/// Whether one of the symbols is `#`. No two symbols have the same code, whatever their lengths.
pub(super) fn has_number_sign(bytes: &[u8]) -> bool {
    read(bytes, |code| code != NUMBER_SIGN).is_none()
}

/// Reads symbols for as long as their codes are welcome. Returns the bits behind the last one.
fn read(bytes: &[u8], is_welcome: impl Fn(u32) -> bool) -> Option<Symbol> {
    let mut symbol = Symbol::default();
    for byte in bytes {
        for shift in (0..8).rev() {
            if let Some(code) = symbol.push(u32::from(byte >> shift & 1)) {
                if !is_welcome(code) {
                    return None;
                }
                symbol = Symbol::default();
            }
        }
    }
    Some(symbol)
}

/// A symbol of which some bits are known.
#[derive(Default)]
struct Symbol {
    code: u32,
    bits: u32,
    /// The first code of this length.
    first: u32,
}

impl Symbol {
    /// Adds a bit. Returns the code once it is complete.
    fn push(&mut self, bit: u32) -> Option<u32> {
        let shorter = SYMBOLS.get(self.bits as usize).copied().unwrap_or_default();
        self.first = (self.first + shorter) << 1;
        self.code = self.code << 1 | bit;
        self.bits += 1;
        let count = SYMBOLS.get(self.bits as usize).copied().unwrap_or_default();
        (self.code.wrapping_sub(self.first) < count).then_some(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn examples_of_the_specification_are_valid() {
        // RFC 7541, appendix C.4.1: www.example.com; C.4.2: no-cache.
        assert!(is_valid(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]));
        assert!(is_valid(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]));
        assert!(is_valid(&[]));
    }

    #[test]
    fn padding_is_short_and_of_ones_and_there_is_no_eos() {
        assert!(!is_valid(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xb0]), "zeros");
        assert!(!is_valid(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf, 0xff]), "more than seven bits");
        assert!(!is_valid(&[0xff, 0xff, 0xff, 0xff]), "EOS");
    }
}
