//! Which request goes to which upstream.

use std::time::Duration;

use super::address::ServerAddress;
use super::http::{HeaderName, HeaderValue, HostPattern};
use super::path::{PathMatch, path_match};
use crate::kind::{
    Text, TextError, boolean, derived, duration, hours, list, located, millis, minutes, one_or_many, or,
    pairs, seconds, size_or_unlimited, table, text,
};
use crate::place::Located;
use crate::section::section;
use crate::suggest::closest;

section! {
    /// A route: which requests, and what becomes of them. A request that no route matches is answered 404.
    pub struct Route {
        /// Names the route in logs and metrics.
        name: Located<String> = located(derived(text::<String>().such_as("shop"), "made from `match`")),
        /// Which requests. All conditions must hold; without any, every request matches.
        matches as "match": Match = table(),
        /// The name of the upstream that answers.
        upstream: Located<String> = located(text::<String>().such_as("app")),
        /// How long the upstream may take.
        timeout: RouteTimeouts = table(),
        /// What a request may ask for.
        limits: RouteLimits = table(),
        /// Changes to the fields of requests and responses.
        headers: RouteHeaders = table(),
        /// The Host field that the server sees.
        host: HostHeader = or(text(), HostHeader::Keep),
        /// Translate requests of gRPC-Web, as browsers send them, to gRPC, and the responses back. The upstream needs
        /// `protocol = "h2"`.
        grpc_web: bool = boolean(false),
    }
}

section! {
    /// Conditions on a request.
    pub struct Match {
        /// Host names. `*.example.com` stands for every name below `example.com`, at any depth, but not for
        /// `example.com` itself.
        host: Vec<Located<HostPattern>> = derived(one_or_many(located(text())), "every host"),
        /// The path, without the query. Text stands for `{ prefix = ... }`.
        path: PathMatch = path_match(),
    }
}

section! {
    /// How long the upstream may take.
    pub struct RouteTimeouts {
        /// From the end of the request to the head of the response, for each server that is tried. Then 504.
        response: Duration = or(duration(millis(1), hours(24)), seconds(60)),
        /// How long the body of a response may stand still.
        stream_idle: Duration = or(duration(millis(1), hours(168)), minutes(5)),
        /// How long a tunnel (WebSocket and other upgrades) may be silent in both directions.
        tunnel_idle: Duration = or(duration(millis(1), hours(168)), hours(1)),
    }
}

section! {
    /// What a request may ask for.
    pub struct RouteLimits {
        /// The body of a request. A longer one is answered 413.
        body: Option<u64> = size_or_unlimited(1 << 44),
    }
}

section! {
    /// Changes to fields.
    pub struct RouteHeaders {
        /// Changes to the request before the server sees it.
        request: HeaderEdits = table(),
        /// Changes to the response before the client sees it.
        response: HeaderEdits = table(),
    }
}

section! {
    /// Changes to one message, in this order: `remove`, `set`, `add`. Fields that say how a message is framed or
    /// where it goes cannot be changed here.
    pub struct HeaderEdits {
        /// Replaces a field, or adds it when there is none.
        set: Vec<(Located<HeaderName>, HeaderValue)> = pairs("{ x-env = \"prod\" }"),
        /// Adds a field, whether or not there is one already.
        add: Vec<(Located<HeaderName>, HeaderValue)> = pairs("{ vary = \"accept\" }"),
        /// Removes every field of that name.
        remove: Vec<Located<HeaderName>> = list(located(text())),
    }
}

/// The Host field that the server sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostHeader {
    /// The client's own.
    Keep,
    /// The address of the server as the file gives it, such as `app.internal:8080`.
    Upstream,
    /// Always this.
    Rewrite(String),
}

impl Text for HostHeader {
    const WHAT: &'static str = "`keep` (the client's own), `upstream` (the server's address), or a host name";
    const EXAMPLE: &'static str = "app.internal";

    /// A name needs a dot or a port, so that a slip in one of the two words is not taken for a name.
    fn parse(text: &str) -> Result<HostHeader, TextError> {
        match text {
            "keep" => return Ok(HostHeader::Keep),
            "upstream" => return Ok(HostHeader::Upstream),
            _ => {}
        }
        if let Some(word) = closest(text, ["keep", "upstream"]) {
            return Err(TextError::because("no such choice").meant(word));
        }
        let is_authority = text.contains(['.', ':']) && ServerAddress::is_authority(text);
        let help = "a name has a dot or a port: \"app.internal\", \"app:8080\"";
        if is_authority {
            Ok(HostHeader::Rewrite(text.to_owned()))
        } else {
            Err(TextError::default().help(help))
        }
    }

    fn stand_in() -> HostHeader {
        HostHeader::Keep
    }

    fn write(&self) -> String {
        match self {
            HostHeader::Keep => "keep".to_owned(),
            HostHeader::Upstream => "upstream".to_owned(),
            HostHeader::Rewrite(name) => name.clone(),
        }
    }
}
