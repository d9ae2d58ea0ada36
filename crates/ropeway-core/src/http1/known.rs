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
            pub const fn name(self) -> &'static str {
                match self { Self::Other => "", $(Self::$variant => $name,)* }
            }
        }
    };
}

known_names! {
    Host "host",
    Connection "connection",
    ContentLength "content-length",
    TransferEncoding "transfer-encoding",
    Te "te",
    Trailer "trailer",
    Upgrade "upgrade",
    KeepAlive "keep-alive",
    ProxyConnection "proxy-connection",
    Expect "expect",
    Via "via",
    XForwardedFor "x-forwarded-for",
    XForwardedProto "x-forwarded-proto",
    XForwardedHost "x-forwarded-host",
    XForwardedPort "x-forwarded-port",
    XForwardedOther "x-forwarded-",
    XRealIp "x-real-ip",
    Forwarded "forwarded",
    XRequestId "x-request-id",
    Accept "accept",
    UserAgent "user-agent",
    Referer "referer",
    Cookie "cookie",
    SetCookie "set-cookie",
    Date "date",
    Server "server",
    RetryAfter "retry-after",
    Location "location",
    Authorization "authorization",
    ProxyAuthorization "proxy-authorization",
    ProxyAuthenticate "proxy-authenticate",
    WwwAuthenticate "www-authenticate",
    ContentType "content-type",
    ContentEncoding "content-encoding",
    ContentRange "content-range",
    CacheControl "cache-control",
    Range "range",
    Vary "vary",
    Age "age",
    Expires "expires",
    AcceptEncoding "accept-encoding",
}

// A set of names fits one word.
const _: () = assert!(Known::COUNT <= 64);

impl Known {
    /// The meaning of a field name, in any case. In `X-...` names an underscore counts as a hyphen, because some
    /// servers read both alike: what removes `X-Forwarded-For` must not leave `X_Forwarded_For` behind.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        let Some(first) = name.first().map(u8::to_ascii_lowercase) else { return Self::Other };
        if first == b'x' {
            return Self::from_x_name(name);
        }
        candidates(name.len())
            .iter()
            .copied()
            .find(|known| {
                let candidate = known.name().as_bytes();
                candidate.first() == Some(&first) && candidate.eq_ignore_ascii_case(name)
            })
            .unwrap_or_default()
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
        if let Some(known) = exact.into_iter().find(|known| eq_folded(name, known.name().as_bytes())) {
            return known;
        }
        let prefix = Self::XForwardedOther.name().as_bytes();
        match name.get(..prefix.len()) {
            Some(start) if eq_folded(start, prefix) => Self::XForwardedOther,
            _ => Self::Other,
        }
    }

    /// The bit of this name in a set of names.
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether two names are equal when case is ignored and an underscore is a hyphen; `canonical` is folded already.
fn eq_folded(name: &[u8], canonical: &[u8]) -> bool {
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
        8 => &[Known::Location],
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
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for &known in Known::ALL {
            if matches!(known, Known::Other | Known::XForwardedOther) {
                continue;
            }
            assert_eq!(Known::from_name(known.name().as_bytes()), known);
            assert_eq!(Known::from_name(known.name().to_uppercase().as_bytes()), known);
        }
    }

    #[test]
    fn underscores_are_hyphens_in_the_forwarding_family_only() {
        assert_eq!(Known::from_name(b"X_Forwarded_For"), Known::XForwardedFor);
        assert_eq!(Known::from_name(b"x-forwarded_PROTO"), Known::XForwardedProto);
        assert_eq!(Known::from_name(b"X_Real_IP"), Known::XRealIp);
        assert_eq!(Known::from_name(b"X_Forwarded_Ssl"), Known::XForwardedOther);
        assert_eq!(Known::from_name(b"X-Forwarded-"), Known::XForwardedOther);
        assert_eq!(Known::from_name(b"Content_Length"), Known::Other);
    }

    #[test]
    fn near_misses_are_other() {
        for name in [&b""[..], b"hos", b"hosts", b"x", b"x-forwarded", b"x-real-i", b"connectioN-"] {
            assert_eq!(Known::from_name(name), Known::Other, "{name:?}");
        }
    }
}
