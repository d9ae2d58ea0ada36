//! When a certificate is ordered. Pure: the time and the dice are arguments.

use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);

/// The first pause after the authority could not be reached; it doubles up to [`LONGEST_OUTAGE_PAUSE`].
const OUTAGE_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(10 * 60);

/// The first pause after an order was refused; it doubles up to [`LONGEST_PAUSE`]. Authorities count refusals, and
/// lock out who has too many in an hour.
const REFUSAL_PAUSE: Duration = MINUTE;
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// The longest pause for a process that did not fail itself. Let's Encrypt gives back one failure in twelve minutes.
const LONGEST_PAUSE_AFTER_START: Duration = Duration::from_secs(15 * 60);

/// The time in which an authority would like a certificate to be renewed (RFC 9773 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub start: SystemTime,
    pub end: SystemTime,
}

impl Window {
    /// A moment in it, `fraction` of the way, so that not everybody comes at once.
    pub(super) fn moment(&self, fraction: f64) -> SystemTime {
        let length = self.end.duration_since(self.start).unwrap_or_default();
        self.start + length.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// When a certificate is renewed that is good between these two moments: in the window that the authority gives; without
/// one after 62 to 67 % of its life, and in no case after more than 90 %.
pub(super) fn renewal(
    window: Option<Window>,
    (not_before, not_after): (SystemTime, SystemTime),
    fraction: f64,
) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    match window {
        Some(window) => window.moment(fraction).min(not_before + life.mul_f64(0.9)),
        None => not_before + life.mul_f64(2.0 / 3.0 - 0.05 * fraction.clamp(0.0, 1.0)),
    }
}

/// How long to wait after the `failures`th failure in a row, 1 being the first; less if the authority does not count it.
pub(super) fn pause(failures: u32, is_free: bool, fraction: f64) -> Duration {
    let (first, longest) =
        if is_free { (OUTAGE_PAUSE, LONGEST_OUTAGE_PAUSE) } else { (REFUSAL_PAUSE, LONGEST_PAUSE) };
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    // Up to a quarter more or less, so that processes that failed together do not come back together.
    doubled.min(longest).mul_f64(0.75 + 0.5 * fraction.clamp(0.0, 1.0))
}

/// What is left at `now` of the pause after `failures` refusals, the latest of them at `last`, seen by another process or by
/// one before this one. Who was started since, perhaps because something was mended, does not wait for hours.
pub(super) fn rest_of_pause(
    (failures, last): (u32, SystemTime),
    now: SystemTime,
    was_started_since: bool,
) -> Duration {
    // A clock that was set back must not make a pause of years.
    let Ok(waited) = now.duration_since(last) else { return Duration::ZERO };
    let whole = pause(failures, false, 0.5);
    let whole = if was_started_since { whole.min(LONGEST_PAUSE_AFTER_START) } else { whole };
    whole.saturating_sub(waited)
}

/// When to ask for the window again, within the limits that RFC 9773 section 4.3.3 gives as an example.
pub(super) fn look_again(retry_after: Duration) -> Duration {
    retry_after.clamp(MINUTE, 24 * 60 * MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn days(count: u64) -> Duration {
        Duration::from_secs(count * 24 * 60 * 60)
    }

    #[test]
    fn a_certificate_is_renewed_before_two_thirds_of_its_life_are_over() {
        let [early, late] = [1.0, 0.0].map(|fraction| renewal(None, (START, START + days(90)), fraction));
        assert!(early < late && late <= START + days(60));
        assert!(early > START + days(55));
        let backwards = (START + days(1), START);
        assert_eq!(renewal(None, backwards, 0.5), START + days(1), "one that ends before it begins");
    }

    #[test]
    fn a_window_is_used_from_end_to_end() {
        let window = Window { start: START + days(10), end: START + days(12) };
        assert_eq!(window.moment(0.0), window.start);
        assert_eq!(window.moment(0.5), START + days(11));
        assert_eq!(window.moment(1.0), window.end);
        let life = (START, START + days(100));
        assert_eq!(renewal(Some(window), life, 0.5), START + days(11));
        let too_late = Window { start: START + days(95), end: START + days(200) };
        assert_eq!(
            renewal(Some(too_late), life, 0.5),
            START + days(90),
            "a window that loses the certificate"
        );
        let backwards = Window { start: window.end, end: window.start };
        assert_eq!(backwards.moment(0.7), backwards.start);
    }

    #[test]
    fn pauses_grow_to_hours_after_refusals_and_to_minutes_in_an_outage() {
        let refused: Vec<u64> = (1..=10).map(|count| pause(count, false, 0.5).as_secs()).collect();
        assert_eq!(refused, [60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600]);
        assert_eq!(pause(1, true, 0.5), OUTAGE_PAUSE);
        assert_eq!(pause(u32::MAX, true, 0.5), LONGEST_OUTAGE_PAUSE);
        assert!(pause(3, false, 0.0) < pause(3, false, 1.0));
    }

    #[test]
    fn a_pause_goes_on_in_another_process() {
        let rest = |failures, seconds, was_started_since| {
            let now = START + days(1) + Duration::from_secs(seconds);
            rest_of_pause((failures, START + days(1)), now, was_started_since).as_secs()
        };
        assert_eq!([rest(1, 0, true), rest(1, 59, true), rest(1, 61, true)], [60, 1, 0]);
        assert_eq!([rest(9, 60, true), rest(9, 60, false)], [14 * 60, 255 * 60]);
        let set_back = rest_of_pause((9, START + days(365)), START, false);
        assert_eq!(set_back, Duration::ZERO, "the clock was set back");
    }

    #[test]
    fn the_authority_is_asked_between_every_minute_and_every_day() {
        assert_eq!(look_again(Duration::ZERO), MINUTE);
        assert_eq!(look_again(Duration::from_secs(6 * 3_600)), Duration::from_secs(6 * 3_600));
        assert_eq!(look_again(days(30)), days(1));
    }
}
