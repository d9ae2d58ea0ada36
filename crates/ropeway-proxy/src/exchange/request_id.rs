//! The id that a client gave its request.

use ropeway_core::http1::Head;

use crate::connection::Client;

/// The longest id that is taken over, in bytes.
const LONGEST: usize = 128;

/// The id of a request that a trusted client has named, if it did so once and in a way that fits everywhere.
pub(crate) fn given<'a>(client: &Client, head: &'a Head) -> Option<&'a [u8]> {
    let name = client.listener.request_id.as_deref()?;
    if !client.listener.forwarding.trusts(&client.arrival) {
        return None;
    }
    let mut ids = head.fields().filter(|field| field.name.eq_ignore_ascii_case(name));
    let id = ids.next()?.value;
    (ids.next().is_none() && is_usable(id)).then_some(id)
}

/// Whether it can be written in a field, in a log and in JSON as it is.
fn is_usable(id: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=LONGEST).contains(&id.len()) && id.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_visible_and_of_moderate_length() {
        for id in ["a", "0af7651916cd43dd", "a/b+c==;d={e}", &"x".repeat(LONGEST)] {
            assert!(is_usable(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\tb", "\"", "a\\", "caf\u{e9}", &"x".repeat(LONGEST + 1)] {
            assert!(!is_usable(id.as_bytes()), "{id}");
        }
    }
}
