//! Where clients connect.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::http::{HeaderName, Token};
use super::http2::Http2;
use super::proxy_protocol::ProxyProtocol;
use super::tls::ListenerTls;
use crate::diagnostic::Diagnostic;
use crate::kind::{
    KIB, MIB, at_least_one, boolean, duration, duration_or_off, hours, integer, limit, list, located, millis,
    minutes, one_or_many, optional, or, or_false, seconds, short_for, size, table, text,
};
use crate::place::Located;
use crate::reader::Reader;
use crate::section::section;

section! {
    /// A place where clients connect: addresses, and what holds for every connection to them.
    pub struct Listener named checked by tls_makes_sense {
        /// Addresses and ports. Every worker opens its own socket (SO_REUSEPORT). Port 0 takes any free port.
        bind: Vec<Located<SocketAddr>> = at_least_one(one_or_many(located(text()))),
        /// Networks whose word is believed: the X-Forwarded-* fields of a client in one of them are kept and
        /// continued, those of every other client are removed, also where an underscore stands for a hyphen, and ours are
        /// written.
        trusted_proxies: Vec<Located<IpNet>> = list(located(text())),
        /// What one connection, and all of them together, may ask for.
        limits: ListenerLimits = table(),
        /// How long a client may take. These also protect against clients that are slow on purpose.
        timeout: ListenerTimeouts = table(),
        /// What the server is told about the client.
        forwarding: Forwarding = table(),
        /// A field that is added to every response and names the server that gave it. Useful while trying things out.
        server_name_header: Option<HeaderName> = optional(text(), "no such field"),
        /// A client that closes its sending side ends its exchange at once. By default such a client still gets its
        /// answer, as RFC 9112 section 9.6 wants it.
        abort_on_close: bool = boolean(false),
        /// Requests on one client connection, after which it is closed.
        keep_alive_requests: Option<u32> = limit(1_000_000_000, "no limit"),
        /// TLS from clients.
        tls: Option<ListenerTls> = optional(table(), "no TLS"),
        /// HTTP/2 from clients; `false` stands for `{ enabled = false }`.
        http2: Http2 = short_for("enabled"),
        /// Connections that begin with a PROXY header.
        proxy_protocol: Option<ProxyProtocol> = optional(table(), "no headers are expected"),
        /// Answer every request with 308 and the same place over https. Routes are not asked.
        redirect_https: bool = boolean(false),
        /// Tell browsers to come by https only, for that long (RFC 6797). A duration stands for `{ max_age = ... }`.
        hsts: Option<Hsts> = optional(short_for("max_age"), "not said"),
    }
}

fn tls_makes_sense(listener: &Listener, reader: &mut Reader<'_, '_>) {
    let refuse = |reader: &mut Reader<'_, '_>, key: &str, why: &str, help: &str| {
        if let Some(place) = reader.place_of_key(key) {
            let message = format!("`{key}` means nothing to a listener {why}");
            reader.report(Diagnostic::error("useless-key", &place, message).help(help));
        }
    };
    if listener.tls.is_some() && listener.redirect_https {
        refuse(
            reader,
            "redirect_https",
            "with TLS",
            "the redirect goes to the listener without TLS, on port 80",
        );
    }
    if listener.tls.is_none() && listener.hsts.is_some() {
        refuse(reader, "hsts", "without TLS", "browsers believe it over TLS only: put it where `tls` is");
    }
}

section! {
    /// Strict-Transport-Security (RFC 6797): browsers come by https only.
    pub struct Hsts {
        /// For how long, from each response on.
        max_age: Duration = duration(seconds(1), hours(20 * 365 * 24)),
        /// Whether hosts below this one are meant too.
        include_subdomains: bool = boolean(false),
        /// Whether browsers may ship with this in their list. Hard to take back.
        preload: bool = boolean(false),
    }
}

section! {
    /// What clients may ask for.
    pub struct ListenerLimits {
        /// Connections open at the same time. Near it idle ones make room; beyond it new ones are answered 503 and closed.
        connections: Option<u32> = limit(100_000_000, "no limit"),
        /// Connections open at the same time from one client address.
        connections_per_client: Option<u32> = limit(100_000_000, "no limit"),
        /// The whole head of a request: request line and fields. A longer one is answered 431.
        head: u64 = or(size(KIB, MIB), 64 * KIB),
        /// Fields in the head of a request. More are answered 431.
        fields: u16 = or(integer(1..=128), 128_u16),
        /// The request target. A longer one is answered 414.
        target: u64 = or(size(64, 64 * KIB), 16 * KIB),
        /// The trailer section after a chunked body.
        trailer: u64 = or(size(64, MIB), 8 * KIB),
        /// The line before each chunk, extensions included.
        chunk_line: u64 = or(size(16, 16 * KIB), 256_u64),
    }
}

section! {
    /// How long a client may take.
    pub struct ListenerTimeouts {
        /// From the first byte of a request, or from the start of the connection, to the end of its head. Then 408.
        head: Duration = or(duration(millis(10), hours(1)), seconds(10)),
        /// How long a connection may wait for its next request.
        idle: Duration = or(duration(millis(10), hours(24)), seconds(75)),
        /// How long the body of a request may stand still. Then 408.
        body_idle: Duration = or(duration(millis(10), hours(24)), seconds(60)),
        /// How long a client may take none of the response that is ready for it.
        send_idle: Duration = or(duration(millis(10), hours(24)), seconds(60)),
        /// The least average rate of a transfer with the client, in bytes per second of waiting for it.
        min_rate: Option<u32> = or(limit(1_000_000_000, "no minimum"), 500),
        /// How long a transfer may be slower than `min_rate` at first.
        min_rate_grace: Duration = or(duration(millis(10), hours(1)), seconds(20)),
        /// How long a connection that we close is read on, so that the client sees the answer and not a reset.
        linger: Option<Duration> = or(duration_or_off(millis(10), minutes(1), "close at once"), seconds(2)),
    }
}

section! {
    /// What the server is told about the client.
    pub struct Forwarding {
        /// X-Forwarded-For, -Proto, -Host and -Port. Of the addresses that a trusted client names, the last 63 are kept.
        x_forwarded: bool = boolean(true),
        /// X-Real-IP: the address of the client.
        x_real_ip: bool = boolean(true),
        /// Forwarded (RFC 7239).
        forwarded: bool = boolean(false),
        /// The name by which this proxy adds itself to Via, in requests and responses (RFC 9110 section 7.6.3).
        via: Option<Token> = or_false(or(text(), Token::known("ropeway"))),
        /// The field that carries the id of a request, to servers and in the proxy's own responses. A client's own id is
        /// kept when the client is trusted, says it once, and it is 1 to 128 visible characters of ASCII without `"` and
        /// `\`; otherwise it is replaced.
        request_id: Option<HeaderName> = or_false(or(text::<HeaderName>().such_as("x-request-id"), HeaderName::known("x-request-id"))),
    }
}
