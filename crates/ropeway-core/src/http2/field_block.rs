//! The structure of compressed field blocks (RFC 7541), as far as it can be judged without the tables of a connection.

use super::huffman;

/// Entries of the static table; 1 to 14 of them are pseudo-header fields.
const STATIC_ENTRIES: usize = 61;
const LAST_PSEUDO: usize = 14;
/// Those of `:path`, and its name in Huffman code.
const PATH: [usize; 2] = [4, 5];
const PATH_IN_HUFFMAN: &[u8] = &[0xb9, 0x58, 0xd3, 0x3f];
/// Entries that the dynamic table can have with its default size of 4096 bytes, 32 of which each costs.
const MOST_DYNAMIC: usize = 128;
/// The default size of the dynamic table, which nobody was allowed to raise.
const TABLE_SIZE: usize = 4096;

/// One instruction of a block.
enum Field<'a> {
    Indexed(usize),
    Literal { name: Name<'a>, value: Text<'a>, is_kept: bool },
    TableSize(usize),
}

enum Name<'a> {
    Indexed(usize),
    Literal(Text<'a>),
}

#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

/// The block cannot be read on.
struct Broken;

/// Whether a block that a decoder has refused is one that cannot be decoded, rather than one with a bad name or value
/// in it.
pub(super) fn is_broken(block: &[u8]) -> bool {
    let mut rest = block;
    let mut has_fields = false;
    let mut refers = false;
    while !rest.is_empty() {
        let Ok((field, left)) = next(rest) else { return true };
        rest = left;
        match field {
            Field::TableSize(size) => {
                if has_fields || size > TABLE_SIZE || rest.is_empty() {
                    return true;
                }
                continue;
            }
            Field::Indexed(index) => {
                if index == 0 || index > STATIC_ENTRIES + MOST_DYNAMIC {
                    return true;
                }
                refers |= index > STATIC_ENTRIES;
            }
            Field::Literal { name, value, .. } => {
                let name = match name {
                    Name::Indexed(index) if index > STATIC_ENTRIES + MOST_DYNAMIC => return true,
                    Name::Indexed(index) => {
                        refers |= index > STATIC_ENTRIES;
                        None
                    }
                    Name::Literal(text) => Some(text),
                };
                for text in name.into_iter().chain([value]) {
                    if text.is_huffman && !huffman::is_valid(text.bytes) {
                        return true;
                    }
                }
                if name.is_some_and(|name| !name.is_huffman && !is_name(name.bytes))
                    || (!value.is_huffman && !is_value(value.bytes))
                {
                    return false;
                }
            }
        }
        has_fields = true;
    }
    // Nothing else is wrong with it, so it was an entry that the table does not have.
    refers
}

/// Whether a block names a pseudo-header field, by the static table or in so many letters.
pub(super) fn has_pseudo_field(block: &[u8]) -> bool {
    let mut rest = block;
    while let Ok((field, left)) = next(rest) {
        let pseudo = match field {
            Field::Indexed(index) => (1..=LAST_PSEUDO).contains(&index),
            Field::Literal { name: Name::Indexed(index), .. } => (1..=LAST_PSEUDO).contains(&index),
            // The code of a colon is 1011100 (RFC 7541, appendix B).
            Field::Literal { name: Name::Literal(text), .. } if text.is_huffman => {
                text.bytes.first().is_some_and(|byte| byte >> 1 == 0b101_1100)
            }
            Field::Literal { name: Name::Literal(text), .. } => text.bytes.first() == Some(&b':'),
            Field::TableSize(_) => false,
        };
        if pseudo {
            return true;
        }
        rest = left;
        if rest.is_empty() {
            return false;
        }
    }
    false
}

/// A fragment in `:path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment {
    None,
    /// The block has one.
    Passing,
    /// The block puts one into the table, for any later block to refer to.
    Kept,
}

/// The fragment in `:path`, which is no part of a target (RFC 9113, section 8.3.1), and which a decoder may drop without a
/// word. A `:path` whose very name is told by an entry of the dynamic table is not seen through; nobody needs that, since
/// the static one has it.
pub(super) fn fragment(block: &[u8]) -> Fragment {
    let (mut rest, mut found) = (block, Fragment::None);
    while let Ok((field, left)) = next(rest) {
        rest = left;
        let Field::Literal { name, value, is_kept } = field else { continue };
        if name.is_path() && value.has_number_sign() {
            if is_kept {
                return Fragment::Kept;
            }
            found = Fragment::Passing;
        }
    }
    found
}

impl Name<'_> {
    fn is_path(&self) -> bool {
        match self {
            Name::Indexed(index) => PATH.contains(index),
            Name::Literal(Text { bytes, is_huffman: true }) => *bytes == PATH_IN_HUFFMAN,
            Name::Literal(Text { bytes, is_huffman: false }) => *bytes == b":path",
        }
    }
}

impl Text<'_> {
    fn has_number_sign(&self) -> bool {
        if self.is_huffman { huffman::has_number_sign(self.bytes) } else { self.bytes.contains(&b'#') }
    }
}

/// RFC 7541, section 6.
fn next(bytes: &[u8]) -> Result<(Field<'_>, &[u8]), Broken> {
    let first = *bytes.first().ok_or(Broken)?;
    if first & 0x80 != 0 {
        let (index, rest) = integer(bytes, 7)?;
        return Ok((Field::Indexed(index), rest));
    }
    if first & 0xe0 == 0x20 {
        let (size, rest) = integer(bytes, 5)?;
        return Ok((Field::TableSize(size), rest));
    }
    let prefix = if first & 0x40 != 0 { 6 } else { 4 };
    let (index, rest) = integer(bytes, prefix)?;
    let (name, rest) = match index {
        0 => text(rest).map(|(text, rest)| (Name::Literal(text), rest))?,
        index => (Name::Indexed(index), rest),
    };
    let (value, rest) = text(rest)?;
    Ok((Field::Literal { name, value, is_kept: prefix == 6 }, rest))
}

/// RFC 7541, section 5.1.
fn integer(bytes: &[u8], prefix: u32) -> Result<(usize, &[u8]), Broken> {
    let (first, mut rest) = bytes.split_first().ok_or(Broken)?;
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & mask;
    if value < mask {
        return Ok((value, rest));
    }
    for shift in (0..28).step_by(7) {
        let (byte, left) = rest.split_first().ok_or(Broken)?;
        rest = left;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(Broken)
}

/// RFC 7541, section 5.2.
fn text(bytes: &[u8]) -> Result<(Text<'_>, &[u8]), Broken> {
    let is_huffman = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let (len, rest) = integer(bytes, 7)?;
    let (bytes, rest) = rest.split_at_checked(len).ok_or(Broken)?;
    Ok((Text { bytes, is_huffman }, rest))
}

fn is_name(name: &[u8]) -> bool {
    let name = name.strip_prefix(b":").unwrap_or(name);
    let token =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(token)
}

fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instruction with this first byte, for `:path` by its place in the static table.
    fn path(first: u8, value: &[u8], huffman: u8) -> Vec<u8> {
        [&[0x82, 0x86, first, huffman | value.len() as u8][..], value, &[0x00, 1, b'x', 1, b'#']].concat()
    }

    #[test]
    fn a_fragment_is_found_in_every_form_of_the_path() {
        // "/a#b" in Huffman code: 011000 00011 111111111010 100011, and padding.
        let coded = [0b0110_0000, 0b0111_1111, 0b1111_0101, 0b0001_1111];
        for (first, expected) in
            [(0x04, Fragment::Passing), (0x14, Fragment::Passing), (0x44, Fragment::Kept)]
        {
            for first in [first, first + 1] {
                assert_eq!(fragment(&path(first, b"/a#b", 0)), expected);
                assert_eq!(fragment(&path(first, &coded, 0x80)), expected);
                assert_eq!(fragment(&path(first, b"/a", 0)), Fragment::None);
            }
            let mut named = vec![first & 0xf0, 5];
            named.extend(b":path\x04/a#b");
            assert_eq!(fragment(&named), expected);
            let named = [&[first & 0xf0, 0x84], PATH_IN_HUFFMAN, &[0x84], &coded].concat();
            assert_eq!(fragment(&named), expected);
        }
    }

    #[test]
    fn a_path_that_is_kept_is_found_behind_one_that_passes() {
        let twice = [path(0x04, b"/a#b", 0), path(0x44, b"/a#b", 0)].concat();
        assert_eq!(fragment(&twice), Fragment::Kept);
        assert_eq!(fragment(&[0x82, 0x84]), Fragment::None);
        assert_eq!(fragment(&[0xff, 0xff]), Fragment::None, "not to be decoded");
    }
}
