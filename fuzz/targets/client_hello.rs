//! Any bytes as the start of a TLS connection: reading never panics, never wants more once it has a verdict, and sees
//! the same in a message however it is spread over records.
//!
//! The first byte of the input says how many bytes each of those records has.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::client_hello::{ClientHello, ClientHelloError, DEFAULT_LIMIT, MAX_RECORDS, Progress};

fuzz_target!(|input: &[u8]| {
    let Some((size, received)) = input.split_first() else { return };
    match read(received) {
        Ok(None) => {}
        Ok(Some(seen)) => {
            assert!(seen.consumed <= received.len());
            assert_eq!(read(&received[..seen.consumed - 1]), Ok(None));
            records_make_no_difference(&received[..seen.consumed], usize::from(*size).max(1), seen);
        }
        Err(error) => {
            let more = [received, &[22; 64]].concat();
            assert_eq!(read(&more), Err(error), "more bytes mended it");
        }
    }
});

/// What can be asked of a ClientHello.
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

fn records_make_no_difference(received: &[u8], size: usize, seen: Seen) {
    let message = without_records(received);
    if message.len().div_ceil(size) > MAX_RECORDS {
        return;
    }
    let again: Vec<u8> = message.chunks(size).flat_map(record).collect();
    let expected = Seen { consumed: again.len(), ..seen };
    assert_eq!(read(&again), Ok(Some(expected)));
}

fn without_records(mut received: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    while let [22, 3, _, high, low, rest @ ..] = received {
        let (fragment, behind) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        message.extend_from_slice(fragment);
        received = behind;
    }
    message
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 3, 0, fragment.len() as u8], fragment].concat()
}
