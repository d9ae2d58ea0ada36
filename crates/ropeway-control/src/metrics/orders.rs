//! Certificates that are ordered.

use std::fmt;
use std::time::SystemTime;

use super::families as family;
use super::page::Page;
use crate::acme::OrderedCertificate;

/// What is counted of orders.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Orders that succeeded, and orders that failed.
    pub counts: (u64, u64),
    /// What is known of each certificate.
    pub certificates: Vec<OrderedCertificate>,
}

pub(super) fn encode(page: &mut Page<'_>, orders: &Orders) -> fmt::Result {
    let mut counted = page.family(&family::ACME_ORDERS)?;
    counted.counter(&["succeeded"], orders.counts.0)?;
    counted.counter(&["failed"], orders.counts.1)?;
    let mut next = page.family(&family::ACME_NEXT_ORDER)?;
    for certificate in &orders.certificates {
        let (Some(name), Some(at)) = (certificate.names.first(), certificate.next_order) else { continue };
        next.gauge(&[name], at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64())?;
    }
    Ok(())
}
