//! The configuration as plain Rust: every default resolved, every duration a [`std::time::Duration`], every size in
//! bytes, and `None` where the file says "off" or "no limit".
//!
//! Values that a later step may still refuse are [`Located`], so that its complaint can point at the
//! file.

mod acme;
mod address;
mod balance;
mod health;
mod http;
mod http2;
mod listener;
mod path;
mod process;
mod proxy_protocol;
mod route;
mod tls;
mod upstream;

pub use acme::{Acme, AcmeChallenge, AcmeName, Contact, DirectoryUrl, ExternalAccount, MacKey};
pub use address::{ServerAddress, is_host_name};
pub use balance::{Balance, HashKey};
pub use health::{Health, HealthKind, Passive, ServiceName};
pub use http::{Authority, HeaderName, HeaderValue, HostPattern, Method, Path, Target, Token};
pub use http2::Http2;
pub use listener::{Forwarding, Hsts, Listener, ListenerLimits, ListenerTimeouts};
pub use path::PathMatch;
pub use process::{
    AccessLog, AccessLogFormat, Admin, Dns, Limits, Log, LogFormat, LogLevel, LogOutput, Shutdown,
};
pub use proxy_protocol::{ProxyProtocol, ProxyProtocolVersion};
pub use route::{HeaderEdits, HostHeader, Match, Route, RouteHeaders, RouteLimits, RouteTimeouts};
pub use tls::base64_of_32;
pub use tls::{
    CertificateFiles, ClientAuth, ClientAuthMode, ClientCertificate, FilePath, ListenerTls, SpkiPin, Tickets,
    TlsGroup, TlsHost, TlsName, TlsPolicy, TlsSuite, TlsVersion, UpstreamTls,
};
pub use upstream::{
    KeepAlive, Protocol, RequestTrailers, Retry, RetryOn, Server, ServerState, Upstream, UpstreamLimits,
    UpstreamTimeouts,
};

pub use ropeway_core::health::StatusSet;

use crate::kind::{integer, list, located, named, optional, table, text};
use crate::place::Located;
use crate::section::section;

section! {
    /// The whole configuration.
    pub struct Config {
        /// Worker threads. Each has its own sockets, its own idle upstream connections and its own counters.
        workers: Option<u16> = optional(integer(1..=1024), "the CPUs this process may use, cgroup quota included"),
        /// More files, relative to this one. The last part of a pattern may hold `*` and `?`; matches are read in
        /// alphabetical order. Included files hold listeners, routes and upstreams, nothing else, and a name given
        /// twice is an error.
        include: Vec<Located<String>> = list(located(text::<String>().such_as("conf.d/*.toml"))),
        /// The admin listener: dashboard, API, `/metrics`, `/status`, `/healthz`, `/readyz`.
        admin: Admin = table(),
        /// What is logged, and where.
        log: Log = table(),
        /// Limits of the whole process.
        limits: Limits = table(),
        /// How the process ends.
        shutdown: Shutdown = table(),
        /// How host names of servers are resolved.
        dns: Dns = table(),
        /// Certificates that are ordered from an authority by themselves.
        acme: Option<Acme> = optional(table(), "none are ordered"),
        /// Where clients connect.
        listeners as "listener": Vec<Listener> = named(),
        /// Which request goes to which upstream. The most specific match wins: exact host before wildcard before any,
        /// then exact path before the longest prefix; ties in the order of the file. So the order of routes rarely
        /// matters.
        routes as "route": Vec<Route> = list(table()),
        /// Groups of servers that do the same work.
        upstreams as "upstream": Vec<Upstream> = named(),
    }
}

impl Config {
    /// The upstream called `name`.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name.value == name)
    }

    /// The hosts that certificates are ordered for, those of one certificate together, in the order of the file.
    pub fn acme_sets(&self) -> impl Iterator<Item = &[Located<AcmeName>]> {
        let of_listeners = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let tables = of_listeners.flat_map(|tls| {
            let of_hosts = tls.hosts.iter().flat_map(|host| &host.certificates);
            tls.certificates.iter().chain(of_hosts)
        });
        tables.filter_map(|files| files.value.acme.as_deref())
    }

    /// The listener called `name`.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.name.value == name)
    }
}
