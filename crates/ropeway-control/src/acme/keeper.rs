//! Looks after one certificate: orders it, and orders the next one in time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use instant_acme::CertificateIdentifier;
use ropeway_proxy::challenges::Challenges;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::error::OrderError;
use super::order::{self, Wanted};
use super::schedule::{self, Window};
use super::storage::{self, Failures, Storage, StorageLock, waiting};
use super::{Authority, OrderCounts, OrderedCertificate, account, lock};
use crate::current::Current;
use crate::events::EventKind;
use crate::tls::{Certificate, FileProblem};

/// How often to look whether another process has finished an order.
const OTHERS_TURN: Duration = Duration::from_secs(1);

/// How often to look whether the record of failures was removed.
const OTHERS_PAUSE: Duration = Duration::from_secs(5);

/// How long to leave the file alone at most: another process may have put a new one there.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
    /// When the next order may be placed, whatever the authority says: one that says too much must not be flooded. By
    /// the clock that nobody sets.
    soonest: Instant,
    /// What was wrong with the certificate that is there, which is said once.
    complaint: Option<String>,
    /// Failures in a row that nobody counts.
    outages: u32,
    /// When this process last began an order, as in the record of failures.
    began: Option<u64>,
    /// The order of another process, or of one before this one, for which this one has said that it waits.
    waits_for: Option<u64>,
}

/// What the authority said about the renewal of a certificate.
struct Asked {
    fingerprint: String,
    window: Option<Window>,
    again: Instant,
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
            soonest: Instant::now(),
            complaint: None,
            outages: 0,
            began: None,
            waits_for: None,
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
        let found = match self.read() {
            Ok(found) => found,
            Err(error) => return self.failed(&error),
        };
        // Before the authority is asked, which may take a while.
        lock(&self.state).not_after = found.as_ref().map(|certificate| certificate.facts.not_after);
        let due = match &found {
            Some(certificate) => self.due(certificate).await,
            None => SystemTime::now(),
        };
        let is_due = due <= SystemTime::now();
        let left = until(due).max(self.soonest.saturating_duration_since(Instant::now()));
        self.note_state(is_due, left);
        if !left.is_zero() {
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
        match self.read() {
            Ok(now) if fingerprint(now.as_ref()) == fingerprint(found.as_ref()) => {}
            Ok(_) => return Duration::ZERO,
            Err(error) => return self.failed(&error),
        }
        match self.try_order(found.as_ref(), &lock).await {
            Ok(pause) => pause,
            Err(error) => self.failed(&error),
        }
    }

    /// Orders, unless somebody else was refused not long ago. Keeps a record of it in the storage before, since the
    /// authority counts, whatever becomes of this process. Returns for how long there is nothing to do.
    async fn try_order(
        &mut self,
        old: Option<&Certificate>,
        lock: &StorageLock,
    ) -> Result<Duration, OrderError> {
        let record = Storage::failures_file(&self.file);
        let problem = |error: io::Error| OrderError::storage(&record, &error);
        let before = Failures::read(&record).map_err(problem)?;
        if let Some(pause) = self.pause_of_others(&before, &record) {
            return Ok(pause);
        }
        let began = seconds_since_1970();
        let failures = Failures { count: before.count.saturating_add(1), last: began, error: None };
        failures.write(&record).map_err(problem)?;
        let began_before = self.began.replace(began);
        let ordered = tokio::time::timeout(ORDER_TIMEOUT, self.order(old, lock)).await;
        let ordered =
            ordered.unwrap_or_else(|_| Err(OrderError::refused("the order was not complete in time")));
        let count = failures.count;
        let after = match &ordered {
            Ok(()) => Failures::default(),
            Err(error) if error.is_free() => {
                self.began = began_before;
                before
            }
            Err(error) => Failures { error: Some(error.to_string()), ..failures },
        };
        // First the record, so that who hears of the outcome finds it there. If it cannot be written, the next order comes
        // a little later than it could.
        let _ = after.write(&record);
        Ok(match &ordered {
            Ok(()) => self.succeeded(),
            Err(error) if error.is_free() => self.failed(error),
            Err(error) => self.refused(error, count),
        })
    }

    /// What is left of the pause after an order that another process placed in vain, or this one before it was started
    /// again.
    fn pause_of_others(&mut self, failures: &Failures, record: &Path) -> Option<Duration> {
        if failures.count == 0 || self.began == Some(failures.last) {
            return None;
        }
        let last = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(failures.last))?;
        let left = schedule::rest_of_pause((failures.count, last), SystemTime::now(), self.began.is_none());
        if left.is_zero() {
            return None;
        }
        let error = failures.error.as_deref().unwrap_or("it was not completed");
        if self.waits_for.replace(failures.last) != Some(failures.last) {
            tracing::warn!(
                names = self.names.join(", "),
                seconds = left.as_secs(),
                file = %record.display(),
                "an order failed not long ago, waiting; remove the file to order at once: {error}"
            );
        }
        let mut state = lock(&self.state);
        state.failures = state.failures.max(failures.count);
        state.last_error = Some(error.to_owned());
        state.next_order = Some(SystemTime::now() + left);
        Some(left.min(OTHERS_PAUSE))
    }

    /// The certificate that is there. One that is broken counts for none; but whether there is one has to be known.
    fn read(&mut self) -> Result<Option<Certificate>, OrderError> {
        let there = storage::read_if_there(&self.file);
        if there.map_err(|error| OrderError::storage(&self.file, &error))?.is_none() {
            return Ok(None);
        }
        let read = waiting(|| Certificate::load(&self.file, &self.file, &aws_lc_rs::default_provider()));
        let complaint = read.as_ref().err().map(|problems| FileProblem::line(problems));
        if let Some(error) = complaint.as_ref().filter(|_| complaint != self.complaint) {
            tracing::error!(error, "a certificate that was ordered is broken; ordering another");
        }
        self.complaint = complaint;
        Ok(read.ok())
    }

    async fn due(&mut self, certificate: &Certificate) -> SystemTime {
        let facts = &certificate.facts;
        let fresh = |asked: &Asked| asked.fingerprint == facts.fingerprint && Instant::now() < asked.again;
        if !self.asked.as_ref().is_some_and(fresh) {
            self.asked = Some(self.ask(certificate).await);
        }
        let window = self.asked.as_ref().and_then(|asked| asked.window);
        schedule::renewal(window, (facts.not_before, facts.not_after), self.fraction)
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
        Asked { fingerprint, window, again: Instant::now() + pause }
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
        verify(&pem, &self.names, &self.file)?;
        storage::write_private(&self.file, pem.as_bytes())
            .map_err(|error| OrderError::storage(&self.file, &error).lost())
    }

    fn note_state(&self, is_due: bool, left: Duration) {
        let mut state = lock(&self.state);
        state.next_order = Some(SystemTime::now() + left);
        if !is_due {
            // Whoever ordered it.
            (state.failures, state.last_error) = (0, None);
        }
    }

    fn succeeded(&mut self) -> Duration {
        self.orders.succeeded.fetch_add(1, Relaxed);
        self.fraction = dice();
        self.outages = 0;
        self.soonest = Instant::now() + SHORTEST_LIFE;
        let mut state = lock(&self.state);
        (state.failures, state.last_error) = (0, None);
        let names = self.names.join(", ");
        tracing::info!(names, file = %self.file.display(), "a certificate was ordered");
        self.current.events().push(EventKind::CertificateOrdered, format!("a certificate for {names}"));
        Duration::ZERO
    }

    /// Something went wrong that nobody counts.
    fn failed(&mut self, error: &OrderError) -> Duration {
        self.outages = self.outages.saturating_add(1);
        self.note_failure(error, schedule::pause(self.outages, true, dice()))
    }

    /// The authority said no, `count` times in a row.
    fn refused(&mut self, error: &OrderError, count: u32) -> Duration {
        self.outages = 0;
        self.note_failure(error, schedule::pause(count, false, dice()))
    }

    fn note_failure(&mut self, error: &OrderError, pause: Duration) -> Duration {
        self.orders.failed.fetch_add(1, Relaxed);
        self.soonest = Instant::now() + pause;
        let mut state = lock(&self.state);
        state.failures = state.failures.saturating_add(1);
        state.last_error = Some(error.to_string());
        state.next_order = Some(SystemTime::now() + pause);
        let names = self.names.join(", ");
        tracing::error!(
            names,
            directory = %self.authority.config.directory,
            seconds = pause.as_secs(),
            "no certificate could be ordered, trying again: {error}"
        );
        self.current.events().push(EventKind::OrderFailed, format!("no certificate for {names}: {error}"));
        pause.min(LONGEST_PAUSE)
    }
}

/// Whether a key and its chain are what was ordered, and not just something that the authority signed.
fn verify(pem: &str, names: &[String], file: &Path) -> Result<(), OrderError> {
    let given = Certificate::in_pem(pem.as_bytes(), file, &aws_lc_rs::default_provider());
    let given = given.map_err(|error| OrderError::refused(format!("what it gave is of no use: {error}")))?;
    let has = |name: &String| given.facts.names.iter().any(|known| **known == **name);
    match names.iter().find(|name| !has(name)) {
        None => Ok(()),
        Some(name) => Err(OrderError::refused(format!("its certificate is not for {name}"))),
    }
}

fn fingerprint(certificate: Option<&Certificate>) -> Option<&str> {
    certificate.map(|certificate| certificate.facts.fingerprint.as_str())
}

/// How long it is until then, by the wall clock.
fn until(moment: SystemTime) -> Duration {
    moment.duration_since(SystemTime::now()).unwrap_or_default()
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn what_is_given_is_taken_only_if_it_is_what_was_ordered() {
        let (key, another) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ordered = ["a.example".to_owned(), "b.example".to_owned()];
        let given = |key: &KeyPair, names: &[String]| {
            let certificate = CertificateParams::new(names).unwrap().self_signed(key).unwrap();
            let pem = format!("{}{}", another.serialize_pem(), certificate.pem());
            verify(&pem, &ordered, Path::new("a.pem")).map_err(|error| error.to_string())
        };
        assert_eq!(given(&another, &ordered), Ok(()));
        let wrong_key = given(&key, &ordered).unwrap_err();
        assert!(wrong_key.contains("this is not the private key of the certificate"), "{wrong_key}");
        let wrong_names = given(&another, &ordered[..1]).unwrap_err();
        assert!(wrong_names.ends_with("its certificate is not for b.example"), "{wrong_names}");
    }
}
