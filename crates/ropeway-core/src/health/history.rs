//! What happened to a server: its latest changes of condition.

use std::collections::VecDeque;

use super::passive::FailureKind;
use crate::balance::HealthState;

/// The latest changes of one server's condition, for the status page and the logs.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
}

/// A change of condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When, in milliseconds of the monotonic clock.
    pub at_ms: u64,
    /// The condition before.
    pub from: Condition,
    /// The condition after.
    pub to: Condition,
    /// Why.
    pub cause: Cause,
}

/// A change of condition, with what is known beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The change.
    pub transition: Transition,
    /// What exactly was observed, such as `status 500`.
    pub detail: Option<Box<str>>,
}

/// What a server was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// No check has ended yet.
    Unchecked,
    /// Fit to answer.
    Up,
    /// Its checks fail.
    Down,
    /// Its requests failed, and it is out of its pool for a while.
    Ejected,
}

/// Why a condition changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Enough checks in a row passed.
    ChecksPassed,
    /// Enough checks in a row failed.
    ChecksFailed,
    /// Enough requests in a row failed in this way.
    RequestsFailed(FailureKind),
    /// The time of an ejection was over.
    EjectionEnded,
}

impl History {
    /// How many changes are remembered.
    pub const CAPACITY: usize = 16;

    /// Adds a change, and forgets the oldest if there are too many.
    pub fn push(&mut self, transition: Transition, detail: Option<Box<str>>) {
        if self.entries.len() >= Self::CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { transition, detail });
    }

    /// The changes, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The latest change.
    #[must_use]
    pub fn latest(&self) -> Option<&Entry> {
        self.entries.back()
    }
}

impl From<HealthState> for Condition {
    fn from(state: HealthState) -> Self {
        match state {
            HealthState::Unchecked => Self::Unchecked,
            HealthState::Up => Self::Up,
            HealthState::Down => Self::Down,
        }
    }
}

impl Condition {
    /// The name used in logs and the admin API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
        }
    }
}

impl Cause {
    /// The name used in logs and the admin API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChecksPassed => "checks_passed",
            Self::ChecksFailed => "checks_failed",
            Self::RequestsFailed(FailureKind::Connect) => "connect_failures",
            Self::RequestsFailed(FailureKind::Timeout) => "timeouts",
            Self::RequestsFailed(FailureKind::Reset) => "resets",
            Self::RequestsFailed(FailureKind::ServerError) => "server_errors",
            Self::EjectionEnded => "ejection_ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn change(at_ms: u64) -> Transition {
        Transition { at_ms, from: Condition::Up, to: Condition::Down, cause: Cause::ChecksFailed }
    }

    #[test]
    fn remembers_the_latest_changes_oldest_first() {
        let mut history = History::default();
        assert_eq!(history.latest(), None);
        (0..40).for_each(|at_ms| history.push(change(at_ms), None));
        let times: Vec<u64> = history.iter().map(|entry| entry.transition.at_ms).collect();
        assert_eq!(times, (24..40).collect::<Vec<u64>>());
        history.push(change(40), Some("status 500".into()));
        let latest = Entry { transition: change(40), detail: Some("status 500".into()) };
        assert_eq!(history.latest(), Some(&latest));
        assert_eq!(history.iter().len(), History::CAPACITY);
    }
}
