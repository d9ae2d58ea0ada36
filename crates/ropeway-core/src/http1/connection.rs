//! What Connection says, and which fields go no further than this connection (RFC 9110 7.6.1).

use super::grammar::list_elements;
use super::head::Head;
use super::known::Known;
use super::method::Version;

/// The fields that never go further, whether Connection names them or not. Proxy-Authorization and
/// Proxy-Authenticate are not among them: they are for whichever proxy asked (RFC 9110 11.7).
const ALWAYS: [Known; 6] = [
    Known::Connection,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
];

/// More names than any sender has a use for; each costs a look at every field.
const MAX_NOMINATED: usize = 32;

/// The options of Connection that have a meaning to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
}

impl ConnectionOptions {
    /// Reads Connection, and marks in `head` the fields that are meant for this connection only.
    ///
    /// # Errors
    /// More options than anyone has a use for.
    pub(super) fn read(head: &mut Head) -> Result<Self, &'static str> {
        let mut options = Self::default();
        if !head.has_any(const { Known::set(&ALWAYS) }) {
            return Ok(options);
        }
        let mut hop_by_hop = ALWAYS.into_iter().fold(0, |set, known| set | head.indexes_of(known));
        if !head.is_repeated(Known::Connection)
            && head.get(Known::Connection).is_none_or(|option| options.note(option))
        {
            head.set_hop_by_hop(hop_by_hop);
            return Ok(options);
        }
        let mut nominated = 0;
        for option in head.get_all(Known::Connection).flat_map(list_elements) {
            if !options.note(option) {
                nominated += 1;
                hop_by_hop |= nominated_indexes(head, option);
            }
            if nominated > MAX_NOMINATED {
                return Err("too many connection options");
            }
        }
        head.set_hop_by_hop(hop_by_hop);
        Ok(options)
    }

    /// Whether the connection can carry another message after this one (RFC 9112 9.3).
    pub(super) const fn is_persistent(self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// Notes an option that has a meaning to us; false for all others, which name fields.
    fn note(&mut self, option: &[u8]) -> bool {
        let known = match option.len() {
            5 => (&b"close"[..], &mut self.close),
            7 => (&b"upgrade"[..], &mut self.upgrade),
            10 => (&b"keep-alive"[..], &mut self.keep_alive),
            _ => return false,
        };
        let found = option == known.0 || option.eq_ignore_ascii_case(known.0);
        *known.1 |= found;
        found
    }
}

/// The fields that an option names. Host and Content-Length stay: whoever names them would have us send a message
/// with another meaning than the one that we read.
fn nominated_indexes(head: &Head, name: &[u8]) -> u128 {
    match Known::from_name(name) {
        Known::Host | Known::ContentLength => 0,
        // Members of the family differ, so the name decides.
        Known::Other | Known::XForwardedOther => head.indexes_of_name(name),
        known => head.indexes_of(known),
    }
}
