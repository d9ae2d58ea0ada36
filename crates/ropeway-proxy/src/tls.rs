//! TLS towards clients and servers, as the control plane hands it over: built, checked, and ready to use.

mod handshake;
mod places;
mod session;

use std::fmt;
use std::sync::Arc;

use ropeway_core::route::{HostMap, HostMatch};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, ServerConfig};

pub(crate) use self::handshake::{Handshakes, Secured, secure};
pub(crate) use self::session::{Session, WireBuffers};

/// TLS of one listener.
#[derive(Debug)]
pub struct ListenerTls {
    pub profiles: TlsProfiles,
    /// Time for a handshake, from the first byte on.
    pub handshake_ms: u64,
    /// Handshakes of the listener that are under way in one worker at a time; more wait for a place.
    pub max_handshakes: u32,
    /// Whether servers are told who a client is that has shown a certificate.
    pub identity_fields: bool,
    /// Reads the certificate of a client, which was verified.
    pub identify: Identify,
}

/// Reads a certificate.
pub type Identify = fn(&CertificateDer<'_>) -> Option<ClientIdentity>;

/// Who a client is, by its certificate. Printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The distinguished name of the subject (RFC 4514).
    pub subject: String,
    /// The alternative names, each with its kind: `DNS:a.example, URI:spiffe://b`.
    pub names: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
}

impl ClientIdentity {
    /// The fields that tell a server, and what they say.
    pub(crate) fn fields(&self) -> [(&'static [u8], &str); 3] {
        let [subject, names, fingerprint] = IDENTITY_FIELDS;
        [(subject, &self.subject), (names, &self.names), (fingerprint, &self.fingerprint)]
    }
}

/// The fields of a client's identity. What clients send of them is taken out everywhere, if they are written anywhere.
pub(crate) const IDENTITY_FIELDS: [&[u8]; 3] =
    [b"X-Client-Cert-Subject", b"X-Client-Cert-SAN", b"X-Client-Cert-Fingerprint"];

/// How one group of host names is served.
pub struct TlsProfile {
    /// Lower-case host names, exact or with one leading `*.`; empty for the default.
    pub names: Vec<Box<str>>,
    /// Certificates, versions, suites, tickets, ALPN. Certificates are found by SNI through its resolver, and exchanged
    /// there when files change.
    pub config: Arc<ServerConfig>,
    /// Whether clients are asked for a certificate. A request to such a host must come on a connection whose SNI led to
    /// the same profile, or is refused as misdirected.
    pub asks_clients: bool,
}

/// The profiles of one listener, by host.
#[derive(Debug)]
pub struct TlsProfiles {
    profiles: Vec<TlsProfile>,
    by_host: HostMap<usize>,
    /// Whether any of them asks for certificates.
    asks_clients: bool,
}

impl TlsProfiles {
    /// Never empty: the first one serves clients that send no SNI, or one that nobody claims.
    #[must_use]
    pub fn new(profiles: Vec<TlsProfile>) -> Self {
        let mut by_host = HostMap::default();
        for (index, profile) in profiles.iter().enumerate() {
            for name in &profile.names {
                if let Some(slot) = by_host.entry(&HostMatch::of(name)) {
                    *slot = index;
                }
            }
        }
        let asks_clients = profiles.iter().any(|profile| profile.asks_clients);
        Self { profiles, by_host, asks_clients }
    }

    /// The index of the profile for a host name in lower case, without a port or a dot at its end; exact names before
    /// wildcards, and of these the longest. A wildcard covers every depth, as it does in a route: otherwise a route could
    /// lead to a host whose profile is another one.
    #[must_use]
    pub fn index_for(&self, host: &[u8]) -> usize {
        self.by_host.find_map(host, |index| Some(*index)).unwrap_or(0)
    }

    /// A profile by its index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&TlsProfile> {
        self.profiles.get(index)
    }

    /// Whether a request for `host` must not come on a connection that was opened by the profile `opened`: their clients
    /// are asked for certificates, or not, in different ways.
    pub(crate) fn misdirects(&self, opened: usize, host: &[u8]) -> bool {
        if !self.asks_clients {
            return false;
        }
        let wanted = self.index_for(host);
        let asks_clients = |index: usize| self.get(index).is_none_or(|profile| profile.asks_clients);
        wanted != opened && (asks_clients(wanted) || asks_clients(opened))
    }
}

impl fmt::Debug for TlsProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsProfile").field("names", &self.names).finish_non_exhaustive()
    }
}

/// TLS towards the servers of one upstream.
pub struct UpstreamTls {
    /// Roots, client certificate, pins, ALPN, session store.
    pub config: Arc<ClientConfig>,
    /// The name that is sent and verified; `None` is the host of each server's address.
    pub server_name: Option<ServerName<'static>>,
    /// Time for a handshake.
    pub handshake_ms: u64,
}

impl UpstreamTls {
    /// The name that is sent to a server and verified, of which this is the address: a host or an IP address, with its
    /// port.
    ///
    /// # Errors
    ///
    /// The host can be in no certificate.
    pub fn name_for(&self, authority: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host_of(authority).to_owned()),
        }
    }
}

/// The host of an address with a port.
fn host_of(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_name_to_verify_is_the_host_without_its_port() {
        assert_eq!(host_of("app.example:8443"), "app.example");
        assert_eq!(host_of("10.0.0.1:443"), "10.0.0.1");
        assert_eq!(host_of("[2001:db8::1]:443"), "2001:db8::1");
    }
}
