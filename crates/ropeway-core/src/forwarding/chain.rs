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
    let start = out.len();
    let (entries, bytes) = kept(head, known);
    let total = head.received_end_to_end(known).map(list).map(Iterator::count).sum::<usize>();
    let all = head.received_end_to_end(known).flat_map(list);
    for entry in all.skip(total - entries) {
        out.extend_from_slice(entry);
        out.extend_from_slice(b", ");
    }
    debug_assert_eq!(out.len() - start, bytes, "the chain was measured before");
}

/// How many of the right-most entries fit the limits, and their bytes with separators. One entry is left for us.
fn kept(head: &Head, known: Known) -> (usize, usize) {
    let mut kept = (0, 0);
    for entry in entries(head, known).take(MAX_ENTRIES - 1) {
        let bytes = kept.1 + entry.len() + 2;
        if bytes > MAX_BYTES {
            break;
        }
        kept = (kept.0 + 1, bytes);
    }
    kept
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
