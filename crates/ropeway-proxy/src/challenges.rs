//! What an authority is answered that looks whether a host is ours (RFC 8555 section 8.3, RFC 8737).
//!
//! The control plane puts an answer here for as long as an order needs it. Nothing else is ever answered: a path or a
//! protocol that looks like a challenge and is none goes the way of every other request.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;

/// Where HTTP-01 is asked for a token (RFC 8555 section 8.3).
const PATH: &[u8] = b"/.well-known/acme-challenge/";

/// The protocol of TLS-ALPN-01 (RFC 8737 section 3).
pub const ALPN: &[u8] = b"acme-tls/1";

/// The challenges that are to be answered now.
#[derive(Default)]
pub struct Challenges {
    /// Whether there is any, so that nobody else pays for more than a look at this.
    any: AtomicBool,
    table: ArcSwap<Table>,
    /// Held by who changes it.
    changing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Table {
    /// Key authorizations by token.
    http: HashMap<Box<[u8]>, Arc<str>>,
    /// What to show, by host name in lower case.
    tls: HashMap<Box<str>, Arc<ServerConfig>>,
}

impl Challenges {
    /// Answers requests for `token` with `key_authorization`.
    pub fn add_http(&self, token: &str, key_authorization: &str) {
        self.change(|table| {
            table.http.insert(token.as_bytes().into(), key_authorization.into());
        });
    }

    /// No longer answers requests for `token`.
    pub fn remove_http(&self, token: &str) {
        self.change(|table| {
            table.http.remove(token.as_bytes());
        });
    }

    /// Answers connections for [`ALPN`] and `host`, in lower case, with `config`, and closes them after the handshake.
    pub fn add_tls(&self, host: &str, config: &Arc<ServerConfig>) {
        self.change(|table| {
            table.tls.insert(host.into(), Arc::clone(config));
        });
    }

    /// No longer answers connections for [`ALPN`] and `host` with `config`. What another order has put there since stays.
    pub fn remove_tls(&self, host: &str, config: &Arc<ServerConfig>) {
        self.change(|table| {
            if table.tls.get(host).is_some_and(|now| Arc::ptr_eq(now, config)) {
                table.tls.remove(host);
            }
        });
    }

    /// What a request for `path` is answered with.
    #[inline]
    pub(crate) fn http(&self, path: &[u8]) -> Option<Arc<str>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.table.load().http.get(path.strip_prefix(PATH)?).cloned()
    }

    /// What a connection for [`ALPN`] and `host` is answered with.
    pub(crate) fn tls(&self, host: &str) -> Option<Arc<ServerConfig>> {
        self.table.load().tls.get(host.to_ascii_lowercase().as_str()).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        change(&mut table);
        let any = !table.http.is_empty();
        self.table.store(Arc::new(table));
        self.any.store(any, Ordering::Release);
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.load();
        f.debug_struct("Challenges").field("http", &table.http.len()).field("tls", &table.tls.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_that_is_known_is_answered() {
        let challenges = Challenges::default();
        assert_eq!(challenges.http(b"/.well-known/acme-challenge/one"), None);
        challenges.add_http("one", "one.thumbprint");
        challenges.add_http("two", "two.thumbprint");
        assert_eq!(challenges.http(b"/.well-known/acme-challenge/one").as_deref(), Some("one.thumbprint"));
        for other in
            ["", "/", "/one", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/one/", "one"]
        {
            assert_eq!(challenges.http(other.as_bytes()), None, "{other}");
        }
        challenges.remove_http("one");
        assert_eq!(challenges.http(b"/.well-known/acme-challenge/one"), None);
        assert_eq!(challenges.http(b"/.well-known/acme-challenge/two").as_deref(), Some("two.thumbprint"));
    }
}
