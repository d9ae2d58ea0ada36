//! Any bytes as the frames of a client: judging them never panics, and the verdict does not depend on the pieces in which
//! they arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::http2::{Code, Guard};

fuzz_target!(|input: &[u8]| {
    let Some((step, frames)) = input.split_first() else { return };
    let bytes = [&[0; 24], frames].concat();
    let mut whole = Guard::new(200);
    let verdict = whole.inspect(&bytes);
    assert_eq!(in_pieces(&bytes, usize::from(*step).max(1)), verdict);
    assert_eq!(in_pieces(&bytes, 1), verdict);
    // Whatever it was that ended the connection, the client is told.
    let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let _ = whole.note_sent(&goaway);
    // And any bytes may be what it is sent.
    let _ = whole.note_sent(input);
    // Streams are taken, or were refused.
    let _ = whole.take(1);
    while whole.take_refused(false).is_some() {}
});

fn in_pieces(bytes: &[u8], len: usize) -> Result<(), Code> {
    let mut guard = Guard::new(200);
    bytes.chunks(len).try_for_each(|piece| guard.inspect(piece))
}
