//! How an exchange ended: one [`EndReason`] at one [`Stage`].
//!
//! The status code of a response that we make ourselves, the log field, the metric label, the retry decision and
//! the explanation shown to an operator all derive from this pair, so that they can never disagree.

/// The step of an exchange, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Reading and checking the request head.
    Receive,
    /// Choosing the route.
    Route,
    /// Limits and permissions.
    Admit,
    /// Choosing a server.
    Pick,
    /// Opening a connection to the server.
    Connect,
    /// Sending the request, and waiting for the response head.
    Send,
    /// Passing the response on.
    Relay,
    /// Everything was passed on.
    Finish,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 8] = [
        Self::Receive,
        Self::Route,
        Self::Admit,
        Self::Pick,
        Self::Connect,
        Self::Send,
        Self::Relay,
        Self::Finish,
    ];

    /// The name used in logs and the admin API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Route => "route",
            Self::Admit => "admit",
            Self::Pick => "pick",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Relay => "relay",
            Self::Finish => "finish",
        }
    }
}

/// Who is at fault when an exchange does not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// Nobody: the exchange completed.
    Nobody,
    /// The peer that sent the request.
    Client,
    /// The server that was asked.
    Upstream,
    /// The operator's configuration, or a limit set there.
    Configuration,
    /// This process or its machine.
    System,
}

macro_rules! end_reasons {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $status:literal, $culprit:ident, $cause:literal;)*) => {
        /// Why an exchange ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum EndReason { $($(#[$doc])* $variant,)* }

        impl EndReason {
            /// Every reason, in declaration order: `ALL[reason as usize] == reason`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name used in logs, metrics and the admin API.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status of the response that we make for it; 499 means that nobody is left to answer, and 0
            /// that the server's own status was passed on.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Who is at fault.
            #[must_use]
            pub const fn culprit(self) -> Culprit {
                match self { $(Self::$variant => Culprit::$culprit,)* }
            }

            /// One plain sentence for the body of the response and for `explain`.
            #[must_use]
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$variant => $cause,)* }
            }
        }
    };
}

end_reasons! {
    /// The response was passed on whole.
    Completed, "completed", 0, Nobody, "The exchange completed.";
    /// A tunnel was opened and both directions finished.
    TunnelClosed, "tunnel_closed", 0, Nobody, "The tunnel was closed by its ends.";
    /// A tunnel saw no byte for longer than its time-out.
    TunnelTimeout, "tunnel_timeout", 0, Nobody, "The tunnel was idle for longer than its time-out.";

    /// The listener sends everybody to https.
    RedirectedToHttps, "redirected_to_https", 308, Nobody, "This address is served over https.";

    /// An authority looked whether the host is ours (RFC 8555 section 8).
    ChallengeAnswered, "challenge_answered", 200, Nobody, "A challenge of the certificate authority was answered.";

    /// RFC 9110, section 7.6.2: the client wants to know what we say, and not the server.
    LastRecipient, "last_recipient", 200, Nobody, "By its Max-Forwards the request goes no further than this proxy.";

    /// The TLS handshake failed.
    TlsHandshake, "tls_handshake_failed", 499, Client, "The TLS handshake failed.";
    /// The TLS handshake was not complete in time.
    TlsTimeout, "tls_handshake_timeout", 499, Client, "The TLS handshake was not complete in time.";
    /// The client had more than two seconds to go on with the TLS handshake, while others waited for its place.
    TlsDisplaced, "tls_handshake_displaced", 499, Client, "The TLS handshake took too long for the number of those who wait.";
    /// The client speaks HTTP in the clear where TLS is expected.
    PlainOnTls, "plain_on_tls", 400, Client, "This port speaks HTTPS; the request came without encryption.";
    /// The PROXY header is missing, malformed, or from somebody who is not trusted.
    BadProxyHeader, "bad_proxy_header", 499, Client, "The PROXY header is missing or malformed.";
    /// RFC 9110, section 15.5.20: the connection was made for another host.
    Misdirected, "misdirected", 421, Client, "This host is not served on a connection that was made for another.";

    /// RFC 9112: the message is malformed.
    BadRequest, "bad_request", 400, Client, "The request is malformed.";
    /// The path has dot segments or a backslash, so that servers could read it in different ways.
    AmbiguousPath, "ambiguous_path", 400, Client, "The request path has dot segments or a backslash.";
    /// No Host, several, or one that is not a host name.
    BadHost, "bad_host", 400, Client, "The request has no valid Host.";
    /// Content-Length and Transfer-Encoding contradict each other or themselves.
    BadFraming, "bad_framing", 400, Client, "The length of the request body is ambiguous.";
    /// A chunk or trailer of the request body is malformed.
    BadRequestBody, "bad_request_body", 400, Client, "The request body is malformed.";
    /// The client closed its connection inside the request body.
    RequestTruncated, "request_truncated", 400, Client, "The connection closed inside the request body.";
    /// The head did not arrive in time.
    HeadTimeout, "head_timeout", 408, Client, "The request head did not arrive in time.";
    /// The body stalled, or came slower than the minimum rate.
    BodyTimeout, "body_timeout", 408, Client, "The request body arrived too slowly.";
    /// The body is larger than the route allows.
    BodyTooLarge, "body_too_large", 413, Client, "The request body is larger than allowed.";
    /// The request target is longer than the listener allows.
    TargetTooLong, "target_too_long", 414, Client, "The request target is longer than allowed.";
    /// The head has more bytes or fields than the listener allows.
    HeadTooLarge, "head_too_large", 431, Client, "The request head is larger than allowed.";
    /// Transfer-Encoding names a coding other than chunked.
    UnsupportedTransferCoding, "unsupported_transfer_coding", 501, Client, "The transfer coding is not supported.";
    /// The method asks for something that a reverse proxy does not do (CONNECT).
    MethodNotSupported, "method_not_supported", 501, Client, "The method is not supported here.";
    /// The HTTP version is not one that we speak.
    VersionNotSupported, "version_not_supported", 505, Client, "The HTTP version is not supported.";
    /// Expect names something other than 100-continue.
    ExpectationFailed, "expectation_failed", 417, Client, "The expectation is not supported.";
    /// The client went away before the response was complete.
    ClientClosed, "client_closed", 499, Client, "The client closed the connection before the response.";
    /// The time that the client gave the call (`grpc-timeout`) was over before the response was complete.
    DeadlineExceeded, "deadline_exceeded", 504, Client, "The deadline that the client set for the call has passed.";
    /// The client read the response slower than the minimum rate.
    ClientTooSlow, "client_too_slow", 499, Client, "The client read the response too slowly.";

    /// No route matches.
    NoRoute, "no_route", 404, Configuration, "No route matches this host and path.";
    /// The cap on requests in flight is reached.
    RequestLimit, "request_limit", 503, Configuration, "The limit of requests in flight is reached.";
    /// A cap on connections is reached.
    ConnectionLimit, "connection_limit", 503, Configuration, "The limit of connections is reached.";
    /// Every usable server has as many requests as it may have.
    ServersFull, "servers_full", 503, Configuration, "Every server has reached its connection limit.";
    /// No server is usable.
    NoServer, "no_server", 503, Upstream, "No server is available to answer.";

    /// The server's name did not resolve to any address.
    ServerUnresolved, "server_unresolved", 503, Upstream, "The name of the server does not resolve.";
    /// The server refused the connection.
    ConnectRefused, "connect_refused", 502, Upstream, "The server refused the connection.";
    /// The connection to the server failed in another way.
    ConnectFailed, "connect_failed", 502, Upstream, "The connection to the server failed.";
    /// The server did not accept the connection in time.
    ConnectTimeout, "connect_timeout", 504, Upstream, "The server did not accept the connection in time.";
    /// The TLS handshake with the server failed, or it does not speak TLS.
    ServerTls, "server_tls_failed", 502, Upstream, "The TLS handshake with the server failed.";
    /// No local port, descriptor or memory for the connection.
    LocalResources, "local_resources", 503, System, "The proxy ran out of ports, descriptors or memory.";
    /// The server closed the connection before a response head.
    ServerClosed, "server_closed", 502, Upstream, "The server closed the connection without a response.";
    /// The server reset the connection before a response head.
    ServerReset, "server_reset", 502, Upstream, "The server reset the connection without a response.";
    /// The response head is malformed, or its framing is ambiguous.
    BadResponse, "bad_response", 502, Upstream, "The server's response is malformed.";
    /// The response head is larger than allowed, or too many informational responses came.
    ResponseHeadTooLarge, "response_head_too_large", 502, Upstream, "The server's response head is too large.";
    /// The response head did not arrive in time.
    ResponseTimeout, "response_timeout", 504, Upstream, "The server did not respond in time.";
    /// The server did not read the request in time.
    SendTimeout, "send_timeout", 504, Upstream, "The server did not read the request in time.";
    /// The server closed or reset the connection inside the response body: visible as a truncation.
    ResponseTruncated, "response_truncated", 502, Upstream, "The server closed the connection inside the response.";
    /// The response body is malformed: visible as a truncation.
    BadResponseBody, "bad_response_body", 502, Upstream, "The server's response body is malformed.";
    /// The response body stalled for longer than the stream idle time-out.
    StreamTimeout, "stream_timeout", 504, Upstream, "The server's response stalled.";

    /// The process is shutting down and the drain deadline passed.
    Shutdown, "shutdown", 503, System, "The proxy is shutting down.";
    /// A defect: the task that served the request failed.
    Internal, "internal", 500, System, "The proxy failed to serve the request.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_themselves_and_have_unique_names() {
        let mut names = std::collections::HashSet::new();
        for (index, reason) in EndReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(names.insert(reason.name()), "{} is used twice", reason.name());
        }
    }
}
