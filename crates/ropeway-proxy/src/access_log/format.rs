//! The two shapes of an access record.
//!
//! Whatever a peer sent is escaped so that one request is one line: control characters, quotes, invalid UTF-8, and
//! the characters that change the direction of text on a terminal.

use std::io::Write;
use std::time::SystemTime;

use ropeway_core::forwarding::write_ip;

use super::Record;
use super::timestamp::Timestamp;

/// One JSON object and a line feed. Empty members are left out.
pub(super) fn json(record: &Record<'_>, now: SystemTime, timestamp: &mut Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    timestamp.write_rfc3339(now, out);
    out.extend_from_slice(b"\",\"client\":\"");
    write_ip(record.client, out);
    out.push(b'"');
    text(b",\"method\":\"", record.method, out);
    text(b",\"host\":\"", record.host, out);
    text(b",\"path\":\"", record.target, out);
    word(b",\"protocol\":\"", record.version, out);
    word(b",\"tls\":\"", record.tls, out);
    text(b",\"client_subject\":\"", record.client_subject.as_bytes(), out);
    number(b",\"status\":", u64::from(record.status), out);
    if let Some(status) = record.grpc_status {
        number(b",\"grpc_status\":", u64::from(status.code()), out);
    }
    number(b",\"bytes_in\":", record.bytes_in, out);
    number(b",\"bytes_out\":", record.bytes_out, out);
    text(b",\"listener\":\"", record.listener.as_bytes(), out);
    text(b",\"route\":\"", record.route.as_bytes(), out);
    text(b",\"upstream\":\"", record.upstream.as_bytes(), out);
    text(b",\"server\":\"", record.server.as_bytes(), out);
    number(b",\"attempts\":", u64::from(record.attempts), out);
    number(b",\"total_us\":", record.total_us, out);
    if let Some(connect) = record.connect_us {
        number(b",\"connect_us\":", connect, out);
    }
    if let Some(first_byte) = record.first_byte_us {
        number(b",\"first_byte_us\":", first_byte, out);
    }
    word(b",\"reason\":\"", record.reason.name(), out);
    word(b",\"stage\":\"", record.stage.name(), out);
    text(b",\"request_id\":\"", record.request_id, out);
    text(b",\"user_agent\":\"", record.user_agent, out);
    text(b",\"referer\":\"", record.referer, out);
    if let Some(priority) = record.priority {
        out.extend_from_slice(b",\"priority\":\"");
        priority.write(out);
        out.push(b'"');
    }
    out.extend_from_slice(b"}\n");
}

/// `client - - [time] "request line" status bytes "referer" "user agent"`.
pub(super) fn combined(record: &Record<'_>, now: SystemTime, timestamp: &mut Timestamp, out: &mut Vec<u8>) {
    write_ip(record.client, out);
    out.extend_from_slice(b" - - [");
    timestamp.write_common(now, out);
    out.extend_from_slice(b"] \"");
    for (index, part) in [record.method, record.target, record.version.as_bytes()].into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        escape(if part.is_empty() { b"-" } else { part }, Escapes::Combined, out);
    }
    number(b"\" ", u64::from(record.status), out);
    number(b" ", record.bytes_out, out);
    for part in [record.referer, record.user_agent] {
        out.extend_from_slice(b" \"");
        escape(if part.is_empty() { b"-" } else { part }, Escapes::Combined, out);
        out.push(b'"');
    }
    out.push(b'\n');
}

fn number(name: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// One of our own words, in which there is nothing to escape.
fn word(name: &[u8], value: &'static str, out: &mut Vec<u8>) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn text(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(name);
    escape(value, Escapes::Json, out);
    out.push(b'"');
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// `\u00e9` and the short forms of RFC 8259.
    Json,
    /// `\xe9`, as other servers write it.
    Combined,
}

fn escape(value: &[u8], style: Escapes, out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\');
    // To the end in any case, so that many bytes can be looked at in one step.
    if value.iter().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_safe(character) {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                escape_character(character, style, out);
            }
        }
        for byte in chunk.invalid() {
            escape_character(char::from(*byte), style, out);
        }
    }
}

fn escape_character(character: char, style: Escapes, out: &mut Vec<u8>) {
    // Writing into a Vec does not fail.
    let _ = match (style, character) {
        (_, '"') => write!(out, "\\\""),
        (_, '\\') => write!(out, "\\\\"),
        (Escapes::Json, _) => {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        }
        (Escapes::Combined, _) => {
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
        }
    };
}

fn is_safe(character: char) -> bool {
    let misleading = matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !character.is_control() && !matches!(character, '"' | '\\') && !misleading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(value: &[u8], style: Escapes) -> String {
        let mut out = Vec::new();
        escape(value, style, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_could_break_a_line_or_mislead_a_reader_is_escaped() {
        assert_eq!(escaped(b"/plain?x=1", Escapes::Json), "/plain?x=1");
        assert_eq!(escaped(b"a\"b\\c\nd", Escapes::Json), r#"a\"b\\c\u000ad"#);
        assert_eq!(escaped("caf\u{e9}".as_bytes(), Escapes::Json), "caf\u{e9}");
        assert_eq!(escaped("\u{202e}gpj".as_bytes(), Escapes::Json), r"\u202egpj");
        assert_eq!(escaped(b"\xff\x85", Escapes::Json), r"\u00ff\u0085");
        assert_eq!(escaped(b"a\nb\"", Escapes::Combined), r#"a\x0ab\""#);
    }
}
