//! The thread that takes finished access records from the workers and writes them.
//!
//! Workers never wait for it: when it cannot keep up they drop records and count them, and when the destination
//! fails it drops what it received, counts that, and says so once per minute.

use std::io;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::report_gate::ReportGate;
use super::sink::{Lost, Sink};

/// How long a request to reopen or stop may go unnoticed.
const WAIT: Duration = Duration::from_millis(100);
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Where batches of whole lines come from.
pub trait BatchSource: Send + 'static {
    /// Lines, each ending with a line break.
    type Batch: Deref<Target = [u8]>;

    /// The next batch; `None` when none came within `timeout`.
    fn receive(&self, timeout: Duration) -> Option<Self::Batch>;
}

/// The running writer of access records. Dropping it writes what was already handed over, and ends the thread.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Records that reached the writer but not the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Lines dropped since the start of the process.
    pub lines: u64,
    /// Whether the last write failed.
    pub failing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    /// Tells the thread to look at `orders`, so that it does not take the lock for every batch.
    ordered: AtomicBool,
    stop: AtomicBool,
    lost_lines: AtomicU64,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Orders {
    reopen: bool,
    sink: Option<Sink>,
}

impl AccessLog {
    /// Starts the thread. If `sink` is not open and cannot be opened, that is reported like any later failure.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(source: impl BatchSource, sink: Sink) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Writer { sink, gate: ReportGate::new(REPORT_INTERVAL), shared: Arc::clone(&shared) };
        let thread =
            std::thread::Builder::new().name("ropeway-log".to_owned()).spawn(move || writer.run(&source))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Closes the file and opens it again by its name, after it was rotated. Takes effect within 100 ms.
    pub fn reopen(&self) {
        self.order(|orders| orders.reopen = true);
    }

    /// Writes to another destination from now on.
    pub fn redirect(&self, sink: Sink) {
        self.order(|orders| orders.sink = Some(sink));
    }

    /// What was lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        Losses { lines: self.shared.lost_lines.load(Relaxed), failing: self.shared.failing.load(Relaxed) }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.ordered.store(true, Release);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the access log panicked");
        }
    }
}

struct Writer {
    sink: Sink,
    gate: ReportGate,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, source: &impl BatchSource) {
        self.open();
        loop {
            // Read before receiving: what was handed over before the order to stop is still written.
            let stopping = self.shared.stop.load(Acquire);
            self.follow_orders();
            match source.receive(WAIT) {
                Some(batch) => self.write(&batch),
                None if stopping => return,
                None => {}
            }
        }
    }

    fn follow_orders(&mut self) {
        if !self.shared.ordered.swap(false, Acquire) {
            return;
        }
        let orders = std::mem::take(&mut *self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        match orders.sink {
            Some(sink) => self.sink = sink,
            None if orders.reopen => self.sink.close(),
            None => {}
        }
        self.open();
    }

    fn open(&mut self) {
        if let Err(cause) = self.sink.open() {
            self.failed(&Lost { lines: 0, cause });
        }
    }

    fn write(&mut self, lines: &[u8]) {
        match self.sink.write(lines) {
            Ok(()) => self.succeeded(),
            Err(lost) => self.failed(&lost),
        }
    }

    fn succeeded(&mut self) {
        if self.shared.failing.swap(false, Relaxed) {
            self.gate.reset();
            let lost = self.shared.lost_lines.load(Relaxed);
            tracing::info!(destination = %self.sink.destination(), lost, "the access log is written again");
        }
    }

    fn failed(&mut self, lost: &Lost) {
        let total = self.shared.lost_lines.fetch_add(lost.lines, Relaxed) + lost.lines;
        self.shared.failing.store(true, Relaxed);
        if self.gate.opens(Instant::now()) {
            tracing::error!(
                destination = %self.sink.destination(),
                error = %lost.cause,
                lost = total,
                "the access log cannot be written; records are dropped until it can"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;
    use crate::log::Destination;
    use crate::log::test_directory::TestDirectory;

    struct Queue(mpsc::Receiver<Vec<u8>>);

    impl BatchSource for Queue {
        type Batch = Vec<u8>;

        fn receive(&self, timeout: Duration) -> Option<Vec<u8>> {
            self.0.recv_timeout(timeout).ok()
        }
    }

    fn start(path: &Path) -> (mpsc::Sender<Vec<u8>>, AccessLog) {
        let (sender, receiver) = mpsc::channel();
        (sender, AccessLog::start(Queue(receiver), sink(path)).unwrap())
    }

    fn sink(path: &Path) -> Sink {
        Sink::new(Destination::File(path.to_owned()))
    }

    fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "never happened: {what}");
            std::thread::yield_now();
        }
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn everything_handed_over_before_the_end_is_written() {
        let directory = TestDirectory::new();
        let path = directory.path().join("access.log");
        let (sender, log) = start(&path);
        for number in 0..1000 {
            sender.send(format!("line {number}\n").into_bytes()).unwrap();
        }
        drop(log);
        assert_eq!(text(&path).lines().count(), 1000);
    }

    #[test]
    fn a_rotated_file_is_let_go_on_reopen() {
        let directory = TestDirectory::new();
        let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let (sender, log) = start(&path);
        sender.send(b"before\n".to_vec()).unwrap();
        wait_until("the first line is written", || text(&path) == "before\n");
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        wait_until("the file is opened by its name", || path.exists());
        sender.send(b"after\n".to_vec()).unwrap();
        drop(log);
        assert_eq!((text(&moved), text(&path)), ("before\n".to_owned(), "after\n".to_owned()));
    }

    #[test]
    fn a_destination_that_fails_loses_records_and_recovers() {
        let directory = TestDirectory::new();
        let missing = directory.path().join("not-there-yet");
        let path = missing.join("access.log");
        let (sender, log) = start(&path);
        sender.send(b"one\ntwo\n".to_vec()).unwrap();
        wait_until("the loss is counted", || log.losses() == Losses { lines: 2, failing: true });
        std::fs::create_dir(&missing).unwrap();
        sender.send(b"three\n".to_vec()).unwrap();
        wait_until("it recovers", || !log.losses().failing);
        assert_eq!((text(&path).as_str(), log.losses().lines), ("three\n", 2));
    }

    #[test]
    fn another_destination_takes_over() {
        let directory = TestDirectory::new();
        let (first, second) = (directory.path().join("a.log"), directory.path().join("b.log"));
        let (sender, log) = start(&first);
        sender.send(b"one\n".to_vec()).unwrap();
        wait_until("the first line is written", || text(&first) == "one\n");
        log.redirect(sink(&second));
        wait_until("the second file is opened", || second.exists());
        sender.send(b"two\n".to_vec()).unwrap();
        drop(log);
        assert_eq!((text(&first), text(&second)), ("one\n".to_owned(), "two\n".to_owned()));
    }
}
