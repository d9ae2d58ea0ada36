//! What has to happen now and then: ejections end, shares grow, what is unused is forgotten.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ropeway_proxy::upstream::Upstream;
use tokio::time::MissedTickBehavior;

use crate::Control;
use crate::current::Current;
use crate::events::EventKind;

const TICK: Duration = Duration::from_millis(250);

/// Every so many ticks the share of a server that came back is computed again: once a second.
const TICKS_PER_RAMP_STEP: u64 = 4;

/// Every so many ticks unused state is looked for: once a minute.
const TICKS_PER_SWEEP: u64 = 240;

/// Ticks until the proxy is gone.
pub(crate) async fn run(control: Weak<Control>) {
    let mut ticker = Ticker::default();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(control) = control.upgrade() else { return };
        ticker.tick(control.current());
        if ticker.ticks.is_multiple_of(TICKS_PER_SWEEP) {
            control.registry().sweep(control.now_ms());
        }
    }
}

/// What the ticker remembers from one tick to the next.
#[derive(Debug, Default)]
struct Ticker {
    ticks: u64,
    /// Upstreams and names of the servers that were ejected at the last tick.
    ejected: HashSet<(Arc<str>, Arc<str>)>,
}

impl Ticker {
    fn tick(&mut self, current: &Current) {
        self.ticks += 1;
        let now_ms = current.now_ms();
        let snapshot = current.snapshot();
        // First, so that an ejection is told however short it was: only a tick ends one.
        self.report_ejections(&snapshot.upstreams, current);
        for upstream in &snapshot.upstreams {
            let returned = upstream.end_ejections(now_ms);
            let ramps = self.ticks.is_multiple_of(TICKS_PER_RAMP_STEP) && upstream.is_ramping(now_ms);
            if returned || ramps || upstream.is_stale() {
                upstream.refresh(now_ms);
            }
        }
    }

    /// The data plane ejects without telling anybody; the difference to the last tick shows it.
    fn report_ejections(&mut self, upstreams: &[Arc<Upstream>], current: &Current) {
        let ejected: HashSet<(Arc<str>, Arc<str>)> = upstreams
            .iter()
            .flat_map(|upstream| upstream.servers.iter().map(move |server| (upstream, server)))
            .filter(|(_, server)| server.live.is_ejected())
            .map(|(upstream, server)| (Arc::clone(&upstream.name), Arc::clone(&server.name)))
            .collect();
        for (upstream, server) in ejected.difference(&self.ejected) {
            current.events().push(EventKind::Ejection, format!("{upstream}: {server} is ejected"));
        }
        for (upstream, server) in self.ejected.difference(&ejected) {
            current.events().push(EventKind::Ejection, format!("{upstream}: {server} is no longer ejected"));
        }
        self.ejected = ejected;
    }
}
