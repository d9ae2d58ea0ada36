//! Looks after one certificate: orders it, and orders the next one in time.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use instant_acme::CertificateIdentifier;
use ropeway_proxy::challenges::Challenges;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;

use super::error::OrderError;
use super::order::{self, Wanted};
use super::schedule::{self, Window};
use super::storage::{self, StorageLock};
use super::{Authority, OrderCounts, OrderedCertificate, account, lock};
use crate::current::Current;
use crate::events::EventKind;
use crate::tls::Certificate;

/// How often to look whether another process has finished an order.
const OTHERS_TURN: Duration = Duration::from_secs(1);

/// How long to leave the file alone at most: another process may have put a new one there.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// When to ask again for a window, after the authority did not give one.
const NO_WINDOW_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// The time between two certificates, however short they live.
const SHORTEST_LIFE: Duration = Duration::from_secs(5 * 60);

/// A whole order. What takes longer is stuck.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Looks after the certificate for one set of names.
pub(super) struct Keeper {
    authority: Arc<Authority>,
    names: Vec<String>,
    file: PathBuf,
    state: Arc<Mutex<OrderedCertificate>>,
    challenges: Arc<Challenges>,
    orders: Arc<OrderCounts>,
    current: Arc<Current>,
    /// Where in the time that is good for a renewal this one happens; new dice for every certificate.
    fraction: f64,
    asked: Option<Asked>,
    /// When the next order may be placed, whatever the authority says: one that says too much must not be flooded.
    soonest: SystemTime,
}

/// What the authority said about the renewal of a certificate.
struct Asked {
    fingerprint: String,
    window: Option<Window>,
    again: SystemTime,
}

impl Keeper {
    pub(super) fn new(
        authority: Arc<Authority>,
        state: Arc<Mutex<OrderedCertificate>>,
        challenges: Arc<Challenges>,
        orders: Arc<OrderCounts>,
        current: Arc<Current>,
    ) -> Self {
        let names = lock(&state).names.clone();
        let file = authority.storage.certificate_file(&names);
        Self {
            authority,
            names,
            file,
            state,
            challenges,
            orders,
            current,
            fraction: dice(),
            asked: None,
            soonest: SystemTime::UNIX_EPOCH,
        }
    }

    /// Does so for as long as it is asked to.
    pub(super) async fn run(mut self) {
        loop {
            let pause = self.turn().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Orders, if it is time. Returns for how long there is nothing to do.
    async fn turn(&mut self) -> Duration {
        let found = self.read();
        let due = match &found {
            Some(certificate) => self.due(certificate).await,
            None => SystemTime::now(),
        };
        let due = due.max(self.soonest);
        self.note_state(found.as_ref(), due);
        if let Ok(left) = due.duration_since(SystemTime::now())
            && !left.is_zero()
        {
            return left.min(LONGEST_PAUSE);
        }
        let lock = match self.authority.storage.try_lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => return OTHERS_TURN,
            Err(error) => {
                return self.failed(&OrderError::storage(self.authority.storage.directory(), &error));
            }
        };
        // Whoever had the lock before may have done it.
        if fingerprint(self.read().as_ref()) != fingerprint(found.as_ref()) {
            return Duration::ZERO;
        }
        let ordered = tokio::time::timeout(ORDER_TIMEOUT, self.order(found.as_ref(), &lock)).await;
        match ordered.unwrap_or_else(|_| Err(OrderError::refused("the order was not complete in time"))) {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(&error),
        }
    }

    /// The certificate that is there. One that is broken counts for none.
    fn read(&self) -> Option<Certificate> {
        if !self.file.exists() {
            return None;
        }
        let read = Certificate::load(&self.file, &self.file, &aws_lc_rs::default_provider());
        read.map_err(
            |error| tracing::error!(%error, "a certificate that was ordered is broken; ordering another"),
        )
        .ok()
    }

    async fn due(&mut self, certificate: &Certificate) -> SystemTime {
        let facts = &certificate.facts;
        let now = SystemTime::now();
        let fresh = |asked: &Asked| asked.fingerprint == facts.fingerprint && now < asked.again;
        if !self.asked.as_ref().is_some_and(fresh) {
            self.asked = Some(self.ask(certificate).await);
        }
        match self.asked.as_ref().and_then(|asked| asked.window) {
            Some(window) => window.moment(self.fraction),
            None => schedule::by_lifetime(facts.not_before, facts.not_after, self.fraction),
        }
    }

    /// Asks when the certificate should be renewed (RFC 9773). Whatever goes wrong, its own life says it, too.
    async fn ask(&self, certificate: &Certificate) -> Asked {
        let answer = self.renewal_info(certificate).await;
        let (window, pause) = match answer {
            Ok(Some((window, pause))) => (Some(window), schedule::look_again(pause)),
            Ok(None) => (None, NO_WINDOW_PAUSE),
            Err(error) => {
                tracing::debug!(names = ?self.names, %error, "the authority does not say when to renew");
                (None, NO_WINDOW_PAUSE)
            }
        };
        let fingerprint = certificate.facts.fingerprint.clone();
        Asked { fingerprint, window, again: SystemTime::now() + pause }
    }

    async fn renewal_info(
        &self,
        certificate: &Certificate,
    ) -> Result<Option<(Window, Duration)>, OrderError> {
        let Some(account) = account::existing(&self.authority).await? else { return Ok(None) };
        let Some(der) = certificate.key.cert.first() else { return Ok(None) };
        let Ok(id) = CertificateIdentifier::try_from(der) else { return Ok(None) };
        let (info, pause) = account.renewal_info(&id).await?;
        let window = info.suggested_window;
        Ok(Some((Window { start: window.start.into(), end: window.end.into() }, pause)))
    }

    async fn order(&self, old: Option<&Certificate>, lock: &StorageLock) -> Result<(), OrderError> {
        tracing::info!(names = ?self.names, directory = %self.authority.config.directory, "ordering a certificate");
        let account = account::open(&self.authority, lock).await?;
        let replaces: Option<CertificateDer<'static>> = old.and_then(|old| old.key.cert.first()).cloned();
        let wanted = Wanted {
            names: &self.names,
            replaces,
            challenge: self.authority.config.challenge,
            storage: &self.authority.storage,
        };
        let pem = order::place(&account, &wanted, &self.challenges).await?;
        storage::write_private(&self.file, pem.as_bytes())
            .map_err(|error| OrderError::storage(&self.file, &error))
    }

    fn note_state(&self, found: Option<&Certificate>, due: SystemTime) {
        let mut state = lock(&self.state);
        state.not_after = found.map(|certificate| certificate.facts.not_after);
        state.next_order = Some(due);
    }

    fn succeeded(&mut self) -> Duration {
        self.orders.succeeded.fetch_add(1, Relaxed);
        self.fraction = dice();
        self.soonest = SystemTime::now() + SHORTEST_LIFE;
        let mut state = lock(&self.state);
        (state.failures, state.last_error) = (0, None);
        let names = self.names.join(", ");
        tracing::info!(names, file = %self.file.display(), "a certificate was ordered");
        self.current.events().push(EventKind::CertificateOrdered, format!("a certificate for {names}"));
        Duration::ZERO
    }

    fn failed(&self, error: &OrderError) -> Duration {
        self.orders.failed.fetch_add(1, Relaxed);
        let mut state = lock(&self.state);
        state.failures = state.failures.saturating_add(1);
        let unreachable = matches!(error, OrderError::Unreachable(_));
        let pause = schedule::pause(state.failures, unreachable, dice());
        state.last_error = Some(error.to_string());
        state.next_order = Some(SystemTime::now() + pause);
        let names = self.names.join(", ");
        tracing::error!(
            names,
            seconds = pause.as_secs(),
            "no certificate could be ordered, trying again: {error}"
        );
        self.current.events().push(EventKind::OrderFailed, format!("no certificate for {names}: {error}"));
        pause
    }
}

fn fingerprint(certificate: Option<&Certificate>) -> Option<&str> {
    certificate.map(|certificate| certificate.facts.fingerprint.as_str())
}

/// Somewhere from 0 to 1.
fn dice() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness everybody renews in the middle, which is good, too.
    match ::aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
