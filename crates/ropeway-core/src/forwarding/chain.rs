//! The chain of addresses that trusted proxies report: bounded, and read from the right.

use std::net::{IpAddr, SocketAddr};

use crate::http1::{Head, Known, trim_ows};

/// The most entries of a chain that are looked at, or sent on with our own.
pub(super) const MAX_ENTRIES: usize = 64;
/// The most bytes of a chain that are sent on, our own entry not counted.
const MAX_BYTES: usize = 4096;

/// The addresses of X-Forwarded-For from right to left; `None` for an entry that is no address.
pub(super) fn x_forwarded_for(head: &Head) -> impl Iterator<Item = Option<IpAddr>> {
    entries(head, Known::XForwardedFor).map(parse_node)
}

/// The `for` addresses of Forwarded from right to left; `None` for an entry without one.
pub(super) fn forwarded_for(head: &Head) -> impl Iterator<Item = Option<IpAddr>> {
    entries(head, Known::Forwarded).map(|element| {
        let pairs = element.split(|&byte| byte == b';').map(trim_ows);
        pairs.filter_map(for_parameter).next().and_then(parse_node)
    })
}

/// Appends the believed chain and the separator to our own entry: nothing when there is none, its right-most part
/// when it is too long.
pub(super) fn write_believed(head: &Head, known: Known, out: &mut Vec<u8>) {
    let mut values = head.received_end_to_end(known);
    if let (Some(value), None) = (values.next(), values.next())
        && is_short(value)
    {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
        return;
    }
    let fitting = count_fitting(head, known);
    let total: usize = head.received_end_to_end(known).map(|value| list(value).count()).sum();
    let all = head.received_end_to_end(known).flat_map(list);
    for entry in all.skip(total - fitting) {
        out.extend_from_slice(entry);
        out.extend_from_slice(b", ");
    }
}

/// Whether a value can be sent on without counting its entries: an entry takes two bytes at least.
const fn is_short(value: &[u8]) -> bool {
    !value.is_empty() && value.len() < 2 * MAX_ENTRIES - 2
}

/// How many of the right-most entries are within the limits, separators included. One entry is left for our own.
fn count_fitting(head: &Head, known: Known) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&[u8]| {
        bytes += entry.len() + 2;
        bytes <= MAX_BYTES
    };
    entries(head, known).take(MAX_ENTRIES - 1).take_while(fits).count()
}

/// The entries of all fields of this name from right to left.
fn entries(head: &Head, known: Known) -> impl Iterator<Item = &[u8]> {
    head.received_end_to_end(known).rev().flat_map(|value| list(value).rev())
}

/// The elements of one value. Quoted strings need no care: neither addresses nor the quoted `for` of Forwarded hold
/// a comma, and a value that does is no address.
fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_ows).filter(|entry| !entry.is_empty())
}

/// The node in `for=node` (RFC 7239 4), without quotes.
fn for_parameter(pair: &[u8]) -> Option<&[u8]> {
    let (name, value) = pair.split_at_checked(4)?;
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    name.eq_ignore_ascii_case(b"for=").then_some(value)
}

/// An address, with or without port and brackets.
fn parse_node(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().ok().or_else(|| node.parse::<SocketAddr>().ok().map(|node| node.ip()))?;
    Some(address.to_canonical())
}
