//! One end of an HTTP/2 connection to the proxy.
//!
//! It answers SETTINGS and PING as RFC 9113 demands, keeps the books of flow control in both directions and fails the
//! test when the proxy breaks a rule. What the test itself sends may be anything. What only one of the ends does is in
//! [`client`](crate::h2::client) and [`server`](crate::h2::server).

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;

use crate::h2::exchange::Exchange;
use crate::h2::frame::{self, Frame, LARGEST_WINDOW, LEAST_MAX_FRAME, flag, kind, setting};
use crate::h2::hpack::Reader;
use crate::h2::window::Windows;
use crate::message::Fields;
use crate::wire::Wire;

/// How the TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// In an orderly way.
    Close,
    /// By a reset.
    Reset,
}

/// What the server said before it left.
#[derive(Clone, Debug, PartialEq)]
pub struct GoAway {
    /// The last stream that it may have acted upon.
    pub last_stream: u32,
    /// Why.
    pub code: u32,
    /// Its debug data.
    pub debug: String,
}

/// What came on one stream, judged as it arrives.
pub trait Incoming: Clone + Debug + Default {
    /// Whether the proxy opens streams, and not we.
    const OPENED_BY_PEER: bool;

    /// Takes note of a field block.
    ///
    /// # Panics
    /// When it is not what may come now; so do the others.
    fn take_fields(&mut self, fields: Fields, ends: bool);

    /// Takes note of a piece of the body.
    fn take_data(&mut self, bytes: &[u8], ends: bool);

    /// Takes note of RST_STREAM.
    fn take_reset(&mut self, code: u32);

    /// The code of RST_STREAM.
    fn reset(&self) -> Option<u32>;

    /// Whether nothing more may come.
    fn is_over(&self) -> bool;

    /// All that matters, for messages of failure.
    fn summary(&self) -> String;
}

/// One HTTP/2 connection: of a client to the proxy, or with [`Call`](crate::h2::Call) of the proxy to a server.
pub struct Connection<I = Exchange> {
    /// The bytes.
    pub wire: Wire,
    /// Whether windows are opened again as DATA arrives.
    pub gives_credit: bool,
    /// Whether PING and SETTINGS are answered.
    pub answers: bool,
    /// The settings of the proxy.
    pub peer_settings: BTreeMap<u16, u32>,
    /// Every GOAWAY, in order.
    pub goaways: Vec<GoAway>,
    /// The payloads of acknowledged PINGs, in order.
    pub pongs: Vec<[u8; 8]>,
    /// How many of our SETTINGS were acknowledged.
    pub settings_acks: usize,
    /// How many frames came, by their type.
    pub seen: BTreeMap<u8, usize>,
    pub(super) streams: BTreeMap<u32, I>,
    block: Option<OpenBlock>,
    reader: Reader,
    receiving: Windows,
    sending: Windows,
    /// Window sizes that shrink only when the proxy has acknowledged them.
    unacknowledged: VecDeque<Option<u32>>,
    pub(super) next_stream: u32,
    end: Option<End>,
}

struct OpenBlock {
    stream: u32,
    ends_stream: bool,
    bytes: Vec<u8>,
}

impl<I: Incoming> Connection<I> {
    /// An end of a connection on which nothing was sent.
    pub(super) fn over(wire: Wire) -> Self {
        Self {
            wire,
            gives_credit: true,
            answers: true,
            peer_settings: BTreeMap::new(),
            goaways: Vec::new(),
            pongs: Vec::new(),
            settings_acks: 0,
            seen: BTreeMap::new(),
            streams: BTreeMap::new(),
            block: None,
            reader: Reader::default(),
            receiving: Windows::default(),
            sending: Windows::default(),
            unacknowledged: VecDeque::new(),
            next_stream: 1,
            end: None,
        }
    }

    /// Whether the SETTINGS of the proxy came.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        self.seen.contains_key(&kind::SETTINGS)
    }

    /// A setting of the proxy, or what holds without it (RFC 9113 section 6.5.2); `u32::MAX` for no limit.
    #[must_use]
    pub fn peer_setting(&self, id: u16) -> u32 {
        let default = match id {
            setting::HEADER_TABLE_SIZE => 4096,
            setting::ENABLE_PUSH => 1,
            setting::INITIAL_WINDOW_SIZE => 65_535,
            setting::MAX_FRAME_SIZE => 16_384,
            setting::MAX_CONCURRENT_STREAMS | setting::MAX_HEADER_LIST_SIZE => u32::MAX,
            _ => 0,
        };
        self.peer_settings.get(&id).copied().unwrap_or(default)
    }

    /// Sends frames in one write.
    ///
    /// # Panics
    /// When the connection is closed.
    #[track_caller]
    pub fn send(&mut self, frames: &[Frame]) {
        assert!(self.try_send(frames), "the proxy does not take {frames:?}: {}", self.summary());
    }

    /// Sends frames in one write, which the proxy may refuse to take.
    pub fn try_send(&mut self, frames: &[Frame]) -> bool {
        frames.iter().for_each(|frame| self.note_sent(frame));
        self.wire.send(&frame::bytes_of(frames)).is_ok()
    }

    /// Sends bytes of which no account is kept.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.wire.send(bytes).is_ok()
    }

    /// Sends a piece of a body as the windows of the proxy allow, reading meanwhile.
    ///
    /// # Panics
    /// When the connection ends before all is sent.
    #[track_caller]
    pub fn send_body(&mut self, stream: u32, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = self.until("the proxy opens its window", |connection| {
                usize::try_from(connection.sending.left(stream)).ok().filter(|left| *left > 0)
            });
            let (now, later) = bytes.split_at(left.min(LEAST_MAX_FRAME).min(bytes.len()));
            self.send(&[frame::data(stream, now)]);
            bytes = later;
        }
    }

    /// How much the proxy lets us send on a stream now.
    pub fn may_send(&mut self, stream: u32) -> i64 {
        self.sending.left(stream)
    }

    /// Ends a body.
    #[track_caller]
    pub fn finish(&mut self, stream: u32) {
        self.send(&[frame::data(stream, []).end()]);
    }

    /// What became of a stream, when that is known.
    ///
    /// # Panics
    /// When the connection ends before.
    #[track_caller]
    pub fn outcome(&mut self, stream: u32) -> I {
        self.until(&format!("the end of stream {stream}"), |connection| {
            Some(connection.exchange(stream)).filter(|exchange| exchange.is_over()).cloned()
        })
    }

    /// What came on a stream until now.
    #[must_use]
    pub fn exchange(&self, stream: u32) -> &I {
        self.streams.get(&stream).unwrap_or_else(|| panic!("stream {stream} was never opened"))
    }

    /// How many streams are over.
    #[must_use]
    pub fn streams_over(&self) -> usize {
        self.streams.values().filter(|exchange| exchange.is_over()).count()
    }

    /// Whether the connection was seen to end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Sends a PING and waits until it is acknowledged: whatever was sent before has been read by then.
    #[track_caller]
    pub fn round_trip(&mut self) {
        let before = self.pongs.len();
        self.send(&[frame::ping(*b"round  .")]);
        self.until("the PING is acknowledged", |connection| (connection.pongs.len() > before).then_some(()));
    }

    /// Asserts that a stream is reset with one of the codes.
    #[track_caller]
    pub fn expect_reset(&mut self, stream: u32, codes: &[u32]) {
        let exchange = self.outcome(stream);
        assert!(exchange.reset().is_some_and(|code| codes.contains(&code)), "not {codes:?}: {exchange:?}");
    }

    /// Asserts that the server says GOAWAY with one of the codes and closes the connection.
    #[track_caller]
    pub fn expect_goaway(&mut self, codes: &[u32]) {
        self.expect_end();
        let said = self.goaways.last().map(|goaway| goaway.code);
        assert!(said.is_some_and(|code| codes.contains(&code)), "not {codes:?}: {}", self.summary());
    }

    /// Waits until the connection is closed, and tells how.
    ///
    /// # Panics
    /// When it stays open.
    #[track_caller]
    pub fn expect_end(&mut self) -> End {
        while self.step() {}
        self.end.expect("known after the last step")
    }

    /// Reads frames until `probe` gives a value.
    ///
    /// # Panics
    /// When the connection ends before, or patience does.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut probe: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            if let Some(value) = probe(self) {
                return value;
            }
            assert!(self.step(), "waited in vain for {what}: {}", self.summary());
        }
    }

    /// Reads one frame and takes note of it; false at the end of the connection.
    ///
    /// # Panics
    /// When the frame breaks a rule, or none comes.
    #[track_caller]
    pub fn step(&mut self) -> bool {
        match self.read_frame() {
            Ok(Some(frame)) => self.take(&frame),
            Ok(None) => self.end = Some(End::Close),
            Err(error) if is_gone(&error) => self.end = Some(End::Reset),
            Err(error) => panic!("no frame: {error}: {}", self.summary()),
        }
        self.end.is_none()
    }

    /// Everything known, for messages of failure.
    #[must_use]
    pub fn summary(&self) -> String {
        let streams: Vec<String> =
            self.streams.iter().map(|(id, seen)| format!("{id}: {}", seen.summary())).collect();
        format!(
            "end {:?}, GOAWAY {:?}, frames by type {:?}, streams {streams:?}, unread {:?}",
            self.end,
            self.goaways,
            self.seen,
            String::from_utf8_lossy(self.wire.pending())
        )
    }

    fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        if self.wire.pending().is_empty() && self.wire.fill()? == 0 {
            return Ok(None);
        }
        let head = self.wire.exactly(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        assert!(length <= LEAST_MAX_FRAME, "a frame of {length} bytes, and nobody allowed that");
        let payload = self.wire.exactly(length)?;
        Ok(Some(frame::frame(head[3], head[4], stream, payload)))
    }

    fn note_sent(&mut self, frame: &Frame) {
        let stream = frame.stream & LARGEST_WINDOW;
        if stream != 0 && matches!(frame.kind, kind::HEADERS | kind::DATA) {
            self.streams.entry(stream).or_default();
            self.next_stream = self.next_stream.max((stream | 1).saturating_add(2));
        }
        match frame.kind {
            kind::DATA => self.sending.charge(stream, frame.payload.len()),
            kind::SETTINGS if !frame.has(flag::ACK) => self.note_own_settings(frame),
            kind::WINDOW_UPDATE if frame.payload.len() == 4 => {
                self.receiving.credit(stream, frame.number_at(0));
            }
            _ => {}
        }
    }

    fn note_own_settings(&mut self, frame: &Frame) {
        let window = values(frame).filter(|(id, _)| *id == setting::INITIAL_WINDOW_SIZE).last();
        let window = window.map(|(_, size)| size);
        if let Some(size) = window.filter(|size| i64::from(*size) > self.receiving.initial()) {
            self.receiving.set_initial(size);
        }
        self.unacknowledged.push_back(window);
    }

    fn take(&mut self, frame: &Frame) {
        *self.seen.entry(frame.kind).or_default() += 1;
        let in_block = self.block.as_ref().map(|block| block.stream);
        assert_eq!(
            in_block.is_some_and(|stream| stream == frame.stream),
            frame.kind == kind::CONTINUATION,
            "field blocks are contiguous: {frame:?}"
        );
        match frame.kind {
            kind::DATA => self.take_data(frame),
            kind::HEADERS => self.take_headers(frame),
            kind::CONTINUATION => self.take_block(&frame.payload, frame.has(flag::END_HEADERS)),
            kind::RST_STREAM => self.take_reset(frame),
            kind::SETTINGS => self.take_settings(frame),
            kind::PING => self.take_ping(frame),
            kind::GOAWAY => self.goaways.push(read_goaway(frame)),
            kind::WINDOW_UPDATE => self.take_window_update(frame),
            kind::PUSH_PROMISE => panic!("PUSH_PROMISE, which nobody enabled"),
            _ => {}
        }
    }

    fn take_data(&mut self, frame: &Frame) {
        let length = frame.payload.len();
        let left = self.receiving.left(frame.stream);
        assert!(length == 0 || left >= length as i64, "{length} bytes of DATA, and the window is {left}");
        self.receiving.charge(frame.stream, length);
        self.opened(frame).take_data(frame.content(), frame.has(flag::END_STREAM));
        if self.gives_credit && length > 0 {
            let mut updates = vec![frame::window_update(0, length as u32)];
            if !frame.has(flag::END_STREAM) {
                updates.push(frame::window_update(frame.stream, length as u32));
            }
            let _ = self.try_send(&updates);
        }
    }

    fn take_headers(&mut self, frame: &Frame) {
        if I::OPENED_BY_PEER && !self.streams.contains_key(&frame.stream) {
            self.admit(frame.stream);
        }
        let _ = self.opened(frame);
        let ends_stream = frame.has(flag::END_STREAM);
        self.block = Some(OpenBlock { stream: frame.stream, ends_stream, bytes: Vec::new() });
        self.take_block(frame.content(), frame.has(flag::END_HEADERS));
    }

    fn take_block(&mut self, fragment: &[u8], is_last: bool) {
        let Some(mut block) = self.block.take() else { return };
        block.bytes.extend(fragment);
        if !is_last {
            self.block = Some(block);
            return;
        }
        let fields = self.reader.read(block.bytes);
        let exchange = self.streams.get_mut(&block.stream).expect("HEADERS were checked");
        exchange.take_fields(fields, block.ends_stream);
    }

    fn take_reset(&mut self, frame: &Frame) {
        self.opened(frame).take_reset(frame.number_at(0));
    }

    fn take_settings(&mut self, frame: &Frame) {
        assert_eq!(frame.stream, 0, "{frame:?}");
        if frame.has(flag::ACK) {
            self.settings_acks += 1;
            let window = self.unacknowledged.pop_front().expect("an acknowledgement of nothing");
            window.into_iter().for_each(|size| self.receiving.set_initial(size));
            return;
        }
        for (id, value) in values(frame) {
            if id == setting::INITIAL_WINDOW_SIZE {
                self.sending.set_initial(value);
            }
            self.peer_settings.insert(id, value);
        }
        if self.answers {
            let _ = self.try_send(&[frame::settings_ack()]);
        }
    }

    fn take_ping(&mut self, frame: &Frame) {
        let payload: [u8; 8] = frame.payload.as_slice().try_into().expect("a PING has 8 bytes");
        if frame.has(flag::ACK) {
            self.pongs.push(payload);
        } else if self.answers {
            let _ = self.try_send(&[frame::ping(payload).flagged(flag::ACK)]);
        }
    }

    fn take_window_update(&mut self, frame: &Frame) {
        let increment = frame.number_at(0);
        assert!(increment > 0, "a WINDOW_UPDATE of nothing");
        self.sending.credit(frame.stream, increment);
        let window = *self.sending.window(frame.stream);
        assert!(window <= LARGEST_WINDOW.into(), "a window of {window}");
    }

    /// RFC 9113 section 5.1.1.
    fn admit(&mut self, stream: u32) {
        assert!(stream % 2 == 1 && stream >= self.next_stream, "stream {stream} is no new one of a client");
        self.next_stream = stream + 2;
        self.streams.insert(stream, I::default());
    }

    fn opened(&mut self, frame: &Frame) -> &mut I {
        let found = self.streams.get_mut(&frame.stream);
        found.unwrap_or_else(|| panic!("a frame on a stream that was never opened: {frame:?}"))
    }
}

/// The pairs of SETTINGS; a payload that is cut off ends them.
fn values(frame: &Frame) -> impl Iterator<Item = (u16, u32)> {
    frame.payload.chunks_exact(6).map(|pair| {
        (u16::from_be_bytes([pair[0], pair[1]]), u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
    })
}

fn read_goaway(frame: &Frame) -> GoAway {
    assert_eq!(frame.stream, 0, "{frame:?}");
    GoAway {
        last_stream: frame.number_at(0),
        code: frame.number_at(4),
        debug: String::from_utf8_lossy(&frame.payload[8..]).into_owned(),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
