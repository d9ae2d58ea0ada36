//! Certificates that clients are shown, as JSON.

use serde::Serialize;

use super::timestamp::rfc3339;
use crate::control::Control;
use crate::tls::CertificateInUse;

/// One certificate in service.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CertificateView {
    listener: String,
    names: Vec<String>,
    key: &'static str,
    not_before: String,
    not_after: String,
    serial: String,
    /// SHA-256 of the certificate.
    fingerprint: String,
    file: String,
}

/// All of them, in the order of the file.
pub(super) fn views(control: &Control) -> Vec<CertificateView> {
    control.tls().certificates().into_iter().map(view).collect()
}

fn view(CertificateInUse { listener, facts, .. }: CertificateInUse) -> CertificateView {
    CertificateView {
        listener: listener.to_string(),
        names: facts.names.iter().map(ToString::to_string).collect(),
        key: facts.key_kind,
        not_before: rfc3339(facts.not_before),
        not_after: rfc3339(facts.not_after),
        serial: facts.serial,
        fingerprint: facts.fingerprint,
        file: facts.source.display().to_string(),
    }
}
