//! A connection: what the peer's frames mean, and the frames that answer them.

mod blocks;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use super::Code;
use super::announced::Announced;
use super::calm::{Calm, Excess};
use super::flow::{FIRST_WINDOW, Inflow, Outflow};
use super::frames::{Frame, Frames, GOAWAY, MOST, WINDOW_UPDATE};
use super::hpack::{Decoder, Encoder};
use super::settings::{Limits, Peer};
use super::stream::{Progress, Streams};
use crate::end::EndReason;

/// Bytes of the table for the field blocks of the peer, by default (RFC 7541, section 4.2).
const TABLE_SIZE: u32 = 4096;
/// How many times more fields are read from a server than it was told that are wanted.
const SERVERS_MAY_EXCEED: u32 = 8;
/// Bytes of output whose memory is kept while there are no streams.
const KEPT: usize = 1024;

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The peer is a client, more than so many of whose streams may not be reset in a minute.
    Server {
        /// By the client, or because of what it does.
        most_resets: u32,
    },
    /// The peer is a server.
    Client {
        /// Whether requests are for `https`.
        https: bool,
    },
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The head of a request, which opens a stream, or of a response. Its text is in the scratch memory.
    Head {
        /// The stream.
        stream: u32,
        /// It is all that comes on the stream.
        ends: bool,
        /// It asks for a tunnel.
        is_tunnel: bool,
    },
    /// A part of a body.
    Data {
        /// The stream.
        stream: u32,
        /// The part, which may be empty if it is the last one.
        bytes: &'a [u8],
        /// It is the last one.
        ends: bool,
    },
    /// The trailers, which are the end of a stream. Their text is in the scratch memory.
    Trailers {
        /// The stream.
        stream: u32,
    },
    /// A stream is over.
    Reset {
        /// The stream.
        stream: u32,
        /// Who has ended it.
        by: ResetBy,
    },
    /// A request that opened no stream for anybody: it was answered or reset at once.
    Refused {
        /// Why.
        reason: EndReason,
        /// The length of its field block.
        bytes: usize,
    },
    /// More may be sent: on one stream, or on all of them together.
    Room {
        /// The stream; 0 is the connection.
        stream: u32,
    },
    /// The peer has said what it allows, on any stream.
    Settings,
    /// The peer takes no streams beyond this one. Those that are were not looked at, and are over.
    Leaves {
        /// The last one that it has looked at.
        last: u32,
    },
}

/// Who has ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetBy {
    /// The peer, with this code.
    Peer(Code),
    /// We, because of what the peer has sent.
    Us,
}

/// The connection has to end. The peer is told so by the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// What the peer is told.
    pub code: Code,
    /// What there is too much of, if that is why.
    pub excess: Option<&'static str>,
}

impl From<Code> for Fatal {
    fn from(code: Code) -> Self {
        Self { code, excess: None }
    }
}

impl From<Excess> for Fatal {
    fn from(excess: Excess) -> Self {
        Self { code: Excess::CODE, excess: Some(excess.0) }
    }
}

/// How far the orderly end of a connection to a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// Not begun.
    None,
    /// The client knows that there is to be an end; streams that it has opened meanwhile are served.
    Announced,
    /// Nothing more is taken.
    Said,
}

/// An HTTP/2 connection whose streams carry a `T` each for their user.
#[derive(Debug)]
pub struct Connection<T> {
    side: Side,
    limits: Limits,
    peer: Peer,
    streams: Streams<T>,
    /// The highest stream that the peer has opened, or, for a client, that we have.
    last: u32,
    /// The highest of the peer's streams that was looked at: none is once the client was told which is the last one.
    last_taken: u32,
    receiver: Receiver,
    sender: Sender,
    /// Judges a client.
    calm: Option<Calm>,
    announced: Announced,
    farewell: Farewell,
    /// The peer opens no more streams, or takes none.
    is_left: bool,
    /// What the peer was told that the connection ends over. Nothing more is heard from it.
    told: Option<Code>,
    is_broken_off: bool,
}

/// What belongs to the bytes that come.
#[derive(Debug)]
struct Receiver {
    frames: Frames,
    frame: Frame,
    /// Bytes of the preface that are here.
    preface: usize,
    is_greeted: bool,
    /// The peer knows our SETTINGS.
    is_known: bool,
    /// The payload of a frame that comes in pieces.
    payload: Vec<u8>,
    /// A field block that comes in several frames.
    block: Option<blocks::Block>,
    content: receiving::Content,
    decoder: Decoder,
    inflow: Inflow,
    now_ms: u64,
    unfinished_since_ms: Option<u64>,
}

/// What belongs to the bytes that go.
#[derive(Debug)]
struct Sender {
    out: Vec<u8>,
    /// Bytes that were sent before these.
    before: u64,
    encoder: Encoder,
    outflow: Outflow,
}

impl<T> Connection<T> {
    /// Begins a connection: what our side says first is in the output.
    #[must_use]
    pub fn new(side: Side, limits: Limits) -> Self {
        let (is_server, calm) = match side {
            Side::Server { most_resets } => (true, Some(Calm::new(most_resets))),
            Side::Client { .. } => (false, None),
        };
        let mut out = Vec::new();
        if !is_server {
            out.extend_from_slice(receiving::PREFACE);
        }
        limits.write(is_server, &mut out);
        let mut inflow = Inflow::new(FIRST_WINDOW);
        let more = limits.connection_window.min(MOST).saturating_sub(FIRST_WINDOW);
        if more > 0 {
            inflow.resize(FIRST_WINDOW + more);
            write_number(WINDOW_UPDATE, 0, more, &mut out);
        }
        Self {
            side,
            limits,
            peer: Peer::default(),
            streams: Streams::new(),
            last: 0,
            last_taken: 0,
            receiver: Receiver {
                frames: Frames::default(),
                frame: Frame::default(),
                preface: if is_server { 0 } else { receiving::PREFACE.len() },
                is_greeted: false,
                is_known: false,
                payload: Vec::new(),
                block: None,
                content: receiving::Content::default(),
                decoder: Decoder::new(TABLE_SIZE),
                inflow,
                now_ms: 0,
                unfinished_since_ms: None,
            },
            sender: Sender {
                out,
                before: 0,
                // Servers are near.
                encoder: Encoder::new(is_server),
                outflow: Outflow::new(FIRST_WINDOW),
            },
            calm,
            announced: Announced::default(),
            farewell: Farewell::None,
            is_left: false,
            told: None,
            is_broken_off: false,
        }
    }

    /// Moves time on.
    pub fn set_time(&mut self, now_ms: u64) {
        self.receiver.now_ms = now_ms;
        if let Some(calm) = &mut self.calm {
            calm.set_time(now_ms);
        }
    }

    /// Whether the peer has begun to speak HTTP/2: the preface of a client is here, or the SETTINGS of a server.
    #[must_use]
    pub fn is_greeted(&self) -> bool {
        match self.side {
            Side::Server { .. } => self.receiver.preface == receiving::PREFACE.len(),
            Side::Client { .. } => self.receiver.is_greeted,
        }
    }

    /// The time since which the header of a frame, or a field block, is arriving. Until it is complete no stream can wait
    /// for what is missing, and none can go on.
    #[must_use]
    pub fn unfinished_since_ms(&self) -> Option<u64> {
        self.receiver.unfinished_since_ms
    }

    /// Begins anew to measure how long something is arriving: nobody has looked for it.
    pub fn excuse(&mut self) {
        let Receiver { unfinished_since_ms, now_ms, .. } = &mut self.receiver;
        *unfinished_since_ms = unfinished_since_ms.map(|_| *now_ms);
    }

    /// The code of the error that the peer was told that the connection ends over.
    #[must_use]
    pub fn told(&self) -> Option<Code> {
        self.told.filter(|code| *code != Code::NO_ERROR)
    }

    /// How many streams are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.open_count()
    }

    /// Whether somebody still uses a stream, be it over or not.
    #[must_use]
    pub fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Whether there is nothing left to do but to send the output.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.told.is_some()
    }

    /// Whether the connection was ended before its streams were.
    #[must_use]
    pub fn is_broken_off(&self) -> bool {
        self.is_broken_off
    }

    /// Streams that the peer, a server, allows at a time; 0 before it has said so.
    #[must_use]
    pub fn most_streams(&self) -> usize {
        if self.receiver.is_greeted { self.peer.streams as usize } else { 0 }
    }

    /// Whether a stream can be opened, if there are not too many.
    #[must_use]
    pub fn takes_streams(&self) -> bool {
        self.told.is_none() && !self.is_left && self.last < MOST
    }

    /// What the user of a stream keeps there.
    pub fn user(&mut self, stream: u32) -> Option<&mut T> {
        self.streams.get_mut(stream).map(|stream| &mut stream.user)
    }

    /// The same of all streams.
    pub fn users(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.streams.iter_mut().map(|(id, stream)| (id, &mut stream.user))
    }

    /// Whether all that the peer sends on a stream has come.
    #[must_use]
    pub fn has_all(&self, stream: u32) -> bool {
        self.streams.get(stream).is_none_or(|stream| stream.receiving == Progress::End)
    }

    /// What a stream that is opened now may have under way. Until the peer knows our SETTINGS it goes by its own.
    fn stream_window(&self) -> u32 {
        if self.receiver.is_known { self.limits.stream_window } else { FIRST_WINDOW }
    }

    /// The largest list of fields that is read. Of a server, who shares the connection with others, more than it was told that
    /// is wanted: what is too large is then refused by itself.
    const fn most_fields(&self) -> u32 {
        match self.side {
            Side::Server { .. } => self.limits.header_list,
            Side::Client { .. } => self.limits.header_list.saturating_mul(SERVERS_MAY_EXCEED),
        }
    }

    const fn is_server(&self) -> bool {
        matches!(self.side, Side::Server { .. })
    }

    /// Whether nobody has opened it yet.
    fn is_idle(&self, stream: u32) -> bool {
        // Those with even numbers would be for servers to open, which is not allowed.
        stream > self.last || stream.is_multiple_of(2)
    }
}

/// Writes a frame that has a number as its payload.
fn write_number(kind: u8, stream: u32, number: u32, out: &mut Vec<u8>) {
    Frame { len: 4, kind, flags: 0, stream }.write(out);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Writes a GOAWAY frame.
fn write_goaway(last: u32, code: Code, out: &mut Vec<u8>) {
    Frame { len: 8, kind: GOAWAY, flags: 0, stream: 0 }.write(out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}
