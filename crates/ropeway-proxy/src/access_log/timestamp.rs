//! Wall-clock timestamps, formatted at most once a second.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Formats the time of records; keeps the text of the current second.
#[derive(Debug, Default)]
pub(crate) struct Timestamp {
    second: Option<u64>,
    /// `2026-11-21T08:49:37`
    rfc3339: Vec<u8>,
    /// `21/Nov/2026:08:49:37 +0000`
    common: Vec<u8>,
}

impl Timestamp {
    /// Appends `2026-11-21T08:49:37.123Z` (RFC 3339, UTC).
    pub fn write_rfc3339(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        let since = self.update(now);
        let millis = since.subsec_millis();
        out.extend_from_slice(&self.rfc3339);
        // Three digits, so the digit arithmetic cannot leave 0 to 9.
        let digit = |value: u32| b'0' + (value % 10) as u8;
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }

    /// Appends `21/Nov/2026:08:49:37 +0000`.
    pub fn write_common(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        self.update(now);
        out.extend_from_slice(&self.common);
    }

    fn update(&mut self, now: SystemTime) -> Duration {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.format(since.as_secs());
        }
        since
    }

    fn format(&mut self, seconds: u64) {
        let (year, month, day) = civil_date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let name = month.checked_sub(1).and_then(|index| MONTHS.get(index as usize)).unwrap_or(&"Jan");
        self.rfc3339.clear();
        self.common.clear();
        // Writing into a Vec does not fail.
        let _ = write!(self.rfc3339, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        let _ = write!(self.common, "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
    }
}

/// The proleptic Gregorian date of a day counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400 years (146,097 days).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(seconds: u64, millis: u64) -> (String, String) {
        let now = UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + millis);
        let mut timestamp = Timestamp::default();
        let (mut rfc, mut common) = (Vec::new(), Vec::new());
        timestamp.write_rfc3339(now, &mut rfc);
        timestamp.write_common(now, &mut common);
        (String::from_utf8(rfc).unwrap(), String::from_utf8(common).unwrap())
    }

    #[test]
    fn known_moments() {
        assert_eq!(both(0, 7).0, "1970-01-01T00:00:00.007Z");
        assert_eq!(both(951_782_400, 0).0, "2000-02-29T00:00:00.000Z");
        assert_eq!(both(4_107_542_399, 999).0, "2100-02-28T23:59:59.999Z");
        assert_eq!(both(784_111_777, 0).1, "06/Nov/1994:08:49:37 +0000");
    }
}
