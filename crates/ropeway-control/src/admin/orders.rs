//! Certificates that are ordered, as JSON.

use serde::Serialize;

use super::timestamp::rfc3339;
use crate::acme::OrderedCertificate;
use crate::control::Control;

/// One certificate that is ordered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OrderView {
    names: Vec<String>,
    /// `ordered`, or `placeholder` until the first one is there.
    state: &'static str,
    not_after: Option<String>,
    next_order: Option<String>,
    failures: u32,
    last_error: Option<String>,
}

/// All of them, in the order of the file.
pub(super) fn views(control: &Control) -> Vec<OrderView> {
    control.acme().certificates().into_iter().map(view).collect()
}

fn view(certificate: OrderedCertificate) -> OrderView {
    OrderView {
        names: certificate.names,
        state: if certificate.not_after.is_some() { "ordered" } else { "placeholder" },
        not_after: certificate.not_after.map(rfc3339),
        next_order: certificate.next_order.map(rfc3339),
        failures: certificate.failures,
        last_error: certificate.last_error,
    }
}
