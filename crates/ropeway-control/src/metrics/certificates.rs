//! Certificates that clients are shown, and files of TLS that changed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use super::families as family;
use super::page::Page;
use crate::tls::{CertificateInUse, LiveTls, RevocationList};

/// What is known of certificates and their files.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// Those in service.
    pub in_use: Vec<CertificateInUse>,
    /// Lists of revoked certificates.
    pub lists: Vec<RevocationList>,
    /// How often changed files were taken, and how often refused.
    pub exchanges: (u64, u64),
    /// How many of the refused are still not repaired.
    pub refused_now: usize,
}

impl Certificates {
    /// As they are now.
    #[must_use]
    pub fn read(tls: &LiveTls) -> Self {
        Self {
            in_use: tls.certificates(),
            lists: tls.revocation_lists(),
            exchanges: tls.exchanges(),
            refused_now: tls.problems().len(),
        }
    }
}

pub(super) fn encode(page: &mut Page<'_>, certificates: &Certificates) -> fmt::Result {
    let mut expiry = page.family(&family::CERTIFICATE_EXPIRY)?;
    for ((listener, name, key), not_after) in first_to_expire(&certificates.in_use) {
        expiry.gauge(&[listener, &name, key], since_1970(not_after))?;
    }
    let mut expiry = page.family(&family::CRL_EXPIRY)?;
    for list in &certificates.lists {
        expiry.gauge(&[&list.source.to_string_lossy()], since_1970(list.next_update))?;
    }
    let mut exchanged = page.family(&family::TLS_EXCHANGES)?;
    exchanged.counter(&["taken"], certificates.exchanges.0)?;
    exchanged.counter(&["refused"], certificates.exchanges.1)?;
    page.family(&family::TLS_REFUSED)?.gauge(&[], certificates.refused_now)
}

fn since_1970(moment: SystemTime) -> f64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Of certificates with the same labels, the one that ends first: it is the one to look after.
fn first_to_expire(in_use: &[CertificateInUse]) -> BTreeMap<(&str, String, &'static str), SystemTime> {
    let mut first = BTreeMap::new();
    for CertificateInUse { listener, facts, .. } in in_use {
        let labels = (&**listener, facts.title(), facts.key_kind);
        let ends = first.entry(labels).or_insert(facts.not_after);
        *ends = facts.not_after.min(*ends);
    }
    first
}
