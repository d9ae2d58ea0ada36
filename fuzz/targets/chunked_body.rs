//! Any bytes as a chunked body, in one piece and in two: the same data, end and verdict; what we accept, an
//! independent reader accepts with the same data; and what we write from it as well.
//!
//! The first byte of the input says where the rest is cut in two.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::http1::{BodyDecoder, BodyEncoder, BodyError, BodyFraming, BodyLimits};
use ropeway_fuzz::reference;

fuzz_target!(|input: &[u8]| {
    let Some((cut, body)) = input.split_first() else { return };
    let (first, second) = body.split_at(usize::from(*cut).min(body.len()));
    let whole = Reading::of(&[body]);
    assert_eq!(whole.outcome(), Reading::of(&[first, second]).outcome());
    if whole.verdict == Ok(true) {
        assert_eq!(reference::chunked(body), Ok((whole.data.clone(), whole.consumed)));
        written_again_is_the_same(&whole);
    }
});

struct Reading {
    decoder: BodyDecoder,
    data: Vec<u8>,
    consumed: usize,
    /// Whether the end was reached.
    verdict: Result<bool, BodyError>,
}

impl Reading {
    fn of(pieces: &[&[u8]]) -> Self {
        let decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
        let mut reading = Self { decoder, data: Vec::new(), consumed: 0, verdict: Ok(false) };
        for piece in pieces {
            if reading.verdict == Ok(false) {
                reading.verdict = reading.take(piece);
            }
        }
        reading
    }

    fn take(&mut self, mut piece: &[u8]) -> Result<bool, BodyError> {
        while !piece.is_empty() {
            let decoded = self.decoder.decode(piece)?;
            assert!(decoded.consumed > 0 || decoded.end, "no progress");
            self.data.extend_from_slice(decoded.data);
            self.consumed += decoded.consumed;
            piece = &piece[decoded.consumed..];
            if decoded.end {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What must not depend on how the bytes arrive: of a refused body, that it was refused.
    fn outcome(&self) -> (&[u8], Option<usize>, Result<bool, ()>) {
        let consumed = self.verdict.is_ok().then_some(self.consumed);
        (&self.data, consumed, self.verdict.map_err(|_| ()))
    }
}

fn written_again_is_the_same(read: &Reading) {
    let (mut encoder, mut out) = (BodyEncoder::new(BodyFraming::Chunked), Vec::new());
    encoder.write_data(&read.data, &mut out);
    encoder.write_end(read.decoder.trailers(), &mut out);
    assert_eq!(reference::chunked(&out), Ok((read.data.clone(), out.len())));
}
