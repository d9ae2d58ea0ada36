//! Certificates that are ordered.

use std::collections::BTreeMap;
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
    for (name, at) in first_by_name(&orders.certificates) {
        next.gauge(&[name], at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64())?;
    }
    Ok(())
}

/// Of certificates whose first names are the same, the order that comes first: a series must not be there twice.
fn first_by_name(certificates: &[OrderedCertificate]) -> BTreeMap<&str, SystemTime> {
    let mut first = BTreeMap::new();
    for certificate in certificates {
        let (Some(name), Some(at)) = (certificate.names.first(), certificate.next_order) else { continue };
        let earliest = first.entry(name.as_str()).or_insert(at);
        *earliest = at.min(*earliest);
    }
    first
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn certificates_with_the_same_first_name_are_one_series() {
        let certificate = |names: &[&str], next: u64| OrderedCertificate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            not_after: None,
            next_order: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(next)),
            failures: 0,
            last_error: None,
        };
        let ordered = [
            certificate(&["a.example"], 20),
            certificate(&["a.example", "b.example"], 10),
            certificate(&["b.example"], 30),
        ];
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let expected = BTreeMap::from([("a.example", at(10)), ("b.example", at(30))]);
        assert_eq!(first_by_name(&ordered), expected);
    }
}
