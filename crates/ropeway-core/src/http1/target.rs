//! Request targets (RFC 9112 3.2), and the paths that we refuse.

use super::error::RequestError;
use super::head::Span;
use super::method::Method;

/// The form of a request target (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `*`, with OPTIONS only
    Asterisk,
    /// `host:port`, with CONNECT only
    Authority,
}

/// The parts of a request target, as ranges of the bytes it was parsed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub form: TargetForm,
    /// Of the absolute and the authority form; otherwise empty.
    pub authority: Span,
    /// Without the query. Empty in the authority form, and in an absolute form that has none.
    pub path: Span,
    /// Without its question mark; `None` when there is no question mark.
    pub query: Option<Span>,
}

impl Target {
    /// Reads the target that lies at `span` of `head`.
    ///
    /// # Errors
    /// `Malformed` for what no form allows; `AmbiguousPath` for paths that servers read in different ways.
    pub(super) fn parse(head: &[u8], span: Span, method: Method) -> Result<Self, RequestError> {
        let bytes = span.of(head);
        if !bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(RequestError::Malformed("an invalid character in the target"));
        }
        let start = span.start as usize;
        if method == Method::Connect {
            return authority_form(bytes, span);
        }
        match bytes {
            [b'/', ..] => path_and_query(head, start, span, TargetForm::Origin, Span::default()),
            b"*" if method == Method::Options => {
                Ok(Self { form: TargetForm::Asterisk, path: span, ..Self::default() })
            }
            b"*" => Err(RequestError::Malformed("an asterisk as target of a method other than OPTIONS")),
            _ => absolute_form(head, bytes, span),
        }
    }
}

/// `host:port`, the port being required (RFC 9112 3.2.3). The host itself is judged with all other hosts.
fn authority_form(bytes: &[u8], span: Span) -> Result<Target, RequestError> {
    match bytes {
        [.., last] if last.is_ascii_digit() && bytes.contains(&b':') => {
            Ok(Target { form: TargetForm::Authority, authority: span, ..Target::default() })
        }
        _ => Err(RequestError::Malformed("a CONNECT target that is not host:port")),
    }
}

/// `http://authority[/path][?query]` (RFC 9112 3.2.2).
fn absolute_form(head: &[u8], bytes: &[u8], span: Span) -> Result<Target, RequestError> {
    let scheme_len = scheme_len(bytes).ok_or(RequestError::Malformed("a target of no known form"))?;
    let start = span.start as usize + scheme_len;
    let rest = bytes.get(scheme_len..).unwrap_or_default();
    let authority_len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let authority = Span::new(start, start + authority_len);
    // The userinfo of a URI invites servers to mistake it for the host (RFC 9110 4.2.4).
    if authority.of(head).contains(&b'@') {
        return Err(RequestError::Malformed("user information in the target"));
    }
    path_and_query(head, start + authority_len, span, TargetForm::Absolute, authority)
}

/// The length of `http://` or `https://` at the start.
fn scheme_len(bytes: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| bytes.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(<[u8]>::len)
}

fn path_and_query(
    head: &[u8],
    start: usize,
    span: Span,
    form: TargetForm,
    authority: Span,
) -> Result<Target, RequestError> {
    let end = span.end as usize;
    let bytes = Span::new(start, end).of(head);
    let question = memchr::memchr(b'?', bytes);
    let path = Span::new(start, question.map_or(end, |at| start + at));
    if is_ambiguous(path.of(head)) {
        return Err(RequestError::AmbiguousPath);
    }
    Ok(Target { form, authority, path, query: question.map(|at| Span::new(start + at + 1, end)) })
}

/// Whether servers could resolve this path to different resources: a backslash, or a segment that is `.` or `..` once
/// `%2e` is a dot, parameters after `;` are cut off, and an encoded slash or backslash ends a segment.
fn is_ambiguous(path: &[u8]) -> bool {
    if memchr::memchr3(b'.', b'%', b'\\', path).is_none() {
        return false;
    }
    let mut segment = Segment::Empty;
    let mut rest = path;
    loop {
        let (symbol, after) = match rest {
            [] => return segment.is_dots(),
            [b'%', b'2', b'e' | b'E', after @ ..] => (b'.', after),
            [b'%', b'2', b'f' | b'F', after @ ..] | [b'%', b'5', b'c' | b'C', after @ ..] => (b'/', after),
            [byte, after @ ..] => (*byte, after),
        };
        segment = match symbol {
            b'\\' => return true,
            b'/' | b';' if segment.is_dots() => return true,
            b'/' => Segment::Empty,
            b'.' => segment.with_dot(),
            _ => Segment::Name,
        };
        rest = after;
    }
}

/// What a path segment is so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Empty,
    Dot,
    DotDot,
    Name,
}

impl Segment {
    const fn is_dots(self) -> bool {
        matches!(self, Self::Dot | Self::DotDot)
    }

    const fn with_dot(self) -> Self {
        match self {
            Self::Empty => Self::Dot,
            Self::Dot => Self::DotDot,
            Self::DotDot | Self::Name => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str, method: Method) -> Result<Target, RequestError> {
        Target::parse(target.as_bytes(), Span::new(0, target.len()), method)
    }

    fn parts(target: &str) -> (TargetForm, &str, &str, Option<&str>) {
        let text = |span: Span| &target[span.start as usize..span.end as usize];
        let parsed = parse(target, Method::Get).unwrap();
        (parsed.form, text(parsed.authority), text(parsed.path), parsed.query.map(text))
    }

    #[test]
    fn origin_and_absolute_forms_are_taken_apart() {
        assert_eq!(parts("/a?b?c"), (TargetForm::Origin, "", "/a", Some("b?c")));
        assert_eq!(parts("/?"), (TargetForm::Origin, "", "/", Some("")));
        assert_eq!(parts("//x//y"), (TargetForm::Origin, "", "//x//y", None));
        assert_eq!(parts("HTTP://h:1/a?b"), (TargetForm::Absolute, "h:1", "/a", Some("b")));
        assert_eq!(parts("https://h?b/c"), (TargetForm::Absolute, "h", "", Some("b/c")));
    }

    /// RFC 9112 3.2.3 and 3.2.4.
    #[test]
    fn asterisk_and_authority_belong_to_one_method_each() {
        assert_eq!(parse("*", Method::Options).map(|target| target.form), Ok(TargetForm::Asterisk));
        assert!(parse("*", Method::Get).is_err());
        assert_eq!(parse("h:443", Method::Connect).map(|target| target.form), Ok(TargetForm::Authority));
        assert!(parse("/", Method::Connect).is_err());
        assert!(parse("h", Method::Connect).is_err());
        assert!(parse("h:443", Method::Get).is_err());
    }

    #[test]
    fn other_schemes_userinfo_fragments_and_invisible_bytes_are_refused() {
        for target in
            ["ftp://h/", "http:/h/", "h/", "?a", "http://u@h/", "http://u:p@h/", "/a#b", "/ä", "/a\u{7f}"]
        {
            assert!(matches!(parse(target, Method::Get), Err(RequestError::Malformed(_))), "{target}");
        }
    }

    #[test]
    fn dot_segments_and_backslashes_are_refused() {
        for path in [
            "/.",
            "/..",
            "/./",
            "/a/..",
            "/a/../b",
            "/%2e",
            "/%2E%2e/",
            "/.%2e/a",
            "/a/..;x/b",
            "/..;",
            "/.;a=b/c",
            "/a%2f..",
            "/a%2F../b",
            "/..%2fb",
            "/a%5c..%5cb",
            "/..%5C",
            "/a\\b",
            "/\\",
            "http://h/..",
            "/a/.%2E",
        ] {
            assert_eq!(parse(path, Method::Get), Err(RequestError::AmbiguousPath), "{path}");
        }
    }

    #[test]
    fn dots_elsewhere_pass() {
        for path in [
            "/.well-known/x",
            "/a.b",
            "/...",
            "/..a",
            "/a..",
            "/a/.b/",
            "/%2e%2e%2e",
            "/a;b=..",
            "/a%2fb",
            "/a;/b",
            "/%2",
            "/%",
            "/%252e%252e/",
            "/a?/../",
            "/a?\\",
            "//",
            "/a%5cb",
            "/.a;..",
        ] {
            assert!(parse(path, Method::Get).is_ok(), "{path}");
        }
    }
}
