//! Ends of certificates and of lists of revoked ones, told once each, in time to do something.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::certificate::{CertificateFacts, Validity};
use super::revocation_list::{Freshness, RevocationList};
use super::watch::CertificateInUse;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Days before the end of a certificate at which it is warned of.
const WARN_AT: [u64; 3] = [30, 7, 1];

/// What was warned of.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// By fingerprint.
    certificates: Mutex<HashSet<(String, Concern)>>,
    lists: Mutex<HashSet<(PathBuf, SystemTime, Freshness)>>,
}

/// What is wrong with the time of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Concern {
    NotYet,
    /// Within so many days.
    Ends(u64),
    Over,
}

impl Warnings {
    /// Warns of a certificate that ends soon, or has, or has not begun.
    pub(super) fn certificate(&self, one: &CertificateInUse, now: SystemTime) {
        let CertificateInUse { listener, is_ordered, facts } = one;
        let Some(concern) = concern(facts, *is_ordered, now) else { return };
        let mut warned = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.insert((facts.fingerprint.clone(), concern)) {
            return;
        }
        let (name, file) = (facts.title(), facts.source.display());
        match concern {
            Concern::NotYet => tracing::error!(%listener, name, %file, "a certificate is not valid yet"),
            Concern::Over => tracing::error!(%listener, name, %file, "a certificate has expired"),
            Concern::Ends(1) => {
                tracing::warn!(%listener, name, %file, "a certificate expires in less than a day");
            }
            Concern::Ends(days) => {
                tracing::warn!(%listener, name, %file, "a certificate expires in less than {days} days");
            }
        }
    }

    /// Warns of a list that ends soon, or has.
    pub(super) fn list(&self, list: &RevocationList, now: SystemTime) {
        let freshness = list.freshness(now);
        let key = (list.source.clone(), list.next_update, freshness);
        let is_new = || self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        if freshness == Freshness::Good || !is_new() {
            return;
        }
        let file = list.source.display();
        if freshness == Freshness::Expired {
            tracing::error!(%file, "a list of revoked certificates has expired: its clients are refused");
        } else {
            tracing::warn!(%file, "a list of revoked certificates expires soon, and its clients are refused then");
        }
    }
}

/// What is worth a warning. One that never lives longer
/// than twice as long is not warned of so early, nor one that is ordered: its successor comes about then.
fn concern(facts: &CertificateFacts, is_ordered: bool, now: SystemTime) -> Option<Concern> {
    match facts.validity(now) {
        Validity::NotYet => return Some(Concern::NotYet),
        Validity::Over => return Some(Concern::Over),
        Validity::Good => {}
    }
    let left = facts.not_after.duration_since(now).unwrap_or_default();
    let life = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
    let days = |count: u64| DAY * u32::try_from(count).unwrap_or(u32::MAX);
    let early = if is_ordered { &WARN_AT[1..] } else { &WARN_AT[..] };
    let near = early.iter().rev().copied().find(|count| left < days(*count) && life > 2 * days(*count));
    near.map(Concern::Ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_warned_of_when_somebody_should_have_done_something() {
        let born = SystemTime::UNIX_EPOCH + DAY;
        let facts = |life: u32| CertificateFacts {
            names: Vec::new(),
            not_before: born,
            not_after: born + life * DAY,
            serial: String::new(),
            fingerprint: String::new(),
            source: Default::default(),
            key_kind: "ecdsa",
        };
        let at = |life: u32, left: u32, is_ordered: bool| {
            concern(&facts(life), is_ordered, born + (life - left) * DAY + DAY / 2)
        };
        let ends = |days: &[u64]| days.iter().map(|days| Some(Concern::Ends(*days))).collect::<Vec<_>>();
        assert_eq!([30, 8].map(|left| at(90, left, true)), [None; 2]);
        assert_eq!(at(90, 31, false), None);
        assert_eq!([30, 8, 7, 1].map(|left| at(90, left, false)).to_vec(), ends(&[30, 30, 7, 1]));
        assert_eq!([7, 1].map(|left| at(90, left, true)).to_vec(), ends(&[7, 1]));
        assert_eq!([7, 2].map(|left| at(7, left, false)), [None; 2], "it never lives longer");
        assert_eq!(at(7, 1, false), Some(Concern::Ends(1)));
        assert_eq!(at(90, 0, true), Some(Concern::Over));
        assert_eq!(concern(&facts(90), false, born - DAY / 2), Some(Concern::NotYet));
    }
}
