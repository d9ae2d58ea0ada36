//! Pieces of HTTP that the file may give: checked here so that nothing malformed can ever be put into a message.

use std::fmt;

use super::address::{ServerAddress, is_host_name};
use crate::kind::{Text, TextError};

/// Declares a checked string.
macro_rules! checked_string {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

checked_string! {
    /// The name of a field (RFC 9110 section 5.1), in the case of the file. Never one that says how a message is
    /// framed, whether the connection stays, or where the request goes: those are the proxy's own business.
    HeaderName
}

checked_string! {
    /// The value of a field (RFC 9110 section 5.5): visible ASCII, spaces, tabs and UTF-8; no line break.
    HeaderValue
}

checked_string! {
    /// A token (RFC 9110 section 5.6.2): letters, digits and a few signs.
    Token
}

checked_string! {
    /// A request method (RFC 9110 section 9.1), in upper case.
    Method
}

checked_string! {
    /// An absolute path without query, in the form in which it is sent.
    Path
}

checked_string! {
    /// An absolute path, with or without a query: the origin form of a request target (RFC 9112 section 3.2.1).
    Target
}

checked_string! {
    /// A host, with or without a port: what a Host field holds (RFC 9110 section 7.2).
    Authority
}

impl HeaderName {
    pub(super) fn known(name: &'static str) -> HeaderName {
        HeaderName(name.to_owned())
    }
}

impl Token {
    pub(super) fn known(token: &'static str) -> Token {
        Token(token.to_owned())
    }
}

impl Method {
    pub(super) fn known(method: &'static str) -> Method {
        Method(method.to_owned())
    }
}

impl Path {
    pub(super) fn known(path: &'static str) -> Path {
        Path(path.to_owned())
    }
}

impl Target {
    pub(super) fn known(target: &'static str) -> Target {
        Target(target.to_owned())
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(is_token_byte)
}

/// Fields that the proxy writes itself.
const OWN_FIELDS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Text for HeaderName {
    const WHAT: &'static str = "the name of a field";
    const EXAMPLE: &'static str = "x-served-by";

    fn parse(text: &str) -> Result<HeaderName, TextError> {
        if !is_token(text) {
            return Err(TextError::because("a name has letters, digits and `-`"));
        }
        if text.eq_ignore_ascii_case("host") {
            return Err(
                TextError::refused("the proxy writes this field itself").help("see `host` of the route")
            );
        }
        if OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(text)) {
            return Err(TextError::refused("the proxy writes this field itself"));
        }
        Ok(HeaderName(text.to_owned()))
    }

    fn stand_in() -> HeaderName {
        HeaderName::known("x-none")
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for HeaderValue {
    const WHAT: &'static str = "the value of a field";
    const EXAMPLE: &'static str = "prod";

    fn parse(text: &str) -> Result<HeaderValue, TextError> {
        if text.trim_matches([' ', '\t']) != text {
            return Err(TextError::because("space at the ends is lost on the way")
                .meant(text.trim_matches([' ', '\t'])));
        }
        if text.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(TextError::because("a value has no line breaks and no control characters"));
        }
        Ok(HeaderValue(text.to_owned()))
    }

    fn stand_in() -> HeaderValue {
        HeaderValue(String::new())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for Token {
    const WHAT: &'static str = "a token";
    const EXAMPLE: &'static str = "ropeway";

    fn parse(text: &str) -> Result<Token, TextError> {
        let why = "a token has letters, digits, `-`, `_` and `.`";
        if is_token(text) { Ok(Token(text.to_owned())) } else { Err(TextError::because(why)) }
    }

    fn stand_in() -> Token {
        Token::known("none")
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for Authority {
    const WHAT: &'static str = "a host, with or without a port";
    const EXAMPLE: &'static str = "shop.example.com";

    fn parse(text: &str) -> Result<Authority, TextError> {
        if ServerAddress::is_authority(text) {
            return Ok(Authority(text.to_owned()));
        }
        Err(TextError::default().help("write \"shop.example.com\" or \"app.internal:8080\""))
    }

    fn stand_in() -> Authority {
        Authority("invalid".to_owned())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for Method {
    const WHAT: &'static str = "a request method";
    const EXAMPLE: &'static str = "HEAD";

    fn parse(text: &str) -> Result<Method, TextError> {
        if !is_token(text) {
            return Err(TextError::because("a method has letters only"));
        }
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(TextError::because("methods are in upper case").meant(text.to_ascii_uppercase()));
        }
        if text == "CONNECT" {
            return Err(TextError::refused("CONNECT asks for a tunnel, not for an answer"));
        }
        Ok(Method(text.to_owned()))
    }

    fn stand_in() -> Method {
        Method::known("GET")
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for Path {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "/api";

    fn parse(text: &str) -> Result<Path, TextError> {
        if !text.starts_with('/') {
            let error = TextError::because("a path starts with `/`");
            return Err(if text.contains("://") { error } else { error.meant(format!("/{text}")) });
        }
        if let Some((path, _)) = text.split_once(['?', '#']) {
            return Err(TextError::because("a path has no query and no fragment").meant(path));
        }
        if text.contains('*') {
            return Err(TextError::because("no wildcards here: a prefix stands for everything below it")
                .meant(text.trim_end_matches(['*', '/']).to_owned() + "/"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TextError::because("only visible ASCII is sent in a path")
                .help("write `%20` for a space, and so on"));
        }
        if text.len() > 8192 {
            return Err(TextError::because("longer than 8192 bytes"));
        }
        Ok(Path(text.to_owned()))
    }

    fn stand_in() -> Path {
        Path::known("/")
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Text for Target {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "/ready?deep=1";

    fn parse(text: &str) -> Result<Target, TextError> {
        let Some((path, query)) = text.split_once('?') else {
            return Path::parse(text).map(|path| Target(path.0));
        };
        Path::parse(path)?;
        if !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(TextError::because("only visible ASCII without `#` is sent in a query")
                .help("write `%20` for a space, and so on"));
        }
        Ok(Target(text.to_owned()))
    }

    fn stand_in() -> Target {
        Target::known("/")
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// Which hosts a route answers for. Lower case, without port, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host only: a name, an IPv4 address, or an IPv6 address in brackets.
    Exact(String),
    /// Every host below this one, at any depth; held without the leading `*.`.
    Wildcard(String),
}

impl HostPattern {
    /// Whether it is an address, and no name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        matches!(self, HostPattern::Exact(host) if is_address(host))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => out.write_str(host),
            HostPattern::Wildcard(below) => write!(out, "*.{below}"),
        }
    }
}

impl Text for HostPattern {
    const WHAT: &'static str = "a host name";
    const EXAMPLE: &'static str = "shop.example.com";

    fn parse(text: &str) -> Result<HostPattern, TextError> {
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Some(below) = host.strip_prefix("*.").filter(|below| is_host_name(below)) {
            return Ok(HostPattern::Wildcard(below.to_owned()));
        }
        if is_host_name(&host) || is_address(&host) {
            return Ok(HostPattern::Exact(host));
        }
        Err(explain_host(&host))
    }

    fn stand_in() -> HostPattern {
        HostPattern::Exact("invalid".to_owned())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    host.parse::<std::net::Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
}

fn explain_host(host: &str) -> TextError {
    if host == "*" {
        return TextError::because("every host")
            .help("leave `host` out: without it a route matches every host");
    }
    if !host.is_ascii() {
        return TextError::because("write the ASCII form").help("an international name is sent as `xn--...`");
    }
    if let Some((_, rest)) = host.split_once("://") {
        return TextError::because("a host, not a URL")
            .meant(rest.split(['/', ':']).next().unwrap_or_default());
    }
    if let Some((name, port)) = host.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && is_host_name(name)
    {
        return TextError::because("the port does not matter here").meant(name);
    }
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        return TextError::because("an IPv6 address stands in brackets").meant(format!("[{host}]"));
    }
    TextError::default().help("write \"shop.example.com\", or \"*.example.com\" for every name below it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant<T: Text>(text: &str) -> Result<String, Option<String>> {
        T::parse(text).map(|value| value.write()).map_err(|error| error.meant)
    }

    #[test]
    fn hosts() {
        for good in ["shop.example.com", "*.example.com", "localhost", "127.0.0.1", "[::1]", "a_b.example"] {
            assert_eq!(meant::<HostPattern>(good).as_deref(), Ok(good));
        }
        assert_eq!(meant::<HostPattern>("Shop.Example.Com.").as_deref(), Ok("shop.example.com"));
        assert_eq!(meant::<HostPattern>("example.com:80"), Err(Some("example.com".to_owned())));
        assert_eq!(meant::<HostPattern>("https://example.com/x"), Err(Some("example.com".to_owned())));
        assert_eq!(meant::<HostPattern>("::1"), Err(Some("[::1]".to_owned())));
        for bad in ["", "*", "*.", "a.*.com", "*example.com", "bücher.example", "a b", "-x.com", "a..b"] {
            assert_eq!(meant::<HostPattern>(bad), Err(None), "{bad}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(Target::parse("/ready?deep=1").map(String::from).ok().as_deref(), Some("/ready?deep=1"));
        assert!(Target::parse("ready?deep=1").is_err());
        assert!(Target::parse("/ready?a b").is_err());
        assert_eq!(meant::<Path>("/api").as_deref(), Ok("/api"));
        assert_eq!(meant::<Path>("api"), Err(Some("/api".to_owned())));
        assert_eq!(meant::<Path>("/api/*"), Err(Some("/api/".to_owned())));
        assert_eq!(meant::<Path>("/api?x=1"), Err(Some("/api".to_owned())));
        assert_eq!(meant::<Path>("/a b"), Err(None));
    }

    #[test]
    fn header_names_that_the_proxy_owns_are_refused() {
        assert_eq!(meant::<HeaderName>("X-Env").as_deref(), Ok("X-Env"));
        for bad in ["", "a b", "x:", "Content-Length", "transfer-encoding", "HOST", "Connection"] {
            assert_eq!(meant::<HeaderName>(bad), Err(None), "{bad}");
        }
    }

    #[test]
    fn header_values_cannot_break_the_line() {
        assert_eq!(meant::<HeaderValue>("a b").as_deref(), Ok("a b"));
        assert_eq!(meant::<HeaderValue>(" a"), Err(Some("a".to_owned())));
        for bad in ["a\r\nb: c", "a\0", "\x7f"] {
            assert_eq!(meant::<HeaderValue>(bad), Err(None), "{bad:?}");
        }
    }
}
