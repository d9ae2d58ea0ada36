//! An independent reader of one HTTP/1.1 request, written straight from the grammar of RFC 9112 and as unforgiving as
//! a reader can be. It shares nothing with the code under test, the lexer least of all: what we send on must be one
//! request to it, and the same one.

/// Names and values.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request as this reader sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StrictRequest {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

impl StrictRequest {
    pub(super) fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.as_slice()).collect()
    }
}

/// Reads exactly one request; bytes after it are an error.
pub(super) fn read_request(bytes: &[u8]) -> Result<StrictRequest, String> {
    let mut cursor = Cursor { bytes };
    let line = cursor.line()?;
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = parts[..] else { return Err(format!("request line {line:?}")) };
    if method.is_empty() || !method.iter().all(|&byte| tchar(byte)) {
        return Err(format!("method {method:?}"));
    }
    if !target_is_sound(method, target) {
        return Err(format!("target {target:?}"));
    }
    let mut request = StrictRequest {
        method: method.to_vec(),
        target: target.to_vec(),
        fields: cursor.fields()?,
        body: Vec::new(),
        trailers: Vec::new(),
    };
    if request.values("host").len() != 1 {
        return Err("not exactly one Host".into());
    }
    read_body(&mut request, &mut cursor)?;
    if cursor.bytes.is_empty() { Ok(request) } else { Err(format!("left over: {:?}", cursor.bytes)) }
}

fn target_is_sound(method: &[u8], target: &[u8]) -> bool {
    let visible = target.iter().all(|&byte| (0x21..=0x7e).contains(&byte) && byte != b'#');
    let form = match method {
        b"CONNECT" => target.contains(&b':'),
        b"OPTIONS" => target == b"*" || target.starts_with(b"/"),
        _ => target.starts_with(b"/"),
    };
    visible && form
}

fn read_body(request: &mut StrictRequest, cursor: &mut Cursor<'_>) -> Result<(), String> {
    let lengths: Vec<Vec<u8>> = request.values("content-length").iter().map(|value| value.to_vec()).collect();
    let codings: Vec<Vec<u8>> =
        request.values("transfer-encoding").iter().map(|value| value.to_vec()).collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(()),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length: u64 =
                std::str::from_utf8(length).unwrap().parse().map_err(|error| format!("{error}"))?;
            request.body = cursor.take(usize::try_from(length).map_err(|error| error.to_string())?)?.to_vec();
            Ok(())
        }
        ([], [coding]) if coding == b"chunked" => read_chunks(request, cursor),
        framing => Err(format!("framing {framing:?}")),
    }
}

fn read_chunks(request: &mut StrictRequest, cursor: &mut Cursor<'_>) -> Result<(), String> {
    loop {
        let line = cursor.line()?;
        if line.is_empty() || !line.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("chunk line {line:?}"));
        }
        let size = usize::from_str_radix(std::str::from_utf8(line).unwrap(), 16)
            .map_err(|error| error.to_string())?;
        if size == 0 {
            request.trailers = cursor.fields()?;
            return Ok(());
        }
        request.body.extend_from_slice(cursor.take(size)?);
        if cursor.take(2)? != b"\r\n" {
            return Err("no CRLF after a chunk".into());
        }
    }
}

fn tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("truncated")?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The bytes before the next CRLF, which hold no other CR, LF or NUL.
    fn line(&mut self) -> Result<&'a [u8], String> {
        let end = self.bytes.windows(2).position(|pair| pair == b"\r\n").ok_or("no CRLF")?;
        let line = self.take(end)?;
        self.take(2)?;
        if line.iter().any(|byte| b"\r\n\0".contains(byte)) {
            Err(format!("line {line:?}"))
        } else {
            Ok(line)
        }
    }

    fn fields(&mut self) -> Result<Fields, String> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or("no colon")?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.is_empty() || !name.iter().all(|&byte| tchar(byte)) {
                return Err(format!("name {name:?}"));
            }
            if value.iter().any(|&byte| byte == 0x7f || byte < b' ' && byte != b'\t') {
                return Err(format!("value {value:?}"));
            }
            fields.push((name.to_vec(), value.to_vec()));
        }
    }
}
