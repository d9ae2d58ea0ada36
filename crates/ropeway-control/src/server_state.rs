//! What a server is doing, in one word.

use ropeway_core::balance::{AdminState, HealthState};
use ropeway_proxy::upstream::{Server, Upstream};

/// What a server is doing: the first of these that applies, from the operator's decision to what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// The operator took it out; it gets nothing.
    Disabled,
    /// The operator lets it finish what it has; it gets nothing new.
    Draining,
    /// Its name has no address.
    Unresolved,
    /// Its requests failed, and it is out for a while.
    Ejected,
    /// Its active checks fail.
    Down,
    /// Its first active check has not ended.
    Unchecked,
    /// It gets requests.
    Up,
}

impl ServerState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Down,
        Self::Unchecked,
        Self::Ejected,
        Self::Draining,
        Self::Disabled,
        Self::Unresolved,
    ];

    /// The state that `server` of `upstream` is in.
    #[must_use]
    pub fn of(upstream: &Upstream, server: &Server) -> Self {
        let live = &server.live;
        match live.admin() {
            AdminState::Disabled => return Self::Disabled,
            AdminState::Drain => return Self::Draining,
            AdminState::Ready => {}
        }
        if live.endpoints().is_empty() {
            return Self::Unresolved;
        }
        if live.is_ejected() {
            return Self::Ejected;
        }
        match live.health() {
            HealthState::Down if upstream.settings.checked => Self::Down,
            HealthState::Unchecked if upstream.settings.checked => Self::Unchecked,
            _ => Self::Up,
        }
    }

    /// The name used in metrics and the admin API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Draining => "draining",
            Self::Unresolved => "unresolved",
            Self::Ejected => "ejected",
            Self::Down => "down",
            Self::Unchecked => "unchecked",
            Self::Up => "up",
        }
    }
}
