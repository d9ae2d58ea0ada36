//! Frames as bytes (RFC 9113 sections 4 and 6).

/// What a client sends first (RFC 9113 section 3.4), before its SETTINGS.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest window there is (RFC 9113 section 6.9.1).
pub const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The payload that every receiver takes (RFC 9113 section 4.2).
pub const LEAST_MAX_FRAME: usize = 16_384;

/// Types of frames.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    /// RFC 9218 section 7.1.
    pub const PRIORITY_UPDATE: u8 = 16;
}

/// Flags of frames.
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

/// Settings (RFC 9113 section 6.5.2, RFC 8441 section 3).
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// Error codes (RFC 9113 section 7).
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const SETTINGS_TIMEOUT: u32 = 4;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const CONNECT_ERROR: u32 = 10;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// One frame, valid or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, with the reserved bit where a test sets it.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The length that it claims to have, when that is not the length of its payload.
    pub claimed_length: Option<u32>,
}

/// A frame of any kind.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame { kind, flags, stream, payload: payload.into(), claimed_length: None }
}

/// DATA, more to come.
#[must_use]
pub fn data(stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    frame(kind::DATA, 0, stream, payload)
}

/// HEADERS with the whole field block, more to come.
#[must_use]
pub fn headers(stream: u32, block: impl Into<Vec<u8>>) -> Frame {
    frame(kind::HEADERS, flag::END_HEADERS, stream, block)
}

/// HEADERS whose field block goes on in CONTINUATION.
#[must_use]
pub fn open_headers(stream: u32, block: impl Into<Vec<u8>>) -> Frame {
    frame(kind::HEADERS, 0, stream, block)
}

/// CONTINUATION, the last of its field block.
#[must_use]
pub fn continuation(stream: u32, block: impl Into<Vec<u8>>) -> Frame {
    frame(kind::CONTINUATION, flag::END_HEADERS, stream, block)
}

/// CONTINUATION with more of its field block to come.
#[must_use]
pub fn open_continuation(stream: u32, block: impl Into<Vec<u8>>) -> Frame {
    frame(kind::CONTINUATION, 0, stream, block)
}

/// PRIORITY; `weight` as it stands in the frame, one less than what it means.
#[must_use]
pub fn priority(stream: u32, depends_on: u32, weight: u8) -> Frame {
    frame(kind::PRIORITY, 0, stream, priority_fields(depends_on, weight))
}

/// The five bytes of a priority.
#[must_use]
pub fn priority_fields(depends_on: u32, weight: u8) -> Vec<u8> {
    let mut payload = depends_on.to_be_bytes().to_vec();
    payload.push(weight);
    payload
}

/// PRIORITY_UPDATE for a stream (RFC 9218 section 7.1).
#[must_use]
pub fn priority_update(stream: u32, value: &str) -> Frame {
    frame(kind::PRIORITY_UPDATE, 0, 0, [&stream.to_be_bytes(), value.as_bytes()].concat())
}

/// RST_STREAM.
#[must_use]
pub fn reset(stream: u32, code: u32) -> Frame {
    frame(kind::RST_STREAM, 0, stream, code.to_be_bytes())
}

/// SETTINGS with values by identifier.
#[must_use]
pub fn settings(values: &[(u16, u32)]) -> Frame {
    let pairs =
        values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat());
    frame(kind::SETTINGS, 0, 0, pairs.collect::<Vec<u8>>())
}

/// The acknowledgement of SETTINGS.
#[must_use]
pub fn settings_ack() -> Frame {
    frame(kind::SETTINGS, flag::ACK, 0, [])
}

/// PUSH_PROMISE with the whole field block.
#[must_use]
pub fn push_promise(stream: u32, promised: u32, block: impl Into<Vec<u8>>) -> Frame {
    let payload = [promised.to_be_bytes().to_vec(), block.into()].concat();
    frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, payload)
}

/// PING.
#[must_use]
pub fn ping(payload: [u8; 8]) -> Frame {
    frame(kind::PING, 0, 0, payload)
}

/// GOAWAY without debug data.
#[must_use]
pub fn goaway(last_stream: u32, code: u32) -> Frame {
    frame(kind::GOAWAY, 0, 0, [last_stream.to_be_bytes(), code.to_be_bytes()].concat())
}

/// WINDOW_UPDATE; stream 0 is the connection.
#[must_use]
pub fn window_update(stream: u32, increment: u32) -> Frame {
    frame(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

impl Frame {
    /// Sets END_STREAM.
    #[must_use]
    pub fn end(self) -> Self {
        self.flagged(flag::END_STREAM)
    }

    /// Sets flags.
    #[must_use]
    pub fn flagged(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// Pads DATA or HEADERS.
    #[must_use]
    pub fn padded(mut self, padding: u8) -> Self {
        self.payload.insert(0, padding);
        self.payload.extend(vec![0; padding.into()]);
        self.flagged(flag::PADDED)
    }

    /// Puts a priority before the field block of HEADERS.
    #[must_use]
    pub fn prioritised(mut self, depends_on: u32, weight: u8) -> Self {
        self.payload.splice(0..0, priority_fields(depends_on, weight));
        self.flagged(flag::PRIORITY)
    }

    /// Puts other bytes into the place of the payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Moves the frame to another stream.
    #[must_use]
    pub fn on(mut self, stream: u32) -> Self {
        self.stream = stream;
        self
    }

    /// Lets the frame claim another length than it has.
    #[must_use]
    pub fn claiming(mut self, length: u32) -> Self {
        self.claimed_length = Some(length);
        self
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The frame as bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = self.claimed_length.unwrap_or(self.payload.len() as u32);
        let mut out = length.to_be_bytes()[1..].to_vec();
        out.extend([self.kind, self.flags]);
        out.extend(self.stream.to_be_bytes());
        out.extend(&self.payload);
        out
    }

    /// The number that begins at a byte of the payload.
    ///
    /// # Panics
    /// When the payload is shorter.
    #[must_use]
    pub fn number_at(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4).unwrap_or_else(|| panic!("too short: {self:?}"));
        u32::from_be_bytes(bytes.try_into().unwrap())
    }

    /// The content of DATA or HEADERS without padding and priority.
    ///
    /// # Panics
    /// When there is more padding than frame.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        let (start, padding) = match self.has(flag::PADDED) {
            true => (1, usize::from(self.payload[0])),
            false => (0, 0),
        };
        let has_priority = self.kind == kind::HEADERS && self.has(flag::PRIORITY);
        let start = if has_priority { start + 5 } else { start };
        &self.payload[start..self.payload.len() - padding]
    }
}

/// Frames one after the other.
#[must_use]
pub fn bytes_of(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}
