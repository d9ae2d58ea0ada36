//! Keeps a lasting fault from filling the log with one message per batch.

use std::time::{Duration, Instant};

/// Lets one report through per interval.
#[derive(Debug)]
pub(super) struct ReportGate {
    interval: Duration,
    last: Option<Instant>,
}

impl ReportGate {
    /// A gate that lets the next report through.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether a report may be made at `now`.
    pub(super) fn opens(&mut self, now: Instant) -> bool {
        let opens = self.last.is_none_or(|last| now.duration_since(last) >= self.interval);
        if opens {
            self.last = Some(now);
        }
        opens
    }

    /// Lets the next report through at once: the fault is over, and another one would be news.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_report_per_interval() {
        let start = Instant::now();
        let mut gate = ReportGate::new(Duration::from_secs(60));
        assert!(gate.opens(start));
        assert!(!gate.opens(start + Duration::from_secs(59)));
        assert!(gate.opens(start + Duration::from_secs(60)));
        assert!(!gate.opens(start + Duration::from_secs(61)));
        gate.reset();
        assert!(gate.opens(start + Duration::from_secs(61)));
    }
}
