//! Groups of servers that do the same work.

use std::time::Duration;

use super::address::ServerAddress;
use super::balance::{Balance, balance};
use super::health::{Health, Passive};
use super::proxy_protocol::ProxyProtocolVersion;
use super::tls::{UpstreamTls, upstream_tls};
use crate::kind::{
    at_least_one, boolean, choice, choices, derived, duration, duration_or_off, hours, integer, limit, list,
    located, millis, minutes, optional, or, or_false, seconds, short_for, table, text,
};
use crate::place::Located;
use crate::section::section;

section! {
    /// A group of servers that do the same work.
    pub struct Upstream named {
        /// The servers. Text stands for `{ address = ... }`.
        servers: Vec<Server> = at_least_one(list(short_for("address"))),
        /// How a server is picked. Text stands for `{ type = ... }`.
        balance: Balance = balance(),
        /// Active checks.
        health: Option<Health> = optional(table(), "no active checks; a server is up until it fails"),
        /// Passive checks; `false` switches them off.
        passive: Option<Passive> = or_false(table()),
        /// When fewer than this many percent of the servers are usable, requests go to all of them, good or bad, rather
        /// than overload the rest. 0: only when none at all is usable.
        panic_threshold: u8 = or(integer(0..=100), 0_u8),
        /// How long a server that comes up is given less than its share, growing from a tenth of it.
        slow_start: Option<Duration> = duration_or_off(seconds(1), hours(24), "no slow start"),
        /// Time-outs.
        timeout: UpstreamTimeouts = table(),
        /// Connections that are kept for the next request.
        keep_alive: KeepAlive = table(),
        /// When a failed request is tried again, on another server.
        retry: Retry = table(),
        /// Limits.
        limits: UpstreamLimits = table(),
        /// TLS towards the servers, checks included: `true`, or a table.
        tls: Option<UpstreamTls> = upstream_tls(),
        /// What is spoken with the servers.
        protocol: Protocol = or(choice(), Protocol::Http1),
        /// Which trailers of requests servers of HTTP/2 are sent.
        request_trailers: RequestTrailers = or(choice(), RequestTrailers::Announced),
        /// Begin each connection with a PROXY header, checks included, that tells the client's address.
        proxy_protocol: Option<ProxyProtocolVersion> = optional(choice(), "no header"),
    }
}

choices! {
    /// What is spoken with servers.
    pub enum Protocol {
        /// HTTP/1.1.
        Http1 = "http1" elsewhere "http/1.1" "http/1" "http11" "h1",
        /// HTTP/2: agreed on over TLS (ALPN), without TLS taken for granted.
        Http2 = "h2" elsewhere "http2" "http/2" "http/2.0" "h2c" "grpc",
    }
}

choices! {
    /// Which trailers of requests servers of HTTP/2 are sent. Servers of HTTP/1.1 are sent all.
    pub enum RequestTrailers {
        /// Those that the field `Trailer` has announced. Such requests have connections of their own, since some servers
        /// (stock nginx) end a connection over them, with all that is on it.
        Announced = "announced",
        /// All. They share connections like other requests: for servers that are known to take them.
        All = "all",
    }
}

section! {
    /// One server.
    pub struct Server {
        /// `ADDRESS:PORT`, `NAME:PORT` or `unix:/PATH`. A name with several addresses is one server.
        address: Located<ServerAddress> = located(text()),
        /// Names the server in logs, metrics and the admin API.
        name: Located<String> = located(derived(text::<String>().such_as("a"), "the address")),
        /// Its share of the traffic, next to the weights of the others. 0: no new requests.
        weight: u16 = or(integer(0..=256), 1_u16),
        /// Used only when no other server can take a request: none is usable, or each has failed it or is at its
        /// `max_connections`. Retries go to the others first, so `retry.attempts` limits how many of them may fail it.
        backup: bool = boolean(false),
        /// Requests in flight at this server, all workers together. With HTTP/1.1 each has a connection of its own.
        max_connections: Option<u32> = limit(1_000_000, "what `limits` of the upstream says"),
        /// What an operator wants of it.
        state: ServerState = or(choice(), ServerState::Ready),
    }
}

choices! {
    /// What an operator wants of a server.
    pub enum ServerState {
        /// It gets traffic when it works.
        Ready = "ready",
        /// It finishes what it has, and gets nothing new.
        Drain = "drain",
        /// It is left alone, health checks included.
        Disabled = "disabled",
    }
}

section! {
    /// Time-outs towards the servers. See also `timeout` of the route.
    pub struct UpstreamTimeouts {
        /// How long a connection may take to open.
        connect: Duration = or(duration(millis(1), minutes(10)), seconds(3)),
    }
}

section! {
    /// Idle connections that are kept for the next request. Each worker keeps its own.
    pub struct KeepAlive {
        /// How long. Shorter than what the servers allow, so that they do not close first. Connections of HTTP/2, which
        /// their servers close with a warning, are kept for 60 s at least.
        idle: Duration = or(duration(millis(1), hours(24)), seconds(4)),
        /// How many, for each server and worker. 0: none, a new connection for every request. Those of HTTP/2 are not
        /// counted: of them there are as few as the streams under way need.
        max_idle: u32 = or(integer(0..=1_000_000), 256_u32),
        /// Requests on one connection, after which it is closed: by HTTP/2 once the last of them has its response.
        max_requests: Option<u32> = limit(1_000_000_000, "no limit"),
        /// Learn each server's own time-out from its `Keep-Alive: timeout=N`, and stay 1 s below it, longer than
        /// `idle` included.
        learn: bool = boolean(true),
    }
}

section! {
    /// When a failed request is tried again: on a different server, only when nothing of a response has been passed on,
    /// and only when the request was not sent or is idempotent (RFC 9110 section 9.2.2). A body of which something was
    /// sent has to be there still: if all of it came along with the head, up to 16 KiB, or, towards a server of HTTP/2, if
    /// no more than 64 KiB were taken from its client.
    pub struct Retry {
        /// Further attempts after the first. 0: none.
        attempts: u8 = or(integer(0..=10), 1_u8),
        /// What is tried again.
        on: Vec<RetryOn> = or(list(choice()), [RetryOn::Connect, RetryOn::Reset]),
        /// Retries are at most this many percent of the requests, and 10 a second beside, so that they cannot multiply
        /// an overload. Each worker counts for itself, and what it does not use is lost after 10 s: so it begins with 100
        /// retries, and has at most 100, and this share of the requests of 10 s, at once. 0 leaves the 10 a second.
        budget: u8 = or(integer(0..=100), 20_u8),
    }
}

choices! {
    /// A failure that may be tried again.
    pub enum RetryOn {
        /// No connection could be opened.
        Connect = "connect",
        /// The connection was lost before the response.
        Reset = "reset",
        /// The response did not come in time.
        Timeout = "timeout",
        /// The server answered 502.
        Status502 = "502",
        /// The server answered 503.
        Status503 = "503",
        /// The server answered 504.
        Status504 = "504",
        /// A server of gRPC answered UNAVAILABLE and nothing else. Calls are sent again whatever they do, so only for
        /// services whose calls may be repeated.
        GrpcUnavailable = "grpc-unavailable",
    }
}

section! {
    /// Limits towards the servers.
    pub struct UpstreamLimits {
        /// Requests in flight at each server, all workers together; with HTTP/1.1 each has a connection of its own.
        /// `max_connections` of a server goes first.
        connections_per_server: Option<u32> = limit(1_000_000, "no limit"),
        /// Requests on one connection of HTTP/2 at the same time, if the server allows more. Beyond it another one is
        /// opened.
        streams_per_connection: Option<u32> = limit(1_000_000, "what the server allows"),
    }
}
