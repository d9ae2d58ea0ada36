//! Any bytes as a PROXY header: reading never panics, never wants more once it has a verdict, and what was read can be
//! announced again and means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::proxy_protocol::{Announcement, Command, DEFAULT_LIMIT, Endpoints, Header, Progress};

fuzz_target!(|input: &[u8]| {
    match Header::parse(input, DEFAULT_LIMIT) {
        Ok(Progress::Partial) => {}
        Ok(Progress::Complete(header)) => {
            let last = header.consumed() - 1;
            assert_eq!(Header::parse(&input[..last], DEFAULT_LIMIT), Ok(Progress::Partial));
            assert_eq!(Header::parse(&input[..=last], DEFAULT_LIMIT), Ok(Progress::Complete(header)));
            announced_again_it_means_the_same(&header);
        }
        Err(error) => {
            let more = [input, b"\r\n\r\n"].concat();
            assert_eq!(Header::parse(&more, DEFAULT_LIMIT), Err(error), "more bytes mended it");
        }
    }
});

fn announced_again_it_means_the_same(header: &Header<'_>) {
    let announcement = Announcement {
        endpoints: canonical(header.endpoints()),
        alpn: header.alpn(),
        authority: header.authority(),
        tls: None,
        unique_id: header.unique_id(),
        checksum: true,
    };
    let mut out = Vec::new();
    announcement.write_v2(&mut out).expect("what was read fits");
    let Ok(Progress::Complete(again)) = Header::parse(&out, DEFAULT_LIMIT + 7) else {
        panic!("refused {}", out.escape_ascii());
    };
    assert_eq!(again.consumed(), out.len());
    assert_eq!(again.endpoints(), announcement.endpoints);
    if again.command() == Command::Local {
        return;
    }
    assert!(again.has_checksum());
    assert_eq!(again.alpn(), header.alpn());
    assert_eq!(again.authority(), header.authority());
    assert_eq!(again.unique_id(), header.unique_id());
    // Whatever the sender said of encryption can be asked for.
    if let Some(ssl) = header.ssl() {
        let _ =
            (ssl.version(), ssl.cipher(), ssl.common_name(), ssl.key_algorithm(), ssl.signature_algorithm());
        assert!(ssl.tlvs().count() <= header.consumed());
    }
}

/// The ends as they are announced: an IPv4 address inside IPv6 is one, unless the other end has none.
fn canonical(endpoints: Endpoints<'_>) -> Endpoints<'_> {
    match endpoints {
        Endpoints::Tcp { mut source, mut destination }
            if source.ip().to_canonical().is_ipv4() && destination.ip().to_canonical().is_ipv4() =>
        {
            source.set_ip(source.ip().to_canonical());
            destination.set_ip(destination.ip().to_canonical());
            Endpoints::Tcp { source, destination }
        }
        other => other,
    }
}
