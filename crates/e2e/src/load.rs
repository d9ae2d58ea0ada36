//! Load in the background, of which every answer counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::client::{Client, Connection};
use crate::wait::eventually;

/// Clients that ask without a pause until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicUsize,
    failures: Mutex<Vec<String>>,
    bodies: Mutex<BTreeMap<String, usize>>,
}

/// What became of a load.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests answered with 200.
    pub answered: usize,
    /// Everything else: another status, a response that was not whole, a refused connection.
    pub failures: Vec<String>,
    /// How often each body came.
    pub bodies: BTreeMap<String, usize>,
}

impl Load {
    /// Starts `clients` threads that GET `/` on connections kept alive; one that the proxy announced to close is
    /// replaced.
    #[must_use]
    pub fn start(client: &Client, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared::default());
        let threads = (0..clients)
            .map(|_| {
                let (client, stop, shared) = (client.clone(), stop.clone(), shared.clone());
                std::thread::spawn(move || ask_until(&client, &stop, &shared))
            })
            .collect();
        Self { stop, shared, threads }
    }

    /// How many requests were answered until now.
    #[must_use]
    pub fn done(&self) -> usize {
        self.shared.done.load(SeqCst)
    }

    /// Waits until `count` more requests are answered.
    pub fn run_for(&self, count: usize) {
        let target = self.done() + count;
        eventually("the load goes on", || {
            (self.done() >= target || self.threads.iter().all(JoinHandle::is_finished)).then_some(())
        });
    }

    /// Stops, and says what became of it.
    ///
    /// # Panics
    /// When a client panicked.
    #[must_use]
    pub fn stop(self) -> Report {
        self.stop.store(true, SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        Report {
            answered: self.shared.done.load(SeqCst),
            failures: std::mem::take(&mut self.shared.failures.lock().unwrap()),
            bodies: std::mem::take(&mut self.shared.bodies.lock().unwrap()),
        }
    }
}

impl Report {
    /// Asserts that there was load, and that every request was answered.
    #[track_caller]
    pub fn expect_no_failure(&self) {
        assert!(
            self.failures.is_empty(),
            "{} failed of {}: {:?}",
            self.failures.len(),
            self.answered,
            self.failures
        );
        assert!(self.answered > 0, "no load at all");
    }
}

fn ask_until(client: &Client, stop: &AtomicBool, shared: &Shared) {
    let mut connection: Option<Connection> = None;
    while !stop.load(SeqCst) {
        let mut current = match connection.take().map_or_else(|| client.try_connect(), Ok) {
            Ok(current) => current,
            Err(error) => {
                shared.failures.lock().unwrap().push(format!("connect: {error}"));
                return;
            }
        };
        match current.try_get("/") {
            Ok(response) if response.status == 200 => {
                shared.done.fetch_add(1, SeqCst);
                *shared.bodies.lock().unwrap().entry(response.text()).or_default() += 1;
                connection = (!response.says_close()).then_some(current);
            }
            Ok(response) => {
                shared.failures.lock().unwrap().push(format!("{} {}", response.status, response.text()));
                connection = (!response.says_close()).then_some(current);
            }
            Err(broken) => shared.failures.lock().unwrap().push(format!("{broken:?}")),
        }
    }
}
