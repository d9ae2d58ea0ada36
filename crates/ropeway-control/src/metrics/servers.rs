//! What is counted per server of an upstream.

use std::fmt;

use ropeway_proxy::counters::{ByClass, Histogram, ServerCounters};
use ropeway_proxy::snapshot::Snapshot;
use ropeway_proxy::upstream::{Server, Upstream};

use super::distribution::Distribution;
use super::families::{self as family, Family};
use super::page::Page;
use crate::server_state::ServerState;

pub(super) fn encode(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    attempts(page, snapshot)?;
    connections(page, snapshot)?;
    sums(page, snapshot, &family::REPLAYED, |worker| worker.replayed.get())?;
    sums(page, snapshot, &family::RETRIES, |worker| worker.retries.get())?;
    durations(page, snapshot, &family::CONNECT_DURATION, |worker| &worker.connect)?;
    durations(page, snapshot, &family::FIRST_BYTE_DURATION, |worker| &worker.first_byte)?;
    sums(page, snapshot, &family::SERVER_SENT, |worker| worker.bytes_out.get())?;
    sums(page, snapshot, &family::SERVER_RECEIVED, |worker| worker.bytes_in.get())?;
    states(page, snapshot)
}

fn attempts(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut attempts = page.family(&family::ATTEMPTS)?;
    for (upstream, server) in servers(snapshot) {
        for (index, class) in ByClass::NAMES.iter().enumerate() {
            let count = server.live.counters.sum(|worker| worker.classes.iter().nth(index).unwrap_or(0));
            attempts.counter(&[&upstream.name, &server.name, class], count)?;
        }
    }
    let mut ends = page.family(&family::ATTEMPT_ENDS)?;
    for (upstream, server) in servers(snapshot) {
        for (reason, count) in super::scrape::occurred(&server.live.counters, |worker| &worker.ends) {
            ends.counter(&[&upstream.name, &server.name, reason], count)?;
        }
    }
    differences(page, snapshot, &family::IN_FLIGHT, |worker| (worker.started.get(), worker.ended.get()))
}

fn connections(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    sums(page, snapshot, &family::CONNECTS, |worker| worker.connects.get())?;
    sums(page, snapshot, &family::REUSED, |worker| worker.reused.get())?;
    differences(page, snapshot, &family::IDLE, |worker| (worker.idle_in.get(), worker.idle_out.get()))?;
    differences(page, snapshot, &family::MULTIPLEXED, |worker| {
        (worker.multiplexed_in.get(), worker.multiplexed_out.get())
    })
}

fn states(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut states = page.family(&family::SERVER_STATE)?;
    for (upstream, server) in servers(snapshot) {
        let current = ServerState::of(upstream, server);
        for state in ServerState::ALL {
            let value = u32::from(state == current);
            states.gauge(&[&upstream.name, &server.name, state.name()], value)?;
        }
    }
    let mut weights = page.family(&family::SERVER_WEIGHT)?;
    for (upstream, server) in servers(snapshot) {
        let weight = server.live.weight_override().unwrap_or(server.weight);
        weights.gauge(&[&upstream.name, &server.name], weight)?;
    }
    let mut panic = page.family(&family::PANIC)?;
    for upstream in &snapshot.upstreams {
        panic.gauge(&[&upstream.name], u32::from(upstream.choice().panic))?;
    }
    let mut backup = page.family(&family::BACKUP)?;
    for upstream in &snapshot.upstreams {
        backup.gauge(&[&upstream.name], u32::from(upstream.choice().backup))?;
    }
    Ok(())
}

fn sums(
    page: &mut Page<'_>,
    snapshot: &Snapshot,
    family: &Family,
    read: impl Fn(&ServerCounters) -> u64,
) -> fmt::Result {
    let mut samples = page.family(family)?;
    for (upstream, server) in servers(snapshot) {
        samples.counter(&[&upstream.name, &server.name], server.live.counters.sum(&read))?;
    }
    Ok(())
}

/// A gauge that is what began less what ended.
fn differences(
    page: &mut Page<'_>,
    snapshot: &Snapshot,
    family: &Family,
    read: impl Fn(&ServerCounters) -> (u64, u64),
) -> fmt::Result {
    let mut samples = page.family(family)?;
    for (upstream, server) in servers(snapshot) {
        let ended = server.live.counters.sum(|worker| read(worker).1);
        let begun = server.live.counters.sum(|worker| read(worker).0);
        samples.gauge(&[&upstream.name, &server.name], begun.saturating_sub(ended))?;
    }
    Ok(())
}

fn durations(
    page: &mut Page<'_>,
    snapshot: &Snapshot,
    family: &Family,
    read: impl Fn(&ServerCounters) -> &Histogram,
) -> fmt::Result {
    let mut samples = page.family(family)?;
    for (upstream, server) in servers(snapshot) {
        let total = Distribution::of(&server.live.counters, &read);
        samples.histogram(&[&upstream.name, &server.name], &total)?;
    }
    Ok(())
}

/// Servers that the page shows one by one, in the order of the file. A server takes about 7 KB of the page.
const SHOWN_SERVERS: usize = 1_000;

fn servers(snapshot: &Snapshot) -> impl Iterator<Item = (&Upstream, &Server)> {
    let all = snapshot
        .upstreams
        .iter()
        .flat_map(|upstream| upstream.servers.iter().map(move |server| (&**upstream, server)));
    all.take(SHOWN_SERVERS)
}
