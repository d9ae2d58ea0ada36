//! The bounded way of records from a worker to the writer.

use std::ops::Deref;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use super::format;
use super::timestamp::Timestamp;
use super::{LogFormat, LogTarget, Record};
use crate::counters::WorkerCounters;

const CHUNK: usize = 64 * 1024;
/// A chunk with less room than this is handed over: longer records are rare, and still fit by growing it.
const ROOM_FOR_A_RECORD: usize = 4 * 1024;

/// The writer's end: whole lines from all workers.
#[derive(Debug)]
pub struct LogReceiver {
    batches: Receiver<LogBatch>,
}

impl LogReceiver {
    /// The next lines, or nothing within `timeout`.
    ///
    /// # Errors
    ///
    /// [`Closed`] when no worker is left that could send any.
    pub fn recv(&self, timeout: Duration) -> Result<Option<LogBatch>, Closed> {
        match self.batches.recv_timeout(timeout) {
            Ok(batch) => Ok(Some(batch)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }
}

/// All workers have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Whole lines of one worker; their memory returns to that worker when this is dropped.
#[derive(Debug)]
pub struct LogBatch {
    /// Which destination they are for.
    pub destination: u64,
    /// How many lines.
    pub count: u64,
    lines: Vec<u8>,
    home: SyncSender<Vec<u8>>,
}

impl Deref for LogBatch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.lines
    }
}

impl Drop for LogBatch {
    fn drop(&mut self) {
        // A worker that has ended needs no memory back.
        let _ = self.home.try_send(std::mem::take(&mut self.lines));
    }
}

/// The senders' end, from which every worker makes its own [`LogBuffer`].
#[derive(Clone, Debug)]
pub(crate) struct LogSender {
    batches: SyncSender<LogBatch>,
    chunks: usize,
}

/// A ring for `workers` workers that together hold at most `bytes` each on its way.
pub(crate) fn ring(workers: usize, bytes: usize) -> (LogSender, LogReceiver) {
    let chunks = bytes.div_ceil(CHUNK).max(2);
    let (sender, receiver) = sync_channel(chunks.saturating_mul(workers));
    (LogSender { batches: sender, chunks }, LogReceiver { batches: receiver })
}

/// One worker's records on their way to the ring.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    current: Option<Vec<u8>>,
    /// Free chunks, the latest used last: a few of them stay in the processor's cache, and the rest untouched.
    spare: Vec<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    home: SyncSender<Vec<u8>>,
    batches: SyncSender<LogBatch>,
    timestamp: Timestamp,
    /// Which destination the records in `current` are for.
    destination: u64,
    /// How many there are.
    count: u64,
}

impl LogSender {
    pub fn buffer(&self) -> LogBuffer {
        let (home, returned) = sync_channel(self.chunks);
        // All of its memory from the start; what is never written to is never backed by the kernel.
        let spare = (0..self.chunks).map(|_| Vec::with_capacity(CHUNK)).collect();
        LogBuffer {
            current: None,
            spare,
            returned,
            home,
            batches: self.batches.clone(),
            timestamp: Timestamp::default(),
            destination: 0,
            count: 0,
        }
    }
}

impl LogBuffer {
    /// Formats a record, or counts it as dropped when no memory is left for it.
    pub fn record(&mut self, target: LogTarget, record: &Record<'_>, counters: &WorkerCounters) {
        if self.destination != target.destination {
            self.flush();
            self.destination = target.destination;
        }
        let Some(mut chunk) = self.current.take().or_else(|| self.next_chunk()) else {
            counters.log_dropped.bump();
            return;
        };
        match target.format {
            LogFormat::Json => format::json(record, SystemTime::now(), &mut self.timestamp, &mut chunk),
            LogFormat::Combined => {
                format::combined(record, SystemTime::now(), &mut self.timestamp, &mut chunk);
            }
        }
        counters.log_written.bump();
        self.count += 1;
        if chunk.len() + ROOM_FOR_A_RECORD > CHUNK {
            self.hand_over(chunk);
        } else {
            self.current = Some(chunk);
        }
    }

    /// Hands over what there is, so that a quiet server's records do not wait.
    pub fn flush(&mut self) {
        if let Some(chunk) = self.current.take() {
            self.hand_over(chunk);
        }
    }

    fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.spare.extend(self.returned.try_iter());
        let mut chunk = self.spare.pop()?;
        chunk.clear();
        Some(chunk)
    }

    fn hand_over(&mut self, lines: Vec<u8>) {
        let count = std::mem::take(&mut self.count);
        let batch = LogBatch { destination: self.destination, count, lines, home: self.home.clone() };
        // The channel has room for every chunk there can be; it only fails when the writer is gone, and then the
        // batch returns its memory as it is dropped.
        let _ = self.batches.try_send(batch);
    }
}

#[cfg(test)]
mod tests {
    use ropeway_core::end::{EndReason, Stage};

    use super::*;

    const JSON: LogTarget = LogTarget { destination: 0, format: LogFormat::Json };

    fn record() -> Record<'static> {
        Record {
            client: [192, 0, 2, 1].into(),
            method: b"GET",
            host: b"example.com",
            target: b"/",
            version: "HTTP/1.1",
            tls: "",
            client_subject: "",
            status: 200,
            grpc_status: None,
            bytes_in: 1,
            bytes_out: 2,
            listener: "web",
            route: "all",
            upstream: "app",
            server: "a",
            attempts: 1,
            total_us: 3,
            connect_us: None,
            first_byte_us: None,
            reason: EndReason::Completed,
            stage: Stage::Finish,
            request_id: b"id",
            referer: b"",
            user_agent: b"",
            priority: None,
        }
    }

    #[test]
    fn a_writer_that_stands_still_costs_records_and_not_memory() {
        let (sender, receiver) = ring(1, 2 * CHUNK);
        let mut buffer = sender.buffer();
        let counters = WorkerCounters::default();
        while counters.log_dropped.get() < 10 {
            buffer.record(JSON, &record(), &counters);
        }
        let written = counters.log_written.get();
        let mut lines = 0;
        for _ in 0..2 {
            let batch = receiver.recv(Duration::ZERO).unwrap().unwrap();
            lines += batch.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        assert_eq!(lines, written, "what is counted as written arrives");
        buffer.record(JSON, &record(), &counters);
        assert_eq!(counters.log_written.get(), written + 1, "memory that came back is used again");
    }

    #[test]
    fn a_batch_holds_records_of_one_destination() {
        let (sender, receiver) = ring(1, 4 * CHUNK);
        let mut buffer = sender.buffer();
        let counters = WorkerCounters::default();
        for destination in [0, 0, 1] {
            buffer.record(LogTarget { destination, ..JSON }, &record(), &counters);
        }
        buffer.flush();
        let batches = [(); 2].map(|()| receiver.recv(Duration::ZERO).unwrap().unwrap());
        let lines = |batch: &LogBatch| batch.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(batches.each_ref().map(|batch| (batch.destination, lines(batch))), [(0, 2), (1, 1)]);
        assert_eq!(batches.each_ref().map(|batch| batch.count), [2, 1]);
    }
}
