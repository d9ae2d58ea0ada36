//! What a client sends, as bytes, and what the guard makes of it.

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const MOST_RESETS: u32 = 20;

/// Behind the preface and SETTINGS.
fn greeted() -> Guard {
    let mut guard = Guard::new(MOST_RESETS);
    let begin = [vec![0; PREFACE_LEN], frame(SETTINGS, 0, 0, &[])].concat();
    assert_eq!(guard.inspect(&begin), Ok(()));
    guard
}

fn judge(frames: &[Vec<u8>]) -> Result<(), Code> {
    let bytes = [vec![0; PREFACE_LEN], frames.concat()].concat();
    let mut whole = Guard::new(MOST_RESETS);
    let result = whole.inspect(&bytes);
    let mut piecemeal = Guard::new(MOST_RESETS);
    assert_eq!(bytes.chunks(1).try_for_each(|byte| piecemeal.inspect(byte)), result);
    result
}

#[test]
fn the_first_frame_is_settings() {
    assert_eq!(judge(&[frame(SETTINGS, 0, 0, &[])]), Ok(()));
    assert_eq!(judge(&[frame(SETTINGS, ACK, 0, &[])]), Err(Code::Protocol));
    assert_eq!(judge(&[frame(PING, 0, 0, &[0; 8])]), Err(Code::Protocol));
}

#[test]
fn nothing_follows_the_end_of_a_stream() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82]);
    let data = frame(DATA, 0, 1, b"x");
    assert_eq!(judge(&[settings.clone(), request.clone(), data.clone()]), Err(Code::StreamClosed));
    let open = frame(HEADERS, END_HEADERS, 1, &[0x82]);
    assert_eq!(judge(&[settings.clone(), open.clone(), data.clone()]), Ok(()));
    let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
    assert_eq!(judge(&[settings, open, reset, data]), Err(Code::StreamClosed));
}

#[test]
fn streams_that_were_given_up_by_us_are_no_crime_of_the_client() {
    let mut guard = greeted();
    let stream = |number: usize| u32::try_from(number * 2 + 1).unwrap();
    for number in 0..=MOST_OPEN {
        assert_eq!(guard.inspect(&frame(HEADERS, END_HEADERS, stream(number), &[0x82])), Ok(()));
    }
    let data = |number: usize| frame(DATA, END_STREAM, stream(number), b"x");
    assert_eq!(guard.inspect(&data(0)), Ok(()), "forgotten");
    assert_eq!(guard.inspect(&data(MOST_OPEN)), Ok(()));
    assert_eq!(guard.inspect(&data(MOST_OPEN)), Err(Code::StreamClosed), "not forgotten");
}

#[test]
fn a_client_that_only_chatters_is_ended() {
    let ping = frame(PING, 0, 0, &[0; 8]);
    let chatter = |guard: &mut Guard| (0..).find(|_| guard.inspect(&ping).is_err()).unwrap();
    let mut guard = greeted();
    assert_eq!(chatter(&mut guard), CALM - 1);
    assert_eq!(guard.verdict(), Some(Code::EnhanceYourCalm));
    let mut guard = greeted();
    assert_eq!((0..CALM / 2).try_for_each(|_| guard.inspect(&ping)), Ok(()));
    guard.set_time(3_600_000);
    assert_eq!(guard.note_sent(&frame(DATA, 0, 1, b"x").repeat(CALM as usize)), None);
    assert_eq!(chatter(&mut guard), CALM, "no more is saved up");
}

#[test]
fn each_message_that_a_client_is_sent_may_be_answered_by_windows_and_a_ping() {
    let mut guard = greeted();
    let message = frame(DATA, 0, 1, &[0; 30]);
    let answer = [
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(WINDOW_UPDATE, 0, 1, &[0; 4]),
        frame(PING, 0, 0, &[0; 8]),
    ];
    for piece in message.repeat(CALM as usize).chunks(1_000) {
        assert_eq!(guard.note_sent(piece), None);
        let answers = piece.len().div_ceil(message.len());
        assert_eq!((0..answers).try_for_each(|_| guard.inspect(&answer.concat())), Ok(()));
    }
}

#[test]
fn answers_to_chatter_earn_nothing() {
    let (ping, pong) = (frame(PING, 0, 0, &[0; 8]), frame(PING, ACK, 0, &[0; 8]));
    let mut guard = greeted();
    let begun = (0..).find(|_| {
        let _ = guard.note_sent(&pong);
        guard.inspect(&ping).is_err()
    });
    assert_eq!(begun, Some(CALM - 1));
}

#[test]
fn resets_are_counted_by_the_minute() {
    let mut guard = greeted();
    let code = |code: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    for minute in 0..10 {
        guard.set_time(minute * MINUTE_MS);
        assert_eq!(guard.note_sent(&code(0x1).repeat(MOST_RESETS as usize - 1)), None);
        guard.note_reset();
        // Those are not for anything that the client has done.
        let blameless = [code(0x0), code(0x2), code(0x8)].concat();
        assert_eq!(guard.note_sent(&blameless.repeat(MOST_RESETS as usize)), None);
        assert_eq!(guard.verdict(), None, "minute {minute}");
    }
    let _ = guard.note_sent(&code(0x1));
    assert_eq!(guard.verdict(), Some(Code::EnhanceYourCalm));
}

#[test]
fn only_a_goaway_is_corrected_and_only_after_a_block_that_cannot_be_decoded() {
    let broken = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]);
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1]);
    let look_alike = frame(DATA, 0, 1, &goaway);
    let mut guard = greeted();
    assert_eq!(guard.inspect(&broken), Ok(()));
    assert_eq!(guard.note_sent(&look_alike), None);
    assert_eq!(guard.note_sent(&[look_alike.clone(), goaway.clone()].concat()), Some(look_alike.len() + 13));
    assert_eq!(guard.told(), Some(9));
    assert_eq!(guard.note_sent(&frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2])), None);
    assert_eq!(guard.told(), Some(2));
    assert_eq!(guard.inspect(&frame(PING, 0, 0, &[0; 8])), Ok(()));
    assert_eq!(guard.note_sent(&goaway), None, "about something else");
}

#[test]
fn an_idle_connection_keeps_little() {
    let mut guard = greeted();
    let long = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82; 16_000]);
    assert_eq!(guard.inspect(&long), Ok(()));
    assert_eq!(guard.inspect(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x82])), Ok(()));
    assert_eq!(guard.take(3).block.map(|block| block.len), Some(1));
    assert!(guard.payload.capacity() <= KEPT);
}

#[test]
fn a_field_block_is_measured_without_padding_and_priority() {
    let mut guard = greeted();
    let flags = END_STREAM | PADDED | WITH_PRIORITY;
    let padded = [&[3, 0, 0, 0, 0, 7][..], &[0x82; 10], &[0; 3]].concat();
    let rest = frame(CONTINUATION, END_HEADERS, 1, &[0x82; 5]);
    assert_eq!(guard.inspect(&[frame(HEADERS, flags, 1, &padded), rest].concat()), Ok(()));
    assert_eq!(guard.take(1).block.map(|block| block.len), Some(15));
    assert_eq!(guard.take(1), Opening::default());
}

#[test]
fn what_is_unfinished_is_so_from_its_first_byte_to_its_last() {
    let mut guard = greeted();
    let mut at = |now_ms, bytes: &[u8]| {
        guard.set_time(now_ms);
        guard.inspect(bytes).unwrap();
        guard.unfinished_since_ms()
    };
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82; 4]);
    assert_eq!(at(1, &whole), None);
    assert_eq!(at(2, &whole[..1]), Some(2));
    assert_eq!(at(3, &whole[1..5]), Some(2));
    let next = frame(HEADERS, 0, 3, &[0x82; 4]);
    let mut guard = greeted();
    let mut at = |now_ms, bytes: &[u8]| {
        guard.set_time(now_ms);
        guard.inspect(bytes).unwrap();
        guard.unfinished_since_ms()
    };
    assert_eq!(at(4, &next), Some(4));
    assert_eq!(at(5, &frame(CONTINUATION, 0, 3, &[0x82])), Some(4));
    let last = frame(CONTINUATION, END_HEADERS, 3, &[0x82; 4]);
    assert_eq!(at(6, &last[..11]), Some(4));
    assert_eq!(at(7, &last[11..]), None);
    assert_eq!(at(8, &frame(DATA, 0, 3, b"body")[..10]), None, "bodies have time-outs of their own");
}

fn update(stream: u32, value: &[u8]) -> Vec<u8> {
    frame(PRIORITY_UPDATE, 0, 0, &[&stream.to_be_bytes()[..], value].concat())
}

#[test]
fn a_priority_is_heeded_until_its_stream_is_taken() {
    let mut guard = greeted();
    let request = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82]);
    let urgency = |opening: Opening| opening.priority.map(|priority| priority.urgency);
    let early = [update(1, b"u=6"), update(5, b"u=5"), update(3, b"u=1"), update(3, b"i")].concat();
    assert_eq!(guard.inspect(&early), Ok(()));
    assert_eq!(guard.inspect(&[request(3), request(7), update(7, b"u=7")].concat()), Ok(()));
    assert_eq!(guard.take(3).priority, Some(Priority { urgency: 3, incremental: true }), "the last one");
    assert_eq!(urgency(guard.take(7)), Some(7), "while it waits");
    assert_eq!(guard.inspect(&[update(7, b"u=0"), request(9)].concat()), Ok(()));
    assert_eq!(urgency(guard.take(7)), None);
    assert_eq!(guard.take(9).priority, None);
}

#[test]
fn a_client_may_announce_some_priorities_and_no_more() {
    let mut guard = greeted();
    let stream = |number: u32| number * 2 + 1;
    for number in 0..100 {
        assert_eq!(guard.inspect(&update(stream(number), b"u=0")), Ok(()));
    }
    let heeded = (0..100).filter(|number| {
        assert_eq!(guard.inspect(&frame(HEADERS, END_HEADERS, stream(*number), &[0x82])), Ok(()));
        guard.take(stream(*number)).priority.is_some()
    });
    assert_eq!(heeded.collect::<Vec<_>>(), (36..100).collect::<Vec<_>>());
}

/// RFC 9218 7.1.
#[test]
fn a_priority_is_that_of_a_clients_stream_and_told_on_the_connection() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let wrong = |frame: Vec<u8>| judge(&[settings.clone(), frame]).unwrap_err();
    assert_eq!(wrong(frame(PRIORITY_UPDATE, 0, 1, &[0, 0, 0, 1])), Code::Protocol);
    assert_eq!(wrong(frame(PRIORITY_UPDATE, 0, 0, &[0, 0, 1])), Code::FrameSize);
    assert_eq!(wrong(update(0, b"u=1")), Code::Protocol);
    assert_eq!(wrong(update(2, b"u=1")), Code::Protocol);
    assert_eq!(judge(&[settings.clone(), update(1 << 31 | 1, b"?\0\xff")]), Ok(()));
    let many = update(1, b"u=1").repeat(CALM as usize + 1);
    assert_eq!(judge(&[settings, many]), Err(Code::EnhanceYourCalm));
}

#[test]
fn what_was_refused_without_being_taken_is_told_once() {
    let mut guard = greeted();
    let request = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82]);
    assert_eq!(guard.inspect(&[1, 3, 5, 7].map(request).concat()), Ok(()));
    let reset = |stream, code| frame(RST_STREAM, 0, stream, &[0, 0, 0, code]);
    let answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]);
    let sent = [answer, reset(1, 1), reset(3, 1), reset(5, 1), reset(7, 7)].concat();
    assert_eq!(guard.note_sent(&sent), None);
    assert!(guard.take(3).block.is_some(), "served all the same");
    assert_eq!(guard.take_refused(false), Some(EndReason::HeadTooLarge));
    assert_eq!(guard.take_refused(false), Some(EndReason::BadRequest));
    assert_eq!(guard.take_refused(false), None);
    let long = frame(HEADERS, END_HEADERS | END_STREAM, 9, &[0x82; MOST_BLOCK + 1]);
    assert_eq!(guard.inspect(&long), Ok(()));
    assert_eq!(guard.note_sent(&frame(HEADERS, END_HEADERS | END_STREAM, 9, &[0x88])), None);
    assert_eq!(guard.take_refused(false), Some(EndReason::HeadTooLarge), "not looked at");
}

#[test]
fn of_a_stream_that_was_reset_nothing_is_known_once_the_connection_is_over() {
    let mut guard = greeted();
    for stream in [1, 3] {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82]);
        assert_eq!(guard.inspect(&request), Ok(()));
        assert_eq!(guard.inspect(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])), Ok(()));
    }
    assert_eq!(guard.take_refused(false), Some(EndReason::BadRequest));
    assert_eq!(guard.take_refused(true), Some(EndReason::ClientClosed));
}

#[test]
fn what_there_is_too_much_of_has_a_name() {
    let mut guard = greeted();
    assert_eq!(guard.excess(), None);
    (0..=MOST_RESETS).for_each(|_| guard.note_reset());
    assert_eq!(guard.excess(), Some("streams that are reset"));
    let _ = guard.inspect(&frame(PING, 0, 0, &[0; 8]).repeat(CALM as usize));
    assert_eq!(guard.excess(), Some("frames that carry nothing"));
    let mut guard = greeted();
    assert!(guard.inspect(&frame(PING, 0, 0, &[0; 7])).is_err());
    assert_eq!(guard.excess(), None);
}

#[test]
fn trailers_have_no_pseudo_fields() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let open = frame(HEADERS, END_HEADERS, 1, &[0x82]);
    let trailers = |block| frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    assert_eq!(judge(&[settings.clone(), open.clone(), trailers(b"\x00\x01x\x01y")]), Ok(()));
    for block in [&b"\x82"[..], b"\x00\x05:path\x01/", b"\x04\x01/"] {
        let frames = [settings.clone(), open.clone(), trailers(block)];
        assert_eq!(judge(&frames), Err(Code::Protocol), "{block:?}");
    }
}

#[test]
fn lengths_and_windows_have_their_own_codes() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    for (kind, len) in
        [(PING, 7), (RST_STREAM, 3), (WINDOW_UPDATE, 5), (GOAWAY, 7), (PRIORITY, 4), (SETTINGS, 5)]
    {
        let wrong = frame(kind, 0, 1, &vec![0; len]);
        assert_eq!(judge(&[settings.clone(), wrong]), Err(Code::FrameSize), "{kind}");
    }
    let window = frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
    assert_eq!(judge(&[settings, window]), Err(Code::FlowControl));
}
