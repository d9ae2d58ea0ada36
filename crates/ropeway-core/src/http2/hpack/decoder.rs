//! Reading field blocks.

use super::table::Table;
use super::{huffman, static_table};
use crate::http1::Known;

/// Sizes of the table that may be told in a row. RFC 7541, section 4.2, knows a use for two.
const MOST_UPDATES: usize = 4;
/// What the buffers for texts may keep between blocks.
const MOST_KEPT: usize = 4096;

/// Reads the field blocks of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table<Judgement>,
    /// What our settings allow.
    most: u32,
    /// A name and a value that had to be decoded or copied.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// One field of a block, borrowed until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As it was sent.
    pub name: &'a [u8],
    /// As it was sent.
    pub value: &'a [u8],
    /// The meaning of the name. Pseudo-header fields, and names that are no tokens, are [`Known::Other`].
    pub known: Known,
    /// Whether the name is a token without capital letters, with or without a colon before it, and the value
    /// has neither control characters other than tabs nor whitespace at an end (RFC 9113, section 8.2.1).
    pub is_valid: bool,
}

/// The block cannot be decoded: an error of the connection, COMPRESSION_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What is known of a field without reading it again.
#[derive(Clone, Copy, Debug)]
struct Judgement {
    known: Known,
    is_valid: bool,
}

impl Decoder {
    /// A decoder at the start of a connection. Its table has at most as many bytes as our settings allow with
    /// SETTINGS_HEADER_TABLE_SIZE: 4096 if they say nothing. It takes up to twice as many for texts, and as
    /// many again for what it knows of them.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { table: Table::new(most), most, name: Vec::new(), value: Vec::new() }
    }

    /// Decodes a whole block, and hands over each field. It goes on to the end whatever is thought of the
    /// fields, since the table has to stay the same as the peer's.
    ///
    /// # Errors
    /// The block breaks the rules of RFC 7541. The fields before that have been handed over.
    pub fn decode(&mut self, block: &[u8], mut take: impl FnMut(Field<'_>)) -> Result<(), Broken> {
        let mut rest = self.resize(block)?;
        while let [first, ..] = rest {
            let field = match first {
                0x80.. => {
                    let index = integer(&mut rest, 7)?;
                    indexed(&self.table, index)?
                }
                0x40.. => self.literal(&mut rest, 6, true)?,
                0x20.. => return Err(Broken),
                _ => self.literal(&mut rest, 4, false)?,
            };
            take(field);
        }
        for buffer in [&mut self.name, &mut self.value] {
            if buffer.capacity() > MOST_KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }

    /// Follows the sizes of the table that a block begins with (RFC 7541, section 6.3). Returns what is
    /// behind them.
    fn resize<'b>(&mut self, block: &'b [u8]) -> Result<&'b [u8], Broken> {
        let mut rest = block;
        let mut updates = 0;
        while let [0x20..0x40, ..] = rest {
            let size = u32::try_from(integer(&mut rest, 5)?).map_err(|_| Broken)?;
            updates += 1;
            // One that is for no field is as good as behind the last field.
            if size > self.most || updates > MOST_UPDATES || rest.is_empty() {
                return Err(Broken);
            }
            self.table.set_limit(size);
        }
        Ok(rest)
    }

    /// RFC 7541, section 6.2.
    fn literal<'a, 'b: 'a>(
        &'a mut self,
        rest: &mut &'b [u8],
        prefix: u32,
        is_kept: bool,
    ) -> Result<Field<'a>, Broken> {
        let (name, known) = match integer(rest, prefix)? {
            0 => {
                let name = text(rest, &mut self.name)?;
                (name, meaning(name))
            }
            index => match static_table::get(index) {
                Some(entry) => (entry.name, Some(entry.known)),
                // The insertion may evict the entry that has the name (RFC 7541, section 4.4).
                None => {
                    self.name.clear();
                    self.name.extend_from_slice(indexed(&self.table, index)?.name);
                    (&*self.name, meaning(&self.name))
                }
            },
        };
        let value = text(rest, &mut self.value)?;
        let is_valid = known.is_some() && is_value(value);
        let known = known.unwrap_or_default();
        if is_kept {
            self.table.insert(name, value, Judgement { known, is_valid });
        }
        Ok(Field { name, value, known, is_valid })
    }
}

#[cfg(test)]
impl Decoder {
    pub(super) fn table(&self) -> &Table<impl Copy + use<>> {
        &self.table
    }
}

/// RFC 7541, section 2.3.3.
#[inline]
fn indexed(table: &Table<Judgement>, index: usize) -> Result<Field<'_>, Broken> {
    if let Some(age) = index.checked_sub(static_table::LEN + 1) {
        let (name, value, Judgement { known, is_valid }) = table.get(age).ok_or(Broken)?;
        return Ok(Field { name, value, known, is_valid });
    }
    let entry = static_table::get(index).ok_or(Broken)?;
    Ok(Field { name: entry.name, value: entry.value, known: entry.known, is_valid: true })
}

/// RFC 7541, section 5.1. Four bytes after the first are more than anything needs that we allow.
#[inline]
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    let (first, mut behind) = rest.split_first().ok_or(Broken)?;
    let mask = (1 << prefix) - 1;
    let mut value = usize::from(*first) & mask;
    if value < mask {
        *rest = behind;
        return Ok(value);
    }
    for shift in (0..28).step_by(7) {
        let (byte, left) = behind.split_first().ok_or(Broken)?;
        behind = left;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            *rest = behind;
            return Ok(value);
        }
    }
    Err(Broken)
}

/// RFC 7541, section 5.2.
fn text<'a, 'b: 'a>(rest: &mut &'b [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Broken> {
    let is_huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let len = integer(rest, 7)?;
    let (text, behind) = rest.split_at_checked(len).ok_or(Broken)?;
    *rest = behind;
    if !is_huffman {
        return Ok(text);
    }
    huffman::decode(text, buffer)?;
    Ok(buffer)
}

/// The meaning of a name, with or without a colon before it; none if it is no token in lower case.
fn meaning(name: &[u8]) -> Option<Known> {
    let token = name.strip_prefix(b":").unwrap_or(name);
    (!token.is_empty() && token.iter().all(|byte| is_tchar(*byte))).then(|| Known::from_name(name))
}

/// RFC 9110, section 5.6.2, but for capital letters.
const fn is_tchar(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'#'..=b'\'' | b'^'..=b'`')
        || matches!(byte, b'!' | b'*' | b'+' | b'-' | b'.' | b'|' | b'~')
}

fn is_value(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(value.first()) || is_blank(value.last()) {
        return false;
    }
    // Without a way out, many bytes are looked at at once.
    let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    !value.iter().fold(false, |found, byte| found | is_control(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Fields = Vec<(Vec<u8>, Vec<u8>)>;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Broken> {
        let mut fields = Vec::new();
        decoder.decode(block, |field| fields.push((field.name.to_vec(), field.value.to_vec())))?;
        Ok(fields)
    }

    fn is_broken(block: &[u8]) -> bool {
        decode(&mut Decoder::new(4096), block).is_err()
    }

    fn judged(name: &[u8], value: &[u8]) -> (Known, bool) {
        let block = [&[0x00, name.len() as u8], name, &[value.len() as u8], value].concat();
        let mut judged = None;
        Decoder::new(4096).decode(&block, |field| judged = Some((field.known, field.is_valid))).unwrap();
        judged.unwrap()
    }

    /// RFC 7541, appendix C.1.
    #[test]
    fn integers_are_those_of_the_specification() {
        for (bytes, prefix, value) in
            [(&[0x0a][..], 5, 10), (&[0x1f, 0x9a, 0x0a], 5, 1337), (&[0x2a], 8, 42), (&[0x7f, 0x00], 7, 127)]
        {
            let mut rest = bytes;
            assert_eq!(integer(&mut rest, prefix), Ok(value));
            assert_eq!(rest, b"");
        }
    }

    #[test]
    fn integers_have_ends() {
        let mut rest = &[0xff, 0xff, 0xff, 0xff, 0x7f][..];
        assert_eq!(integer(&mut rest, 7), Ok((1 << 28) + 126));
        for bytes in [&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00][..], &[0xff, 0x80], &[0xff], &[]] {
            assert_eq!(integer(&mut &*bytes, 7), Err(Broken));
        }
    }

    #[test]
    fn indices_are_within_the_tables() {
        assert!(is_broken(&[0x80]), "zero");
        assert!(!is_broken(&[0x80 | 61]));
        assert!(is_broken(&[0x80 | 62]), "nothing in the dynamic table");
        assert!(is_broken(&[62, 0]), "for a name");
        let one = [0x40, 1, b'a', 0, 0x80 | 62];
        assert!(!is_broken(&one));
        assert!(is_broken(&[&one[..], &[0x80 | 63]].concat()));
    }

    #[test]
    fn strings_are_within_the_block() {
        assert!(is_broken(&[0x00, 2, b'a']), "name");
        assert!(is_broken(&[0x00, 1, b'a']), "no value");
        assert!(is_broken(&[0x00, 1, b'a', 2, b'b']), "value");
        assert!(is_broken(&[0x00, 1, b'a', 0x81, 0xff]), "only padding");
        assert!(!is_broken(&[0x00, 1, b'a', 0]));
    }

    #[test]
    fn the_table_is_resized_before_fields_only() {
        assert!(!is_broken(&[]));
        assert!(!is_broken(&[0x20, 0x3f, 0xe1, 0x1f, 0x82]), "zero, then 4096");
        assert!(is_broken(&[0x3f, 0xe2, 0x1f, 0x82]), "4097");
        assert!(is_broken(&[0x20]), "nothing behind it");
        assert!(is_broken(&[0x82, 0x20, 0x82]), "behind a field");
        assert!(!is_broken(&[0x20, 0x20, 0x20, 0x20, 0x82]));
        assert!(is_broken(&[0x20, 0x20, 0x20, 0x20, 0x20, 0x82]), "too often");
    }

    #[test]
    fn a_lower_size_evicts() {
        let mut decoder = Decoder::new(4096);
        decode(&mut decoder, &[0x40, 1, b'a', 0]).unwrap();
        assert!(decode(&mut decoder, &[0xbe]).is_ok());
        assert!(decode(&mut decoder, &[0x20, 0x3f, 0xe1, 0x1f, 0xbe]).is_err());
    }

    /// RFC 7541, section 4.4.
    #[test]
    fn a_name_may_come_from_the_entry_that_goes() {
        let mut decoder = Decoder::new(64);
        decode(&mut decoder, b"\x40\x05first\x05value").unwrap();
        let fields = decode(&mut decoder, b"\x7e\x06value2").unwrap();
        assert_eq!(fields, [(b"first".to_vec(), b"value2".to_vec())]);
        assert_eq!(decoder.table.fields(), fields);
        // Nor does it have to fit.
        let large = [&b"\x7e\x20"[..], &[b'v'; 32]].concat();
        let fields = decode(&mut decoder, &large).unwrap();
        assert_eq!(fields, [(b"first".to_vec(), vec![b'v'; 32])]);
        assert_eq!(decoder.table.size(), 0);
    }

    #[test]
    fn names_are_tokens_in_lower_case() {
        for name in [&b"a"[..], b":path", b"x-!#$%&'*+-.^_`|~09"] {
            assert!(judged(name, b"").1, "{}", name.escape_ascii());
        }
        for name in
            [&b""[..], b":", b"::a", b"a:", b"Host", b"a b", b"a(", b"a\x00", b"a\xff", b"a/", b"a@", b"a{"]
        {
            assert_eq!(judged(name, b""), (Known::Other, false), "{}", name.escape_ascii());
        }
        for byte in 0..=u8::MAX {
            let name = [byte];
            let is_lower = !byte.is_ascii_uppercase();
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(judged(&name, b"").1, is_token && is_lower, "{byte}");
        }
    }

    #[test]
    fn values_have_neither_controls_nor_blank_ends() {
        for value in [&b""[..], b"a b\tc", b"\xff\x80"] {
            assert!(judged(b"a", value).1, "{}", value.escape_ascii());
        }
        for value in
            [&b" "[..], b"\ta", b"a ", b"a\t", b"a\rb", b"a\nb", b"a\0b", b"\x7f", b"0123456789abcdef\x1f"]
        {
            assert!(!judged(b"a", value).1, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn judgements_are_the_same_from_the_table() {
        let mut decoder = Decoder::new(4096);
        let block = b"\x40\x04host\x01a\x40\x04Host\x01a\x40\x01a\x02 b\xbe\xbf\xc0\x90";
        let mut found = Vec::new();
        decoder.decode(block, |field| found.push((field.known, field.is_valid))).unwrap();
        let first = [(Known::Host, true), (Known::Other, false), (Known::Other, false)];
        let again = [first[2], first[1], first[0], (Known::AcceptEncoding, true)];
        assert_eq!(found, [&first[..], &again].concat());
    }

    #[test]
    fn memory_is_bounded_and_none_at_first() {
        let mut decoder = Decoder::new(4096);
        let memory =
            |decoder: &Decoder| decoder.table.memory() + decoder.name.capacity() + decoder.value.capacity();
        assert_eq!(memory(&decoder), 0);
        // Five bytes of zeros are eight letters.
        let large = [&[0x00, 1, b'a', 0xff, 0x80, 0xff, 0x03][..], &[0; 65_535]].concat();
        assert_eq!(decode(&mut decoder, &large).unwrap()[0].1.len(), 65_535 / 5 * 8);
        assert!(memory(&decoder) <= MOST_KEPT);
        for _ in 0..1000 {
            decode(&mut decoder, b"\x40\x00\x00\x40\x01a\x85\x00\x00\x00\x00\x00").unwrap();
            decode(&mut decoder, &[&b"\x40\x01a\x7f\xd1\x0e"[..], &[b'v'; 2000]].concat()).unwrap();
        }
        assert!(memory(&decoder) <= 2 * 4096 + 128 * 32 + 2 * MOST_KEPT);
    }

    proptest! {
        #[test]
        fn nothing_panics(blocks in vec(vec(any::<u8>(), 0..60), 1..20), most in 0..300_u32) {
            let mut decoder = Decoder::new(most);
            for block in blocks {
                let _ = decode(&mut decoder, &block);
                prop_assert!(decoder.table.size() <= most as usize);
            }
        }
    }
}
