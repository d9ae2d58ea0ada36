//! Trailer sections (RFC 9110 6.5, RFC 9112 7.1.2).

use super::error::{BodyError, MalformedLine, lexer_detail};
use super::head::{FieldRef, Head};
use super::head_scan::HeadScan;
use super::known::{Known, looks_like};
use super::limits::MAX_FIELDS;

/// A trailer section while it arrives, and once it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Trailers {
    bytes: Vec<u8>,
    scan: HeadScan,
    head: Head,
}

impl Trailers {
    /// Takes in what belongs to the section, of at most `max_bytes` and `max_fields`. Tells how much of the input
    /// that was, and whether the section is complete.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        max_bytes: usize,
        max_fields: usize,
    ) -> Result<(usize, bool), BodyError> {
        let before = self.bytes.len();
        let room = max_bytes.saturating_sub(before);
        self.bytes.extend_from_slice(input.get(..room).unwrap_or(input));
        let complete = self.scan.is_complete(&self.bytes).map_err(malformed)?;
        if !complete && self.bytes.len() >= max_bytes {
            return Err(BodyError::TrailersTooLarge);
        }
        if !complete {
            return Ok((self.bytes.len() - before, false));
        }
        self.bytes.truncate(self.scan.scanned());
        self.read_fields(max_fields)?;
        Ok((self.bytes.len() - before, true))
    }

    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    fn read_fields(&mut self, max_fields: usize) -> Result<(), BodyError> {
        let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let room = room.get_mut(..max_fields.min(MAX_FIELDS)).unwrap_or_default();
        match httparse::parse_headers(&self.bytes, room) {
            Ok(httparse::Status::Complete((_, lexed))) => {
                self.head.take(&self.bytes, 0, lexed).map_err(BodyError::Malformed)
            }
            Ok(httparse::Status::Partial) => Err(BodyError::Malformed("a malformed trailer section")),
            Err(httparse::Error::TooManyHeaders) => Err(BodyError::TrailersTooLarge),
            Err(error) => Err(BodyError::Malformed(lexer_detail(error))),
        }
    }
}

fn malformed(line: MalformedLine) -> BodyError {
    BodyError::Malformed(line.detail())
}

/// How the names begin by which servers are told who a client is that has shown a certificate.
const OF_CLIENT: &[u8] = b"x-client-cert-";

/// Whether a field may be sent on as a trailer (RFC 9110 6.5.1). Names that the proxy itself reads frame, route,
/// authenticate or control the message, and so do the request modifiers and conditions: a server that merges trailers
/// into the head would act on what nobody checked.
pub(super) fn is_permitted(field: FieldRef<'_>) -> bool {
    const FORBIDDEN: [&str; 6] = [
        "max-forwards",
        "pragma",
        "warning",
        "http2-settings",
        "proxy-authentication-info",
        "authentication-info",
    ];
    let conditional = field.name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"if-"));
    let names_client = field.name.get(..OF_CLIENT.len()).is_some_and(|start| looks_like(start, OF_CLIENT));
    field.known == Known::Other
        && !conditional
        && !names_client
        && !FORBIDDEN.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_bytes()))
}
