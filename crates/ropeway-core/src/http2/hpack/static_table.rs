//! The static table (RFC 7541, appendix A).

use crate::http1::Known;

/// How many entries there are; those of the dynamic table are counted on from here.
pub(super) const LEN: usize = 61;

pub(super) struct Entry {
    pub(super) name: &'static [u8],
    pub(super) value: &'static [u8],
    pub(super) known: Known,
}

macro_rules! entries {
    ($($name:literal $value:literal $known:ident,)*) => {
        [$(Entry { name: $name, value: $value, known: Known::$known }),*]
    };
}

/// Entries of one name stand together.
static ENTRIES: [Entry; LEN] = entries! {
    b":authority" b"" Other,
    b":method" b"GET" Other,
    b":method" b"POST" Other,
    b":path" b"/" Other,
    b":path" b"/index.html" Other,
    b":scheme" b"http" Other,
    b":scheme" b"https" Other,
    b":status" b"200" Other,
    b":status" b"204" Other,
    b":status" b"206" Other,
    b":status" b"304" Other,
    b":status" b"400" Other,
    b":status" b"404" Other,
    b":status" b"500" Other,
    b"accept-charset" b"" Other,
    b"accept-encoding" b"gzip, deflate" AcceptEncoding,
    b"accept-language" b"" Other,
    b"accept-ranges" b"" Other,
    b"accept" b"" Accept,
    b"access-control-allow-origin" b"" Other,
    b"age" b"" Age,
    b"allow" b"" Other,
    b"authorization" b"" Authorization,
    b"cache-control" b"" CacheControl,
    b"content-disposition" b"" Other,
    b"content-encoding" b"" ContentEncoding,
    b"content-language" b"" Other,
    b"content-length" b"" ContentLength,
    b"content-location" b"" Other,
    b"content-range" b"" ContentRange,
    b"content-type" b"" ContentType,
    b"cookie" b"" Cookie,
    b"date" b"" Date,
    b"etag" b"" Other,
    b"expect" b"" Expect,
    b"expires" b"" Expires,
    b"from" b"" Other,
    b"host" b"" Host,
    b"if-match" b"" Other,
    b"if-modified-since" b"" Other,
    b"if-none-match" b"" Other,
    b"if-range" b"" Other,
    b"if-unmodified-since" b"" Other,
    b"last-modified" b"" Other,
    b"link" b"" Other,
    b"location" b"" Location,
    b"max-forwards" b"" Other,
    b"proxy-authenticate" b"" ProxyAuthenticate,
    b"proxy-authorization" b"" ProxyAuthorization,
    b"range" b"" Range,
    b"referer" b"" Referer,
    b"refresh" b"" Other,
    b"retry-after" b"" RetryAfter,
    b"server" b"" Server,
    b"set-cookie" b"" SetCookie,
    b"strict-transport-security" b"" Other,
    b"transfer-encoding" b"" TransferEncoding,
    b"user-agent" b"" UserAgent,
    b"vary" b"" Vary,
    b"via" b"" Via,
    b"www-authenticate" b"" WwwAuthenticate,
};

/// What the table has of a field, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Name(usize),
    Field(usize),
}

/// The entry with an index of 1 to [`LEN`].
pub(super) fn get(index: usize) -> Option<&'static Entry> {
    ENTRIES.get(index.checked_sub(1)?)
}

/// What the table has of a field whose name is in lower case.
pub(super) fn find(name: &[u8], value: &[u8]) -> Found {
    let index = FIRST_OF_NAME.get(usize::from(hash(name))).map_or(0, |index| usize::from(*index));
    let Some(entry) = get(index).filter(|entry| entry.name == name) else { return Found::Nothing };
    if entry.value == value {
        return Found::Field(index);
    }
    // Only names of the first entries have more than one.
    let others = if entry.value.is_empty() { &[] } else { ENTRIES.get(index..).unwrap_or_default() };
    let mut others = others.iter().take_while(|other| other.name == name);
    match others.position(|other| other.value == value) {
        Some(further) => Found::Field(index + 1 + further),
        None => Found::Name(index),
    }
}

/// By the hashes of names, which are all different, the indices of their first entries.
static FIRST_OF_NAME: [u8; 256] = first_of_name();

#[expect(clippy::indexing_slicing, reason = "a place outside would fail the build")]
const fn first_of_name() -> [u8; 256] {
    let mut indices = [0; 256];
    let mut index = LEN;
    while index > 0 {
        indices[hash(ENTRIES[index - 1].name) as usize] = index as u8;
        index -= 1;
    }
    indices
}

/// The factors were found by trying.
const fn hash(name: &[u8]) -> u8 {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    (name.len() as u8).wrapping_mul(10).wrapping_add(first.wrapping_mul(28)).wrapping_add(*last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found() {
        for index in 1..=LEN {
            let entry = get(index).unwrap();
            assert_eq!(find(entry.name, entry.value), Found::Field(index));
            assert_eq!(entry.known, Known::from_name(entry.name));
            let Found::Name(first) = find(entry.name, b"another") else { panic!("{index}") };
            assert!(first <= index && get(first).unwrap().name == entry.name);
        }
        assert!(get(0).is_none() && get(LEN + 1).is_none());
    }

    #[test]
    fn what_is_like_a_name_is_none() {
        for name in
            [&b""[..], b"x", b":metho", b"Accept", b"accepT", b"set-cookiee", b"vAry", b"www-Xuthenticate"]
        {
            assert_eq!(find(name, b""), Found::Nothing, "{}", name.escape_ascii());
        }
    }
}
