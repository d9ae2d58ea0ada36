//! Any bytes as a gRPC-Web body: the same however it is cut, the same as an independent decoder of base64 sees; and any
//! bytes as a response: what is encoded is decoded to itself, and trailers stay the lines that they are.
//!
//! The first byte of the input says how many bytes each piece has.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::grpc::{GrpcFlavour, GrpcWebDecoder, GrpcWebEncoder, GrpcWebError};

fuzz_target!(|input: &[u8]| {
    let Some((size, body)) = input.split_first() else { return };
    let pieces = || body.chunks(usize::from(*size).max(1));
    let whole = decoded(std::iter::once(body));
    assert_eq!(decoded(pieces()), whole);
    assert_eq!(whole.ok(), reference(body));

    let (encoder, mut encoded) = (GrpcWebEncoder::new(GrpcFlavour::WebText), Vec::new());
    pieces().for_each(|piece| encoder.push(piece, &mut encoded));
    assert_eq!(decoded(std::iter::once(&encoded[..])).as_deref(), Ok(body));
    trailers_stay_lines(body);
});

fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, GrpcWebError> {
    let (mut decoder, mut out) = (GrpcWebDecoder::new(GrpcFlavour::WebText), Vec::new());
    for piece in pieces {
        let before = out.len();
        decoder.push(piece, &mut out)?;
        assert!(out.len() - before <= piece.len() + 3);
    }
    decoder.finish().map(|()| out)
}

/// Four characters at a time, bit by bit.
fn reference(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for quantum in body.chunks(4) {
        let [.., third, fourth] = *<&[u8; 4]>::try_from(quantum).ok()?;
        let padding = if fourth != b'=' {
            0
        } else if third != b'=' {
            1
        } else {
            2
        };
        let mut bits = 0_u32;
        for &character in &quantum[..4 - padding] {
            bits = bits << 6 | value(character)?;
        }
        bits <<= 6 * padding;
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (kept, cut) = bytes.split_at(3 - padding);
        if cut.iter().any(|&byte| byte != 0) {
            return None;
        }
        out.extend_from_slice(kept);
    }
    Some(out)
}

fn value(character: u8) -> Option<u32> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    ALPHABET.iter().position(|&known| known == character).map(|index| index as u32)
}

fn trailers_stay_lines(body: &[u8]) {
    let fields: Vec<_> = body.split(|&byte| byte == b';').map(|value| (&b"X-Name"[..], value)).collect();
    let mut out = Vec::new();
    GrpcWebEncoder::new(GrpcFlavour::Web).finish(fields.iter().copied(), &mut out);
    let (head, lines) = out.split_at(5);
    assert_eq!(head[0], 0x80);
    assert_eq!(u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize, lines.len());
    let text = String::from_utf8_lossy(lines);
    assert!(
        text.split_terminator("\r\n")
            .all(|line| line.starts_with("x-name: ") && !line.contains(['\r', '\n']))
    );
    let sound = fields.iter().filter(|(_, value)| !value.iter().any(|byte| b"\r\n\0".contains(byte)));
    assert_eq!(text.matches("\r\n").count(), sound.count());
}
