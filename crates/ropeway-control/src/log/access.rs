//! The thread that takes finished access records from the workers and writes them.
//!
//! Workers never wait for it: when it cannot keep up they drop records and count them, and when the destination
//! fails it drops what it received, counts that, and says so once per minute.

use std::io;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::report_gate::ReportGate;
use super::sink::{Lost, Sink};

/// How long a request to reopen or stop may go unnoticed.
const WAIT: Duration = Duration::from_millis(100);
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Lines, each ending with a line break.
pub trait Batch: Deref<Target = [u8]> {
    /// The number of the destination that they are for.
    fn destination(&self) -> u64;

    /// How many there are.
    fn count(&self) -> u64;
}

/// Where batches of whole lines come from.
pub trait BatchSource: Send + 'static {
    /// What comes.
    type Batch: Batch;

    /// The next batch; `None` when none came within `timeout`.
    fn receive(&self, timeout: Duration) -> Option<Self::Batch>;
}

/// The running writer of access records. [`Self::finish`] ends it; dropping it does not wait for the end.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    /// The number of the destination that was announced last.
    announced: AtomicU64,
    /// The number of the destination that was turned to last.
    destination: AtomicU64,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
}

/// Records that reached the writer but not the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Lines dropped since the start of the process.
    pub lines: u64,
    /// Whether the last write failed.
    pub failing: bool,
}

/// The destination did not take everything in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Lines that were written, or dropped and counted in [`Losses`], since the start of the process. All others that were
    /// handed over are lost.
    pub settled: u64,
}

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    /// Tells the thread to look at `orders`, so that it does not take the lock for every batch.
    ordered: AtomicBool,
    stop: AtomicBool,
    /// Lines that were written or lost.
    settled: AtomicU64,
    lost_lines: AtomicU64,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Orders {
    reopen: bool,
    expect: Option<Numbered>,
    turn_to: Option<u64>,
}

/// A destination, and the number by which batches name it.
#[derive(Debug)]
struct Numbered {
    number: u64,
    sink: Sink,
}

impl AccessLog {
    /// Starts the thread. `sink` is destination 0; if it is not open and cannot be opened, that is reported like any later
    /// failure.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(source: impl BatchSource, sink: Sink) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            current: Numbered { number: 0, sink },
            next: None,
            previous: None,
            gate: ReportGate::new(REPORT_INTERVAL),
            shared: Arc::clone(&shared),
        };
        let (running, ended) = channel();
        let builder = std::thread::Builder::new().name("ropeway-log".to_owned());
        let thread = builder.spawn(move || writer.run(&source, &running))?;
        let [announced, destination] = [const { AtomicU64::new(0) }; 2];
        Ok(Self { shared, announced, destination, thread: Some(thread), ended })
    }

    /// Closes the file and opens it again by its name, after it was rotated. Takes effect within 100 ms.
    pub fn reopen(&self) {
        self.order(|orders| orders.reopen = true);
    }

    /// Announces another destination, and gives it a number. It is turned to with [`Self::turn_to`], or with the first
    /// batch that is for it; if neither happens, the next announcement takes its place.
    pub fn expect(&self, sink: Sink) -> u64 {
        let number = self.announced.fetch_add(1, Relaxed) + 1;
        self.order(|orders| orders.expect = Some(Numbered { number, sink }));
        number
    }

    /// Leaves the destination before, but for batches that are still for that one.
    pub fn turn_to(&self, number: u64) {
        if self.destination.swap(number, Relaxed) != number {
            self.order(|orders| orders.turn_to = Some(number));
        }
    }

    /// The number of the destination that was turned to last.
    #[must_use]
    pub fn destination(&self) -> u64 {
        self.destination.load(Relaxed)
    }

    /// What was lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        Losses { lines: self.shared.lost_lines.load(Relaxed), failing: self.shared.failing.load(Relaxed) }
    }

    /// Writes what was already handed over and ends the thread, if the destination takes it within `patience`.
    ///
    /// # Errors
    /// [`Stalled`] when it does not. The thread then waits on, until the process ends.
    pub fn finish(mut self, patience: Duration) -> Result<(), Stalled> {
        self.shared.stop.store(true, Release);
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            return Err(Stalled { settled: self.shared.settled.load(Acquire) });
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the access log panicked");
        }
        Ok(())
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.ordered.store(true, Release);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Release);
    }
}

struct Writer {
    current: Numbered,
    /// Announced, and not turned to yet.
    next: Option<Numbered>,
    /// The one before, closed, for batches that come late.
    previous: Option<Numbered>,
    gate: ReportGate,
    shared: Arc<Shared>,
}

impl Writer {
    /// `_running` is dropped when this ends, in whatever way.
    fn run(mut self, source: &impl BatchSource, _running: &Sender<()>) {
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
        if orders.reopen {
            self.current.sink.close();
        }
        self.next = orders.expect.or(self.next.take());
        if let Some(number) = orders.turn_to {
            self.turn_to(number);
        }
        self.open();
    }

    fn turn_to(&mut self, number: u64) {
        if let Some(next) = self.next.take_if(|next| next.number == number) {
            let mut old = std::mem::replace(&mut self.current, next);
            old.sink.close();
            self.previous = Some(old);
        }
    }

    fn open(&mut self) {
        if let Err(cause) = self.current.sink.open() {
            self.failed(&Lost { lines: 0, cause });
        }
    }

    fn write(&mut self, lines: &impl Batch) {
        let destination = lines.destination();
        if destination != self.current.number {
            self.follow_orders();
            self.turn_to(destination);
        }
        let written = match &mut self.previous {
            Some(previous) if previous.number == destination => {
                let written = previous.sink.write(lines);
                previous.sink.close();
                written
            }
            _ => self.current.sink.write(lines),
        };
        match written {
            Ok(()) => self.succeeded(),
            Err(lost) => self.failed(&lost),
        }
        self.shared.settled.fetch_add(lines.count(), Release);
    }

    fn succeeded(&mut self) {
        if self.shared.failing.swap(false, Relaxed) {
            self.gate.reset();
            let lost = self.shared.lost_lines.load(Relaxed);
            tracing::info!(destination = %self.current.sink.destination(), lost, "the access log is written again");
        }
    }

    fn failed(&mut self, lost: &Lost) {
        let total = self.shared.lost_lines.fetch_add(lost.lines, Relaxed) + lost.lines;
        self.shared.failing.store(true, Relaxed);
        if self.gate.opens(Instant::now()) {
            tracing::error!(
                destination = %self.current.sink.destination(),
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
    use crate::log::sink::count_lines;
    use crate::log::test_directory::TestDirectory;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// The number of the destination, and the lines.
    type Numbered = (u64, Vec<u8>);

    struct Lines(Numbered);

    impl Deref for Lines {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.0.1
        }
    }

    impl Batch for Lines {
        fn destination(&self) -> u64 {
            self.0.0
        }

        fn count(&self) -> u64 {
            count_lines(self)
        }
    }

    struct Queue(mpsc::Receiver<Numbered>);

    impl BatchSource for Queue {
        type Batch = Lines;

        fn receive(&self, timeout: Duration) -> Option<Lines> {
            self.0.recv_timeout(timeout).ok().map(Lines)
        }
    }

    fn start(path: &Path) -> (mpsc::Sender<Numbered>, AccessLog) {
        let (sender, receiver) = mpsc::channel();
        (sender, AccessLog::start(Queue(receiver), sink(path)).unwrap())
    }

    fn sink(path: &Path) -> Sink {
        Sink::new(Destination::File(path.to_owned()))
    }

    fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "never happened: {what}");
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
            sender.send((0, format!("line {number}\n").into_bytes())).unwrap();
        }
        log.finish(PATIENCE).unwrap();
        assert_eq!(text(&path).lines().count(), 1000);
    }

    #[test]
    fn a_rotated_file_is_let_go_on_reopen() {
        let directory = TestDirectory::new();
        let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let (sender, log) = start(&path);
        sender.send((0, b"before\n".to_vec())).unwrap();
        wait_until("the first line is written", || text(&path) == "before\n");
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        wait_until("the file is opened by its name", || path.exists());
        sender.send((0, b"after\n".to_vec())).unwrap();
        log.finish(PATIENCE).unwrap();
        assert_eq!((text(&moved), text(&path)), ("before\n".to_owned(), "after\n".to_owned()));
    }

    #[test]
    fn a_destination_that_fails_loses_records_and_recovers() {
        let directory = TestDirectory::new();
        let missing = directory.path().join("not-there-yet");
        let path = missing.join("access.log");
        let (sender, log) = start(&path);
        sender.send((0, b"one\ntwo\n".to_vec())).unwrap();
        wait_until("the loss is counted", || log.losses() == Losses { lines: 2, failing: true });
        std::fs::create_dir(&missing).unwrap();
        sender.send((0, b"three\n".to_vec())).unwrap();
        wait_until("it recovers", || !log.losses().failing);
        assert_eq!((text(&path).as_str(), log.losses().lines), ("three\n", 2));
    }

    #[test]
    fn another_destination_takes_over() {
        let directory = TestDirectory::new();
        let (first, second) = (directory.path().join("a.log"), directory.path().join("b.log"));
        let (sender, log) = start(&first);
        sender.send((0, b"one\n".to_vec())).unwrap();
        wait_until("the first line is written", || text(&first) == "one\n");
        log.turn_to(log.expect(sink(&second)));
        wait_until("the second file is opened", || second.exists());
        sender.send((1, b"two\n".to_vec())).unwrap();
        log.finish(PATIENCE).unwrap();
        assert_eq!((text(&first), text(&second)), ("one\n".to_owned(), "two\n".to_owned()));
    }

    #[test]
    fn every_record_lands_in_its_own_destination_early_or_late() {
        let directory = TestDirectory::new();
        let paths = ["a.log", "b.log", "c.log"].map(|name| directory.path().join(name));
        let (sender, log) = start(&paths[0]);
        assert_eq!((log.destination(), log.expect(sink(&paths[1]))), (0, 1));
        sender.send((1, b"early\n".to_vec())).unwrap();
        sender.send((0, b"late\n".to_vec())).unwrap();
        wait_until("it is turned to unasked", || text(&paths[1]) == "early\n");
        log.turn_to(1);
        assert_eq!((log.destination(), log.expect(sink(&paths[2]))), (1, 2));
        sender.send((1, b"still\n".to_vec())).unwrap();
        log.finish(PATIENCE).unwrap();
        let texts = paths.each_ref().map(|path| text(path));
        assert_eq!(texts, ["late\n", "early\nstill\n", ""]);
    }

    #[test]
    fn a_destination_that_takes_nothing_does_not_hold_up_the_end() {
        let directory = TestDirectory::new();
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (sender, log) = start(&path);
        sender.send((0, b"one\ntwo\n".to_vec())).unwrap();
        sender.send((0, [&[b'x'; 1 << 20][..], b"\n"].concat())).unwrap();
        wait_until("the pipe has the first lines", || log.shared.settled.load(Acquire) == 2);
        assert_eq!(log.finish(Duration::from_millis(1)), Err(Stalled { settled: 2 }));
        drop(reader);
    }
}
