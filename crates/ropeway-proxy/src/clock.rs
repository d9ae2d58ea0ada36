//! Monotonic time, counted from the start of the process.
//!
//! Wall-clock time is used for the timestamps of logs only: moving it never moves a deadline.

use std::time::{Duration, Instant};

/// The origin of all monotonic times of one process; cheap to copy, and equal in every thread.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the clock started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Microseconds since the clock started.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the clock started.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
