use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A ClientHello that is built as a test wants it.
#[derive(Clone)]
struct Hello {
    version: u16,
    extensions: Option<Vec<u8>>,
}

impl Hello {
    fn new() -> Self {
        Self { version: 0x0303, extensions: Some(Vec::new()) }
    }

    fn extension(mut self, kind: u16, data: &[u8]) -> Self {
        let block = self.extensions.get_or_insert_default();
        block.extend(kind.to_be_bytes());
        block.extend(vector16(data));
        self
    }

    fn server_name(self, name: &[u8]) -> Self {
        self.extension(0, &vector16(&[&[0][..], &vector16(name)].concat()))
    }

    fn alpn(self, protocols: &[&[u8]]) -> Self {
        let list: Vec<u8> = protocols.iter().flat_map(|protocol| vector8(protocol)).collect();
        self.extension(16, &vector16(&list))
    }

    fn versions(self, versions: &[u16]) -> Self {
        let list: Vec<u8> = versions.iter().flat_map(|version| version.to_be_bytes()).collect();
        self.extension(43, &vector8(&list))
    }

    /// The handshake message, with its header.
    fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.extend(vector8(&[9; 32]));
        body.extend(vector16(&[0x13, 0x01, 0x13, 0x02]));
        body.extend(vector8(&[0]));
        body.extend(self.extensions.as_ref().map(|block| vector16(block)).unwrap_or_default());
        handshake(1, &body)
    }

    fn bytes(&self) -> Vec<u8> {
        record(22, &self.message())
    }
}

fn vector8(data: &[u8]) -> Vec<u8> {
    [&[u8::try_from(data.len()).unwrap()][..], data].concat()
}

fn vector16(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).unwrap().to_be_bytes()[..], data].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &len[1..], body].concat()
}

fn record(content: u8, fragment: &[u8]) -> Vec<u8> {
    [&[content, 3, 1][..], &vector16(fragment)].concat()
}

/// What a test wants to know of a reading.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    consumed: usize,
    name: Option<String>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<u16>,
}

fn read(input: &[u8]) -> Result<Option<Seen>, ClientHelloError> {
    Ok(match ClientHello::parse(input, DEFAULT_LIMIT)? {
        Progress::Partial => None,
        Progress::Complete(hello) => Some(Seen {
            consumed: hello.consumed(),
            name: hello.server_name().map(|name| name.as_str().to_owned()),
            alpn: hello.alpn().map(<[u8]>::to_vec).collect(),
            versions: hello.versions().collect(),
        }),
    })
}

fn usual() -> Hello {
    Hello::new()
        .extension(0x0a0a, b"")
        .server_name(b"Www.Example.com")
        .alpn(&[b"h2", b"http/1.1"])
        .versions(&[0x0a0a, 0x0304, 0x0303])
        .extension(51, &[5; 1216])
}

#[test]
fn name_protocols_and_versions_are_found() {
    let bytes = usual().bytes();
    let expected = Seen {
        consumed: bytes.len(),
        name: Some("www.example.com".into()),
        alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        versions: vec![0x0a0a, 0x0304, 0x0303],
    };
    assert_eq!(read(&bytes), Ok(Some(expected)));
}

#[test]
fn one_record_is_borrowed() {
    let bytes = usual().bytes();
    let Ok(Progress::Complete(hello)) = ClientHello::parse(&bytes, DEFAULT_LIMIT) else {
        panic!("not complete")
    };
    assert!(matches!(hello.body, Cow::Borrowed(_)));
}

#[test]
fn early_data_behind_the_message_is_not_read() {
    let hello = usual().bytes();
    let bytes = [hello.clone(), record(20, &[1]), record(23, b"secret")].concat();
    assert_eq!(read(&bytes).unwrap().unwrap().consumed, hello.len());
}

#[test]
fn an_old_client_offers_its_legacy_version_only() {
    let hello = Hello { version: 0x0301, extensions: None };
    let seen = read(&hello.bytes()).unwrap().unwrap();
    assert_eq!((seen.name, seen.alpn, seen.versions), (None, vec![], vec![0x0301]));
}

#[test]
fn an_address_as_name_counts_as_none() {
    assert_eq!(read(&Hello::new().server_name(b"192.0.2.1").bytes()).unwrap().unwrap().name, None);
}

/// Types of names that nobody has defined are stepped over.
#[test]
fn other_types_of_names_are_stepped_over() {
    let list = [&[9][..], &vector16(b"?"), &[0], &vector16(b"a.example")].concat();
    let seen = read(&Hello::new().extension(0, &vector16(&list)).bytes()).unwrap().unwrap();
    assert_eq!(seen.name.as_deref(), Some("a.example"));
}

#[test]
fn the_first_byte_tells_what_is_not_tls() {
    for start in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n", b"options"] {
        assert_eq!(read(start), Err(ClientHelloError::PlainHttp), "{}", start.escape_ascii());
    }
    for start in [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x80, 0x2e, 1, 3, 1], &[21, 3, 1], &[22, 2], &[0]] {
        assert_eq!(read(start), Err(ClientHelloError::NotTls), "{}", start.escape_ascii());
    }
}

/// RFC 8446 5.1: fragments are neither empty nor longer than 2^14, and nothing comes between them.
#[test]
fn malformed_records_are_refused_at_once() {
    let half = record(22, &usual().message()[..100]);
    let cases: &[(&str, Vec<u8>)] = &[
        ("empty", record(22, &[])),
        ("too long", vec![22, 3, 1, 0x40, 1]),
        ("alert between", [&half[..], &[21]].concat()),
        ("empty between", [&half[..], &record(22, &[])].concat()),
        ("no version of TLS between", [&half[..], &[22, 2, 1, 0, 1]].concat()),
        ("ServerHello", record(22, &[2])),
        ("more in the record", record(22, &[usual().message(), vec![1]].concat())),
        ("more announced in the record", {
            let message = Hello::new().message();
            let len = u16::try_from(message.len() + 1).unwrap().to_be_bytes();
            [&[22, 3, 1][..], &len, &message[..4]].concat()
        }),
    ];
    for (what, bytes) in cases {
        assert!(matches!(read(bytes), Err(ClientHelloError::Malformed(_))), "{what}: {:?}", read(bytes));
    }
}

#[test]
fn malformed_messages_are_refused() {
    let fixed = |session: usize, suites: &[u8], compression: &[u8], rest: &[u8]| {
        let body = [
            &[3, 3][..],
            &[0; 32],
            &vector8(&vec![0; session]),
            &vector16(suites),
            &vector8(compression),
            rest,
        ];
        record(22, &handshake(1, &body.concat()))
    };
    assert!(read(&fixed(32, &[0, 1], &[0], &[])).is_ok());
    let new = Hello::new;
    let cases: &[(&str, Vec<u8>)] = &[
        ("session id", fixed(33, &[0, 1], &[0], &[])),
        ("no suite", fixed(0, &[], &[0], &[])),
        ("half a suite", fixed(0, &[0, 1, 2], &[0], &[])),
        ("no compression", fixed(0, &[0, 1], &[], &[])),
        ("one byte behind", fixed(0, &[0, 1], &[0], &[0])),
        ("bytes behind the extensions", fixed(0, &[0, 1], &[0], &[0, 0, 0])),
        ("extensions beyond the end", fixed(0, &[0, 1], &[0], &[0, 1])),
        ("half an extension", fixed(0, &[0, 1], &[0], &[0, 3, 0, 0, 0])),
        ("extension beyond the end", fixed(0, &[0, 1], &[0], &[0, 4, 0, 0, 0, 1])),
        ("empty message", record(22, &handshake(1, &[]))),
        ("version", Hello { version: 0x0203, extensions: None }.bytes()),
        ("two names", new().server_name(b"a").server_name(b"a").bytes()),
        ("two names in one", new().extension(0, &vector16(b"\0\0\x01a\0\0\x01b")).bytes()),
        ("empty server_name", new().extension(0, b"").bytes()),
        ("empty list of names", new().extension(0, &[0, 0]).bytes()),
        ("bytes behind the names", new().extension(0, b"\0\x04\0\0\x01a!").bytes()),
        ("two ALPN", new().alpn(&[b"h2"]).alpn(&[b"h2"]).bytes()),
        ("no protocol", new().alpn(&[]).bytes()),
        ("empty protocol", new().alpn(&[b"h2", b""]).bytes()),
        ("protocol beyond the end", new().extension(16, &[0, 2, 2, b'h']).bytes()),
        ("no version", new().versions(&[]).bytes()),
        ("half a version", new().extension(43, &[3, 3, 4, 3]).bytes()),
        ("bytes behind the versions", new().extension(43, &[2, 3, 4, 3]).bytes()),
        ("two lists of versions", new().versions(&[0x0304]).versions(&[0x0304]).bytes()),
    ];
    for (what, bytes) in cases {
        assert!(matches!(read(bytes), Err(ClientHelloError::Malformed(_))), "{what}: {:?}", read(bytes));
    }
    let bad_name = read(&new().server_name(b"a b").bytes());
    assert!(matches!(bad_name, Err(ClientHelloError::BadServerName(_))));
}

#[test]
fn a_message_beyond_the_limit_is_refused_by_its_header() {
    let bytes = usual().bytes();
    let len = bytes.len() - 5;
    assert!(matches!(ClientHello::parse(&bytes, len), Ok(Progress::Complete(_))));
    assert!(matches!(ClientHello::parse(&bytes[..8], len - 1), Ok(Progress::Partial)));
    let refused = ClientHello::parse(&bytes[..9], len - 1);
    assert!(matches!(refused, Err(ClientHelloError::TooLarge)), "{refused:?}");
}

/// A peer that sends one byte in each record is stopped long before the limit of bytes.
#[test]
fn too_many_records_are_refused() {
    let message = usual().message();
    let records: Vec<u8> = message.iter().take(MAX_RECORDS).flat_map(|&byte| record(22, &[byte])).collect();
    assert_eq!(read(&records[..records.len() - 1]), Ok(None));
    assert_eq!(read(&records), Err(ClientHelloError::TooLarge));
}

/// The message in records that end at these places.
fn in_records(message: &[u8], cuts: &[prop::sample::Index]) -> Vec<u8> {
    let mut ends: Vec<usize> =
        cuts.iter().map(|cut| cut.index(message.len())).filter(|&end| end > 0).collect();
    ends.push(message.len());
    ends.sort_unstable();
    ends.dedup();
    let starts = std::iter::once(0).chain(ends.clone());
    starts.zip(&ends).flat_map(|(start, &end)| record(22, &message[start..end])).collect()
}

proptest! {
    #[test]
    fn records_and_pieces_make_no_difference(
        name in "[a-zA-Z0-9_]{1,20}(\\.[a-z]{1,10}){0,3}",
        protocols in vec(vec(any::<u8>(), 1..12), 1..5),
        versions in vec(any::<u16>(), 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
        behind in vec(any::<u8>(), 0..8),
    ) {
        prop_assume!(name.parse::<std::net::IpAddr>().is_err());
        let listed: Vec<&[u8]> = protocols.iter().map(Vec::as_slice).collect();
        let hello = Hello::new().server_name(name.as_bytes()).versions(&versions).alpn(&listed);
        let bytes = in_records(&hello.message(), &cuts);
        for end in 0..bytes.len() {
            prop_assert_eq!(read(&bytes[..end]), Ok(None));
        }
        let seen = Seen {
            consumed: bytes.len(),
            name: Some(name.to_ascii_lowercase()),
            alpn: protocols,
            versions,
        };
        prop_assert_eq!(read(&[bytes, behind].concat()), Ok(Some(seen)));
    }

    /// No panic whatever is changed, and an error of the first bytes stays whatever follows.
    #[test]
    fn damage_is_refused_for_good(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = usual().bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let end = end.index(bytes.len());
        if let Err(error) = read(&bytes[..end]) {
            prop_assert_eq!(read(&bytes), Err(error));
        }
    }

    #[test]
    fn any_bytes_can_be_read(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = read(&record(22, &handshake(1, &bytes)));
    }
}
