//! HTTP/2 from clients.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::kind::{KIB, MIB, boolean, duration, duration_or_off, hours, integer, minutes, or, seconds, size};
use crate::reader::Reader;
use crate::section::section;

/// RFC 9113 section 6.9.1.
const LARGEST_WINDOW: u64 = (1 << 31) - 1;

section! {
    /// HTTP/2 from clients, and what one connection may ask for.
    pub struct Http2 checked by windows_fit {
        /// Whether it is offered: over TLS by ALPN.
        enabled: bool = boolean(true),
        /// Whether a listener without TLS takes connections that begin with the HTTP/2 preface.
        prior_knowledge: bool = boolean(false),
        /// Streams open at the same time on one connection. Further ones are refused.
        max_concurrent_streams: u32 = or(integer(1..=1000), 128_u32),
        /// The fields of a request after decompression, 32 bytes added for each. Longer ones are answered 431.
        max_header_list: u64 = or(size(KIB, MIB), 64 * KIB),
        /// How much of a request body may be under way on one stream before the server has taken it.
        stream_window: u64 = or(size(KIB, 16 * MIB), 64 * KIB),
        /// The same, for all streams of a connection together. One that is smaller than `stream_window` for each of
        /// `max_concurrent_streams` lets uploads to a slow server stop those to others.
        connection_window: u64 = or(size(64 * KIB, LARGEST_WINDOW), 8 * MIB),
        /// The largest frame that a client may send.
        max_frame: u64 = or(size(16 * KIB, 16 * MIB - 1), 16 * KIB),
        /// Streams that a client may reset in a minute, or be the reason to have reset. Beyond it the connection is
        /// closed: such a client makes work and does not wait for its result.
        max_resets_per_minute: u32 = or(integer(1..=1_000_000), 200_u32),
        /// After how much silence a client is asked whether it is still there.
        keep_alive_interval: Option<Duration> = or(duration_or_off(seconds(1), hours(24), "never"), seconds(30)),
        /// How long it may then stay silent, and take nothing of what it is sent, before the connection is closed.
        keep_alive_timeout: Duration = or(duration(seconds(1), minutes(10)), seconds(20)),
    }
}

fn windows_fit(http2: &Http2, reader: &mut Reader<'_, '_>) {
    if http2.stream_window > http2.connection_window {
        let place = reader
            .place_of_key("stream_window")
            .unwrap_or_else(|| reader.place_of_value("connection_window"));
        let message = "`stream_window` is larger than `connection_window`";
        let complaint = Diagnostic::error("conflicting-keys", &place, message);
        reader.report(complaint.help("a stream can never use more than its connection has"));
    }
}
