//! Files that change: what is made of them is made again, and what was there stays if they are bad.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use ropeway_proxy::challenges::Challenges;
use ropeway_proxy::tls::UpstreamTls;
use tokio::time::MissedTickBehavior;

use super::Built;
use super::certificate::{Certificate, CertificateFacts, Origin};
use super::expiry::Warnings;
use super::file::FileProblem;
use super::revocation_list::{EXPIRED, RevocationList};
use super::store::CertificateStore;
use super::tickets::{KeyRing, KeySource};
use super::upstream;
use crate::Control;

/// How often files are looked at. A change counts once two looks in a row have seen the same, so that a certificate and
/// its key are not read while one of them is still being written.
const LOOK: Duration = Duration::from_secs(2);

/// Looks after which files that were bad are tried again although they look the same: what was wrong may have been
/// something else.
const RETRY_AFTER: u32 = 15;

/// What identifies the contents of files without reading them, and who may read them: when something about each was
/// changed, its number and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature(BTreeMap<PathBuf, Option<(i64, i64, u64, u64)>>);

impl Signature {
    /// As the files are now.
    pub(super) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let look = |file: PathBuf| {
            let found = std::fs::metadata(&file).ok();
            let facts = found.map(|found| (found.ctime(), found.ctime_nsec(), found.ino(), found.size()));
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

impl fmt::Display for Made {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificates { listener, .. } => write!(out, "certificates of listener {listener}"),
            Self::TicketKeys(_) => out.write_str("keys of tickets"),
            Self::Snapshot => {
                out.write_str("authorities, lists of revoked certificates, or certificates for servers")
            }
        }
    }
}

/// What is made from files, and what they were like at the last attempt.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub made: Made,
    pub applied: Signature,
    /// What the last look saw, if that was something else.
    seen: Option<Signature>,
    problem: Option<String>,
    /// Looks since the last attempt, if that failed.
    idle_looks: u32,
}

impl Watched {
    pub(super) fn new(made: Made, applied: Signature) -> Self {
        Self { made, applied, seen: None, problem: None, idle_looks: 0 }
    }

    fn look(&self) -> Signature {
        match &self.made {
            Made::Certificates { store, .. } => Signature::of(store.files()),
            Made::TicketKeys(_) | Made::Snapshot => self.applied.again(),
        }
    }

    /// Whether the files have changed, and come to rest; or were bad, and it is time to try again.
    fn is_due(&mut self) -> bool {
        let now = self.look();
        if now == self.applied {
            self.seen = None;
            return self.is_retried();
        }
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            return false;
        }
        self.applied = now;
        self.seen = None;
        self.idle_looks = 0;
        true
    }

    fn is_retried(&mut self) -> bool {
        self.idle_looks = if self.problem.is_some() { self.idle_looks + 1 } else { 0 };
        let is_time = self.idle_looks >= RETRY_AFTER;
        if is_time {
            self.idle_looks = 0;
        }
        is_time
    }
}

/// What TLS towards the servers of an upstream was made from, and what was made, by the name of the upstream.
pub(super) type Reusable = HashMap<String, (upstream::MadeFrom, Arc<UpstreamTls>)>;

/// What of TLS lives longer than a configuration, and what files the one in service depends on.
#[derive(Debug, Default)]
pub struct LiveTls {
    rings: Mutex<HashMap<(KeySource, Duration), Arc<KeyRing>>>,
    followed: Mutex<Followed>,
    reusable: Mutex<Reusable>,
    challenges: Arc<Challenges>,
    exchanged: AtomicU64,
    refused: AtomicU64,
    warnings: Warnings,
}

/// What is watched for the configuration in service. Held for moments only: disks are not read meanwhile.
#[derive(Debug, Default)]
struct Followed {
    /// How many configurations there were before.
    generation: u64,
    watched: Vec<Watched>,
    /// Lists of revoked certificates, those of several profiles more than once.
    lists: Vec<RevocationList>,
}

/// A certificate in service.
#[derive(Clone, Debug)]
pub struct CertificateInUse {
    /// Whose it is.
    pub listener: Arc<str>,
    /// Whether the proxy orders it by itself.
    pub is_ordered: bool,
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

    /// TLS towards the servers of an upstream as it is in service, if it was made from the same.
    pub(super) fn upstream(&self, name: &str, made_from: &upstream::MadeFrom) -> Option<Arc<UpstreamTls>> {
        let reusable = lock(&self.reusable);
        reusable.get(name).filter(|(known, _)| known == made_from).map(|(_, tls)| Arc::clone(tls))
    }

    /// What authorities are answered that look whether a host is ours.
    pub(crate) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Watches the files of what was put into service, instead of those before. Returns those of both that have changed
    /// in between.
    pub(crate) fn follow(&self, built: Built) -> Vec<String> {
        let mut followed = lock(&self.followed);
        let changed = changed(&followed.watched, &built.watched);
        *followed =
            Followed { generation: followed.generation + 1, watched: built.watched, lists: built.lists };
        drop(followed);
        *lock(&self.reusable) = built.reusable;
        // What no configuration uses is held by nobody else.
        lock(&self.rings).retain(|_, ring| Arc::strong_count(ring) > 1);
        self.warn_of_expiry(SystemTime::now());
        changed
    }

    /// The certificates in service, each once for its listener. Placeholders are none.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateInUse> {
        let mut seen = HashSet::new();
        let all = self.stores().into_iter().flat_map(|(listener, store)| {
            let real = store.certificates().into_iter().filter(|one| one.origin != Origin::Placeholder);
            real.map(move |certificate| CertificateInUse {
                listener: Arc::clone(&listener),
                is_ordered: certificate.origin == Origin::Ordered,
                facts: certificate.facts.clone(),
            })
        });
        all.filter(|one| seen.insert((Arc::clone(&one.listener), one.facts.fingerprint.clone()))).collect()
    }

    /// The same with their keys, and placeholders.
    pub(super) fn in_service(&self) -> Vec<Arc<Certificate>> {
        self.stores().into_iter().flat_map(|(_, store)| store.certificates()).collect()
    }

    fn stores(&self) -> Vec<(Arc<str>, Arc<CertificateStore>)> {
        let followed = lock(&self.followed);
        let stores = followed.watched.iter().filter_map(|one| match &one.made {
            Made::Certificates { listener, store } => Some((Arc::clone(listener), Arc::clone(store))),
            Made::TicketKeys(_) | Made::Snapshot => None,
        });
        stores.collect()
    }

    /// The lists of revoked certificates in service, each file once, with the end of the list in it that ends first.
    #[must_use]
    pub fn revocation_lists(&self) -> Vec<RevocationList> {
        let mut first = BTreeMap::new();
        for list in &lock(&self.followed).lists {
            let known = first.entry(list.source.clone()).or_insert_with(|| list.clone());
            if list.next_update < known.next_update {
                known.clone_from(list);
            }
        }
        first.into_values().collect()
    }

    /// Why files that changed were not taken, what was there before being in service; and lists of revoked certificates
    /// that have expired.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let now = SystemTime::now();
        let expired = self.revocation_lists().into_iter().filter(|list| list.has_expired(now));
        let expired = expired.map(|list| FileProblem::new(&list.source, EXPIRED).to_string());
        let refused = |one: &Watched| one.problem.clone();
        lock(&self.followed).watched.iter().filter_map(refused).chain(expired).collect()
    }

    /// How often changed files were taken, and how often refused.
    #[must_use]
    pub fn exchanges(&self) -> (u64, u64) {
        (self.exchanged.load(Relaxed), self.refused.load(Relaxed))
    }

    /// Looks at every file. Answers whether the snapshot has to be made again.
    fn look(&self) -> bool {
        lock(&self.rings).values().for_each(|ring| ring.rotate(Instant::now(), SystemTime::now()));
        let (generation, mut watched) = {
            let followed = lock(&self.followed);
            (followed.generation, followed.watched.clone())
        };
        let due = watched.iter_mut().filter_map(|one| one.is_due().then(|| self.take(one)));
        let snapshot_is_due = due.fold(false, |any, one| any | one);
        let mut followed = lock(&self.followed);
        // Another configuration has read its files by itself.
        let is_current = followed.generation == generation;
        if is_current {
            followed.watched = watched;
        }
        drop(followed);
        self.warn_of_expiry(SystemTime::now());
        snapshot_is_due && is_current
    }

    /// Makes `one` again. Answers whether that takes the whole snapshot.
    fn take(&self, one: &mut Watched) -> bool {
        let outcome = match &one.made {
            Made::Certificates { store, .. } => store.reload(),
            Made::TicketKeys(ring) => ring.reload().map_err(|problem| vec![problem]),
            Made::Snapshot => return true,
        };
        self.note(one, outcome.map_err(|problems| FileProblem::line(&problems)));
        false
    }

    fn note(&self, one: &mut Watched, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.note_success(one),
            // It has been said.
            Err(problem) if one.problem.as_ref() == Some(&problem) => {}
            Err(problem) => {
                self.refused.fetch_add(1, Relaxed);
                let what = &one.made;
                tracing::error!(%what, "a changed file of TLS is bad, what was there before stays: {problem}");
                one.problem = Some(problem);
            }
        }
    }

    fn note_success(&self, one: &mut Watched) {
        self.exchanged.fetch_add(1, Relaxed);
        tracing::info!(what = %one.made, "files of TLS changed and were taken into service");
        one.problem = None;
    }

    fn note_snapshot(&self, outcome: &Result<(), String>) {
        let mut followed = lock(&self.followed);
        for one in followed.watched.iter_mut().filter(|one| matches!(one.made, Made::Snapshot)) {
            self.note(one, outcome.clone());
        }
    }

    fn warn_of_expiry(&self, now: SystemTime) {
        self.certificates().iter().for_each(|one| self.warnings.certificate(one, now));
        self.revocation_lists().iter().for_each(|list| self.warnings.list(list, now));
    }
}

/// The files that are in both and have changed, each once, sorted.
fn changed(before: &[Watched], now: &[Watched]) -> Vec<String> {
    let facts = |watched: &[Watched]| {
        let files = watched.iter().flat_map(|one| one.applied.0.clone());
        files.collect::<BTreeMap<_, _>>()
    };
    let before = facts(before);
    let changed =
        facts(now).into_iter().filter(|(file, facts)| before.get(file).is_some_and(|known| known != facts));
    changed.map(|(file, _)| file.display().to_string()).collect()
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
    if !control.is_draining() && control.tls().look() {
        let outcome = control.rebuild().map_err(|error| error.summary());
        control.tls().note_snapshot(&outcome);
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

    /// The snapshot could not be made again.
    pub(super) fn note_failure(&self, why: &str) {
        self.note_snapshot(&Err(why.to_owned()));
    }
}
