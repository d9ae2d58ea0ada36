//! Takes finished lines from any thread and has a thread of its own write them, so that nobody else waits for whoever
//! reads them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Most bytes that wait to be written. One more line is dropped and counted.
const MOST_WAITING: usize = 256 * 1024;

/// The way of lines to the thread that writes them. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something waits to be written.
    filled: Condvar,
    /// Nothing waits any more, and nothing is being written.
    emptied: Condvar,
    /// Lines dropped since the start.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines, in the order in which they came.
    waiting: Vec<u8>,
    /// Lines that were dropped since the queue was emptied last.
    dropped: u64,
    writing: bool,
}

impl Lines {
    /// Starts the thread, which ends with the process. `tell` is called with the number of lines that were dropped, when
    /// there is room again to hand over a line about it: that comes where the others are missing.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let lines = Self::default();
        let shared = Arc::clone(&lines.shared);
        std::thread::Builder::new()
            .name("ropeway-messages".to_owned())
            .spawn(move || shared.write_to(output, tell))?;
        Ok(lines)
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Waits until everything is written, at most for `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let busy = |queue: &mut Queue| queue.writing || !queue.waiting.is_empty();
        // Whatever is not written by then is lost with the process.
        drop(self.shared.emptied.wait_timeout_while(self.shared.queue(), patience, busy));
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.waiting.len() + line.len() > MOST_WAITING {
            queue.dropped += 1;
            self.dropped.fetch_add(1, Relaxed);
        } else {
            queue.waiting.extend_from_slice(line);
            self.filled.notify_one();
        }
    }

    fn write_to(&self, mut output: impl Write, tell: impl Fn(u64)) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.take(&mut batch);
            if dropped > 0 {
                tell(dropped);
            }
            // There is nowhere left to say that this failed.
            let _ = output.write_all(&batch).and_then(|()| output.flush());
            batch.clear();
        }
    }

    /// Waits for lines and puts them into `batch`. Returns how many were dropped after the last of them.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let mut queue = self.queue();
        queue.writing = false;
        if queue.waiting.is_empty() {
            self.emptied.notify_all();
        }
        let mut queue = self
            .filled
            .wait_while(queue, |queue| queue.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        queue.writing = true;
        std::mem::swap(&mut queue.waiting, batch);
        std::mem::take(&mut queue.dropped)
    }
}

/// Every call is a whole line: that is how messages are handed to their writer.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::OnceLock;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn everything_is_written_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = Lines::start(writer, |_| unreachable!("nothing is dropped")).unwrap();
        let expected: String = (0..500).map(|number| format!("line {number}\n")).collect();
        for line in expected.split_inclusive('\n') {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        lines.flush(PATIENCE);
        let mut written = vec![0; expected.len()];
        reader.read_exact(&mut written).unwrap();
        assert_eq!((String::from_utf8(written).unwrap(), lines.dropped()), (expected, 0));
    }

    #[test]
    fn what_does_not_fit_is_dropped_counted_and_told_where_it_is_missing() {
        let (mut reader, writer) = io::pipe().unwrap();
        let own: Arc<OnceLock<Lines>> = Arc::default();
        let told = Arc::clone(&own);
        let tell = move |dropped| {
            (&mut told.get().unwrap() as &mut &Lines)
                .write_all(format!("{dropped} lost\n").as_bytes())
                .unwrap();
        };
        let lines = Lines::start(writer, tell).unwrap();
        own.set(lines.clone()).unwrap();
        // More than the pipe holds, and nobody reads: the thread is kept busy by it.
        let first = vec![b'y'; 128 * 1024];
        (&lines).write_all(&first).unwrap();
        while !lines.shared.queue().waiting.is_empty() {
            std::thread::yield_now();
        }
        // Much more than the queue holds.
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let handed_over = 2_000;
        for _ in 0..handed_over {
            (&lines).write_all(&line).unwrap();
        }
        let dropped = lines.dropped();
        assert!(dropped > 0);
        let taken = first.len() + (handed_over - dropped as usize) * line.len();
        let expected = taken + format!("{dropped} lost\n").len();
        let mut written = vec![0; expected];
        reader.read_exact(&mut written).unwrap();
        assert!(written.ends_with(format!("x\n{dropped} lost\n").as_bytes()));
    }

    #[test]
    fn a_flush_ends_although_nobody_reads() {
        let (reader, writer) = io::pipe().unwrap();
        let lines = Lines::start(writer, |_| ()).unwrap();
        (&lines).write_all(&[b'x'; 128 * 1024]).unwrap();
        lines.flush(Duration::from_millis(1));
        drop(reader);
        lines.flush(PATIENCE);
    }
}
