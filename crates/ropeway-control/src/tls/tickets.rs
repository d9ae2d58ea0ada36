//! Session tickets: keys that change by themselves, and tickets that are good in one place only.
//!
//! A ticket is `key name (16) | nonce (12) | ciphertext | tag (16)`, by AES-256-GCM-SIV, whose random nonces may repeat
//! without harm. The associated data names the profile: what one virtual host gave out, no other one takes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use super::file::{self, FileProblem};

const NAME: usize = 16;
const NONCE: usize = 12;
const SECRET: usize = 32;

/// More than a careful rotation needs; each one costs a comparison for every ticket.
const MOST_SECRETS: usize = 16;

/// The keys by which tickets are made and read.
#[derive(Debug)]
pub(crate) struct KeyRing {
    source: KeySource,
    rotate: Duration,
    /// The first one makes tickets.
    keys: ArcSwap<Vec<Arc<TicketKey>>>,
    state: Mutex<State>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeySource {
    /// Made up here: they die with the process. Each listener has its own.
    Own(Box<str>),
    /// Derived from the secrets in a file and the time, so that everybody with the file has the same.
    Shared(PathBuf),
}

/// What keys are derived from. It is never shown.
#[derive(Clone)]
struct Secret([u8; SECRET]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Debug)]
struct State {
    secrets: Vec<Secret>,
    /// The period of shared keys.
    period: u64,
    /// When the first key was made, of those made up here.
    since: Instant,
}

impl KeyRing {
    /// A ring that changes its key every `rotate`.
    pub(super) fn new(source: KeySource, rotate: Duration) -> Result<Self, FileProblem> {
        let secrets = match &source {
            KeySource::Own(_) => vec![fresh_secret(Path::new("tickets"))?],
            KeySource::Shared(path) => secrets(path)?,
        };
        let ring = Self {
            source,
            rotate,
            keys: ArcSwap::from_pointee(Vec::new()),
            state: Mutex::new(State { secrets, period: 0, since: Instant::now() }),
        };
        ring.derive(&mut ring.state.lock().unwrap_or_else(PoisonError::into_inner), SystemTime::now());
        Ok(ring)
    }

    /// The file that is shared, if any.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.source {
            KeySource::Own(_) => None,
            KeySource::Shared(path) => Some(path),
        }
    }

    /// Reads the shared file again. If it is bad, nothing changes.
    pub(super) fn reload(&self) -> Result<(), FileProblem> {
        let Some(path) = self.file() else { return Ok(()) };
        let secrets = secrets(path)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.secrets = secrets;
        self.derive(&mut state, SystemTime::now());
        Ok(())
    }

    /// Changes the key when its time has come. To be called more often than keys change.
    pub(super) fn rotate(&self, now: Instant, wall: SystemTime) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            KeySource::Shared(_) if self.period(wall) != state.period => self.derive(&mut state, wall),
            KeySource::Own(_) if now.saturating_duration_since(state.since) >= self.rotate => {
                let Ok(fresh) = fresh_secret(Path::new("tickets")) else { return };
                state.secrets.insert(0, fresh);
                // The key before stays for the tickets that it made; what is older is forgotten for good.
                state.secrets.truncate(2);
                state.since = now;
                self.derive(&mut state, wall);
            }
            KeySource::Shared(_) | KeySource::Own(_) => {}
        }
    }

    fn derive(&self, state: &mut State, wall: SystemTime) {
        let periods = match &self.source {
            KeySource::Own(_) => vec![0],
            KeySource::Shared(_) => {
                state.period = self.period(wall);
                // A sibling's clock may be a little ahead or behind.
                vec![state.period, state.period.wrapping_sub(1), state.period.wrapping_add(1)]
            }
        };
        let secrets = &state.secrets;
        let pairs = secrets.iter().flat_map(|secret| periods.iter().map(move |period| (secret, *period)));
        let keys = pairs.filter_map(|(secret, period)| TicketKey::derive(secret, period)).map(Arc::new);
        self.keys.store(Arc::new(keys.collect()));
    }

    fn period(&self, wall: SystemTime) -> u64 {
        let since_1970 = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since_1970.as_secs() / self.rotate.as_secs().max(1)
    }
}

/// One key.
#[derive(Debug)]
struct TicketKey {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// The length of what is derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl TicketKey {
    /// RFC 5869. `None` only if the library refuses its own lengths.
    fn derive(secret: &Secret, period: u64) -> Option<Self> {
        let root = Salt::new(HKDF_SHA256, b"ropeway session tickets 1").extract(&secret.0);
        let period = period.to_be_bytes();
        let mut name = [0; NAME];
        fill(&root, &[b"name", &period], &mut name)?;
        let mut key = [0; SECRET];
        fill(&root, &[b"key", &period], &mut key)?;
        let key = UnboundKey::new(&AES_256_GCM_SIV, &key).ok()?;
        Some(Self { name, key: LessSafeKey::new(key) })
    }
}

fn fill(root: &Prk, info: &[&[u8]], out: &mut [u8]) -> Option<()> {
    root.expand(info, Length(out.len())).ok()?.fill(out).ok()
}

/// Makes and reads the tickets of one profile.
#[derive(Debug)]
pub(super) struct Ticketer {
    ring: Arc<KeyRing>,
    profile: [u8; 32],
}

impl Ticketer {
    /// `profile` is different for everything that must not take each other's tickets.
    pub(super) fn new(ring: Arc<KeyRing>, profile: [u8; 32]) -> Self {
        Self { ring, profile }
    }

    fn context(&self, name: &[u8; NAME]) -> Aad<[u8; 32 + NAME]> {
        let mut context = [0; 32 + NAME];
        context[..32].copy_from_slice(&self.profile);
        context[32..].copy_from_slice(name);
        Aad::from(context)
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    /// RFC 8446 section 4.6.1: at most 7 days, which the configuration sees to.
    fn lifetime(&self) -> u32 {
        u32::try_from(self.ring.rotate.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.ring.keys.load();
        let key = keys.first()?;
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let context = self.context(&key.name);
        key.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context, &mut sealed).ok()?;
        Some([&key.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let keys = self.ring.keys.load();
        let key = keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.key.open_in_place(nonce, self.context(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

fn fresh_secret(what: &Path) -> Result<Secret, FileProblem> {
    let mut secret = [0; SECRET];
    rand::fill(&mut secret).map_err(|_| FileProblem::new(what, "the system has no random bytes"))?;
    Ok(Secret(secret))
}

/// The secrets in a file: one on a line, in base64 or hexadecimal; `#` begins a comment.
fn secrets(path: &Path) -> Result<Vec<Secret>, FileProblem> {
    let bytes = file::read(path)?;
    let text = str::from_utf8(&bytes).map_err(|error| FileProblem::new(path, error))?;
    let lines = text.lines().map(str::trim).enumerate();
    let mut secrets = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let secret = decode(line).ok_or_else(|| {
            let why = format!("line {} is not 32 bytes in base64 or hexadecimal", number + 1);
            FileProblem::new(path, why + " (`openssl rand -base64 32` makes one)")
        })?;
        secrets.push(Secret(secret));
    }
    match secrets.len() {
        0 => Err(FileProblem::new(path, "there is no secret in it (`openssl rand -base64 32` makes one)")),
        1..=MOST_SECRETS => Ok(secrets),
        count => Err(FileProblem::new(path, format!("{count} secrets are more than {MOST_SECRETS}"))),
    }
}

fn decode(line: &str) -> Option<[u8; SECRET]> {
    if line.len() == 2 * SECRET {
        let digits =
            line.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        return digits.collect::<Option<Vec<u8>>>()?.try_into().ok();
    }
    ropeway_config::base64_of_32(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::test_directory::TestDirectory;

    const HOUR: Duration = Duration::from_secs(3600);

    fn own() -> Arc<KeyRing> {
        Arc::new(KeyRing::new(KeySource::Own("web".into()), HOUR).unwrap())
    }

    #[test]
    fn a_ticket_is_read_by_the_profile_that_made_it_and_by_no_other() {
        let ring = own();
        let (one, other) = (Ticketer::new(Arc::clone(&ring), [1; 32]), Ticketer::new(ring, [2; 32]));
        let ticket = one.encrypt(b"session").unwrap();
        assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(one.decrypt(&forged), None, "byte {at}");
            assert_eq!(one.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn a_key_makes_tickets_for_one_period_and_reads_them_for_two() {
        let ring = own();
        let ticketer = Ticketer::new(Arc::clone(&ring), [0; 32]);
        let start = Instant::now();
        let ticket = ticketer.encrypt(b"session").unwrap();
        ring.rotate(start + HOUR / 2, SystemTime::now());
        assert_eq!(ticketer.encrypt(b"x").unwrap()[..NAME], ticket[..NAME]);
        ring.rotate(start + 2 * HOUR, SystemTime::now());
        assert_ne!(ticketer.encrypt(b"x").unwrap()[..NAME], ticket[..NAME]);
        assert!(ticketer.decrypt(&ticket).is_some());
        ring.rotate(start + 4 * HOUR, SystemTime::now());
        assert_eq!(ticketer.decrypt(&ticket), None);
    }

    fn shared(path: &Path) -> (Arc<KeyRing>, Ticketer) {
        let ring = Arc::new(KeyRing::new(KeySource::Shared(path.to_owned()), HOUR).unwrap());
        (Arc::clone(&ring), Ticketer::new(ring, [0; 32]))
    }

    #[test]
    fn processes_with_the_same_file_read_each_others_tickets() {
        let directory = TestDirectory::new();
        let path = directory.path().join("tickets.key");
        std::fs::write(&path, "# two secrets\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").unwrap();
        let ((_, one), (ring, other)) = (shared(&path), shared(&path));
        let ticket = one.encrypt(b"session").unwrap();
        assert!(other.decrypt(&ticket).is_some());
        // The next period, and the one after it.
        let now = SystemTime::now();
        ring.rotate(Instant::now(), now + HOUR);
        assert!(other.decrypt(&ticket).is_some());
        assert_ne!(other.encrypt(b"x").unwrap()[..NAME], ticket[..NAME]);
        assert!(one.decrypt(&other.encrypt(b"ahead").unwrap()).is_some());
        ring.rotate(Instant::now(), now + 3 * HOUR);
        assert_eq!(other.decrypt(&ticket), None);
    }

    #[test]
    fn a_new_secret_goes_first_and_the_old_one_still_reads() {
        let directory = TestDirectory::new();
        let path = directory.path().join("tickets.key");
        let (old, new) = ("00".repeat(32), "ab".repeat(32));
        std::fs::write(&path, &old).unwrap();
        let (ring, ticketer) = shared(&path);
        let ticket = ticketer.encrypt(b"session").unwrap();
        std::fs::write(&path, format!("{new}\n{old}\n")).unwrap();
        ring.reload().unwrap();
        assert_ne!(ticketer.encrypt(b"x").unwrap()[..NAME], ticket[..NAME]);
        assert!(ticketer.decrypt(&ticket).is_some());
        for bad in ["", "# nothing", "abcd", &"zz".repeat(32)] {
            std::fs::write(&path, bad).unwrap();
            assert!(ring.reload().is_err(), "{bad}");
            assert!(ticketer.decrypt(&ticket).is_some());
        }
        assert!(format!("{ring:?}").contains("[Secret(..), Secret(..)]"), "{ring:?}");
    }
}
