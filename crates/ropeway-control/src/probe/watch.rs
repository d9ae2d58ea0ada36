//! The checks of one server over time.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use ropeway_core::balance::{AdminState, HealthState, Rng};
use ropeway_core::health::{ActiveHealth, Transition};
use ropeway_proxy::tls::UpstreamTls;
use tokio::time::Instant;

use super::connection::Failed;
use super::{CheckedServer, LastCheck};
use crate::current::Current;
use crate::events::EventKind;

/// One server under watch.
pub(super) struct Watch {
    server: CheckedServer,
    /// What `server` began with, or a later reload brought: certificates change, and with them this, all the time.
    tls: ArcSwapOption<UpstreamTls>,
    last: Mutex<Option<LastCheck>>,
}

impl Watch {
    pub(super) fn new(server: CheckedServer) -> Self {
        let tls = ArcSwapOption::new(server.tls.clone());
        Self { server, tls, last: Mutex::new(None) }
    }

    /// Whether this is the watch that `server` wants.
    pub(super) fn is_same(&self, server: &CheckedServer) -> bool {
        self.server.check == server.check
            && self.server.name == server.name
            && self.server.tls.is_some() == server.tls.is_some()
            && Arc::ptr_eq(&self.server.live, &server.live)
    }

    /// Takes over the TLS of `server`, which has the same check.
    pub(super) fn renew_tls(&self, server: &CheckedServer) {
        self.tls.store(server.tls.clone());
    }

    pub(super) fn last(&self) -> Option<LastCheck> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is anything to ask: not while the server has no address, nor while it is disabled.
    pub(super) fn is_due(&self) -> bool {
        let live = &self.server.live;
        !live.endpoints().is_empty() && live.admin() != AdminState::Disabled
    }

    /// Checks the server at once, and then at every interval with its jitter. The intervals count from start to
    /// start, so that a slow answer does not stretch them.
    pub(super) async fn run(&self, current: &Current) {
        let mut health = ActiveHealth::new();
        let mut random = Rng::new(RandomState::new().hash_one(&self.server.authority));
        loop {
            self.wait_until_due(current).await;
            let started = Instant::now();
            let result = self.check_once().await;
            self.take(result, started.elapsed(), &mut health, current);
            let delay = self.server.check.pace.next_check_delay(random.next_u64());
            tokio::time::sleep_until(started + Duration::from_millis(delay)).await;
        }
    }

    /// A server without address is not asked: it is unusable anyway, and should not have to pass several checks
    /// when its name resolves.
    async fn wait_until_due(&self, current: &Current) {
        let mut changes = current.servers_changed();
        while !self.is_due() {
            // The sender lives in `current`, so this waits and never fails.
            let _ = changes.changed().await;
        }
    }

    async fn check_once(&self) -> Result<String, Failed> {
        let endpoints = self.server.live.endpoints();
        let tls = self.tls.load_full();
        self.server.check.run(&endpoints, &self.server.authority, tls.as_deref()).await
    }

    fn take(
        &self,
        result: Result<String, Failed>,
        took: Duration,
        health: &mut ActiveHealth,
        current: &Current,
    ) {
        let (ok, asked) = (result.is_ok(), !matches!(result, Err(Failed::NotAsked(_))));
        let detail = result.unwrap_or_else(|failed| failed.to_string());
        tracing::debug!(upstream = %self.server.upstream, server = %self.server.name, ok, detail, "checked");
        let transition =
            asked.then(|| health.on_result(ok, current.now_ms(), &self.server.check.pace)).flatten();
        let last = LastCheck { at: SystemTime::now(), ok, detail: detail.clone(), took };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        if let Some(transition) = transition {
            self.turn(transition, health.state(), detail, current);
        }
    }

    fn turn(&self, transition: Transition, after: HealthState, detail: String, current: &Current) {
        let CheckedServer { upstream, name, live, .. } = &self.server;
        let before = live.health();
        live.set_health(after, transition.at_ms);
        current.refresh(upstream);
        if before == after {
            // Checks began anew, with other settings, and found the server as it was.
            return;
        }
        if after == HealthState::Down {
            tracing::warn!(%upstream, server = %name, detail, "server down");
        } else {
            tracing::info!(%upstream, server = %name, detail, "server up");
        }
        current.events().push(EventKind::Health, format!("{upstream}: {name} is {}: {detail}", after.name()));
        live.history().push(Transition { from: before.into(), ..transition }, Some(detail.into()));
    }
}
