//! Counters that a worker writes and a scrape reads.
//!
//! Every counter has one writer, the worker that owns it, so that an increment is a plain load and store: no
//! locked instruction and no cache line shared between workers. A reader on another thread sums over the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ropeway_core::end::EndReason;
use ropeway_core::grpc::GrpcStatus;
use ropeway_core::http2::Code;

/// A number that only goes up, written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning worker may call it.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// Adds `amount`. Only the owning worker may call it.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// The value now.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the latency buckets, in microseconds; a last bucket without bound follows.
pub const LATENCY_BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// A latency histogram with the fixed bounds [`LATENCY_BOUNDS_US`].
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Records one duration in microseconds. Only the owning worker may call it.
    #[inline]
    pub fn observe(&self, us: u64) {
        let index = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.bump();
        }
        self.sum_us.add(us);
    }

    /// Adds this histogram to `totals` (one count per bucket, not cumulative) and returns its sum in microseconds.
    pub fn add_to(&self, totals: &mut [u64; LATENCY_BOUNDS_US.len() + 1]) -> u64 {
        for (total, bucket) in totals.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
        self.sum_us.get()
    }
}

/// Responses by the first digit of their status; index 0 counts exchanges that sent no status.
#[derive(Debug, Default)]
pub struct ByClass([Counter; 6]);

impl ByClass {
    /// Names of the classes, by index.
    pub const NAMES: [&'static str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

    /// Counts one response.
    #[inline]
    pub fn bump(&self, status: u16) {
        if let Some(counter) = self.0.get(usize::from(status / 100)) {
            counter.bump();
        }
    }

    /// The counts, by index of [`Code::NAMES`].
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(Counter::get)
    }
}

/// Exchanges by the way they ended.
#[derive(Debug)]
pub struct ByReason([Counter; EndReason::COUNT]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByReason {
    /// Counts one exchange.
    #[inline]
    pub fn bump(&self, reason: EndReason) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.bump();
        }
    }

    /// The counts, with their reasons.
    pub fn iter(&self) -> impl Iterator<Item = (EndReason, u64)> + '_ {
        EndReason::ALL.iter().copied().zip(self.0.iter().map(Counter::get))
    }
}

/// Connections of HTTP/2 by the code of the error that they ended over.
#[derive(Debug, Default)]
pub struct ByHttp2Code([Counter; Code::NAMES.len()]);

impl ByHttp2Code {
    /// Counts one connection.
    pub fn bump(&self, code: Code) {
        if let Some(counter) = self.0.get(code.0 as usize) {
            counter.bump();
        }
    }

    /// How many connections ended over a code, by index of [`Code::NAMES`].
    #[must_use]
    pub fn count(&self, code: usize) -> u64 {
        self.0.get(code).map_or(0, Counter::get)
    }
}

/// Calls of gRPC by their status.
#[derive(Debug, Default)]
pub struct ByGrpcStatus([Counter; GrpcStatus::ALL.len()]);

impl ByGrpcStatus {
    /// Counts one call.
    pub fn bump(&self, status: GrpcStatus) {
        if let Some(counter) = self.0.get(usize::from(status.code())) {
            counter.bump();
        }
    }

    /// How many calls ended with a status.
    #[must_use]
    pub fn count(&self, status: GrpcStatus) -> u64 {
        self.0.get(usize::from(status.code())).map_or(0, Counter::get)
    }
}

/// What one worker counts for one route.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct RouteCounters {
    /// Requests by status class.
    pub classes: ByClass,
    /// Requests by end reason.
    pub ends: ByReason,
    /// Calls of gRPC by the status that the client was told.
    pub grpc: ByGrpcStatus,
    /// From the first byte of the request head to the last of the response.
    pub total: Histogram,
    /// Bytes of request heads and bodies received.
    pub bytes_in: Counter,
    /// Bytes of response heads and bodies sent.
    pub bytes_out: Counter,
}

/// What one worker counts for one server of one upstream.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServerCounters {
    /// Attempts by the status class of the server's response.
    pub classes: ByClass,
    /// Attempts by end reason.
    pub ends: ByReason,
    /// Attempts begun; begun less ended are in flight.
    pub started: Counter,
    /// Attempts ended.
    pub ended: Counter,
    /// Connections opened.
    pub connects: Counter,
    /// Requests sent on a connection that had served one before.
    pub reused: Counter,
    /// Requests sent again on a fresh connection because a reused one turned out to be closed.
    pub replayed: Counter,
    /// Attempts that were a retry of a request that failed on another server.
    pub retries: Counter,
    /// Time to open a connection.
    pub connect: Histogram,
    /// From the request sent to the response head received.
    pub first_byte: Histogram,
    /// Bytes sent to the server.
    pub bytes_out: Counter,
    /// Bytes received from the server.
    pub bytes_in: Counter,
    /// Idle connections that went into the pool.
    pub idle_in: Counter,
    /// Idle connections that left the pool, for reuse or because they were closed.
    pub idle_out: Counter,
    /// Connections of HTTP/2 that were opened, whether idle or not.
    pub multiplexed_in: Counter,
    /// Connections of HTTP/2 that ended.
    pub multiplexed_out: Counter,
}

/// What one worker counts for one listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed; accepted less closed are open.
    pub closed: Counter,
    /// Connections refused at a cap.
    pub refused: Counter,
    /// Idle connections that were closed early, to make room.
    pub made_room: Counter,
    /// TLS handshakes that were completed; those that failed are among `ends`.
    pub handshakes: Counter,
    /// Those of them that resumed an earlier session.
    pub resumed: Counter,
    /// Connections that speak HTTP/2.
    pub http2: Counter,
    /// Those of them that were ended over an error that the client was told of, by its code.
    pub http2_errors: ByHttp2Code,
    /// Requests received, malformed ones included.
    pub requests: Counter,
    /// Requests that ended before a route was known, by reason.
    pub ends: ByReason,
}

/// What one worker counts for itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// Requests whose head began to arrive; begun less ended are in flight.
    pub requests_started: Counter,
    /// Requests that are over.
    pub requests_ended: Counter,
    /// Requests that did not begin at once, because others were under way.
    pub requests_held: Counter,
    /// Access records that did not fit into the ring and were dropped.
    pub log_dropped: Counter,
    /// Access records written.
    pub log_written: Counter,
    /// Failed `accept` calls: descriptors or memory ran out.
    pub accept_errors: Counter,
    /// Connection tasks that ended in a panic.
    pub panics: Counter,
    /// Retries that were wanted but refused by the budget.
    pub retry_budget_exhausted: Counter,
}

/// One block of counters per worker.
#[derive(Debug)]
pub struct PerWorker<T>(Arc<[T]>);

// Written out because the counters themselves cannot be cloned: the clone refers to the same ones.
impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> PerWorker<T> {
    /// Blocks for `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| T::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The block of one worker. Only that worker may write to it.
    #[inline]
    #[must_use]
    pub fn of(&self, worker: usize) -> Option<&T> {
        self.0.get(worker)
    }

    /// The blocks of all workers, to be summed up.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The sum over all workers of what `read` says.
    pub fn sum(&self, read: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(read).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_on_a_bound_belongs_to_that_bucket() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 60_000_000, 60_000_001] {
            histogram.observe(us);
        }
        let mut totals = [0; LATENCY_BOUNDS_US.len() + 1];
        let sum = histogram.add_to(&mut totals);
        assert_eq!(sum, 120_000_202);
        assert_eq!(totals[0], 2);
        assert_eq!(totals[1], 1);
        assert_eq!(totals[LATENCY_BOUNDS_US.len() - 1], 1);
        assert_eq!(totals[LATENCY_BOUNDS_US.len()], 1);
    }
}
