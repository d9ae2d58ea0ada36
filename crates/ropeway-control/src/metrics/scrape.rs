//! One reading of everything that is counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use ropeway_proxy::counters::{ByReason, PerWorker, WorkerCounters};
use ropeway_proxy::snapshot::Snapshot;

use super::certificates::{self, Certificates};
use super::families as family;
use super::orders::{self, Orders};
use super::page::Page;
use super::process::ProcessFacts;
use super::{listeners, routes, servers};

/// What a page of metrics is made from.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The snapshot in service, with the counters of its parts.
    pub snapshot: Arc<Snapshot>,
    /// What the workers count for themselves.
    pub workers: PerWorker<WorkerCounters>,
    /// Requests being served.
    pub active_requests: u32,
    /// Time since the process started.
    pub uptime: Duration,
    /// Whether `/readyz` answers 200.
    pub ready: bool,
    /// Access records that reached the writer but not the file.
    pub log_lost: u64,
    /// Messages of the process's own log that were dropped.
    pub messages_dropped: u64,
    /// Whether the last reload succeeded.
    pub last_reload_ok: bool,
    /// When the configuration in service was put there.
    pub loaded_at: SystemTime,
    /// What the process uses.
    pub process: ProcessFacts,
    /// Certificates that are ordered.
    pub orders: Orders,
    /// Certificates that clients are shown.
    pub certificates: Certificates,
}

/// The page, in the OpenMetrics text format.
///
/// # Errors
/// When a value cannot be written as text, which only a defect can cause.
pub fn render(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut page = String::with_capacity(16 * 1024);
    text::encode(&mut page, &registry)?;
    Ok(page)
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        routes::encode(&mut page, &self.snapshot)?;
        page.family(&family::REQUESTS_ACTIVE)?.gauge(&[], self.active_requests)?;
        servers::encode(&mut page, &self.snapshot)?;
        listeners::encode(&mut page, &self.snapshot)?;
        certificates::encode(&mut page, &self.certificates)?;
        orders::encode(&mut page, &self.orders)?;
        self.encode_process(&mut page)?;
        self.encode_workers(&mut page)?;
        self.encode_config(&mut page)
    }
}

impl Scrape {
    fn encode_process(&self, page: &mut Page<'_>) -> fmt::Result {
        page.family(&family::BUILD)?.gauge(&[env!("CARGO_PKG_VERSION")], 1u32)?;
        page.family(&family::WORKERS)?.gauge(&[], self.workers.iter().len())?;
        page.family(&family::UPTIME)?.gauge(&[], self.uptime.as_secs_f64())?;
        page.family(&family::READY)?.gauge(&[], u32::from(self.ready))?;
        page.family(&family::CPU)?.counter(&[], self.process.cpu_seconds)?;
        let optional = [
            (&family::RESIDENT, self.process.resident_bytes),
            (&family::OPEN_FDS, self.process.open_fds),
            (&family::MAX_FDS, self.process.max_fds),
        ];
        for (family, value) in optional {
            let mut samples = page.family(family)?;
            value.map_or(Ok(()), |value| samples.gauge(&[], value))?;
        }
        Ok(())
    }

    fn encode_workers(&self, page: &mut Page<'_>) -> fmt::Result {
        let sum = |read: fn(&WorkerCounters) -> u64| self.workers.sum(read);
        page.family(&family::HELD)?.counter(&[], sum(|worker| worker.requests_held.get()))?;
        page.family(&family::ACCEPT_ERRORS)?.counter(&[], sum(|worker| worker.accept_errors.get()))?;
        page.family(&family::PANICS)?.counter(&[], sum(|worker| worker.panics.get()))?;
        let exhausted = sum(|worker| worker.retry_budget_exhausted.get());
        page.family(&family::BUDGET_EXHAUSTED)?.counter(&[], exhausted)?;
        page.family(&family::LOG_WRITTEN)?.counter(&[], sum(|worker| worker.log_written.get()))?;
        let mut dropped = page.family(&family::LOG_DROPPED)?;
        dropped.counter(&["backlog"], sum(|worker| worker.log_dropped.get()))?;
        dropped.counter(&["destination"], self.log_lost)?;
        page.family(&family::MESSAGES_DROPPED)?.counter(&[], self.messages_dropped)
    }

    fn encode_config(&self, page: &mut Page<'_>) -> fmt::Result {
        page.family(&family::GENERATION)?.gauge(&[], self.snapshot.generation)?;
        page.family(&family::RELOAD_OK)?.gauge(&[], u32::from(self.last_reload_ok))?;
        let loaded_at = self.loaded_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        page.family(&family::LOADED_AT)?.gauge(&[], loaded_at.as_secs_f64())
    }
}

/// How often each reason occurred, without those that never did.
#[must_use]
pub fn occurred<T>(workers: &PerWorker<T>, read: impl Fn(&T) -> &ByReason) -> BTreeMap<&'static str, u64> {
    let mut totals = BTreeMap::new();
    for worker in workers.iter() {
        for (reason, count) in read(worker).iter().filter(|(_, count)| *count > 0) {
            *totals.entry(reason.name()).or_default() += count;
        }
    }
    totals
}
