//! Any bytes as the frames of a client or of a server: nothing panics, and what comes of them does not depend on the pieces in
//! which they arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::http2::{Code, Connection, Event, Limits, Manner, Scratch, Side};

const LIMITS: Limits = Limits {
    streams: 20,
    header_list: 4 * 1024,
    stream_window: 8 * 1024,
    connection_window: 128 * 1024,
    max_frame: 16 * 1024,
};
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fuzz_target!(|input: &[u8]| {
    let Some((step, frames)) = input.split_first() else { return };
    for side in [Side::Server { most_resets: 50 }, Side::Client { https: true }] {
        let preface = if matches!(side, Side::Server { .. }) { PREFACE } else { b"" };
        let bytes = [preface, SETTINGS, frames].concat();
        let whole = hear(side, &bytes, bytes.len());
        assert_eq!(hear(side, &bytes, usize::from(*step).max(1)), whole);
        assert_eq!(hear(side, &bytes, 1), whole);
    }
});

/// What is said, the body of each stream, and the output.
fn hear(side: Side, bytes: &[u8], len: usize) -> (Vec<String>, Vec<(u32, Vec<u8>)>, Result<Vec<u8>, Code>) {
    let mut connection = Connection::<Vec<u8>>::new(side, LIMITS);
    let (mut scratch, mut heard) = (Scratch::default(), Vec::new());
    if matches!(side, Side::Client { .. }) {
        for _ in 0..5 {
            let (stream, _) = connection.request(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", Vec::new()).unwrap();
            connection.send(stream, b"body").unwrap();
        }
    }
    for mut piece in bytes.chunks(len) {
        loop {
            match connection.receive(&mut piece, &mut scratch) {
                Ok(None) => break,
                Ok(Some(Event::Data { stream, bytes, ends })) => {
                    connection.user(stream).unwrap().extend(bytes);
                    connection.give_back(stream, bytes.len());
                    if ends {
                        heard.push(format!("{stream} ends"));
                    }
                }
                Ok(Some(event)) => {
                    heard.push(format!("{event:?} {:?}", scratch.text()));
                    if let Event::Head { stream, .. } = event {
                        answer(&mut connection, stream);
                    }
                }
                Err(fatal) => return (heard, Vec::new(), Err(fatal.code)),
            }
        }
    }
    let mut bodies: Vec<_> = connection.users().map(|(id, body)| (id, std::mem::take(body))).collect();
    bodies.sort();
    (heard, bodies, Ok(connection.output().to_vec()))
}

/// Some requests are answered at once, some are given up, and some wait.
fn answer(connection: &mut Connection<Vec<u8>>, stream: u32) {
    match stream % 8 {
        1 => {
            let _ = connection.respond(stream, b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n", Manner::Plain);
            let _ = connection.send(stream, &[b'x'; 1_000]);
            connection.end(stream);
        }
        3 => {
            let _ = connection.respond(stream, b"HTTP/1.1 204 No Content\r\n\r\n", Manner::Plain);
            connection.end(stream);
            let _ = connection.release(stream, 0);
        }
        5 => connection.reset(stream, Code::CANCEL),
        _ => {}
    }
}
