//! How long a call may take: the `grpc-timeout` field.

use std::time::Duration;

use crate::http1::write_decimal;

/// The largest number that the field can hold: eight digits.
const MAX_VALUE: u128 = 99_999_999;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The units, the smallest first, in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', NANOS_PER_SECOND),
    (b'M', 60 * NANOS_PER_SECOND),
    (b'H', 3_600 * NANOS_PER_SECOND),
];

/// Reads the value of a `grpc-timeout` field: one to eight digits and a unit out of `HMSmun`. `None` when it is
/// malformed.
#[must_use]
pub fn read_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3_600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Appends the value of a `grpc-timeout` field, in the smallest unit that has room for it. It is rounded up, so that a
/// short time does not become none; more than 99,999,999 hours become that.
pub fn write_timeout(timeout: Duration, out: &mut Vec<u8>) {
    let in_unit = |unit_nanos| timeout.as_nanos().div_ceil(unit_nanos);
    let fitting = UNITS.into_iter().find(|&(_, nanos)| in_unit(nanos) <= MAX_VALUE);
    let (unit, number) = fitting.map_or((b'H', MAX_VALUE), |(unit, nanos)| (unit, in_unit(nanos)));
    // At most MAX_VALUE, so that the cast loses nothing.
    write_decimal(number as u64, out);
    out.push(unit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(timeout: Duration) -> String {
        let mut out = Vec::new();
        write_timeout(timeout, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_unit_is_read() {
        let cases = [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("00000010S", Duration::from_secs(10)),
            ("100m", Duration::from_millis(100)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
        ];
        for (value, expected) in cases {
            assert_eq!(read_timeout(value.as_bytes()), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_malformed_is_none() {
        for value in
            ["", "S", "10", "10s", "10h", "-1S", "+1S", "1.5S", "1 S", " 1S", "100000000S", "1S ", "0x1S"]
        {
            assert_eq!(read_timeout(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn the_smallest_unit_with_room_is_written() {
        assert_eq!(written(Duration::ZERO), "0n");
        assert_eq!(written(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(written(Duration::from_nanos(100_000_001)), "100001u");
        assert_eq!(written(Duration::from_secs(10)), "10000000u");
        assert_eq!(written(Duration::MAX), "99999999H");
    }

    proptest! {
        /// Off by less than what eight digits cannot tell, and never shorter.
        #[test]
        fn what_is_written_is_read(seconds in 0..99_999_999_u64 * 3_600, nanos in 0..1_000_000_000_u32) {
            let timeout = Duration::new(seconds, nanos);
            let read = read_timeout(written(timeout).as_bytes()).unwrap();
            prop_assert!(read >= timeout);
            prop_assert!(read.as_nanos() - timeout.as_nanos() <= timeout.as_nanos() / 1_000_000 + 1, "{read:?}");
        }

        #[test]
        fn any_bytes_can_be_read(value in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = read_timeout(&value);
        }
    }
}
