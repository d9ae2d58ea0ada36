//! What happened to the process lately: a short list for the operator.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// How many events are kept; older ones are forgotten.
pub const KEPT: usize = 50;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The process began to serve.
    Started,
    /// A new configuration was put into service.
    Reloaded,
    /// A new configuration was refused; the old one stays.
    ReloadFailed,
    /// A server passed or failed its active checks often enough to change its state.
    Health,
    /// Live traffic failed so often that a server was taken out, or its time out is over.
    Ejection,
    /// The addresses of a name changed, or it resolved for the first time.
    Resolved,
    /// A name does not resolve.
    ResolveFailed,
    /// An authority gave a certificate.
    CertificateOrdered,
    /// An authority gave no certificate; it is asked again.
    OrderFailed,
    /// An operator changed the state or the weight of a server.
    Operator,
    /// The process stops accepting connections and finishes what it has.
    Draining,
}

impl EventKind {
    /// The name used in the admin API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Reloaded => "reloaded",
            Self::ReloadFailed => "reload_failed",
            Self::Health => "health",
            Self::Ejection => "ejection",
            Self::Resolved => "resolved",
            Self::ResolveFailed => "resolve_failed",
            Self::CertificateOrdered => "certificate_ordered",
            Self::OrderFailed => "order_failed",
            Self::Operator => "operator",
            Self::Draining => "draining",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
    /// In words, without a final stop.
    pub message: String,
}

/// The last [`KEPT`] events.
#[derive(Debug, Default)]
pub struct Events(Mutex<VecDeque<Event>>);

impl Events {
    /// Adds an event that happens now.
    pub fn push(&self, kind: EventKind, message: String) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back(Event { at: SystemTime::now(), kind, message });
    }

    /// The events, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_are_kept() {
        let events = Events::default();
        for number in 0..KEPT + 3 {
            events.push(EventKind::Reloaded, number.to_string());
        }
        let list = events.list();
        assert_eq!(list.len(), KEPT);
        assert_eq!(list[0].message, "3");
        assert_eq!(list[KEPT - 1].message, (KEPT + 2).to_string());
    }
}
