//! The snapshot in service, as active checks, name resolution and the ticker see it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ropeway_proxy::clock::Clock;
use ropeway_proxy::snapshot::Snapshot;
use ropeway_proxy::upstream::Upstream;
use tokio::sync::watch;

use crate::events::Events;

/// What background tasks share: the snapshot in service, the clock, and where to report what they saw.
#[derive(Debug)]
pub struct Current {
    snapshot: ArcSwap<Snapshot>,
    servers_changed: watch::Sender<()>,
    clock: Clock,
    events: Events,
}

impl Current {
    /// Begins with `snapshot`.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, clock: Clock) -> Self {
        Self {
            snapshot: ArcSwap::new(snapshot),
            servers_changed: watch::Sender::new(()),
            clock,
            events: Events::default(),
        }
    }

    /// The snapshot in service.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Follows the data plane to `snapshot`.
    ///
    /// A change that was reported to the snapshot before while this one was being put into service is looked at
    /// again here, so that none is lost.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        let now_ms = self.now_ms();
        for upstream in &self.snapshot().upstreams {
            upstream.refresh(now_ms);
        }
        self.announce_servers();
    }

    /// The upstream with this name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.snapshot.load().upstreams.iter().find(|upstream| &*upstream.name == name).cloned()
    }

    /// Looks at the state of the servers of an upstream again, after one of them changed.
    pub fn refresh(&self, upstream: &str) {
        if let Some(upstream) = self.upstream(upstream) {
            upstream.refresh(self.now_ms());
        }
    }

    /// Tells those who wait for a server that addresses or administrative states changed.
    pub fn announce_servers(&self) {
        self.servers_changed.send_replace(());
    }

    /// Wakes up whenever the addresses or the administrative state of any server changed.
    #[must_use]
    pub fn servers_changed(&self) -> watch::Receiver<()> {
        self.servers_changed.subscribe()
    }

    /// Milliseconds since the process started.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// What happened lately.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }
}
