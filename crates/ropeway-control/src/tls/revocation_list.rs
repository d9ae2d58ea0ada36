//! What is known about a list of revoked certificates: above all until when it is believed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::CertificateRevocationListDer;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::moment;
use super::file::{self, FileProblem};

/// A list of revoked certificates. When it has expired, no client of its authority is let in until there is a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// The file that it was read from.
    pub source: PathBuf,
    /// The authority that made it: its distinguished name as it is encoded.
    pub issuer: Box<[u8]>,
    /// When it was made.
    pub this_update: SystemTime,
    /// Until when it is believed.
    pub next_update: SystemTime,
}

/// How near the end of a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Freshness {
    Good,
    /// Less than a tenth of its life is left: the next one should be there by now.
    Ending,
    Expired,
}

/// What is wrong with a list that has expired.
pub(super) const EXPIRED: &str =
    "the list of revoked certificates has expired: the clients of its authority are refused";

impl RevocationList {
    /// Whether it is believed no longer.
    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.freshness(now) == Freshness::Expired
    }

    /// How it is at `now`.
    pub(super) fn freshness(&self, now: SystemTime) -> Freshness {
        let Ok(left) = self.next_update.duration_since(now) else { return Freshness::Expired };
        let life = self.next_update.duration_since(self.this_update).unwrap_or_default();
        if left < life / 10 { Freshness::Ending } else { Freshness::Good }
    }
}

/// The lists in a file, at least one, each with what is known about it.
pub(super) fn read(
    path: &Path,
) -> Result<Vec<(CertificateRevocationListDer<'static>, RevocationList)>, FileProblem> {
    let lists = file::revocations(path)?.into_iter();
    let known = lists.map(|list| facts(&list, path).map(|known| (list, known)));
    known.collect()
}

fn facts(list: &[u8], path: &Path) -> Result<RevocationList, FileProblem> {
    let (_, parsed) = CertificateRevocationList::from_der(list).map_err(|error| {
        FileProblem::new(path, format!("the list of revoked certificates is malformed: {error}"))
    })?;
    // RFC 5280 section 5.1.2.5 wants it.
    let next_update = parsed.next_update().ok_or_else(|| {
        FileProblem::new(path, "the list of revoked certificates does not say until when it is good")
    })?;
    Ok(RevocationList {
        source: path.to_owned(),
        issuer: parsed.issuer().as_raw().into(),
        this_update: moment(parsed.last_update().timestamp()),
        next_update: moment(next_update.timestamp()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_list_is_missed_before_it_has_expired() {
        let at = |hour: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * hour);
        let list = RevocationList {
            source: "a.crl".into(),
            issuer: [].into(),
            this_update: at(10),
            next_update: at(30),
        };
        let seen = [10, 27, 29, 30, 31].map(|hour| list.freshness(at(hour)));
        use Freshness::{Ending, Expired, Good};
        assert_eq!(seen, [Good, Good, Ending, Ending, Expired]);
    }
}
