//! Which route a request belongs to, by the precedence of the Kubernetes Gateway API.
//!
//! Routes are compared by host first (exact, then the longest wildcard suffix, then any), within a host by path
//! (exact, then the longest prefix), and finally by their order in the file. A host that has no matching path does
//! not hide a less specific host: `shop.example.com/api` and a catch-all route can live side by side.
//!
//! [`RouteTable`] finds the answer with a few hash lookups. How many depends on the request and on how many
//! different lengths the configured paths have, never on how many routes there are.

mod hosts;
mod leaf;
mod lengths;
mod paths;
mod table;

pub use hosts::HostMap;
pub use table::{RouteTable, Shadowed};

/// What a request must look like for a route to apply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// The host that it must name.
    pub host: HostMatch,
    /// The path that it must ask for.
    pub path: PathMatch,
}

/// The hosts of a route. Names are compared without regard to ASCII case (RFC 9110, 4.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// Every host, and requests without one.
    Any,
    /// This host, without a port.
    Exact(Box<[u8]>),
    /// Every host with at least one label in front of this suffix: `example.com` here means `*.example.com`, which
    /// covers `a.example.com` and `a.b.example.com` but not `example.com`.
    Wildcard(Box<[u8]>),
}

impl HostMatch {
    /// The hosts that a name stands for, or, with one leading `*.`, those below it.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name.strip_prefix("*.") {
            Some(suffix) => Self::Wildcard(suffix.as_bytes().into()),
            None => Self::Exact(name.as_bytes().into()),
        }
    }
}

/// The paths of a route. Bytes are compared as they came: nothing is decoded, and case matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// This path alone.
    Exact(Box<[u8]>),
    /// This path and everything below it. A final slash has no meaning: `/api` and `/api/` both cover `/api`,
    /// `/api/` and `/api/x`, and not `/apix`. The prefix `/` covers everything, also the `*` of `OPTIONS *`.
    Prefix(Box<[u8]>),
}

/// What the table reads from a request.
pub trait RouteInput {
    /// The host in lower case, without port; empty when there is none.
    fn host(&self) -> &[u8];

    /// The path as it came, without the query.
    fn path(&self) -> &[u8];
}
