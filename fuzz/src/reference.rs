//! A second reader of HTTP/1.1, written from RFC 9112 without the product's code: slow, whole messages only, and
//! stricter than any server, so that what it accepts means the same to all of them.

/// A head as this reader understands it.
#[derive(Debug)]
pub struct Head<'a> {
    /// The three parts of the start line.
    pub start: [&'a [u8]; 3],
    /// Names in lower case, values without surrounding blanks, in order.
    pub fields: Vec<(Vec<u8>, &'a [u8])>,
    /// Bytes of the head, its empty line included.
    pub len: usize,
}

/// How the end of the body is found (RFC 9112 6.3).
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl<'a> Head<'a> {
    /// The head at the start of `bytes`.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn read(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let (start, mut at) = line(bytes)?;
        let start = start_line(start)?;
        let mut fields = Vec::new();
        loop {
            let (text, len) = line(&bytes[at..])?;
            at += len;
            if text.is_empty() {
                return Ok(Self { start, fields, len: at });
            }
            fields.push(field(text)?);
        }
    }

    /// The values of all fields of this name, which is in lower case.
    pub fn values(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|(known, _)| known == name.as_bytes()).map(|(_, value)| *value).collect()
    }

    /// The framing of a request.
    ///
    /// # Errors
    /// When two readers could find two ends.
    pub fn request_body(&self) -> Result<Body, &'static str> {
        Ok(self.declared_body()?.unwrap_or(Body::None))
    }

    /// The framing of a response to a request with this method.
    ///
    /// # Errors
    /// As for requests.
    pub fn response_body(&self, method: &str) -> Result<Body, &'static str> {
        let declared = self.declared_body()?;
        let status = self.start[1];
        let bodiless = status[0] == b'1' || status == b"204" || status == b"304";
        if bodiless || method == "HEAD" || (method == "CONNECT" && status[0] == b'2') {
            return Ok(Body::None);
        }
        Ok(declared.unwrap_or(Body::UntilClose))
    }

    fn declared_body(&self) -> Result<Option<Body>, &'static str> {
        match (&self.values("content-length")[..], &self.values("transfer-encoding")[..]) {
            ([], []) => Ok(None),
            ([length], []) => Ok(Some(Body::Length(decimal(length)?))),
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Body::Chunked)),
            _ => Err("framing that can be read in two ways"),
        }
    }
}

/// The body data of the chunked body at the start of `bytes`, and how many bytes the body takes.
///
/// # Errors
/// Which rule of RFC 9112 7.1 it breaks; also when it is not complete.
pub fn chunked(bytes: &[u8]) -> Result<(Vec<u8>, usize), &'static str> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let (text, len) = line(&bytes[at..])?;
        at += len;
        let size = chunk_size(text)?;
        if size == 0 {
            break;
        }
        let chunk = bytes[at..].get(..size).ok_or("a chunk that ends early")?;
        data.extend_from_slice(chunk);
        at += size;
        if !bytes[at..].starts_with(b"\r\n") {
            return Err("no CRLF after a chunk");
        }
        at += 2;
    }
    loop {
        let (text, len) = line(&bytes[at..])?;
        at += len;
        if text.is_empty() {
            return Ok((data, at));
        }
        field(text)?;
    }
}

/// The bytes before the next CRLF, and the length with it.
fn line(bytes: &[u8]) -> Result<(&[u8], usize), &'static str> {
    let end =
        bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)).ok_or("a line that does not end")?;
    if !bytes[end..].starts_with(b"\r\n") {
        return Err("a bare CR, LF or a NUL");
    }
    Ok((&bytes[..end], end + 2))
}

/// Three parts, the last of which (a reason phrase) may hold blanks; no part of a request line may.
fn start_line(text: &[u8]) -> Result<[&[u8]; 3], &'static str> {
    let mut parts = text.splitn(3, |byte| *byte == b' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(first), Some(second), Some(third)) if !first.is_empty() && !second.is_empty() => {
            Ok([first, second, third])
        }
        _ => Err("a start line without three parts"),
    }
}

fn field(text: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let colon = text.iter().position(|byte| *byte == b':').ok_or("a field without a colon")?;
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
        return Err("a field name that is no token");
    }
    if !value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)) {
        return Err("a control character in a value");
    }
    Ok((name.to_ascii_lowercase(), trim_blanks(value)))
}

fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("a length that is not all digits");
    }
    let text = std::str::from_utf8(digits).map_err(|_| "no digits")?;
    text.parse().map_err(|_| "a length that overflows")
}

/// The size in front of any extensions, whose own grammar is not judged here.
fn chunk_size(text: &[u8]) -> Result<usize, &'static str> {
    let digits = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    let rest = trim_blanks(&text[digits..]);
    if digits == 0 || !(rest.is_empty() || rest.starts_with(b";")) {
        return Err("a malformed chunk size");
    }
    let digits = std::str::from_utf8(&text[..digits]).map_err(|_| "no digits")?;
    usize::from_str_radix(digits, 16).map_err(|_| "a chunk size that overflows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_request() {
        let bytes = b"POST /a HTTP/1.1\r\nHost:  x \r\nContent-Length: 3\r\n\r\nabc";
        let head = Head::read(bytes).unwrap();
        assert_eq!(head.start, [&b"POST"[..], b"/a", b"HTTP/1.1"]);
        assert_eq!(head.values("host"), [b"x"]);
        assert_eq!(head.request_body(), Ok(Body::Length(3)));
        assert_eq!(head.len, bytes.len() - 3);
    }

    #[test]
    fn refuses_what_two_readers_could_read_in_two_ways() {
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: +3",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert!(Head::read(bytes.as_bytes()).unwrap().request_body().is_err(), "{fields}");
        }
    }

    #[test]
    fn refuses_bare_line_feeds_and_folded_lines() {
        assert!(Head::read(b"GET / HTTP/1.1\nHost: x\r\n\r\n").is_err());
        assert!(Head::read(b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n").is_err());
    }

    #[test]
    fn reads_chunks_extensions_and_trailers() {
        let bytes = b"3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\nrest";
        assert_eq!(chunked(bytes), Ok((b"abcd".to_vec(), bytes.len() - 4)));
        assert!(chunked(b"3\r\nabcd\r\n0\r\n\r\n").is_err());
        assert!(chunked(b"3_\r\nabc\r\n0\r\n\r\n").is_err());
    }
}
