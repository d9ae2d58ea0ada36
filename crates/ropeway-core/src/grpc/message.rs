//! What went wrong, in words: the `grpc-message` trailer, percent-encoded UTF-8.

/// Appends a text as the value of a `grpc-message` field. Visible ASCII and spaces stay as they are, `%` excepted; the
/// bytes of everything else are percent-encoded.
pub fn write_message(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits =
            [byte >> 4, byte & 0xf].map(|value| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
        out.push(b'%');
        out.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_message(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The bytes that a value stands for, and those only that may be in one.
    fn read(value: &[u8]) -> Vec<u8> {
        let Some((first, rest)) = value.split_first() else { return Vec::new() };
        let (byte, rest) = match (first, rest) {
            (b'%', [high, low, rest @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap();
                (u8::try_from(digit(high) << 4 | digit(low)).unwrap(), rest)
            }
            (b' '..=b'~', rest) => (*first, rest),
            _ => panic!("{}", value.escape_ascii()),
        };
        [vec![byte], read(rest)].concat()
    }

    #[test]
    fn only_what_must_be_is_encoded() {
        assert_eq!(written("No server is available."), "No server is available.");
        assert_eq!(written("100% \u{e4}\r\n~\x7f"), "100%25 %C3%A4%0D%0A~%7F");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in any::<String>()) {
            prop_assert_eq!(read(written(&text).as_bytes()), text.into_bytes());
        }
    }
}
