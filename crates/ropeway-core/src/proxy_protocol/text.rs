//! Text inside a header. It ends up in fields and logs, where a control character would be more than text.

/// The text in these bytes; `None` when they are not UTF-8 or hold control characters.
pub(super) fn read(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Whether these bytes are ASCII without control characters.
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}
