//! What is counted per listener.

use std::fmt;

use ropeway_core::http2::Code;
use ropeway_proxy::counters::ListenerCounters;
use ropeway_proxy::snapshot::Snapshot;

use super::families::{self as family, Family};
use super::page::Page;

pub(super) fn encode(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut open = page.family(&family::CONNECTIONS)?;
    for listener in &snapshot.listeners {
        let counters = &listener.live.counters;
        let closed = counters.sum(|worker| worker.closed.get());
        let accepted = counters.sum(|worker| worker.accepted.get());
        open.gauge(&[&listener.name], accepted.saturating_sub(closed))?;
    }
    sums(page, snapshot, &family::ACCEPTED, |worker| worker.accepted.get())?;
    sums(page, snapshot, &family::REFUSED, |worker| worker.refused.get())?;
    sums(page, snapshot, &family::MADE_ROOM, |worker| worker.made_room.get())?;
    sums(page, snapshot, &family::HANDSHAKES, |worker| worker.handshakes.get())?;
    sums(page, snapshot, &family::RESUMED, |worker| worker.resumed.get())?;
    sums(page, snapshot, &family::HTTP2_CONNECTIONS, |worker| worker.http2.get())?;
    let mut errors = page.family(&family::HTTP2_ERRORS)?;
    for listener in &snapshot.listeners {
        for (code, name) in Code::NAMES.iter().enumerate() {
            let count = listener.live.counters.sum(|worker| worker.http2_errors.count(code));
            if count > 0 {
                errors.counter(&[&listener.name, name], count)?;
            }
        }
    }
    sums(page, snapshot, &family::LISTENER_REQUESTS, |worker| worker.requests.get())?;

    let mut ends = page.family(&family::LISTENER_ENDS)?;
    for listener in &snapshot.listeners {
        for (reason, count) in super::scrape::occurred(&listener.live.counters, |worker| &worker.ends) {
            ends.counter(&[&listener.name, reason], count)?;
        }
    }
    Ok(())
}

fn sums(
    page: &mut Page<'_>,
    snapshot: &Snapshot,
    family: &Family,
    read: impl Fn(&ListenerCounters) -> u64,
) -> fmt::Result {
    let mut samples = page.family(family)?;
    for listener in &snapshot.listeners {
        samples.counter(&[&listener.name], listener.live.counters.sum(&read))?;
    }
    Ok(())
}
