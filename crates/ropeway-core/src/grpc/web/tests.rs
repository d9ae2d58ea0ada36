use proptest::collection::vec;
use proptest::prelude::*;

use super::super::GrpcFlavour;
use super::*;

fn decoded(flavour: GrpcFlavour, pieces: &[&[u8]]) -> Result<Vec<u8>, GrpcWebError> {
    let (mut decoder, mut out) = (GrpcWebDecoder::new(flavour), Vec::new());
    for piece in pieces {
        decoder.push(piece, &mut out)?;
    }
    decoder.finish()?;
    Ok(out)
}

fn text(body: &[u8]) -> Result<Vec<u8>, GrpcWebError> {
    decoded(GrpcFlavour::WebText, &[body])
}

/// RFC 4648 10.
#[test]
fn the_published_examples_hold() {
    let cases: [(&[u8], &[u8]); 4] =
        [(b"", b""), (b"Zg==", b"f"), (b"Zm8=", b"fo"), (b"Zm9vYmFy", b"foobar")];
    for (encoded, plain) in cases {
        assert_eq!(text(encoded).as_deref(), Ok(plain));
        let mut out = Vec::new();
        GrpcWebEncoder::new(GrpcFlavour::WebText).push(plain, &mut out);
        assert_eq!(out, encoded);
    }
}

#[test]
fn padded_pieces_may_follow_each_other() {
    assert_eq!(text(b"Zg==Zm8=Zm9vZg==").as_deref(), Ok(&b"ffofoof"[..]));
}

#[test]
fn what_is_not_base64_is_refused() {
    let cases: &[&[u8]] = &[
        b"Zg=Z",
        b"Z===",
        b"====",
        b"=Zg=",
        b"Zm9 ",
        b"Zm9\n",
        b"Zh==",
        b"Zm9=",
        b"Zm-_",
        b"Zm9v\xff\xff\xff\xff",
    ];
    for case in cases {
        assert_eq!(text(case), Err(GrpcWebError::NotBase64), "{}", case.escape_ascii());
    }
    for case in [&b"Z"[..], b"Zg", b"Zg=", b"Zm9vZ"] {
        assert_eq!(text(case), Err(GrpcWebError::Truncated), "{}", case.escape_ascii());
    }
}

#[test]
fn nothing_but_text_is_changed() {
    for flavour in [GrpcFlavour::Grpc, GrpcFlavour::Web] {
        assert_eq!(decoded(flavour, &[b"\0=", b"\xff"]).as_deref(), Ok(&b"\0=\xff"[..]));
        let mut out = Vec::new();
        GrpcWebEncoder::new(flavour).push(b"\0=\xff", &mut out);
        assert_eq!(out, b"\0=\xff");
    }
}

#[test]
fn trailers_are_a_frame_of_their_own() {
    let trailers: [(&[u8], &[u8]); 3] =
        [(b"Grpc-Status", b"0"), (b"grpc-message", b""), (b"x-evil", b"1\r\ngrpc-status: 0")];
    let mut out = b"before".to_vec();
    GrpcWebEncoder::new(GrpcFlavour::Web).finish(trailers, &mut out);
    assert_eq!(out, b"before\x80\0\0\0\x20grpc-status: 0\r\ngrpc-message: \r\n");

    let mut encoded = Vec::new();
    GrpcWebEncoder::new(GrpcFlavour::WebText).finish(trailers, &mut encoded);
    assert_eq!(text(&encoded).as_deref(), Ok(&out[6..]));
}

#[test]
fn no_trailers_are_an_empty_frame() {
    let mut out = Vec::new();
    GrpcWebEncoder::new(GrpcFlavour::Web).finish([], &mut out);
    assert_eq!(out, [0x80, 0, 0, 0, 0]);
}

proptest! {
    /// What is encoded in some pieces is decoded in others.
    #[test]
    fn pieces_make_no_difference(
        pieces in vec(vec(any::<u8>(), 0..20), 0..8),
        size in 1..9_usize,
    ) {
        let (encoder, mut encoded) = (GrpcWebEncoder::new(GrpcFlavour::WebText), Vec::new());
        for piece in &pieces {
            let before = encoded.len();
            encoder.push(piece, &mut encoded);
            prop_assert!(encoded.len() - before <= piece.len() / 3 * 4 + 4);
        }
        let chunks: Vec<&[u8]> = encoded.chunks(size).collect();
        prop_assert_eq!(decoded(GrpcFlavour::WebText, &chunks), Ok(pieces.concat()));
    }

    #[test]
    fn any_bytes_can_be_pushed(body in "[A-Za-z0-9+/=]{0,40}", other in vec(any::<u8>(), 0..20), size in 1..9_usize) {
        for body in [body.as_bytes(), &other] {
            let chunks: Vec<&[u8]> = body.chunks(size).collect();
            prop_assert_eq!(decoded(GrpcFlavour::WebText, &chunks), text(body));
        }
    }
}
