//! The directory that keeps the account and certificates. Several processes may share it.
//!
//! ```text
//! STORAGE/acme-v02.api.letsencrypt.org-directory/     one directory for each authority
//!     lock                                            held by the one process that is ordering
//!     4f0c(...).challenge                              what an authority is answered, while it is looking
//!     account.json                                    the account with its key
//!     shop.example.com-3f2a91bc04d5e677.pem           a key and its chain, by the first name and a hash of all
//!     shop.example.com-3f2a91bc04d5e677.failed        why no certificate could be ordered, how often and when
//! ```
//!
//! Files appear whole: they are written under another name first. Only their owner can read them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use ropeway_config::schema;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::whole_file::{self, PRIVATE};

const ACCOUNT: &str = "account.json";
const LOCK: &str = "lock";

/// What the name of a file with a challenge ends with.
const CHALLENGE: &str = "challenge";

/// What the name of a file with failures ends with.
const FAILED: &str = "failed";

/// Bytes of the hash in the name of a file: enough that no two sets of names meet.
const NAME_HASH: usize = 8;

/// One authority's part of the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    directory: PathBuf,
}

/// Orders for one set of names that the authority refused, one after the other. An order that is under way counts, too, so
/// that a process that ends in the middle of it does not begin anew each time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one began, in seconds since 1970.
    pub last: u64,
    /// What the last one failed with; nothing as long as nobody knows.
    pub error: Option<String>,
}

impl Failures {
    /// What is in the file; nothing if it is broken.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = read_if_there(path)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Puts it there, or takes the file away if there are none.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        if self.count > 0 {
            return write_private(path, &serde_json::to_vec(self)?);
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The right to order, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct StorageLock {
    _file: File,
}

impl Storage {
    /// Where `config` says. Nothing is read or written yet.
    pub(super) fn of(config: &schema::Acme) -> Self {
        let url = config.directory.as_str().trim_start_matches("https://");
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '-' }
        };
        let authority: String = url.chars().map(plain).collect();
        Self { directory: config.storage.resolved().join(authority) }
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the account is kept.
    pub(super) fn account_file(&self) -> PathBuf {
        self.directory.join(ACCOUNT)
    }

    /// Where the certificate for these names is kept, with its key.
    pub(super) fn certificate_file(&self, names: &[String]) -> PathBuf {
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let mut hash = Context::new(&SHA256);
        for name in sorted {
            hash.update(name.as_bytes());
            hash.update(&[0]);
        }
        let hash = hash.finish();
        let hash = hexadecimal(hash.as_ref().get(..NAME_HASH).unwrap_or_default());
        let first: String = names.first().map(String::as_str).unwrap_or_default().chars().take(100).collect();
        self.directory.join(format!("{first}-{hash}.pem"))
    }

    /// Where failures are kept of orders for the certificate in this file.
    pub(super) fn failures_file(certificate: &Path) -> PathBuf {
        certificate.with_extension(FAILED)
    }

    /// Where a challenge is kept while it is to be answered.
    pub(super) fn challenge_file(&self, key_authorization: &str) -> PathBuf {
        // A token has nothing in it that a name of a file must not have (RFC 8555 section 8.1), but who knows.
        let hash = aws_lc_rs::digest::digest(&SHA256, key_authorization.as_bytes());
        self.directory.join(format!("{}.{CHALLENGE}", hexadecimal(hash.as_ref())))
    }

    /// The challenges that are to be answered, those of other processes among them.
    pub(super) fn challenges(&self) -> Vec<PathBuf> {
        let is_challenge = |path: &PathBuf| path.extension().is_some_and(|end| end == CHALLENGE);
        waiting(|| {
            let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(is_challenge).collect()
        })
    }

    /// The right to order; `None` while another process, or another order of this one, has it.
    pub(super) fn try_lock(&self) -> io::Result<Option<StorageLock>> {
        waiting(|| self.try_lock_now())
    }

    fn try_lock_now(&self) -> io::Result<Option<StorageLock>> {
        create_private_directory(&self.directory)?;
        let mut options = OpenOptions::new();
        let file =
            options.create(true).write(true).truncate(false).mode(PRIVATE).open(self.directory.join(LOCK))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // Nobody orders, so that these are of a process that is gone.
                self.challenges().iter().for_each(|left| drop(fs::remove_file(left)));
                Ok(Some(StorageLock { _file: file }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The contents of a file; `None` when there is none.
pub(super) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match waiting(|| fs::read(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a file there that only its owner can read. Only who holds the lock does so.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    waiting(|| whole_file::write(path, bytes, PRIVATE))
}

/// Waits for a disk, perhaps of another machine, which holds up no other task of the control plane.
pub(super) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn create_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::log::test_directory::TestDirectory;

    fn storage(directory: &TestDirectory) -> Storage {
        Storage { directory: directory.path().join("authority") }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_at_a_time_holds_the_lock() {
        let directory = TestDirectory::new();
        let storage = storage(&directory);
        let held = storage.try_lock().unwrap().unwrap();
        assert!(storage.try_lock().unwrap().is_none());
        drop(held);
        assert!(storage.try_lock().unwrap().is_some());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(storage.directory()), mode(&storage.directory().join(LOCK))), (0o700, 0o600));
    }

    #[test]
    fn failures_are_kept_until_there_are_none() {
        let directory = TestDirectory::new();
        let path = Storage::failures_file(&directory.path().join("a.example-00.pem"));
        assert_eq!(path.file_name().unwrap(), "a.example-00.failed");
        assert_eq!(Failures::read(&path).unwrap(), Failures::default());
        let failures = Failures { count: 2, last: 1_700_000_000, error: Some("no".to_owned()) };
        failures.write(&path).unwrap();
        assert_eq!(Failures::read(&path).unwrap(), failures);
        Failures::default().write(&path).unwrap();
        Failures::default().write(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "{").unwrap();
        assert_eq!(Failures::read(&path).unwrap(), Failures::default(), "broken");
    }

    #[test]
    fn a_file_belongs_to_a_set_of_names() {
        let directory = TestDirectory::new();
        let storage = storage(&directory);
        let file = |list: &[&str]| storage.certificate_file(&names(list));
        let one = file(&["a.example", "b.example"]);
        assert!(one.file_name().unwrap().to_str().unwrap().starts_with("a.example-"));
        assert_ne!(one, file(&["a.example"]));
        assert_ne!(file(&["a.exampleb", "c"]), file(&["a.example", "bc"]));
    }
}
