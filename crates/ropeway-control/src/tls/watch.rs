//! Files that change: what is made of them is made again, and what was there stays if they are bad.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use ropeway_proxy::challenges::Challenges;
use tokio::time::MissedTickBehavior;

use super::Built;
use super::certificate::CertificateFacts;
use super::file::FileProblem;
use super::store::CertificateStore;
use super::tickets::{KeyRing, KeySource};
use crate::Control;

/// How often files are looked at. A change counts once two looks in a row have seen the same, so that a certificate and
/// its key are not read while one of them is still being written.
const LOOK: Duration = Duration::from_secs(2);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Days before the end of a certificate at which it is warned of.
const WARN_AT: [u64; 3] = [30, 7, 1];

/// What identifies the contents of files without reading them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature(BTreeMap<PathBuf, Option<(i64, i64, u64, u64)>>);

impl Signature {
    /// As the files are now.
    pub(super) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let look = |file: PathBuf| {
            let found = std::fs::metadata(&file).ok();
            let facts = found.map(|found| (found.mtime(), found.mtime_nsec(), found.ino(), found.size()));
            (file, facts)
        };
        Self(files.into_iter().map(look).collect())
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn again(&self) -> Self {
        Self::of(self.0.keys().cloned())
    }
}

/// Something that is made from files.
#[derive(Clone, Debug)]
pub(super) enum Made {
    /// Certificates of a listener.
    Certificates { listener: Arc<str>, store: Arc<CertificateStore> },
    /// Keys of tickets.
    TicketKeys(Arc<KeyRing>),
    /// Everything else: the whole snapshot is made again.
    Snapshot,
}

/// What is made from files, and what they were like at the last attempt.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub made: Made,
    pub applied: Signature,
    /// What the last look saw, if that was something else.
    seen: Option<Signature>,
    problem: Option<String>,
}

impl Watched {
    pub(super) fn new(made: Made, applied: Signature) -> Self {
        Self { made, applied, seen: None, problem: None }
    }

    fn look(&self) -> Signature {
        match &self.made {
            Made::Certificates { store, .. } => Signature::of(store.files()),
            Made::TicketKeys(_) | Made::Snapshot => self.applied.again(),
        }
    }

    /// Whether the files have changed, and come to rest.
    fn is_due(&mut self) -> bool {
        let now = self.look();
        if now == self.applied {
            self.seen = None;
            return false;
        }
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            return false;
        }
        self.applied = now;
        self.seen = None;
        true
    }
}

/// What of TLS lives longer than a configuration, and what files the one in service depends on.
#[derive(Debug, Default)]
pub struct LiveTls {
    rings: Mutex<HashMap<(KeySource, Duration), Arc<KeyRing>>>,
    watched: Mutex<Vec<Watched>>,
    challenges: Arc<Challenges>,
    exchanged: AtomicU64,
    refused: AtomicU64,
    /// Fingerprints and thresholds that were warned of.
    warned: Mutex<HashSet<(String, u64)>>,
}

/// A certificate in service.
#[derive(Clone, Debug)]
pub struct CertificateInUse {
    /// Whose it is.
    pub listener: Arc<str>,
    /// What is known about it.
    pub facts: CertificateFacts,
}

impl LiveTls {
    /// The ring of keys from `source`, the one that is there if there is one.
    pub(super) fn ring(&self, source: KeySource, rotate: Duration) -> Result<Arc<KeyRing>, FileProblem> {
        let key = (source, rotate);
        let mut rings = lock(&self.rings);
        if let Some(ring) = rings.get(&key) {
            ring.reload()?;
            return Ok(Arc::clone(ring));
        }
        let ring = Arc::new(KeyRing::new(key.0.clone(), rotate)?);
        rings.insert(key, Arc::clone(&ring));
        Ok(ring)
    }

    /// What authorities are answered that look whether a host is ours.
    pub(crate) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Watches the files of what was put into service, instead of those before.
    pub(crate) fn follow(&self, built: Built) {
        *lock(&self.watched) = built.watched;
        // What no configuration uses is held by nobody else.
        lock(&self.rings).retain(|_, ring| Arc::strong_count(ring) > 1);
        self.warn_of_expiry(SystemTime::now());
    }

    /// The certificates in service, each once for its listener.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateInUse> {
        let mut seen = HashSet::new();
        let watched = lock(&self.watched);
        let stores = watched.iter().filter_map(|one| match &one.made {
            Made::Certificates { listener, store } => Some((listener, store)),
            Made::TicketKeys(_) | Made::Snapshot => None,
        });
        let all = stores.flat_map(|(listener, store)| {
            store.certificates().into_iter().map(move |certificate| CertificateInUse {
                listener: Arc::clone(listener),
                facts: certificate.facts.clone(),
            })
        });
        all.filter(|one| seen.insert((Arc::clone(&one.listener), one.facts.fingerprint.clone()))).collect()
    }

    /// Why files that changed were not taken; what was there before them is in service.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        lock(&self.watched).iter().filter_map(|one| one.problem.clone()).collect()
    }

    /// How often changed files were taken, and how often refused.
    #[must_use]
    pub fn exchanges(&self) -> (u64, u64) {
        (self.exchanged.load(Relaxed), self.refused.load(Relaxed))
    }

    /// Looks at every file. Answers whether the snapshot has to be made again.
    fn look(&self) -> bool {
        lock(&self.rings).values().for_each(|ring| ring.rotate(Instant::now(), SystemTime::now()));
        let mut snapshot_is_due = false;
        for one in lock(&self.watched).iter_mut() {
            if !one.is_due() {
                continue;
            }
            let outcome = match &one.made {
                Made::Certificates { store, .. } => store.reload(),
                Made::TicketKeys(ring) => ring.reload(),
                Made::Snapshot => {
                    snapshot_is_due = true;
                    continue;
                }
            };
            one.problem = self.note(outcome.map_err(|problem| problem.to_string()));
        }
        self.warn_of_expiry(SystemTime::now());
        snapshot_is_due
    }

    fn note(&self, outcome: Result<(), String>) -> Option<String> {
        match outcome {
            Ok(()) => {
                self.exchanged.fetch_add(1, Relaxed);
                tracing::info!("files of TLS changed and were taken into service");
                None
            }
            Err(problem) => {
                self.refused.fetch_add(1, Relaxed);
                tracing::error!("a changed file of TLS is bad, what was there before stays: {problem}");
                Some(problem)
            }
        }
    }

    fn note_snapshot(&self, outcome: Result<(), String>) {
        let problem = self.note(outcome);
        for one in lock(&self.watched).iter_mut().filter(|one| matches!(one.made, Made::Snapshot)) {
            one.problem.clone_from(&problem);
        }
    }

    fn warn_of_expiry(&self, now: SystemTime) {
        for CertificateInUse { listener, facts } in self.certificates() {
            let Some(days) = warning(&facts, now) else { continue };
            if lock(&self.warned).insert((facts.fingerprint.clone(), days)) {
                let (name, file) = (facts.title(), facts.source.display());
                match days {
                    0 => tracing::error!(%listener, name, %file, "a certificate has expired"),
                    days => {
                        tracing::warn!(%listener, name, %file, "a certificate expires in less than {days} days");
                    }
                }
            }
        }
    }
}

/// Within how many days a certificate ends, if that is worth a warning; 0 when it has ended. One that never lives longer
/// than twice as long is not warned of so early.
fn warning(facts: &CertificateFacts, now: SystemTime) -> Option<u64> {
    let Ok(left) = facts.not_after.duration_since(now) else { return Some(0) };
    let life = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
    let days = |count: u64| DAY * u32::try_from(count).unwrap_or(u32::MAX);
    WARN_AT.into_iter().rev().find(|count| left < days(*count) && life > 2 * days(*count))
}

/// Looks at the files until the proxy is gone.
pub(crate) async fn run(control: Weak<Control>) {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(control) = control.upgrade() else { return };
        // Reads files; a disk that hangs holds up nothing else.
        let look = tokio::task::spawn_blocking(move || look(&control));
        if let Err(error) = look.await {
            tracing::error!(%error, "files of TLS could not be looked at");
        }
    }
}

fn look(control: &Control) {
    if control.tls().look() {
        let outcome = control.rebuild().map_err(|error| error.summary());
        control.tls().note_snapshot(outcome);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl LiveTls {
    /// Two looks, by which a change that has come to rest is taken.
    pub(super) fn look_twice(&self) -> bool {
        self.look() | self.look()
    }
}
