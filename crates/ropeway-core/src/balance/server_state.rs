//! The state of a server, and which servers may be picked.

use super::Candidate;

/// What the operator wants of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// Serve.
    #[default]
    Ready,
    /// Finish what is in flight, and take nothing new.
    Drain,
    /// Take nothing; the server is not checked either.
    Disabled,
}

impl AdminState {
    /// The name used in the admin API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Disabled => "disabled",
        }
    }
}

/// What active checks say of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// The server is to be checked, but no check has finished yet.
    Unchecked,
    /// The checks succeed, or there are none.
    Up,
    /// The checks fail.
    Down,
}

impl HealthState {
    /// The name used in the admin API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Everything that decides whether a server may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerState {
    /// What the operator wants.
    pub admin: AdminState,
    /// What active checks say.
    pub health: HealthState,
    /// Whether passive checks have taken the server out of rotation for now.
    pub ejected: bool,
    /// Whether the server's name has an address.
    pub resolved: bool,
}

impl ServerState {
    /// Whether the server may be picked.
    #[must_use]
    pub fn usable(self) -> bool {
        self.panic_eligible() && self.health == HealthState::Up && !self.ejected
    }

    /// Whether the server may be picked when there are too few usable ones. Checks can be wrong about a server that
    /// is down or ejected, and then it is better than none. They are not wrong about a server that has no address,
    /// was never checked, or must not serve by the operator's word.
    #[must_use]
    pub fn panic_eligible(self) -> bool {
        self.admin == AdminState::Ready && self.resolved && self.health != HealthState::Unchecked
    }
}

/// A server as [`select_tier`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// Its state.
    pub state: ServerState,
    /// Effective weight: see [`effective_weight`](super::effective_weight). With 0 the server counts as not there.
    pub weight: u32,
    /// Stable hash of its name: see [`Candidate::identity`].
    pub identity: u64,
    /// Whether it serves only when no primary server does.
    pub backup: bool,
}

impl ServerView {
    fn usable(&self) -> bool {
        self.weight > 0 && self.state.usable()
    }

    fn panic_eligible(&self) -> bool {
        self.weight > 0 && self.state.panic_eligible()
    }
}

/// The servers that may be picked now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// In the order of the list; [`Candidate::index`] is the position there. Empty: the upstream cannot serve.
    pub candidates: Vec<Candidate>,
    /// The usable backup servers, for a request that none of the primary ones among the candidates takes.
    pub reserve: Vec<Candidate>,
    /// Servers that are down or ejected are among the candidates, because there are too few others.
    pub panic: bool,
    /// No primary server is usable, and the backup servers serve.
    pub backup: bool,
}

/// Selects the servers that may be picked: the usable primary ones, or the usable backup ones if there are none.
///
/// When fewer than `panic_threshold_percent` of the servers of that tier are usable, all of them serve. When no server
/// of either tier is usable, all servers serve whatever the threshold, 0 included. In both cases "all" are the
/// [panic-eligible](ServerState::panic_eligible) ones, and only these count in the percentage: draining most of an
/// upstream is not a panic. Percentages above 100 count as 100.
#[must_use]
pub fn select_tier(servers: &[ServerView], panic_threshold_percent: u32) -> Selection {
    for backup in [false, true] {
        let usable = count(servers, |server| server.backup == backup && server.usable());
        if usable == 0 {
            continue;
        }
        let eligible = count(servers, |server| server.backup == backup && server.panic_eligible());
        let panic = usable * 100 < eligible * u64::from(panic_threshold_percent.min(100));
        let serves = |server: &ServerView| {
            server.backup == backup && if panic { server.panic_eligible() } else { server.usable() }
        };
        let reserve = candidates(servers, |server| server.backup && !backup && server.usable());
        return Selection { candidates: candidates(servers, serves), reserve, panic, backup };
    }
    let candidates = candidates(servers, ServerView::panic_eligible);
    Selection { panic: !candidates.is_empty(), candidates, ..Selection::default() }
}

fn count(servers: &[ServerView], which: impl Fn(&ServerView) -> bool) -> u64 {
    servers.iter().filter(|server| which(server)).count() as u64
}

fn candidates(servers: &[ServerView], which: impl Fn(&ServerView) -> bool) -> Vec<Candidate> {
    let all = (0_u32..).zip(servers);
    all.filter(|(_, server)| which(server))
        .map(|(index, server)| Candidate { index, weight: server.weight, identity: server.identity })
        .collect()
}
