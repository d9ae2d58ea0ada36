//! Writing field blocks.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;

use super::static_table::Found;
use super::table::{Table, size_of_entry};
use super::{huffman, static_table};

/// The size of a table that nobody has said anything of, and the most that we use.
const TABLE_SIZE: u32 = 4096;
/// Cookies shorter than this could be guessed one after the other (RFC 7541, section 7.1.3).
const LONG_COOKIE: usize = 20;

/// The static indices of names whose values are secrets.
const AUTHORIZATION: usize = 23;
const COOKIE: usize = 32;
const PROXY_AUTHORIZATION: usize = 49;
const SET_COOKIE: usize = 55;

/// Forms of fields and of texts (RFC 7541, sections 6 and 5.2): the bits before an integer, and how many are
/// left for it.
const INDEXED: Form = Form { bits: 0x80, prefix: 7 };
const KEPT: Form = Form { bits: 0x40, prefix: 6 };
const RESIZED: Form = Form { bits: 0x20, prefix: 5 };
const NEVER_KEPT: Form = Form { bits: 0x10, prefix: 4 };
const NOT_KEPT: Form = Form { bits: 0x00, prefix: 4 };
const HUFFMAN: Form = Form { bits: 0x80, prefix: 7 };
const PLAIN: Form = Form { bits: 0x00, prefix: 7 };

#[derive(Clone, Copy)]
struct Form {
    bits: u8,
    prefix: u32,
}

/// Who may keep a field in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// We do when it is said for the second time in a short while, so that what is said once does not push
    /// out what is said often. `authorization`, `proxy-authorization`, `set-cookie` and short cookies are
    /// never kept all the same.
    Adaptive,
    /// Nobody, on any hop behind us either: no table may help to guess the value.
    Never,
}

/// Writes the field blocks of a connection.
#[derive(Debug)]
pub struct Encoder {
    /// Comes with the first field that might be kept.
    memory: Option<Box<Memory>>,
    /// The size of the table now, the one that the peer knows of, and the smallest since then.
    limit: u32,
    announced: u32,
    smallest: u32,
    huffman: bool,
}

impl Encoder {
    /// An encoder at the start of a connection, when the peer's table has 4096 bytes. With `huffman`, texts
    /// are sent in the Huffman code where that is shorter: it costs time, and is worth it where bandwidth is
    /// scarce.
    #[must_use]
    pub const fn new(huffman: bool) -> Self {
        Self { memory: None, limit: TABLE_SIZE, announced: TABLE_SIZE, smallest: TABLE_SIZE, huffman }
    }

    /// Follows the peer's SETTINGS_HEADER_TABLE_SIZE; of more than 4096 bytes only as many are used. The next
    /// block says so.
    pub fn limit_table(&mut self, most: u32) {
        self.limit = most.min(TABLE_SIZE);
        self.smallest = self.smallest.min(self.limit);
        if let Some(memory) = &mut self.memory {
            memory.table.set_limit(self.limit);
        }
    }

    /// Begins a block, with new sizes of the table where there are any (RFC 7541, section 4.2).
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        for size in [self.smallest, self.limit] {
            if size != self.announced {
                integer(size as usize, RESIZED, out);
                self.announced = size;
            }
        }
        self.smallest = self.limit;
    }

    /// Appends `:status` with its three digits.
    #[inline]
    pub fn status(&mut self, digits: &[u8], out: &mut Vec<u8>) {
        if digits == b"200" {
            out.push(INDEXED.bits | 8);
            return;
        }
        self.field(b":status", digits, Keeping::Adaptive, out);
    }

    /// Appends a field. `name` is in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], keeping: Keeping, out: &mut Vec<u8>) {
        let name_index = match static_table::find(name, value) {
            Found::Field(index) => return integer(index, INDEXED, out),
            Found::Name(index) => index,
            Found::Nothing => 0,
        };
        let form = if keeping == Keeping::Never || is_secret(name_index, value) {
            NEVER_KEPT
        } else {
            match self.recall(name, value) {
                Recalled::Entry(age) => return integer(static_table::LEN + 1 + age, INDEXED, out),
                Recalled::Kept => KEPT,
                Recalled::Nothing => NOT_KEPT,
            }
        };
        integer(name_index, form, out);
        if name_index == 0 {
            self.text(name, out);
        }
        self.text(value, out);
    }

    /// What is remembered of a field. One that is new is remembered.
    fn recall(&mut self, name: &[u8], value: &[u8]) -> Recalled {
        // What takes more than half of the table would cost more fields than it is worth.
        if size_of_entry(name, value) > self.limit as usize / 2 {
            return Recalled::Nothing;
        }
        let limit = self.limit;
        self.memory.get_or_insert_with(|| Box::new(Memory::new(limit))).recall(name, value)
    }

    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.huffman {
            let len = huffman::encoded_len(text);
            if len < text.len() {
                integer(len, HUFFMAN, out);
                huffman::encode(text, out);
                return;
            }
        }
        integer(text.len(), PLAIN, out);
        out.extend_from_slice(text);
    }
}

fn is_secret(name_index: usize, value: &[u8]) -> bool {
    match name_index {
        AUTHORIZATION | PROXY_AUTHORIZATION | SET_COOKIE => true,
        COOKIE => value.len() < LONG_COOKIE,
        _ => false,
    }
}

/// RFC 7541, section 5.1.
#[inline]
fn integer(value: usize, form: Form, out: &mut Vec<u8>) {
    let mask = (1 << form.prefix) - 1;
    if value < mask {
        return out.push(form.bits | value as u8);
    }
    out.push(form.bits | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | rest as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many sets of hashes there are, and how many of the latest each has room for.
const SETS: usize = 64;
const WAYS: usize = 4;

/// The dynamic table, and how to find a field in it.
#[derive(Debug)]
struct Memory {
    table: Table<()>,
    /// The number of the newest entry.
    newest: u16,
    sets: [Set; SETS],
}

/// The latest of those fields whose hashes have the same end. Whoever makes fields whose hashes collide wins
/// nothing but that they are not found, or kept at once.
#[derive(Clone, Copy, Debug, Default)]
struct Set {
    /// Entries of the table. Nobody removes those that have left it: their numbers tell.
    places: [Place; WAYS],
    /// The tags of fields that were new.
    said: [u16; WAYS],
}

/// A part of the hash of an entry, and its number.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    tag: u16,
    number: u16,
}

enum Recalled {
    Nothing,
    /// It has just been put into the table.
    Kept,
    /// The entry that came so many insertions before the newest.
    Entry(usize),
}

impl Memory {
    fn new(limit: u32) -> Self {
        Self { table: Table::new(limit), newest: 0, sets: [Set::default(); SETS] }
    }

    fn recall(&mut self, name: &[u8], value: &[u8]) -> Recalled {
        let hash = hash(name, value);
        let tag = (hash >> 48) as u16;
        let Some(set) = self.sets.get_mut(hash as usize % SETS) else { return Recalled::Nothing };
        for place in set.places.iter().filter(|place| place.tag == tag) {
            // Numbers wrap around; one that is old enough to seem new is told by its texts.
            let age = usize::from(self.newest.wrapping_sub(place.number));
            if self.table.get(age).is_some_and(|(kept, text, ())| text == value && kept == name) {
                return Recalled::Entry(age);
            }
        }
        if !set.said.contains(&tag) {
            let [first, second, third, _] = set.said;
            set.said = [tag, first, second, third];
            return Recalled::Nothing;
        }
        self.table.insert(name, value, ());
        self.newest = self.newest.wrapping_add(1);
        let [first, second, third, _] = set.places;
        set.places = [Place { tag, number: self.newest }, first, second, third];
        Recalled::Kept
    }
}

/// Nobody wins by collisions, see [`Set`], so that the seed may be known.
#[inline]
fn hash(name: &[u8], value: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    hasher.write(name);
    hasher.write(value);
    hasher.finish()
}

#[cfg(test)]
impl Encoder {
    pub(super) fn table(&self) -> Option<&Table<()>> {
        self.memory.as_ref().map(|memory| &memory.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), Keeping::Adaptive, &mut out);
        }
        out
    }

    /// RFC 7541, appendix C.1, and where a length needs one byte more.
    #[test]
    fn integers_are_those_of_the_specification() {
        for (value, form, bytes) in [
            (10, RESIZED, &[0x2a][..]),
            (1337, RESIZED, &[0x3f, 0x9a, 0x0a]),
            (126, PLAIN, &[126]),
            (127, PLAIN, &[127, 0]),
            (254, HUFFMAN, &[255, 127]),
            (255, HUFFMAN, &[255, 128, 1]),
        ] {
            let mut out = Vec::new();
            integer(value, form, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn fields_of_the_static_table_cost_one_byte_and_no_memory() {
        let mut encoder = Encoder::new(true);
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/"),
            ("accept-encoding", "gzip, deflate"),
            (":status", "404"),
            ("set-cookie", ""),
        ];
        assert_eq!(encoded(&mut encoder, &fields), [0x82, 0x87, 0x84, 0x90, 0x8d, 0x80 | 55]);
        let mut out = Vec::new();
        encoder.field(b":method", b"POST", Keeping::Never, &mut out);
        encoder.status(b"200", &mut out);
        encoder.status(b"304", &mut out);
        assert_eq!(out, [0x83, 0x88, 0x8b]);
        assert!(encoder.memory.is_none());
    }

    #[test]
    fn a_field_is_kept_when_it_is_said_again() {
        let mut encoder = Encoder::new(false);
        let field = [("x-a", "b")];
        assert_eq!(encoded(&mut encoder, &field), b"\x00\x03x-a\x01b");
        assert_eq!(encoded(&mut encoder, &field), b"\x40\x03x-a\x01b");
        assert_eq!(encoded(&mut encoder, &field), [0x80 | 62]);
        let mut out = Vec::new();
        for _ in 0..3 {
            encoder.status(b"302", &mut out);
        }
        assert_eq!(out, b"\x08\x03302\x48\x03302\xbe");
        assert_eq!(encoded(&mut encoder, &field), [0x80 | 63]);
    }

    #[test]
    fn fields_do_not_stand_in_the_way_of_each_other() {
        let mut encoder = Encoder::new(false);
        let values: Vec<_> = (0..40).map(|number: u32| number.to_string()).collect();
        let fields: Vec<_> = values.iter().map(|value| ("x-a", &**value)).collect();
        encoded(&mut encoder, &fields);
        encoded(&mut encoder, &fields);
        let indices: Vec<u8> = (62..102).rev().map(|index| 0x80 | index).collect();
        assert_eq!(encoded(&mut encoder, &fields), indices);
    }

    #[test]
    fn secrets_are_never_kept() {
        let mut encoder = Encoder::new(false);
        for _ in 0..3 {
            assert_eq!(encoded(&mut encoder, &[("authorization", "a")]), b"\x1f\x08\x01a");
            assert_eq!(encoded(&mut encoder, &[("proxy-authorization", "a")]), b"\x1f\x22\x01a");
            assert_eq!(encoded(&mut encoder, &[("set-cookie", "a")]), b"\x1f\x28\x01a");
            assert_eq!(encoded(&mut encoder, &[("cookie", "a=b")]), b"\x1f\x11\x03a=b");
            let mut out = Vec::new();
            encoder.field(b"x-a", b"b", Keeping::Never, &mut out);
            assert_eq!(out, b"\x10\x03x-a\x01b");
        }
        let long = [("cookie", "session=0123456789abcdef")];
        assert_eq!([0, 1, 2].map(|_| encoded(&mut encoder, &long).len()), [27, 26, 1]);
    }

    #[test]
    fn what_is_large_is_not_kept() {
        let mut encoder = Encoder::new(false);
        let field = [("x-large", &*"v".repeat(2048))];
        for _ in 0..3 {
            assert!(encoded(&mut encoder, &field).len() > 2048);
        }
        assert!(encoder.memory.is_none());
    }

    #[test]
    fn the_shorter_form_of_a_text_is_sent() {
        let fields = [("x-a", "www.example.com"), ("x-a", "\u{7}\u{7}")];
        let expected = b"\x00\x03x-a\x0fwww.example.com\x00\x03x-a\x02\x07\x07";
        assert_eq!(encoded(&mut Encoder::new(false), &fields), expected);
        // The code of the name is as long as the name.
        let expected = [
            &b"\x00\x03x-a\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..],
            b"\x00\x03x-a\x02\x07\x07",
        ];
        assert_eq!(encoded(&mut Encoder::new(true), &fields), expected.concat());
    }

    #[test]
    fn new_sizes_are_told_once_and_the_smallest_first() {
        let mut encoder = Encoder::new(false);
        let get = [(":method", "GET")];
        encoder.limit_table(65_536);
        assert_eq!(encoded(&mut encoder, &get), [0x82], "as large as before");
        encoder.limit_table(0);
        encoder.limit_table(4096);
        assert_eq!(encoded(&mut encoder, &get), [0x20, 0x3f, 0xe1, 0x1f, 0x82]);
        assert_eq!(encoded(&mut encoder, &get), [0x82]);
        encoder.limit_table(10);
        assert_eq!(encoded(&mut encoder, &get), [0x2a, 0x82]);
        encoder.limit_table(30);
        encoder.limit_table(20);
        assert_eq!(encoded(&mut encoder, &get), [0x34, 0x82]);
    }

    #[test]
    fn a_lower_size_evicts() {
        let mut encoder = Encoder::new(false);
        let field = [("x-a", "b")];
        encoded(&mut encoder, &field);
        encoded(&mut encoder, &field);
        encoder.limit_table(0);
        assert_eq!(encoded(&mut encoder, &field), b"\x20\x00\x03x-a\x01b");
    }

    /// What is said once, however often, leaves the table alone.
    #[test]
    fn fields_that_change_do_not_push_out_those_that_do_not() {
        let mut encoder = Encoder::new(false);
        let constant = [("x-a", "b")];
        encoded(&mut encoder, &constant);
        encoded(&mut encoder, &constant);
        for number in 0..10_000 {
            encoded(&mut encoder, &[("x-request-id", &number.to_string())]);
        }
        assert_eq!(encoded(&mut encoder, &constant), [0x80 | 62]);
    }

    /// Entries are found for as long as the table has them, while numbers wrap around.
    #[test]
    fn entries_are_found_until_they_are_evicted() {
        let mut encoder = Encoder::new(false);
        for number in 0..70_000 {
            let value = number.to_string();
            encoded(&mut encoder, &[("x-a", &value)]);
            encoded(&mut encoder, &[("x-a", &value)]);
            assert_eq!(encoded(&mut encoder, &[("x-a", &value)]), [0x80 | 62], "{number}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut encoder = Encoder::new(false);
        for number in 0..10_000 {
            let field = [("x-a", &*"v".repeat(number % 2000))];
            encoded(&mut encoder, &field);
            encoded(&mut encoder, &field);
        }
        let memory = encoder.table().unwrap().memory() + size_of::<Memory>();
        assert!(memory <= 2 * 4096 + 128 * 24 + 2048, "{memory}");
    }
}
