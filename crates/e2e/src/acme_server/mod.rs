//! A certificate authority that speaks ACME (RFC 8555), with ARI (RFC 9773) and external accounts.
//!
//! It is as strict as one on the internet: signatures, nonces and URLs of every request are checked, names are proved by
//! connecting to the proxy, and a request for a certificate must ask for the names of its order.

mod https;
mod jws;
mod resources;
mod validation;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tls::Authority;
use crate::wait::Gate;

use self::jws::PublicKey;

/// The authority. It ends with the process of the test.
#[derive(Debug)]
pub struct AcmeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Who vouches for the server's own certificate.
    roots: Authority,
}

#[derive(Debug)]
struct Shared {
    /// `https://127.0.0.1:PORT`.
    base: String,
    issuer: Authority,
    books: Mutex<Books>,
}

/// What the authority knows.
#[derive(Debug, Default)]
struct Books {
    nonces: HashSet<String>,
    issued_nonces: u64,
    accounts: Vec<PublicKey>,
    /// The name and the key of the one external account that is known; everybody must have it.
    external: Option<(String, Vec<u8>)>,
    orders: Vec<Order>,
    proofs: Vec<Proof>,
    /// Where port 80 and port 443 of every host are.
    http_at: Option<SocketAddr>,
    tls_at: Option<SocketAddr>,
    /// What validations wait for.
    hold: Option<Gate>,
    /// Whether every connection is closed at once.
    down: bool,
    /// Whether the time to renew is now, and not in a month.
    renew_now: bool,
}

#[derive(Debug)]
struct Order {
    account: usize,
    names: Vec<String>,
    proofs: Vec<usize>,
    replaces: Option<String>,
    chain: Option<String>,
}

/// One name that has to be proved.
#[derive(Debug)]
struct Proof {
    account: usize,
    name: String,
    token: String,
    state: ProofState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ProofState {
    Pending,
    /// By this challenge.
    Processing(&'static str),
    Valid(&'static str),
    Invalid(&'static str, String),
}

impl AcmeServer {
    /// An authority on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> Self {
        let roots = Authority::new("ACME server root");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            base: format!("https://{address}"),
            issuer: Authority::new("ACME issuer"),
            books: Mutex::default(),
        });
        https::serve(listener, &roots.issue(&["127.0.0.1"]), &shared);
        Self { address, shared, roots }
    }

    /// The URL to begin with.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("{}/directory", self.shared.base)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who vouches for the server itself (PEM).
    #[must_use]
    pub fn roots(&self) -> String {
        self.roots.pem()
    }

    /// Who signs what is ordered.
    #[must_use]
    pub fn issuer(&self) -> &Authority {
        &self.shared.issuer
    }

    /// Where port 80 of every host is.
    pub fn http_is_at(&self, address: SocketAddr) {
        self.shared.books().http_at = Some(address);
    }

    /// Where port 443 of every host is.
    pub fn tls_is_at(&self, address: SocketAddr) {
        self.shared.books().tls_at = Some(address);
    }

    /// Gives accounts only to who shows this external one.
    pub fn require_external_account(&self, kid: &str, key: &[u8]) {
        self.shared.books().external = Some((kid.to_owned(), key.to_vec()));
    }

    /// Does not look at challenges until the gate is open.
    pub fn hold_validations(&self, gate: &Gate) {
        self.shared.books().hold = Some(gate.clone());
    }

    /// Closes every connection at once, or no longer.
    pub fn set_down(&self, down: bool) {
        self.shared.books().down = down;
    }

    /// Says that the time to renew certificates is now, and not in a month.
    pub fn set_renew_now(&self, now: bool) {
        self.shared.books().renew_now = now;
    }

    /// How many accounts were made.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.shared.books().accounts.len()
    }

    /// The names of every order that was placed.
    #[must_use]
    pub fn orders(&self) -> Vec<Vec<String>> {
        self.shared.books().orders.iter().map(|order| order.names.clone()).collect()
    }

    /// How many certificates were signed.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.shared.books().orders.iter().filter(|order| order.chain.is_some()).count()
    }

    /// What each order says that it replaces.
    #[must_use]
    pub fn replaced(&self) -> Vec<Option<String>> {
        self.shared.books().orders.iter().map(|order| order.replaces.clone()).collect()
    }

    /// The tokens of challenges that wait to be looked at.
    #[must_use]
    pub fn tokens_under_way(&self) -> Vec<String> {
        let books = self.shared.books();
        let under_way = books.proofs.iter().filter(|proof| matches!(proof.state, ProofState::Processing(_)));
        under_way.map(|proof| proof.token.clone()).collect()
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
