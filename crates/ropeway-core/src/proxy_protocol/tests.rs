use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What HAProxy 2.6 sends for a client with a certificate, with every option of its headers on.
const FROM_HAPROXY: &str = "\
    0d0a0d0a000d0a515549540a211100b37f0000017f000001d80c1e1503000477e86ace010002683202000f7777772e65 \
    78616d706c652e636f6d05002e37463030303030313a443830435f37463030303030313a314531355f36423031323934 \
    355f303030303a363635452000550700000000210007544c5376312e3322000e636c69656e742e6578616d706c652500 \
    05454332353624001165636473612d776974682d534841323536230016544c535f4145535f3235365f47434d5f534841 \
    333834";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn read(input: &[u8]) -> Result<Option<Header<'_>>, ProxyProtocolError> {
    Header::parse(input, DEFAULT_LIMIT).map(|progress| match progress {
        Progress::Partial => None,
        Progress::Complete(header) => Some(header),
    })
}

fn complete(input: &[u8]) -> Header<'_> {
    read(input).unwrap().unwrap()
}

fn tcp(source: &str, destination: &str) -> Endpoints<'static> {
    Endpoints::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A header of version 2 with this command, family and block.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[command, family], &len, block].concat()
}

/// A header of version 2 with addresses, and these bytes behind them.
fn v2_with(tlvs: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&[192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 0, 80], tlvs].concat())
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind][..], &len, value].concat()
}

fn is_malformed(input: &[u8]) -> bool {
    matches!(read(input), Err(ProxyProtocolError::Malformed(_)))
}

#[test]
fn lines_are_read() {
    let cases: &[(&[u8], Endpoints<'_>)] = &[
        (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", tcp("192.168.0.1:56324", "192.168.0.11:443")),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", tcp("0.0.0.0:0", "255.255.255.255:65535")),
        (b"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", tcp("[2001:db8::1]:1", "[::1]:2")),
        (b"PROXY UNKNOWN\r\n", Endpoints::OfConnection),
        (b"PROXY UNKNOWN \xff anything \0\r\n", Endpoints::OfConnection),
    ];
    for (line, endpoints) in cases {
        let input = [line, &b"GET / HTTP/1.1\r\n"[..]].concat();
        let header = complete(&input);
        assert_eq!(header.endpoints(), *endpoints, "{}", line.escape_ascii());
        assert_eq!(header.consumed(), line.len());
        assert_eq!((header.version(), header.command()), (Version::V1, Command::Proxy));
        assert_eq!(header.tlvs().count(), 0);
    }
}

/// Section 2.1: what does not exactly match the protocol ends the connection.
#[test]
fn lines_that_break_a_rule_are_refused() {
    let cases: &[&[u8]] = &[
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX",
        b"PROXY UNKNOWN\n",
        b"PROXY \r\n",
        b"PROXY TCP5 1.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY tcp4 1.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY  TCP4 1.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY TCP4  1.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 2 \r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        b"PROXY TCP4 1.1.1.1\r\n",
        b"PROXY TCP4 01.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY TCP4 1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.1.1.1 ::1 1 2\r\n",
        b"PROXY TCP6 1.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY TCP6 [::1] ::1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 01 2\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 +1 2\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 -2\r\n",
        b"PROXY TCP4 1.1.1.1\t1.1.1.1 1 2\r\n",
    ];
    for line in cases {
        assert!(is_malformed(line), "{}: {:?}", line.escape_ascii(), read(line));
    }
}

#[test]
fn a_line_has_at_most_107_bytes() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    assert_eq!(longest.len(), 107);
    assert_eq!(complete(longest.as_bytes()).consumed(), 107);
    let longer = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    assert_eq!(read(&longer.as_bytes()[..106]), Ok(None));
    assert_eq!(read(&longer.as_bytes()[..107]), Err(ProxyProtocolError::TooLong));
    assert_eq!(read(longer.as_bytes()), Err(ProxyProtocolError::TooLong));
    let endless = format!("PROXY UNKNOWN {}", "f".repeat(93));
    assert_eq!(read(endless.as_bytes()), Err(ProxyProtocolError::TooLong));
}

#[test]
fn the_first_wrong_byte_tells_that_there_is_no_header() {
    for start in [&b"G"[..], b"PRI * HTTP/2.0", b"PROXX", b"PROXY\r", b"\r\n\r\n\0\r\nQUIX", b"\x16\x03\x01"]
    {
        assert_eq!(read(start), Err(ProxyProtocolError::NoHeader), "{}", start.escape_ascii());
    }
    for start in
        [&b""[..], b"P", b"PROXY", b"PROXY ", b"\r", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"]
    {
        assert_eq!(read(start), Ok(None), "{}", start.escape_ascii());
    }
}

#[test]
fn what_haproxy_sends_is_read_in_full() {
    let bytes = unhex(FROM_HAPROXY);
    let header = complete(&bytes);
    assert_eq!(header.consumed(), bytes.len());
    assert_eq!((header.version(), header.command()), (Version::V2, Command::Proxy));
    assert_eq!(header.endpoints(), tcp("127.0.0.1:55308", "127.0.0.1:7701"));
    assert_eq!(header.alpn(), Some(&b"h2"[..]));
    assert_eq!(header.authority(), Some("www.example.com"));
    assert!(header.unique_id().unwrap().starts_with(b"7F000001:D80C_"));
    assert!(header.has_checksum());
    assert_eq!(header.netns(), None);
    let ssl = header.ssl().unwrap();
    assert!(ssl.is_encrypted() && ssl.certificate_on_connection() && ssl.certificate_in_session());
    assert!(ssl.certificate_is_verified());
    assert_eq!(ssl.version(), Some("TLSv1.3"));
    assert_eq!(ssl.common_name(), Some("client.example"));
    assert_eq!(ssl.cipher(), Some("TLS_AES_256_GCM_SHA384"));
    assert_eq!(ssl.key_algorithm(), Some("EC256"));
    assert_eq!(ssl.signature_algorithm(), Some("ecdsa-with-SHA256"));
    assert_eq!(ssl.tlvs().count(), 5);
    let kinds: Vec<u8> = header.tlvs().map(|tlv| tlv.kind).collect();
    assert_eq!(kinds, [kind::CRC32C, kind::ALPN, kind::AUTHORITY, kind::UNIQUE_ID, kind::SSL]);
}

#[test]
fn a_changed_byte_is_found_by_the_checksum() {
    let bytes = unhex(FROM_HAPROXY);
    for at in [16, 20, 25, 31, 70] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(read(&changed), Err(ProxyProtocolError::BadChecksum), "byte {at}");
    }
}

#[test]
fn a_local_header_says_nothing_whatever_it_holds() {
    for bytes in [v2(0x20, 0, b""), v2(0x20, 0xff, b"\x01\0"), v2(0x20, 0x11, &tlv(kind::ALPN, b"h2"))] {
        let header = complete(&bytes);
        assert_eq!((header.command(), header.endpoints()), (Command::Local, Endpoints::OfConnection));
        assert_eq!((header.consumed(), header.tlvs().count()), (bytes.len(), 0));
    }
}

#[test]
fn addresses_of_every_family_are_read() {
    let v6 = [&[0x20; 16][..], &[0x30; 16], &[0, 1, 0, 2]].concat();
    let mut unix = [0; 216];
    unix[..9].copy_from_slice(b"/tmp/sock");
    unix[108..114].copy_from_slice(b"\0a\0b\0c");
    let six = |byte| IpAddr::from([byte; 16]);
    let cases: &[(u8, &[u8], Endpoints<'_>)] = &[
        (0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2], tcp("192.0.2.1:1", "192.0.2.2:2")),
        (
            0x21,
            &v6,
            Endpoints::Tcp {
                source: SocketAddr::new(six(0x20), 1),
                destination: SocketAddr::new(six(0x30), 2),
            },
        ),
        (0x31, &unix, Endpoints::Unix { source: b"/tmp/sock", destination: b"\0a\0b\0c" }),
        (0x31, &[0; 216], Endpoints::Unix { source: b"", destination: b"" }),
        (0x00, b"", Endpoints::OfConnection),
        (0x12, &[0; 12], Endpoints::OfConnection),
        (0x22, &[0; 36], Endpoints::OfConnection),
        (0x32, &[0; 216], Endpoints::OfConnection),
    ];
    for (family, addresses, endpoints) in cases {
        let bytes = v2(0x21, *family, &[addresses, &tlv(kind::ALPN, b"h2")[..]].concat());
        let header = complete(&bytes);
        assert_eq!((header.endpoints(), header.alpn()), (*endpoints, Some(&b"h2"[..])), "{family:#x}");
    }
}

#[test]
fn binary_headers_that_break_a_rule_are_refused() {
    let ssl = |tlvs: &[u8]| tlv(kind::SSL, &[&[1, 0, 0, 0, 0], tlvs].concat());
    let cases: &[(&str, Vec<u8>)] = &[
        ("version 1", v2(0x11, 0x11, &[0; 12])),
        ("version 3", v2(0x31, 0x11, &[0; 12])),
        ("command 2", v2(0x22, 0x11, &[0; 12])),
        ("family 4", v2(0x21, 0x41, &[0; 12])),
        ("transport 3", v2(0x21, 0x13, &[0; 12])),
        ("IPv4 too short", v2(0x21, 0x11, &[0; 11])),
        ("IPv6 too short", v2(0x21, 0x21, &[0; 35])),
        ("Unix too short", v2(0x21, 0x31, &[0; 215])),
        ("one byte behind", v2_with(&[kind::NOOP])),
        ("two bytes behind", v2_with(&[kind::NOOP, 0])),
        ("beyond the end", v2_with(&[kind::NOOP, 0, 2, 0])),
        ("short checksum", v2_with(&tlv(kind::CRC32C, &[0; 3]))),
        ("two ALPN", v2_with(&[tlv(kind::ALPN, b"h2"), tlv(kind::ALPN, b"h2")].concat())),
        ("two SSL", v2_with(&[ssl(&[]), ssl(&[])].concat())),
        ("two namespaces", v2_with(&[tlv(kind::NETNS, b"a"), tlv(kind::NETNS, b"b")].concat())),
        ("empty ALPN", v2_with(&tlv(kind::ALPN, b""))),
        ("authority in Latin-1", v2_with(&tlv(kind::AUTHORITY, b"\xe4"))),
        ("authority of two lines", v2_with(&tlv(kind::AUTHORITY, b"a\r\nb"))),
        ("long unique id", v2_with(&tlv(kind::UNIQUE_ID, &[0; 129]))),
        ("namespace", v2_with(&tlv(kind::NETNS, "\u{e4}".as_bytes()))),
        ("short SSL", v2_with(&tlv(kind::SSL, &[1, 0, 0, 0]))),
        ("SSL part beyond the end", v2_with(&ssl(&[kind::SSL_CN, 0, 1]))),
        ("two names in SSL", v2_with(&ssl(&[tlv(kind::SSL_CN, b"a"), tlv(kind::SSL_CN, b"b")].concat()))),
        ("SSL version", v2_with(&ssl(&tlv(kind::SSL_VERSION, b"TLS\n")))),
        ("SSL name", v2_with(&ssl(&tlv(kind::SSL_CN, b"\xff")))),
    ];
    for (what, bytes) in cases {
        assert!(is_malformed(bytes), "{what}: {:?}", read(bytes));
    }
    let wrong = v2_with(&tlv(kind::CRC32C, &[0; 4]));
    assert_eq!(read(&wrong), Err(ProxyProtocolError::BadChecksum));
}

#[test]
fn unknown_vectors_and_padding_may_repeat() {
    let tlvs =
        [tlv(0xe0, b"1"), tlv(0xe0, b"2"), tlv(kind::NOOP, b""), tlv(kind::NOOP, b"\0\0"), tlv(0x3f, b"")];
    let bytes = v2_with(&tlvs.concat());
    let custom: Vec<&[u8]> =
        complete(&bytes).tlvs().filter(|tlv| tlv.kind == 0xe0).map(|tlv| tlv.value).collect();
    assert_eq!(custom, [b"1", b"2"]);
}

#[test]
fn a_header_beyond_the_limit_is_refused_by_its_length() {
    let bytes = v2_with(&tlv(kind::NOOP, &[0; 100]));
    assert!(Header::parse(&bytes, bytes.len()).is_ok());
    assert_eq!(Header::parse(&bytes[..15], bytes.len() - 1), Ok(Progress::Partial));
    assert_eq!(Header::parse(&bytes[..16], bytes.len() - 1), Err(ProxyProtocolError::TooLong));
}

/// Senders leave the field at 0, "verified", when there was no certificate to verify.
#[test]
fn no_certificate_is_never_a_verified_one() {
    let verified = |client, verify| {
        let bytes = v2_with(&tlv(kind::SSL, &[client, 0, 0, 0, verify]));
        complete(&bytes).ssl().unwrap().certificate_is_verified()
    };
    assert!(!verified(1, 0));
    assert!(!verified(7, 1));
    assert!(verified(3, 0));
    assert!(verified(5, 0));
}

#[test]
fn lines_are_written() {
    let line = |endpoints| {
        let mut out = Vec::new();
        Announcement { endpoints, ..Announcement::default() }.write_v1(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(line(tcp("192.0.2.1:1", "192.0.2.2:80")), "PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n");
    assert_eq!(line(tcp("[2001:db8::1]:1", "[::1]:80")), "PROXY TCP6 2001:db8::1 ::1 1 80\r\n");
    assert_eq!(line(tcp("[::ffff:192.0.2.1]:1", "192.0.2.2:80")), "PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n");
    assert_eq!(line(tcp("192.0.2.1:1", "[::1]:80")), "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 80\r\n");
    assert_eq!(line(Endpoints::OfConnection), "PROXY UNKNOWN\r\n");
    assert_eq!(line(Endpoints::Unix { source: b"", destination: b"/s" }), "PROXY UNKNOWN\r\n");
}

#[test]
fn a_connection_of_our_own_is_local() {
    let mut out = Vec::new();
    Announcement { authority: Some("a.example"), checksum: true, ..Announcement::default() }
        .write_v2(&mut out)
        .unwrap();
    assert_eq!(out, v2(0x20, 0, b""));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let endpoints = tcp("192.0.2.1:1", "192.0.2.2:80");
    let base = Announcement { endpoints, ..Announcement::default() };
    let (long, id) = ("a".repeat(65_536), [0; 129]);
    let half = "a".repeat(40_000);
    let tls = TlsAnnouncement { common_name: Some(&half), cipher: Some(&half), ..TlsAnnouncement::default() };
    let cases = [
        Announcement { authority: Some(&long), ..base },
        Announcement { authority: Some(&half), alpn: Some(half.as_bytes()), ..base },
        Announcement { tls: Some(tls), ..base },
        Announcement { unique_id: Some(&id), ..base },
        Announcement { endpoints: Endpoints::Unix { source: &id, destination: b"" }, ..base },
    ];
    for case in cases {
        let mut out = b"before".to_vec();
        assert!(case.write_v2(&mut out).is_err());
        assert_eq!(out, b"before");
    }
}

/// Two addresses of one family; IPv4 inside IPv6 would be sent as what it is.
fn address_pair() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(from, to)| (from.into(), to.into())),
        any::<(Ipv6Addr, Ipv6Addr)>()
            .prop_filter("IPv4 inside", |(from, to)| from.to_ipv4_mapped().or(to.to_ipv4_mapped()).is_none())
            .prop_map(|(from, to)| (from.into(), to.into())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (from, to) in address_pair(),
        ports in any::<(u16, u16)>(),
        alpn in prop::option::of(vec(any::<u8>(), 1..20)),
        authority in prop::option::of("[a-z.]{0,40}"),
        tls in prop::option::of((prop::option::of("[ -~]{0,20}"), prop::option::of("\\PC{0,20}"), any::<[bool; 2]>())),
        unique_id in prop::option::of(vec(any::<u8>(), 0..=128)),
        checksum in any::<bool>(),
        behind in vec(any::<u8>(), 0..10),
    ) {
        let endpoints =
            Endpoints::Tcp { source: SocketAddr::new(from, ports.0), destination: SocketAddr::new(to, ports.1) };
        let announcement = Announcement {
            endpoints,
            alpn: alpn.as_deref(),
            authority: authority.as_deref(),
            tls: tls.as_ref().map(|(version, common_name, [client_certificate, resumed])| TlsAnnouncement {
                version: version.as_deref(),
                cipher: version.as_deref(),
                client_certificate: *client_certificate,
                resumed: *resumed,
                common_name: common_name.as_deref(),
            }),
            unique_id: unique_id.as_deref(),
            checksum,
        };
        let mut out = Vec::new();
        announcement.write_v2(&mut out).unwrap();
        for end in 0..out.len() {
            prop_assert_eq!(read(&out[..end]), Ok(None));
        }
        let len = out.len();
        out.extend(behind);
        let header = complete(&out);
        prop_assert_eq!((header.consumed(), header.endpoints()), (len, endpoints));
        prop_assert_eq!((header.alpn(), header.authority()), (alpn.as_deref(), authority.as_deref()));
        prop_assert_eq!((header.unique_id(), header.has_checksum()), (unique_id.as_deref(), checksum));
        prop_assert_eq!(header.ssl().is_some(), tls.is_some());
        if let (Some(ssl), Some((version, name, [client_certificate, resumed]))) = (header.ssl(), &tls) {
            prop_assert!(ssl.is_encrypted());
            prop_assert_eq!(ssl.certificate_is_verified(), *client_certificate);
            prop_assert_eq!(ssl.certificate_on_connection(), *client_certificate && !resumed);
            prop_assert_eq!((ssl.version(), ssl.cipher()), (version.as_deref(), version.as_deref()));
            prop_assert_eq!(ssl.common_name(), name.as_deref());
        }

        let mut line = Vec::new();
        announcement.write_v1(&mut line);
        prop_assert!(line.len() <= 107);
        for end in 0..line.len() {
            prop_assert_eq!(read(&line[..end]), Ok(None));
        }
        prop_assert_eq!((complete(&line).consumed(), complete(&line).endpoints()), (line.len(), endpoints));
    }

    #[test]
    fn any_bytes_can_be_read(block in vec(any::<u8>(), 0..300), family in any::<u8>()) {
        let _ = read(&block);
        let _ = read(&[b"PROXY ", &block[..]].concat());
        let _ = read(&v2(0x21, family, &block));
        let _ = read(&v2_with(&block));
    }
}
