//! Clients that take one byte a second from a response that is under way.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::Connection;

/// Between two bytes of one reader.
const PACE: Duration = Duration::from_secs(1);

/// Any number of readers, looked after by one thread. They stop, and their connections close, when this is dropped.
#[derive(Debug)]
pub struct SlowReaders {
    taken: Arc<Taken>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Taken {
    each: AtomicUsize,
    lost: AtomicUsize,
}

impl SlowReaders {
    /// Begins to read, one byte from each connection every second, past what its wire has read already.
    #[must_use]
    pub fn start(mut readers: Vec<Connection>) -> Self {
        let taken = Arc::new(Taken::default());
        let (stop, stopped) = channel();
        let count = taken.clone();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                read_a_byte_each(&mut readers, &count);
            }
        });
        Self { taken, stop: Some(stop), thread: Some(thread) }
    }

    /// How many bytes every one of them has taken.
    #[must_use]
    pub fn bytes_each(&self) -> usize {
        self.taken.each.load(SeqCst)
    }

    /// How many lost their connection.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.taken.lost.load(SeqCst)
    }
}

fn read_a_byte_each(readers: &mut Vec<Connection>, taken: &Taken) {
    let before = readers.len();
    readers.retain(|reader| matches!(reader.wire.stream().read(&mut [0]), Ok(1)));
    taken.lost.fetch_add(before - readers.len(), SeqCst);
    taken.each.fetch_add(1, SeqCst);
}

impl Drop for SlowReaders {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
