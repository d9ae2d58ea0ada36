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
            /// Every one of them.
            pub const ALL: &'static [Self] = &[Self::Other, $(Self::$variant,)*];

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

/// The one of these names, all of one length, that a token is, compared by `same`.
macro_rules! one_of {
    ($token:expr, $same:ident: $($variant:ident),+) => {{
        $(if $same::<{ Known::$variant.name().len() }>($token, const { Known::$variant.name() }) {
            return Known::$variant;
        })+
        Known::Other
    }};
}

impl Known {
    /// The meaning of a field name, which must be a token, in any case. In `X-...` names an underscore counts as a hyphen, because some
    /// servers read both alike: what removes `X-Forwarded-For` must not leave `X_Forwarded_For` behind.
    ///
    /// Lengths tell names apart better than any hash would.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        if matches!(name, [b'x' | b'X', ..]) {
            return Self::from_x_name(name);
        }
        match name.len() {
            2 => one_of!(name, is: Te),
            3 => one_of!(name, is: Via, Age),
            4 => one_of!(name, is: Host, Date, Vary),
            5 => one_of!(name, is: Range),
            6 => one_of!(name, is: Accept, Cookie, Server, Expect),
            7 => one_of!(name, is: Trailer, Upgrade, Referer, Expires),
            8 => one_of!(name, is: Location, Priority),
            9 => one_of!(name, is: Forwarded),
            10 => one_of!(name, is: Connection, UserAgent, KeepAlive, SetCookie),
            11 => one_of!(name, is: RetryAfter),
            12 => one_of!(name, is: ContentType),
            13 => one_of!(name, is: CacheControl, Authorization, ContentRange),
            14 => one_of!(name, is: ContentLength),
            15 => one_of!(name, is: AcceptEncoding),
            16 => one_of!(name, is: ContentEncoding, ProxyConnection, WwwAuthenticate),
            17 => one_of!(name, is: TransferEncoding),
            18 => one_of!(name, is: ProxyAuthenticate),
            19 => one_of!(name, is: ProxyAuthorization),
            _ => Self::Other,
        }
    }

    fn from_x_name(name: &[u8]) -> Self {
        let exact = match name.len() {
            9 => one_of!(name, is_folded: XRealIp),
            12 => one_of!(name, is_folded: XRequestId),
            15 => one_of!(name, is_folded: XForwardedFor),
            16 => one_of!(name, is_folded: XForwardedHost, XForwardedPort),
            17 => one_of!(name, is_folded: XForwardedProto),
            _ => Self::Other,
        };
        let prefix = Self::XForwardedOther.name();
        match name.get(..prefix.len()) {
            Some(start) if exact == Self::Other && looks_like(start, prefix) => Self::XForwardedOther,
            _ => exact,
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

/// Whether a token is this name of `LEN` letters in lower case and hyphens, when case is ignored. All of it is looked at, in
/// a few instructions. Setting the bit of lower case is exact: no other character of a token becomes a letter or a hyphen.
#[inline(always)]
fn is<const LEN: usize>(token: &[u8], name: &[u8]) -> bool {
    differs::<LEN>(token, name, |byte| byte | 0x20) == Some(0)
}

/// The same where an underscore is a hyphen.
#[inline(always)]
fn is_folded<const LEN: usize>(token: &[u8], name: &[u8]) -> bool {
    differs::<LEN>(token, name, |byte| if byte == b'_' { b'-' } else { byte | 0x20 }) == Some(0)
}

#[inline(always)]
fn differs<const LEN: usize>(token: &[u8], name: &[u8], fold: impl Fn(u8) -> u8) -> Option<u8> {
    let (token, name) = (token.first_chunk::<LEN>()?, name.first_chunk::<LEN>()?);
    Some(token.iter().zip(name).fold(0, |difference, (&token, name)| difference | (fold(token) ^ name)))
}

/// Whether two names are equal when case is ignored and an underscore is a hyphen.
pub(super) fn looks_like(name: &[u8], other: &[u8]) -> bool {
    let folded = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().zip(other).all(|(&byte, &other)| folded(byte) == folded(other))
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
