//! Two connections that talk to each other, and peers that break the rules.

use super::*;
use crate::http1::FieldRef;
use crate::http2::frames::{ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, RST_STREAM, SETTINGS};
use crate::http2::{Manner, Scratch};

const LIMITS: Limits = Limits {
    streams: 100,
    header_list: 16 * 1024,
    stream_window: 65_535,
    connection_window: 1 << 20,
    max_frame: 16_384,
};
const SERVER: Side = Side::Server { most_resets: 20 };
const CLIENT: Side = Side::Client { https: true };
const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a.example\r\nX-Key: value\r\n\r\n";

type Conn = Connection<Vec<u8>>;

fn new(side: Side) -> Conn {
    Conn::new(side, LIMITS)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame { len: payload.len(), kind, flags, stream }.write(&mut bytes);
    bytes.extend(payload);
    bytes
}

/// All that comes of bytes, in words.
fn hear(connection: &mut Conn, bytes: &[u8]) -> Result<Vec<String>, Fatal> {
    let (mut input, mut scratch, mut heard) = (bytes, Scratch::default(), Vec::new());
    while let Some(event) = connection.receive(&mut input, &mut scratch)? {
        let text = String::from_utf8_lossy(scratch.text()).into_owned();
        heard.push(match event {
            Event::Head { stream, ends, .. } => format!("{stream} {text}{ends}"),
            Event::Trailers { stream } => format!("{stream} {text}"),
            Event::Data { stream, bytes, ends } => {
                connection.user(stream).unwrap().extend(bytes);
                connection.give_back(stream, bytes.len());
                if !ends {
                    continue;
                }
                format!("{stream} {}", String::from_utf8_lossy(connection.user(stream).unwrap()))
            }
            other => format!("{other:?}"),
        });
    }
    Ok(heard)
}

/// What one says the other hears.
fn tell(from: &mut Conn, to: &mut Conn) -> Vec<String> {
    let said = from.output().to_vec();
    from.clear_output();
    hear(to, &said).unwrap()
}

fn greeted() -> (Conn, Conn) {
    let (mut client, mut server) = (new(CLIENT), new(SERVER));
    for _ in 0..2 {
        let _ = (tell(&mut client, &mut server), tell(&mut server, &mut client));
    }
    assert!(client.is_greeted() && server.is_greeted() && client.most_streams() == 100);
    (client, server)
}

/// What comes of frames behind the preface and SETTINGS, whole and in pieces.
fn judge(frames: &[Vec<u8>]) -> Result<(), Code> {
    let bytes = [receiving::PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat();
    let mut whole = new(SERVER);
    let result = hear(&mut whole, &bytes);
    for size in [1, 2, 7, 100] {
        let mut piecemeal = new(SERVER);
        let pieces: Result<Vec<_>, _> = bytes.chunks(size).map(|piece| hear(&mut piecemeal, piece)).collect();
        assert_eq!(pieces.map(|pieces| pieces.concat()), result, "{size}");
        assert_eq!(piecemeal.output(), whole.output());
    }
    result.map(drop).map_err(|fatal| fatal.code)
}

/// A request whose fields are all in the static table: GET https /, without an authority.
const BLOCK: &[u8] = &[0x82, 0x87, 0x84];

#[test]
fn a_request_and_its_response() {
    let (mut client, mut server) = greeted();
    let (id, announces) = client.request(GET, Vec::new()).unwrap();
    assert_eq!((id, announces), (1, false));
    client.end(id);
    let heard = tell(&mut client, &mut server);
    assert_eq!(heard, ["1 GET /a HTTP/1.1\r\nHost: a.example\r\nx-key: value\r\n\r\ntrue"]);
    server.respond(1, b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n", Manner::Plain).unwrap();
    server.respond(1, b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", Manner::Plain).unwrap();
    assert_eq!(server.send(1, b"hello"), Ok(5));
    server.end(1);
    let heard = tell(&mut server, &mut client);
    assert_eq!(
        heard,
        [
            "1 HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nfalse",
            "1 HTTP/1.1 200 OK\r\nserver: x\r\n\r\nfalse",
            "1 hello"
        ]
    );
    assert_eq!((client.open_streams(), server.open_streams()), (0, 0));
    assert!(!client.release(1, 0) && !server.release(1, 0));
    assert!(client.output().is_empty() && server.output().is_empty(), "nothing was given up");
}

#[test]
fn a_frame_that_has_left_cannot_end_its_stream() {
    let (mut client, mut server) = greeted();
    let (id, _) = client.request(GET, Vec::new()).unwrap();
    let _ = tell(&mut client, &mut server);
    assert_eq!(client.send(id, b"x"), Ok(1));
    let _ = tell(&mut client, &mut server);
    client.end(id);
    assert_eq!(client.output(), frame(DATA, END_STREAM, 1, b""));
    assert_eq!(tell(&mut client, &mut server), ["1 x"]);
    client.end(id);
    assert!(client.output().is_empty());
}

#[test]
fn trailers_end_a_stream() {
    let (mut client, mut server) = greeted();
    let (id, _) = client.request(GET, Vec::new()).unwrap();
    client.send(id, b"x").unwrap();
    let field = FieldRef { name: b"X-Sum", value: b"1", known: crate::http1::Known::Other };
    client.end_with(id, [field].into_iter());
    let heard = tell(&mut client, &mut server);
    assert_eq!(heard.last().unwrap(), "1 x-sum: 1\r\n\r\n");
    assert_eq!(client.send(id, b"y"), Err(crate::http2::Closed));
}

#[test]
fn bodies_keep_to_the_windows() {
    let (mut client, mut server) = greeted();
    let ids = [(); 2].map(|()| client.request(GET, Vec::new()).unwrap().0);
    let body = vec![b'x'; 200_000];
    let mut left = [&body[..]; 2];
    for _ in 0..100 {
        for (id, left) in ids.iter().zip(&mut left) {
            let sent = client.send(*id, left).unwrap();
            *left = &left[sent..];
        }
        let _ = (tell(&mut client, &mut server), tell(&mut server, &mut client));
    }
    assert_eq!(left, [b"", b""]);
    assert!(ids.iter().all(|id| *server.user(*id).unwrap() == body));
    // What nobody uses is not given back.
    let (id, _) = client.request(GET, Vec::new()).unwrap();
    let _ = client.send(id, &body).unwrap();
    client.clear_output();
    let _ = client.send(id, &body).unwrap();
    assert_eq!(client.room(id), 0);
}

#[test]
fn a_stream_that_is_over_has_no_window() {
    let (mut client, mut server) = greeted();
    let ids = [(); 2].map(|()| client.request(GET, Vec::new()).unwrap().0);
    let _ = tell(&mut client, &mut server);
    let most = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
    let frames = [
        frame(WINDOW_UPDATE, 0, ids[0], &most),
        frame(RST_STREAM, 0, ids[0], &Code::CANCEL.0.to_be_bytes()),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0x11, 0x70]),
    ];
    let heard = hear(&mut server, &frames.concat()).unwrap();
    assert_eq!(heard.last().map(String::as_str), Some("Settings"));
    server.clear_output();
    assert_eq!(server.room(ids[1]), 64 * 1024, "all that is taken at a time");
}

/// RFC 9113, section 6.5.3: settings are processed in the order in which they stand.
#[test]
fn the_table_follows_each_of_its_sizes() {
    let (mut client, mut server) = greeted();
    for again in [false, true] {
        let (id, _) = client.request(GET, Vec::new()).unwrap();
        let _ = tell(&mut client, &mut server);
        server.respond(id, b"HTTP/1.1 200 OK\r\nserver: it\r\n\r\n", Manner::Plain).unwrap();
        server.end(id);
        let block = &server.output()[9..];
        assert_eq!(block.starts_with(&[0x20, 0x3f, 0xe1, 0x1f]), again, "{block:x?}");
        server.clear_output();
        let sizes = [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0];
        assert_eq!(hear(&mut server, &frame(SETTINGS, 0, 0, &sizes)).unwrap(), ["Settings"]);
        server.clear_output();
    }
}

#[test]
fn a_body_does_not_precede_its_head() {
    for (flags, payload) in [(0, &b""[..]), (0, b"x"), (PADDED, &[0])] {
        let (mut client, mut server) = greeted();
        let (id, _) = client.request(GET, Vec::new()).unwrap();
        let _ = tell(&mut client, &mut server);
        let heard = hear(&mut client, &frame(DATA, flags, id, payload)).unwrap();
        assert_eq!(heard, [format!("Reset {{ stream: {id}, by: Us }}")]);
    }
}

#[test]
fn a_large_head_goes_in_several_frames() {
    let (mut client, mut server) = greeted();
    let (value, pieces) = ("v".repeat(9_000), "w".repeat(6_900));
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {value}\r\ny: {pieces}\r\n\r\n");
    let (id, _) = client.request(text.as_bytes(), Vec::new()).unwrap();
    client.end(id);
    assert_eq!(tell(&mut client, &mut server), [format!("1 {text}true")]);
    // The limit of frames is below that of heads.
    let (mut client, mut server) = (new(CLIENT), new(SERVER));
    client.peer.max_frame = 100;
    let _ = client.request(text.as_bytes(), Vec::new()).unwrap();
    client.end(1);
    let fatal = hear(&mut server, client.output()).unwrap_err();
    assert_eq!(fatal.code, Code::ENHANCE_YOUR_CALM, "a block in a hundred pieces");
    client.peer.max_frame = 1_500;
    let (mut client, mut server) = (new(CLIENT), new(SERVER));
    client.peer.max_frame = 1_500;
    let _ = client.request(text.as_bytes(), Vec::new()).unwrap();
    client.end(1);
    assert_eq!(hear(&mut server, client.output()).unwrap().last().unwrap(), &format!("1 {text}true"));
}

#[test]
fn a_connection_ends_in_order() {
    let (mut client, mut server) = greeted();
    let ids = [(); 2].map(|()| client.request(GET, Vec::new()).unwrap().0);
    server.shut_down();
    // Those that were on their way are served.
    assert_eq!(tell(&mut client, &mut server).len(), 2);
    assert!(!server.try_end());
    let _ = tell(&mut server, &mut client);
    assert!(!client.takes_streams());
    let _ = tell(&mut client, &mut server);
    for id in ids {
        assert!(!server.try_end());
        server.respond(id, b"HTTP/1.1 204 No Content\r\n\r\n", Manner::Plain).unwrap();
        server.end(id);
        let _ = server.release(id, 0);
    }
    assert!(server.try_end() && server.told().is_none() && !server.is_broken_off());
    let heard = tell(&mut server, &mut client);
    assert!(heard.contains(&"Leaves { last: 3 }".to_owned()), "{heard:?}");
}

#[test]
fn the_last_stream_that_a_client_is_told_stays_the_last() {
    let (mut client, mut server) = greeted();
    let _ = client.request(GET, Vec::new()).unwrap();
    let crossing = frame(HEADERS, END_HEADERS | END_STREAM, 3, BLOCK);
    assert_eq!(tell(&mut client, &mut server).len(), 1);
    server.take_no_more();
    assert!(server.output().is_empty(), "the end was not announced");
    server.shut_down();
    server.clear_output();
    server.take_no_more();
    server.take_no_more();
    assert!(hear(&mut server, &crossing).unwrap().is_empty());
    assert!(hear(&mut server, &frame(PING, 0, 0, b"long")).is_err());
    let mut expected = Vec::new();
    write_goaway(1, Code::NO_ERROR, &mut expected);
    write_goaway(1, Code::FRAME_SIZE, &mut expected);
    assert_eq!(server.output(), expected);
    assert!(server.is_broken_off());
}

#[test]
fn what_a_server_has_not_looked_at_is_over() {
    let (mut client, mut server) = greeted();
    let ids = [(); 2].map(|()| client.request(GET, Vec::new()).unwrap().0);
    let mut goaway = Vec::new();
    write_goaway(1, Code::NO_ERROR, &mut goaway);
    assert_eq!(hear(&mut client, &goaway).unwrap(), ["Leaves { last: 1 }"]);
    assert_eq!(client.send(ids[1], b"x"), Err(crate::http2::Closed));
    assert_eq!(client.send(ids[0], b"x"), Ok(1));
    assert!(client.request(GET, Vec::new()).is_err());
    let _ = tell(&mut client, &mut server);
}

#[test]
fn what_a_server_says_too_much_is_ignored() {
    let (mut client, mut server) = greeted();
    let (id, _) = client.request(GET, Vec::new()).unwrap();
    let (other, _) = client.request(GET, Vec::new()).unwrap();
    let _ = tell(&mut client, &mut server);
    server.respond(id, b"HTTP/1.1 200 OK\r\n\r\n", Manner::Plain).unwrap();
    server.end(id);
    let head = server.output().to_vec();
    let late = [&head[..], &head, &frame(DATA, END_STREAM, id, b"late"), &head].concat();
    assert_eq!(hear(&mut client, &late).unwrap(), ["1 HTTP/1.1 200 OK\r\n\r\ntrue"]);
    let _ = client.release(id, 0);
    assert!(hear(&mut client, &late).unwrap().is_empty());
    assert_eq!(client.send(other, b"goes on"), Ok(7));
}

#[test]
fn a_list_of_fields_that_is_too_large_harms_one_stream() {
    let (mut client, mut server) = greeted();
    server.peer.max_frame = 16_000;
    for (size, is_read) in [(100_000, true), (135_000, false)] {
        let (id, _) = client.request(GET, Vec::new()).unwrap();
        let _ = tell(&mut client, &mut server);
        let text = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "v".repeat(size));
        server.respond(id, text.as_bytes(), Manner::Plain).unwrap();
        let heard = tell(&mut server, &mut client);
        let reset = format!("{:?}", Event::Reset { stream: id, by: ResetBy::Us });
        assert_eq!(heard == [reset], !is_read, "{size}");
    }
    assert!(client.takes_streams());
}

#[test]
fn a_stream_that_its_user_leaves_is_given_up() {
    let (mut client, mut server) = greeted();
    let (id, _) = client.request(GET, Vec::new()).unwrap();
    let _ = tell(&mut client, &mut server);
    assert!(client.release(id, 0));
    assert_eq!(client.output(), frame(RST_STREAM, 0, id, &Code::CANCEL.0.to_be_bytes()));
    server.respond(id, b"HTTP/1.1 200 OK\r\n\r\n", Manner::Plain).unwrap();
    server.end(id);
    assert!(tell(&mut server, &mut client).is_empty(), "what was on its way is ignored");
    let heard = tell(&mut client, &mut server);
    assert_eq!(heard, [format!("{:?}", Event::Reset { stream: 1, by: ResetBy::Peer(Code::CANCEL) })]);
    let (id, _) = client.request(GET, Vec::new()).unwrap();
    let _ = tell(&mut client, &mut server);
    server.respond(id, b"HTTP/1.1 200 OK\r\n\r\n", Manner::Plain).unwrap();
    server.end(id);
    server.clear_output();
    assert!(server.release(id, 0));
    assert_eq!(server.output(), frame(RST_STREAM, 0, id, &[0; 4]), "the request was not wanted to its end");
}

#[test]
fn the_first_frame_is_settings() {
    for (first, expected) in [
        (frame(SETTINGS, 0, 0, &[]), Ok(vec![])),
        (frame(SETTINGS, ACK, 0, &[]), Err(Code::PROTOCOL)),
        (frame(PING, 0, 0, &[0; 8]), Err(Code::PROTOCOL)),
    ] {
        let heard = hear(&mut new(SERVER), &[receiving::PREFACE, &first].concat());
        let heard = heard.map(|_| Vec::<u8>::new()).map_err(|fatal| fatal.code);
        assert_eq!(heard, expected);
    }
    assert!(hear(&mut new(SERVER), b"GET / HTTP/1.1\r\n\r\n").is_err());
}

#[test]
fn nothing_follows_the_end_of_a_stream() {
    let request = |flags| frame(HEADERS, END_HEADERS | flags, 1, &[BLOCK, &[0x01, 1, b'a']].concat());
    let data = frame(DATA, 0, 1, b"x");
    assert_eq!(judge(&[request(END_STREAM), data.clone()]), Err(Code::STREAM_CLOSED));
    assert_eq!(judge(&[request(0), data.clone()]), Ok(()));
    let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
    assert_eq!(judge(&[request(0), reset, data]), Err(Code::STREAM_CLOSED));
}

#[test]
fn a_flood_of_frames_that_carry_nothing_ends() {
    let ping = frame(PING, ACK, 0, &[0; 8]);
    assert_eq!(judge(&[ping.repeat(1_990)]), Ok(()));
    assert_eq!(judge(&[ping.repeat(2_000)]), Err(Code::ENHANCE_YOUR_CALM));
    let open = frame(HEADERS, END_HEADERS, 1, &[BLOCK, &[0x01, 1, b'a']].concat());
    let padding = frame(DATA, 0x8, 1, &[0]);
    assert_eq!(judge(&[open, padding.repeat(2_005)]), Err(Code::ENHANCE_YOUR_CALM));
}

#[test]
fn resets_that_the_client_is_the_reason_of_are_counted() {
    let malformed = |id| frame(HEADERS, END_HEADERS | END_STREAM, id, &[0x82]);
    let frames = |count: u32| (0..count).map(|number| malformed(number * 2 + 1)).collect::<Vec<_>>();
    assert_eq!(judge(&frames(20)), Ok(()));
    assert_eq!(judge(&frames(21)), Err(Code::ENHANCE_YOUR_CALM));
}

#[test]
fn time_is_kept_of_what_is_unfinished() {
    let mut server = new(SERVER);
    let begin = [receiving::PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    assert!(hear(&mut server, &begin).is_ok() && server.unfinished_since_ms().is_none());
    server.set_time(5);
    assert!(hear(&mut server, &[0]).is_ok());
    server.set_time(9);
    assert!(hear(&mut server, &[0]).is_ok());
    assert_eq!(server.unfinished_since_ms(), Some(5));
    server.excuse();
    assert_eq!(server.unfinished_since_ms(), Some(9));
    let mut server = new(SERVER);
    let open = frame(HEADERS, 0, 1, BLOCK);
    server.set_time(7);
    assert!(hear(&mut server, &[&begin[..], &open].concat()).is_ok());
    assert_eq!(server.unfinished_since_ms(), Some(7), "of a block");
    server.set_time(8);
    assert!(hear(&mut server, &frame(9, END_HEADERS, 1, &[0x01, 1, b'a'])).is_ok());
    assert_eq!((server.unfinished_since_ms(), server.open_streams()), (None, 1));
    assert!(hear(&mut server, &frame(DATA, 0, 1, b"body")[..11]).is_ok());
    assert_eq!(server.unfinished_since_ms(), None, "a body takes the time that it takes");
}

#[test]
fn a_response_to_head_has_no_content() {
    let (mut client, mut server) = greeted();
    let head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (sends, is_right) in [(false, true), (true, false)] {
        let (id, _) = client.request(head, Vec::new()).unwrap();
        client.end(id);
        let _ = tell(&mut client, &mut server);
        server.respond(id, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Manner::Plain).unwrap();
        if sends {
            server.send(id, b"hello").unwrap();
        }
        server.end(id);
        let heard = tell(&mut server, &mut client);
        let reset = format!("{:?}", Event::Reset { stream: id, by: ResetBy::Us });
        assert_eq!(!heard.contains(&reset), is_right, "{heard:?}");
    }
}
