//! Access records: formatted by the worker, written by a thread of the control plane.
//!
//! A worker formats each record into a chunk of memory of its own and hands full chunks over through a bounded
//! ring. When the writer does not keep up, records are dropped and counted; a request never waits for a disk.

mod format;
mod ring;
mod timestamp;

use std::net::IpAddr;

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::grpc::GrpcStatus;
use ropeway_core::priority::Priority;

pub use self::ring::{Closed, LogBatch, LogReceiver};
pub(crate) use self::ring::{LogBuffer, LogSender, ring};

/// Which log records go to, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// The number by which the writer knows the destination. Every batch carries it, so that no record lands in a
    /// destination that was configured before or after its own.
    pub destination: u64,
    /// The shape of a record.
    pub format: LogFormat,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// The combined format of NCSA servers, with the fields that it lacks left out.
    Combined,
}

/// What is recorded about one exchange.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub client: IpAddr,
    pub method: &'a [u8],
    pub host: &'a [u8],
    pub target: &'a [u8],
    pub version: &'static str,
    /// Version of TLS; empty in the clear.
    pub tls: &'static str,
    /// The subject of the client's certificate; empty without one.
    pub client_subject: &'a str,
    pub status: u16,
    /// What a client of gRPC was told.
    pub grpc_status: Option<GrpcStatus>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub listener: &'a str,
    pub route: &'a str,
    pub upstream: &'a str,
    pub server: &'a str,
    pub attempts: u32,
    pub total_us: u64,
    pub connect_us: Option<u64>,
    pub first_byte_us: Option<u64>,
    pub reason: EndReason,
    pub stage: Stage,
    pub request_id: &'a [u8],
    pub referer: &'a [u8],
    pub user_agent: &'a [u8],
    /// What the client wishes, other than the default.
    pub priority: Option<Priority>,
}

/// Names one request in logs, in headers and to the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestId {
    pub process: u64,
    pub sequence: u64,
}

impl RequestId {
    /// 32 lower-case hexadecimal digits.
    pub fn hex(&self) -> [u8; 32] {
        let mut text = [0; 32];
        let halves = |number: u64| [(number >> 32) as u32, number as u32];
        let words = halves(self.process).into_iter().chain(halves(self.sequence));
        for (digits, word) in text.as_chunks_mut().0.iter_mut().zip(words) {
            *digits = hex_digits(word);
        }
        text
    }
}

/// Eight digits in one go: every request is named in 32 of them.
fn hex_digits(word: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut nibbles = u64::from(word);
    nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles << 4 | nibbles) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (nibbles + 6 * EACH) >> 4 & EACH;
    (nibbles + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_32_hexadecimal_digits() {
        let id = RequestId { process: 0x0123_4567_89ab_cdef, sequence: 10 };
        assert_eq!(&id.hex(), b"0123456789abcdef000000000000000a");
        for byte in 0..=u8::MAX {
            assert_eq!(
                hex_digits(u32::from_be_bytes([byte; 4])),
                *format!("{byte:02x}").repeat(4).as_bytes()
            );
        }
    }
}
