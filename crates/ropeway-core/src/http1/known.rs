//! The field names that the proxy itself reads.

macro_rules! known_names {
    ($($variant:ident $name:literal,)*) => {
        /// A field name that the proxy itself reads or removes; everything else is [`Known::Other`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Known {
            /// A name without a meaning to us.
            #[default]
            Other,
            $($variant,)*
        }

        impl Known {
            const ALL: &'static [Self] = &[Self::Other, $(Self::$variant,)*];

            /// How many there are, `Other` included.
            pub(super) const COUNT: usize = Self::ALL.len();

            /// The name in lower case; empty for `Other`, a prefix for `XForwardedOther`.
            #[must_use]
            pub const fn name(self) -> &'static [u8] {
                match self { Self::Other => b"", $(Self::$variant => $name,)* }
            }
        }
    };
}

known_names! {
    Host b"host",
    Connection b"connection",
    ContentLength b"content-length",
    TransferEncoding b"transfer-encoding",
    Te b"te",
    Trailer b"trailer",
    Upgrade b"upgrade",
    KeepAlive b"keep-alive",
    ProxyConnection b"proxy-connection",
    Expect b"expect",
    Via b"via",
    XForwardedFor b"x-forwarded-for",
    XForwardedProto b"x-forwarded-proto",
    XForwardedHost b"x-forwarded-host",
    XForwardedPort b"x-forwarded-port",
    XForwardedOther b"x-forwarded-",
    XRealIp b"x-real-ip",
    Forwarded b"forwarded",
    XRequestId b"x-request-id",
    Accept b"accept",
    UserAgent b"user-agent",
    Referer b"referer",
    Cookie b"cookie",
    SetCookie b"set-cookie",
    Date b"date",
    Server b"server",
    RetryAfter b"retry-after",
    Location b"location",
    Authorization b"authorization",
    ProxyAuthorization b"proxy-authorization",
    ProxyAuthenticate b"proxy-authenticate",
    WwwAuthenticate b"www-authenticate",
    ContentType b"content-type",
    ContentEncoding b"content-encoding",
    ContentRange b"content-range",
    CacheControl b"cache-control",
    Range b"range",
    Vary b"vary",
    Age b"age",
    Expires b"expires",
    AcceptEncoding b"accept-encoding",
    Priority b"priority",
}

// A set of names fits one word.
const _: () = assert!(Known::COUNT <= 64);

impl Known {
    /// The meaning of a field name, which must be a token, in any case. In `X-...` names an underscore counts as a hyphen, because some
    /// servers read both alike: what removes `X-Forwarded-For` must not leave `X_Forwarded_For` behind.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        if matches!(name, [b'x' | b'X', ..]) {
            return Self::from_x_name(name);
        }
        candidates(name.len()).iter().copied().find(|known| eq_token(name, known.name())).unwrap_or_default()
    }

    fn from_x_name(name: &[u8]) -> Self {
        let exact = [
            Self::XForwardedFor,
            Self::XForwardedProto,
            Self::XForwardedHost,
            Self::XForwardedPort,
            Self::XRealIp,
            Self::XRequestId,
        ];
        if let Some(known) = exact.into_iter().find(|known| eq_folded(name, known.name())) {
            return known;
        }
        let prefix = Self::XForwardedOther.name();
        match name.get(..prefix.len()) {
            Some(start) if eq_folded(start, prefix) => Self::XForwardedOther,
            _ => Self::Other,
        }
    }

    /// A set of names.
    pub(super) const fn set(names: &[Self]) -> u64 {
        match names {
            [] => 0,
            [first, rest @ ..] => first.bit() | Self::set(rest),
        }
    }

    /// The bit of this name in a set of names.
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether a token is this name, which has letters in lower case and hyphens only, when case is ignored. Setting the
/// bit of lower case in whole words is exact for tokens: no other character of theirs becomes a letter or a hyphen.
fn eq_token(token: &[u8], name: &[u8]) -> bool {
    let (tokens, token_rest) = token.as_chunks::<8>();
    let (names, name_rest) = name.as_chunks::<8>();
    tokens.len() == names.len()
        && tokens.iter().zip(names).all(|(token, name)| {
            u64::from_ne_bytes(*token) | 0x2020_2020_2020_2020 == u64::from_ne_bytes(*name)
        })
        && token_rest.len() == name_rest.len()
        && token_rest.iter().zip(name_rest).all(|(&token, &name)| token | 0x20 == name)
}

/// Whether two names are equal when case is ignored and an underscore is a hyphen; `canonical` is folded already.
pub(super) fn eq_folded(name: &[u8], canonical: &[u8]) -> bool {
    name.len() == canonical.len()
        && name.iter().zip(canonical).all(|(&byte, &wanted)| match byte {
            b'_' => wanted == b'-',
            _ => byte.to_ascii_lowercase() == wanted,
        })
}

/// The names of one length, apart from the `X-...` ones. Lengths tell names apart better than any hash would.
const fn candidates(len: usize) -> &'static [Known] {
    match len {
        2 => &[Known::Te],
        3 => &[Known::Via, Known::Age],
        4 => &[Known::Host, Known::Date, Known::Vary],
        5 => &[Known::Range],
        6 => &[Known::Accept, Known::Cookie, Known::Server, Known::Expect],
        7 => &[Known::Trailer, Known::Upgrade, Known::Referer, Known::Expires],
        8 => &[Known::Location, Known::Priority],
        9 => &[Known::Forwarded],
        10 => &[Known::Connection, Known::UserAgent, Known::KeepAlive, Known::SetCookie],
        11 => &[Known::RetryAfter],
        12 => &[Known::ContentType],
        13 => &[Known::CacheControl, Known::Authorization, Known::ContentRange],
        14 => &[Known::ContentLength],
        15 => &[Known::AcceptEncoding],
        16 => &[Known::ContentEncoding, Known::ProxyConnection, Known::WwwAuthenticate],
        17 => &[Known::TransferEncoding],
        18 => &[Known::ProxyAuthenticate],
        19 => &[Known::ProxyAuthorization],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::is_tchar;
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for &known in Known::ALL {
            if matches!(known, Known::Other | Known::XForwardedOther) {
                continue;
            }
            assert_eq!(Known::from_name(known.name()), known);
            assert_eq!(Known::from_name(&known.name().to_ascii_uppercase()), known);
        }
    }

    #[test]
    fn underscores_are_hyphens_in_the_forwarding_family_only() {
        assert_eq!(Known::from_name(b"X_Forwarded_For"), Known::XForwardedFor);
        assert_eq!(Known::from_name(b"x-forwarded_PROTO"), Known::XForwardedProto);
        assert_eq!(Known::from_name(b"X_Real_IP"), Known::XRealIp);
        assert_eq!(Known::from_name(b"X_Forwarded_Ssl"), Known::XForwardedOther);
        assert_eq!(Known::from_name(b"X-Forwarded-"), Known::XForwardedOther);
        assert_eq!(Known::from_name(b"X-Forwarded-For-The-Second-Time"), Known::XForwardedOther);
        assert_eq!(Known::from_name(b"Content_Length"), Known::Other);
    }

    /// One wrong byte anywhere makes another name, for every byte that a token can have.
    #[test]
    fn names_are_compared_exactly() {
        let tokens: Vec<u8> = (0..=u8::MAX).filter(|&byte| is_tchar(byte)).collect();
        for &known in Known::ALL.iter().filter(|known| !known.name().starts_with(b"x-")) {
            for at in 0..known.name().len() {
                for &byte in &tokens {
                    let mut name = known.name().to_vec();
                    name[at] = byte;
                    let same = name.eq_ignore_ascii_case(known.name());
                    assert_eq!(
                        Known::from_name(&name) == known,
                        same,
                        "{:?}",
                        String::from_utf8_lossy(&name)
                    );
                }
            }
        }
    }

    #[test]
    fn near_misses_are_other() {
        for name in [&b""[..], b"hos", b"hosts", b"x", b"x-forwarded", b"x-real-i", b"connectioN-"] {
            assert_eq!(Known::from_name(name), Known::Other, "{name:?}");
        }
    }
}
