//! Field blocks (RFC 7541): written byte by byte, so that they can be wrong, and read by a library.

use httlib_hpack::Decoder;

use crate::message::Fields;

/// Places in the static table (RFC 7541 appendix A).
pub mod fixed {
    pub const METHOD_GET: usize = 2;
    pub const METHOD_POST: usize = 3;
    pub const PATH_ROOT: usize = 4;
    pub const SCHEME_HTTP: usize = 6;
    /// The last place of the static table; the newest field of the dynamic table is the one after.
    pub const LAST: usize = 61;
}

/// A field block that is being written. Fields are literals without indexing and without Huffman, unless told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block(Vec<u8>);

impl Block {
    /// A block without any field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A block of literal fields.
    #[must_use]
    pub fn of(fields: &[(&str, &str)]) -> Self {
        fields.iter().fold(Self::new(), |block, (name, value)| block.field(name, value))
    }

    /// GET for a path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::request("GET", path)
    }

    /// POST to a path.
    #[must_use]
    pub fn post(path: &str) -> Self {
        Self::request("POST", path)
    }

    /// The four pseudo-header fields of a request to `example.com`.
    #[must_use]
    pub fn request(method: &str, path: &str) -> Self {
        Self::of(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "example.com")])
    }

    /// The pseudo-header field of a response.
    #[must_use]
    pub fn response(status: &str) -> Self {
        Self::of(&[(":status", status)])
    }

    /// The fields of a WebSocket over HTTP/2 (RFC 8441 section 4).
    #[must_use]
    pub fn extended_connect(protocol: &str, path: &str) -> Self {
        Self::of(&[
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "http"),
            (":path", path),
            (":authority", "example.com"),
            ("sec-websocket-version", "13"),
        ])
    }

    /// A literal field without indexing (RFC 7541 section 6.2.2).
    #[must_use]
    pub fn field(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.literal(0x00, name.as_ref(), value.as_ref())
    }

    /// A literal field that goes into the dynamic table (RFC 7541 section 6.2.1).
    #[must_use]
    pub fn inserted(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.literal(0x40, name.as_ref(), value.as_ref())
    }

    /// A literal field that nobody may ever index (RFC 7541 section 6.2.3).
    #[must_use]
    pub fn never_indexed(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.literal(0x10, name.as_ref(), value.as_ref())
    }

    /// A field of the tables (RFC 7541 section 6.1).
    #[must_use]
    pub fn indexed(self, place: usize) -> Self {
        self.integer(0x80, 7, place)
    }

    /// The newest field of the dynamic table, `times` over: one byte each.
    #[must_use]
    pub fn newest(mut self, times: usize) -> Self {
        self.0.extend(std::iter::repeat_n(0x80 | (fixed::LAST + 1) as u8, times));
        self
    }

    /// A literal with a name of the tables, without indexing.
    #[must_use]
    pub fn named_by(self, place: usize, value: impl AsRef<[u8]>) -> Self {
        self.integer(0x00, 4, place).string(value.as_ref())
    }

    /// A change of the size of the dynamic table (RFC 7541 section 6.3).
    #[must_use]
    pub fn table_size(self, size: usize) -> Self {
        self.integer(0x20, 5, size)
    }

    /// Any bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    /// How many bytes the block has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the block has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn literal(mut self, form: u8, name: &[u8], value: &[u8]) -> Self {
        self.0.push(form);
        self.string(name).string(value)
    }

    fn string(self, text: &[u8]) -> Self {
        self.integer(0x00, 7, text.len()).bytes(text)
    }

    /// RFC 7541 section 5.1.
    fn integer(mut self, form: u8, prefix_bits: u32, value: usize) -> Self {
        let full = (1 << prefix_bits) - 1;
        if value < full {
            self.0.push(form | value as u8);
            return self;
        }
        self.0.push(form | full as u8);
        let mut rest = value - full;
        while rest >= 128 {
            self.0.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        self.0.push(rest as u8);
        self
    }
}

impl From<Block> for Vec<u8> {
    fn from(block: Block) -> Self {
        block.0
    }
}

/// Reads the field blocks of one direction of a connection.
#[derive(Default)]
pub struct Reader(Decoder<'static>);

impl Reader {
    /// The fields of a whole block, in order.
    ///
    /// # Panics
    /// When the block is malformed.
    pub fn read(&mut self, mut block: Vec<u8>) -> Fields {
        let shown = block.clone();
        let mut fields = Vec::new();
        let outcome = self.0.decode(&mut block, &mut fields);
        outcome.unwrap_or_else(|error| panic!("field block {shown:?}: {error:?}"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        fields.into_iter().map(|(name, value, _)| (text(name), text(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let long = "v".repeat(5_000);
        let block = Block::new()
            .indexed(fixed::METHOD_GET)
            .named_by(4, "/x")
            .field("a", "1")
            .inserted("cookie", &long[..300])
            .never_indexed("secret", &long)
            .newest(2);
        let fields = Reader::default().read(block.into());
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [":method", ":path", "a", "cookie", "secret", "cookie", "cookie"]);
        assert_eq!(fields[1].1, "/x");
        assert_eq!(fields[4].1, long);
        assert_eq!(fields[6].1, long[..300]);
    }
}
