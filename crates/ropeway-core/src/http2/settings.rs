//! SETTINGS (RFC 9113, section 6.5).

use super::Code;
use super::flow::FIRST_WINDOW;
use super::frames::{Frame, MOST, SETTINGS};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
/// RFC 8441, section 3.
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
/// RFC 9218, section 2.1.
const NO_RFC7540_PRIORITIES: u16 = 0x9;

/// What every peer takes in one frame.
pub(super) const LEAST_MAX_FRAME: u32 = 1 << 14;
const MOST_MAX_FRAME: u32 = (1 << 24) - 1;

/// What a peer has said of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub streams: u32,
    pub window: u32,
    pub max_frame: u32,
}

impl Default for Peer {
    fn default() -> Self {
        Self { streams: u32::MAX, window: FIRST_WINDOW, max_frame: LEAST_MAX_FRAME }
    }
}

impl Peer {
    /// Takes the payload of a frame: values in their order, of which the last holds. Of the table's sizes each counts, since
    /// the peer has dropped what is beyond the smallest of them (RFC 7541, section 4.2).
    pub fn update(
        &mut self,
        payload: &[u8],
        is_server: bool,
        mut limit_table: impl FnMut(u32),
    ) -> Result<(), Code> {
        for setting in payload.chunks_exact(6) {
            let [i0, i1, v0, v1, v2, v3] = *setting else { continue };
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([i0, i1]) {
                HEADER_TABLE_SIZE => limit_table(value),
                // Servers may not even allow it.
                ENABLE_PUSH if value > 1 || (is_server && value != 0) => return Err(Code::PROTOCOL),
                ENABLE_CONNECT_PROTOCOL | NO_RFC7540_PRIORITIES if value > 1 => return Err(Code::PROTOCOL),
                MAX_CONCURRENT_STREAMS => self.streams = value,
                INITIAL_WINDOW_SIZE if value > MOST => return Err(Code::FLOW_CONTROL),
                INITIAL_WINDOW_SIZE => self.window = value,
                MAX_FRAME_SIZE if !(LEAST_MAX_FRAME..=MOST_MAX_FRAME).contains(&value) => {
                    return Err(Code::PROTOCOL);
                }
                MAX_FRAME_SIZE => self.max_frame = value,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What our side of a connection allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams of the peer's that may be open at a time.
    pub streams: u32,
    /// Bytes of a decompressed field section, 32 charged for each field.
    pub header_list: u32,
    /// Bytes that may be under way on a stream.
    pub stream_window: u32,
    /// The same for all streams of the connection; at least 65,535.
    pub connection_window: u32,
    /// Bytes of the largest frame.
    pub max_frame: u32,
}

impl Limits {
    /// Writes our SETTINGS.
    pub(super) fn write(&self, is_server: bool, out: &mut Vec<u8>) {
        let own: &[(u16, u32)] = match is_server {
            true => &[(MAX_CONCURRENT_STREAMS, self.streams), (ENABLE_CONNECT_PROTOCOL, 1)],
            false => &[(ENABLE_PUSH, 0)],
        };
        let common = [
            (INITIAL_WINDOW_SIZE, self.stream_window),
            (MAX_FRAME_SIZE, self.max_frame),
            (MAX_HEADER_LIST_SIZE, self.header_list),
        ];
        let settings = own.iter().chain(&common);
        Frame { len: (own.len() + common.len()) * 6, kind: SETTINGS, flags: 0, stream: 0 }.write(out);
        for (name, value) in settings {
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}
