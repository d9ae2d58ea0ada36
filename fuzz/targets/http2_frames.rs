//! Any bytes as the frames of a client: judging them never panics, and the verdict does not depend on the pieces in which
//! they arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::http2::{Code, Guard};

fuzz_target!(|input: &[u8]| {
    let Some((step, frames)) = input.split_first() else { return };
    let bytes = [&[0; 24], frames].concat();
    let mut whole = Guard::new();
    let verdict = whole.inspect(&bytes);
    assert_eq!(in_pieces(&bytes, usize::from(*step).max(1)), (verdict, whole.last_stream()));
    assert_eq!(in_pieces(&bytes, 1), (verdict, whole.last_stream()));
    // Asked after any bytes, as after a connection that failed.
    let _ = whole.last_block_is_broken();
});

fn in_pieces(bytes: &[u8], len: usize) -> (Result<(), Code>, u32) {
    let mut guard = Guard::new();
    let verdict = bytes.chunks(len).try_for_each(|piece| guard.inspect(piece));
    (verdict, guard.last_stream())
}
