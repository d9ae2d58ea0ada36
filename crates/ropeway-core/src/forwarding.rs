//! Fields that tell a server who is behind us: X-Forwarded-*, X-Real-IP, Forwarded (RFC 7239) and Via.
//!
//! Everyone can write these fields, so what a peer says in them counts only when the peer is a trusted proxy.
//! Otherwise its own are removed, in every spelling that some server might read, and written anew from what the
//! connection itself shows.

mod chain;
mod trusted;

use std::io::Write as _;
use std::net::IpAddr;

pub use trusted::TrustedProxies;

use crate::http1::{Head, Known, RequestHead, ResponseHead, write_decimal};

/// The fields that say where a request came from, in all spellings.
const ABOUT_THE_CLIENT: [Known; 7] = [
    Known::XForwardedFor,
    Known::XForwardedProto,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedOther,
    Known::XRealIp,
    Known::Forwarded,
];

const X_FORWARDED: [Known; 4] =
    [Known::XForwardedFor, Known::XForwardedProto, Known::XForwardedHost, Known::XForwardedPort];

/// Which forwarding fields are written, and whose are believed.
#[derive(Clone, Debug)]
pub struct ForwardingPolicy {
    /// The peers whose forwarding fields are believed. Default: nobody.
    pub trusted: TrustedProxies,
    /// Whether X-Forwarded-For, -Proto, -Host and -Port are written. Default: true.
    pub x_forwarded: bool,
    /// Whether X-Real-IP is written. Default: true.
    pub x_real_ip: bool,
    /// Whether Forwarded (RFC 7239) is written. Default: false.
    pub forwarded: bool,
    /// Our name in Via (RFC 9110 7.6.3), which must be a token; `None` writes no Via. Default: `ropeway`.
    pub via: Option<Vec<u8>>,
}

impl Default for ForwardingPolicy {
    fn default() -> Self {
        Self {
            trusted: TrustedProxies::default(),
            x_forwarded: true,
            x_real_ip: true,
            forwarded: false,
            via: Some(b"ropeway".to_vec()),
        }
    }
}

/// What a connection itself shows.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The address of the peer.
    pub peer: IpAddr,
    /// The port of the peer.
    pub peer_port: u16,
    /// Our own port, where the connection arrived.
    pub local_port: u16,
    /// Whether it is encrypted.
    pub https: bool,
}

impl Arrival {
    const fn scheme(&self) -> &'static [u8] {
        if self.https { b"https" } else { b"http" }
    }

    /// The peer's address; IPv4 also when it came through an IPv6 socket.
    const fn client(&self) -> IpAddr {
        self.peer.to_canonical()
    }
}

impl ForwardingPolicy {
    /// Whether the peer is believed what it says about a client.
    #[must_use]
    pub fn trusts(&self, arrival: &Arrival) -> bool {
        self.trusted.contains(arrival.client())
    }

    /// The address of the client: the peer, or when the peer is trusted, the right-most address of its chain that
    /// is not a trusted proxy. The chain is X-Forwarded-For, or Forwarded when X-Forwarded-* is off. At most 64
    /// entries are looked at; one that is no address ends the search at the proxy that reported it.
    ///
    /// Reads what was received, so it gives the same answer before and after [`strip`](Self::strip).
    #[must_use]
    pub fn client_ip(&self, head: &RequestHead, arrival: &Arrival) -> IpAddr {
        let peer = arrival.client();
        if !self.trusts(arrival) {
            return peer;
        }
        if self.x_forwarded {
            self.right_most_untrusted(peer, chain::x_forwarded_for(&head.head))
        } else {
            self.right_most_untrusted(peer, chain::forwarded_for(&head.head))
        }
    }

    /// Removes the forwarding fields that the server must not see. Of an untrusted peer all of them, however spelled;
    /// of a trusted one those that [`write`](Self::write) writes anew, and look-alikes with underscores.
    pub fn strip(&self, head: &mut RequestHead, arrival: &Arrival) {
        if !self.trusts(arrival) {
            ABOUT_THE_CLIENT.into_iter().for_each(|known| head.head.remove(known));
            return;
        }
        ABOUT_THE_CLIENT.into_iter().for_each(|known| head.head.remove_underscored(known));
        if self.x_forwarded {
            X_FORWARDED.into_iter().for_each(|known| head.head.remove(known));
        }
        if self.x_real_ip {
            head.head.remove(Known::XRealIp);
        }
        if self.forwarded {
            head.head.remove(Known::Forwarded);
        }
    }

    /// Appends our own fields, each with its CRLF. Call it after [`strip`](Self::strip) and after the hop-by-hop
    /// fields were removed; it can be called again for every attempt, and allocates nothing beyond `out`.
    pub fn write(&self, out: &mut Vec<u8>, head: &RequestHead, arrival: &Arrival) {
        let believed = self.trusts(arrival).then_some(&head.head);
        if self.x_forwarded {
            write_x_forwarded(out, believed, head.authority(), arrival);
        }
        if self.x_real_ip {
            out.extend_from_slice(b"X-Real-IP: ");
            write_ip(self.client_ip(head, arrival), out);
            out.extend_from_slice(b"\r\n");
        }
        if self.forwarded {
            write_forwarded(out, believed, head.authority(), arrival);
        }
        self.write_via(out, head.received_version());
    }

    /// Appends Via for a response that was received with this version. Earlier Via fields of the response stay as
    /// they are; the fields of one name are one list.
    pub fn write_response_via(&self, out: &mut Vec<u8>, head: &ResponseHead) {
        self.write_via(out, head.received_version());
    }

    fn write_via(&self, out: &mut Vec<u8>, received: &str) {
        let Some(pseudonym) = &self.via else { return };
        out.extend_from_slice(b"Via: ");
        out.extend_from_slice(received.as_bytes());
        out.push(b' ');
        out.extend_from_slice(pseudonym);
        out.extend_from_slice(b"\r\n");
    }

    fn right_most_untrusted(&self, peer: IpAddr, chain: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for entry in chain.take(chain::MAX_ENTRIES) {
            let Some(address) = entry else { break };
            client = address;
            if !self.trusted.contains(address) {
                break;
            }
        }
        client
    }
}

fn write_x_forwarded(out: &mut Vec<u8>, believed: Option<&Head>, authority: &[u8], arrival: &Arrival) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    if let Some(head) = believed {
        chain::write_believed(head, Known::XForwardedFor, out);
    }
    write_ip(arrival.client(), out);
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    out.extend_from_slice(first_believed(believed, Known::XForwardedProto).unwrap_or(arrival.scheme()));
    let host = first_believed(believed, Known::XForwardedHost).unwrap_or(authority);
    if !host.is_empty() {
        out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        out.extend_from_slice(host);
    }
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    match first_believed(believed, Known::XForwardedPort) {
        Some(port) => out.extend_from_slice(port),
        None => write_decimal(u64::from(arrival.local_port), out),
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 7239 4: one element for this hop behind the believed ones.
fn write_forwarded(out: &mut Vec<u8>, believed: Option<&Head>, authority: &[u8], arrival: &Arrival) {
    out.extend_from_slice(b"Forwarded: ");
    if let Some(head) = believed {
        chain::write_believed(head, Known::Forwarded, out);
    }
    let client = arrival.client();
    out.extend_from_slice(if client.is_ipv6() { b"for=\"[" } else { b"for=" });
    write_ip(client, out);
    out.extend_from_slice(if client.is_ipv6() { b"]\"" } else { b"" });
    if !authority.is_empty() {
        // A valid authority holds no quote and no backslash, so that nothing in it needs an escape.
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(authority);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(arrival.scheme());
    out.extend_from_slice(b"\r\n");
}

fn first_believed(believed: Option<&Head>, known: Known) -> Option<&[u8]> {
    believed?.received_end_to_end(known).next().filter(|value| !value.is_empty())
}

/// Appends an address as text. IPv4 is the common case, and the formatter of the standard library is slow for it.
pub fn write_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            address.octets().into_iter().for_each(|octet| write_octet(octet, out));
            out.pop();
        }
        IpAddr::V6(address) => {
            // Writing to memory cannot fail.
            let _ = write!(out, "{address}");
        }
    }
}

/// Appends the decimal digits of an octet, and a dot.
fn write_octet(octet: u8, out: &mut Vec<u8>) {
    let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
    match octet {
        0..10 => out.extend_from_slice(&[ones, b'.']),
        10..100 => out.extend_from_slice(&[tens, ones, b'.']),
        _ => out.extend_from_slice(&[hundreds, tens, ones, b'.']),
    }
}

#[cfg(test)]
mod tests;
