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

/// Appends the text in the value of a `grpc-message` field. As the specification asks, what is malformed stays as it is:
/// a message that is hard to read is better than none. Bytes that are no UTF-8 become U+FFFD.
pub fn read_message(value: &[u8], out: &mut String) {
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value);
    while let [first, behind @ ..] = rest {
        let (byte, left) = match decode(rest) {
            Some(decoded) => decoded,
            None => (*first, behind),
        };
        bytes.push(byte);
        rest = left;
    }
    out.push_str(&String::from_utf8_lossy(&bytes));
}

/// The byte that a percent sign and two digits stand for, and what is behind them.
fn decode(value: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = value else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(*high)? << 4 | digit(*low)?;
    u8::try_from(byte).ok().map(|byte| (byte, rest))
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

    fn read(value: &[u8]) -> String {
        let mut out = String::new();
        read_message(value, &mut out);
        out
    }

    #[test]
    fn only_what_must_be_is_encoded() {
        assert_eq!(written("No server is available."), "No server is available.");
        assert_eq!(written("100% \u{e4}\r\n~\x7f"), "100%25 %C3%A4%0D%0A~%7F");
    }

    #[test]
    fn what_is_malformed_stays() {
        assert_eq!(read(b"100% %zz %4 %c3%a4 %41 %"), "100% %zz %4 \u{e4} A %");
        assert_eq!(read(b"%ff"), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in any::<String>()) {
            let value = written(&text);
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(read(value.as_bytes()), text);
        }

        #[test]
        fn any_bytes_can_be_read(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(read(&value).len() <= value.len() * 3);
        }
    }
}
