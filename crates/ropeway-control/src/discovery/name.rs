//! One name, and the servers that use it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ropeway_proxy::upstream::Endpoint;

use super::NamedServer;
use super::order::interleave;
use super::source::{Answer, Source};
use crate::current::Current;
use crate::events::EventKind;

/// The shortest time between two lookups of a name, and the delay after the first lookup that failed; it doubles
/// with every further failure, up to the interval.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// A name that is followed.
pub(super) struct Name {
    pub(super) host: Arc<str>,
    state: Mutex<State>,
}

struct State {
    servers: Vec<NamedServer>,
    /// The last good answer, in the order in which addresses are tried; empty before the first.
    addresses: Vec<IpAddr>,
    /// Why the latest lookup failed, if it did.
    trouble: Option<String>,
    tried: bool,
}

impl Name {
    pub(super) fn new(host: Arc<str>, servers: Vec<NamedServer>) -> Self {
        let state = State { servers, addresses: Vec::new(), trouble: None, tried: false };
        Self { host, state: Mutex::new(state) }
    }

    /// Looks the name up again and again.
    pub(super) async fn follow(&self, source: &dyn Source, interval: Duration, current: &Current) {
        let mut failures = 0;
        loop {
            let delay = match source.lookup(&self.host).await {
                Ok(answer) => {
                    failures = 0;
                    let delay = delay_after(&answer, interval);
                    self.accept(answer, current);
                    delay
                }
                Err(reason) => {
                    failures += 1;
                    self.fail(reason, current);
                    delay_after_failures(failures, interval)
                }
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// Takes over a new list of servers.
    pub(super) fn serve(&self, servers: Vec<NamedServer>, current: &Current) {
        let mut state = self.lock();
        state.servers = servers;
        state.publish(current);
    }

    pub(super) fn was_tried(&self) -> bool {
        self.lock().tried
    }

    fn accept(&self, answer: Answer, current: &Current) {
        let addresses = interleave(answer.addresses);
        let mut state = self.lock();
        state.tried = true;
        let recovered = state.trouble.take().is_some();
        if addresses == state.addresses {
            if recovered {
                current.events().push(EventKind::Resolved, format!("{} resolves again", self.host));
            }
            return;
        }
        let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(name = %self.host, addresses = %list, "name resolved");
        current.events().push(EventKind::Resolved, format!("{} is {list}", self.host));
        state.addresses = addresses;
        state.publish(current);
    }

    /// Reports the first failure of a row; the addresses stay as they are.
    fn fail(&self, reason: String, current: &Current) {
        let mut state = self.lock();
        state.tried = true;
        if state.trouble.is_none() {
            let kept = if state.addresses.is_empty() { "" } else { "; its last addresses stay in use" };
            tracing::warn!(name = %self.host, %reason, "name does not resolve{kept}");
            let message = format!("{} does not resolve: {reason}{kept}", self.host);
            current.events().push(EventKind::ResolveFailed, message);
        }
        state.trouble = Some(reason);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives every server its addresses, and has those that changed looked at again.
    fn publish(&self, current: &Current) {
        if self.addresses.is_empty() {
            return;
        }
        let mut changed: Vec<&str> = Vec::new();
        for server in &self.servers {
            let tcp = |address: &IpAddr| Endpoint::Tcp(SocketAddr::new(*address, server.port));
            let endpoints: Vec<Endpoint> = self.addresses.iter().map(tcp).collect();
            if *server.live.endpoints() != endpoints {
                server.live.set_endpoints(endpoints);
                changed.push(&server.upstream);
            }
        }
        changed.dedup();
        for upstream in &changed {
            current.refresh(upstream);
        }
        if !changed.is_empty() {
            current.announce_servers();
        }
    }
}

fn delay_after(answer: &Answer, interval: Duration) -> Duration {
    answer.ttl.min(interval).max(SHORTEST_DELAY)
}

fn delay_after_failures(failures: u32, interval: Duration) -> Duration {
    let doubled = SHORTEST_DELAY.saturating_mul(1 << (failures - 1).min(16));
    doubled.min(interval).max(SHORTEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ttl_decides_between_a_second_and_the_interval() {
        let interval = Duration::from_secs(10);
        let delay =
            |ttl| delay_after(&Answer { addresses: Vec::new(), ttl: Duration::from_millis(ttl) }, interval);
        assert_eq!(delay(0), Duration::from_secs(1));
        assert_eq!(delay(4_500), Duration::from_millis(4_500));
        assert_eq!(delay(86_400_000), interval);
    }

    #[test]
    fn failures_are_followed_by_growing_delays() {
        let delays: Vec<u64> = (1..=6)
            .map(|failures| delay_after_failures(failures, Duration::from_secs(10)).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
        assert_eq!(delay_after_failures(u32::MAX, Duration::from_millis(100)), SHORTEST_DELAY);
    }
}
