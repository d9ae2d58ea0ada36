//! How it is found out whether a server works.

use std::time::Duration;

use ropeway_core::health::{StatusSet, StatusSetError};

use super::http::{Authority, HeaderName, HeaderValue, Method, Target};
use super::upstream::Protocol;
use crate::diagnostic::Diagnostic;
use crate::kind::{
    Text, TextError, boolean, choice, choices, duration, hours, integer, limit, located, millis, minutes,
    optional, or, pairs, seconds, text,
};
use crate::place::Located;
use crate::reader::Reader;
use crate::section::section;

section! {
    /// Active checks: every server is asked regularly, and gets no traffic before its first good answer. A check opens
    /// its connection as requests do: with the PROXY header, the TLS and the protocol of the upstream.
    pub struct Health checked by checks_make_sense {
        /// What a check does.
        kind as "type": HealthKind = or(choice(), HealthKind::Tcp),
        /// For `http`: the path that is asked for, with or without a query.
        path: Target = or(text::<Target>().such_as("/health"), Target::known("/")),
        /// For `http`: the method.
        method: Method = or(text(), Method::known("GET")),
        /// For `grpc`: the service that is asked about. Empty: the server as a whole.
        service: ServiceName = or(text(), ServiceName::default()),
        /// For `http` and `grpc`: the Host field, or `:authority` in HTTP/2.
        host: Option<Authority> = optional(text(), "the address of the server"),
        /// For `http`: the statuses that are good, such as `200`, `200,204` or `200-399`.
        status: StatusSet = or(text(), StatusSet::default()),
        /// For `http`: text that must occur in the first 64 KiB of the body.
        body: Option<String> = optional(text::<String>().such_as("ok"), "any body"),
        /// For `http` and `grpc`: more fields of the request.
        headers: Vec<(Located<HeaderName>, HeaderValue)> = pairs("{ x-check = \"ropeway\" }"),
        /// Another port to be checked.
        port: Option<u16> = optional(integer(1..=65_535), "the port of the server"),
        /// With `port`: whether TLS is spoken there, with the settings of the upstream.
        tls: Option<Located<bool>> = optional(located(boolean(false)), "as with requests"),
        /// With `port`: what is spoken there. Checks of type `grpc` always speak `h2`.
        protocol: Option<Protocol> = optional(choice(), "as with requests"),
        /// With `port`: whether connections begin with the PROXY header there, if the upstream has one.
        proxy_protocol: Option<bool> = optional(boolean(false), "as with requests"),
        /// From the start of one check to the start of the next.
        interval: Duration = or(duration(millis(100), hours(24)), seconds(5)),
        /// By how many percent of `interval` the checks are spread, so that they do not come all at once.
        jitter: u8 = or(integer(0..=100), 20_u8),
        /// How long a check may take. Not longer than `interval`.
        timeout: Duration = or(duration(millis(10), minutes(10)), seconds(2)),
        /// Bad checks in a row after which a server is down.
        fall: u16 = or(integer(1..=1000), 3_u16),
        /// Good checks in a row after which it is up again. The very first check decides alone.
        rise: u16 = or(integer(1..=1000), 2_u16),
    }
}

choices! {
    /// What an active check does.
    pub enum HealthKind {
        /// Opens a connection.
        Tcp = "tcp",
        /// Sends a request and looks at the answer.
        Http = "http",
        /// Asks the service `grpc.health.v1.Health`, which has to answer `SERVING`.
        Grpc = "grpc",
    }
}

/// Keys that mean something to some types of checks only.
const KEYS_OF_TYPES: [(&str, &[HealthKind]); 7] = [
    ("path", &[HealthKind::Http]),
    ("method", &[HealthKind::Http]),
    ("status", &[HealthKind::Http]),
    ("body", &[HealthKind::Http]),
    ("service", &[HealthKind::Grpc]),
    ("host", &[HealthKind::Http, HealthKind::Grpc]),
    ("headers", &[HealthKind::Http, HealthKind::Grpc]),
];

fn checks_make_sense(health: &Health, reader: &mut Reader<'_, '_>) {
    if health.timeout > health.interval {
        let place = reader.place_of_key("timeout").unwrap_or_else(|| reader.place_of_value("interval"));
        let message =
            format!("`timeout` ({:?}) is longer than `interval` ({:?})", health.timeout, health.interval);
        let complaint = Diagnostic::error("timeout-exceeds-interval", &place, message);
        reader.report(complaint.help("a check must be over before the next one starts"));
    }
    refuse_keys_of_other_types(health, reader);
    refuse_keys_without_port(health, reader);
    if health.kind == HealthKind::Grpc && health.protocol == Some(Protocol::Http1) {
        let place = reader.place_of_value("protocol");
        let message = "a check of type `grpc` speaks HTTP/2";
        reader.report(Diagnostic::error("conflicting-keys", &place, message).help("leave `protocol` out"));
    }
}

fn refuse_keys_of_other_types(health: &Health, reader: &mut Reader<'_, '_>) {
    let kind = health.kind;
    for (key, kinds) in KEYS_OF_TYPES.iter().filter(|(_, kinds)| !kinds.contains(&kind)) {
        // An empty service is none.
        let says_nothing = *key == "service" && health.service == ServiceName::default();
        if let Some(place) = reader.place_of_key(key).filter(|_| !says_nothing) {
            let message = format!("`{key}` means nothing to a check of type `{}`", kind.as_str());
            let types: Vec<String> =
                kinds.iter().map(|kind| format!("`type = \"{}\"`", kind.as_str())).collect();
            let help = match kind {
                HealthKind::Tcp => format!("add {}", types.join(" or ")),
                HealthKind::Http | HealthKind::Grpc => format!("it goes with {}", types.join(" and ")),
            };
            reader.report(Diagnostic::error("useless-key", &place, message).help(help));
        }
    }
}

/// The port that requests go to is spoken to as requests do.
fn refuse_keys_without_port(health: &Health, reader: &mut Reader<'_, '_>) {
    if health.port.is_some() {
        return;
    }
    for key in ["tls", "protocol", "proxy_protocol"] {
        if let Some(place) = reader.place_of_key(key) {
            let message = format!("`{key}` means nothing to a check of the port that requests go to");
            let help = format!("add `port`, or set `{key}` of the upstream");
            reader.report(Diagnostic::error("useless-key", &place, message).help(help));
        }
    }
}

/// The name of a gRPC service with its package, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text for ServiceName {
    const WHAT: &'static str = "the name of a gRPC service";
    const EXAMPLE: &'static str = "shop.v1.Cart";

    fn parse(text: &str) -> Result<ServiceName, TextError> {
        // Any name may be registered with a health service; nobody means spaces, slashes or control characters.
        if text.chars().any(|letter| letter.is_whitespace() || letter.is_control() || letter == '/') {
            return Err(TextError::because("it is the package and the service, without a method"));
        }
        Ok(ServiceName(text.to_owned()))
    }

    fn stand_in() -> ServiceName {
        ServiceName::default()
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for StatusSet {
    const WHAT: &'static str = "a set of statuses";
    const EXAMPLE: &'static str = "200-399";

    fn parse(text: &str) -> Result<StatusSet, TextError> {
        let explain = |error: StatusSetError| TextError::because(error.to_string());
        text.parse().map_err(|error| explain(error).help("write \"200\", \"200,204\" or \"200-399\""))
    }

    fn stand_in() -> StatusSet {
        StatusSet::default()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

section! {
    /// Passive checks: servers that fail the requests they are given are left alone for a while. The first time for
    /// `eject`, the n-th time in a row for n times as long, up to `eject_max`. Never more than
    /// `max_ejected` percent of a pool at the same time.
    pub struct Passive checked by ejections_grow {
        /// Connections in a row that could not be opened.
        connect_failures: Option<u32> = or(limit(1_000_000, "not counted"), 5),
        /// Requests in a row that were not answered in time.
        timeouts: Option<u32> = or(limit(1_000_000, "not counted"), 5),
        /// Requests in a row whose connection was lost before the response.
        resets: Option<u32> = or(limit(1_000_000, "not counted"), 5),
        /// Responses in a row with a status from 500 to 599.
        status_5xx: Option<u32> = or(limit(1_000_000, "not counted"), 5),
        /// How long a server is left alone the first time.
        eject: Duration = or(duration(millis(100), hours(24)), seconds(10)),
        /// How long it is left alone at most.
        eject_max: Duration = or(duration(millis(100), hours(24)), minutes(5)),
        /// The greatest part of a pool that may be left alone at the same time, in percent.
        max_ejected: u8 = or(integer(0..=100), 50_u8),
    }
}

fn ejections_grow(passive: &Passive, reader: &mut Reader<'_, '_>) {
    if passive.eject > passive.eject_max {
        let place = reader.place_of_key("eject").unwrap_or_else(|| reader.place_of_value("eject_max"));
        let message = "`eject` is longer than `eject_max`";
        reader.report(Diagnostic::error("conflicting-keys", &place, message));
    }
}
