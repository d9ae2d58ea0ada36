//! One worker thread: its event loop, and its restart after a defect.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::sockets::{Key, SocketSet};
use crate::deadline::TICK_MS;
use crate::listener::Acceptor;
use crate::snapshot::{Listener, Snapshot};
use crate::starts::Begun;
use crate::worker::{Shared, Worker};

/// Ticks between two looks at the idle connections to servers.
const TICKS_PER_SWEEP: u32 = 5;
/// Pause before a worker that failed is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(20);

/// What the control plane asks of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The shared snapshot or the offered sockets have changed.
    Apply,
    Drain,
    Abort,
    Stop,
}

/// A worker thread and the ways to reach it.
#[derive(Debug)]
pub(super) struct WorkerThread {
    commands: UnboundedSender<Command>,
    desk: Arc<Desk>,
    handle: Option<std::thread::JoinHandle<()>>,
}

/// What a worker finds when it starts, for the first time or again.
#[derive(Debug, Default)]
struct Desk {
    sockets: Mutex<HashMap<Key, Arc<TcpListener>>>,
    draining: AtomicBool,
    stopped_accepting: AtomicBool,
}

impl WorkerThread {
    pub fn start(index: usize, shared: &Arc<Shared>, sockets: &HashMap<Key, SocketSet>) -> Self {
        let (commands, mut inbox) = unbounded_channel();
        let desk = Arc::new(Desk::default());
        desk.offer(index, sockets);
        let (shared, its_desk) = (Arc::clone(shared), Arc::clone(&desk));
        let body = move || keep_running(index, &shared, &its_desk, &mut inbox);
        let handle = std::thread::Builder::new().name(format!("ropeway-w{index}")).spawn(body);
        let handle = handle
            .inspect_err(|error| tracing::error!(worker = index, %error, "cannot start a worker thread"))
            .ok();
        Self { commands, desk, handle }
    }

    /// Shows the worker the sockets that it should accept from.
    pub fn offer(&self, sockets: &HashMap<Key, SocketSet>) {
        let index = self.handle.as_ref().and_then(|handle| worker_index(handle.thread().name()?));
        self.desk.offer(index.unwrap_or_default(), sockets);
    }

    /// Sends a command; a worker that has ended needs none.
    pub fn tell(&self, command: Command) {
        if command == Command::Drain {
            self.desk.draining.store(true, Release);
        }
        let _ = self.commands.send(command);
    }

    /// Whether a drain has reached this worker's sockets.
    pub fn has_stopped_accepting(&self) -> bool {
        self.desk.stopped_accepting.load(Acquire)
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(handle) = self.handle.take() {
            // A panic of the thread itself was reported when it happened.
            let _ = handle.join();
        }
    }
}

impl Desk {
    fn offer(&self, index: usize, sockets: &HashMap<Key, SocketSet>) {
        let mine =
            sockets.iter().filter_map(|(key, set)| Some((key.clone(), Arc::clone(set.sockets.get(index)?))));
        *self.sockets() = mine.collect();
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<Key, Arc<TcpListener>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn worker_index(name: &str) -> Option<usize> {
    name.strip_prefix("ropeway-w")?.parse().ok()
}

/// Runs the worker, and again after a panic: its sockets, and the connections that wait in them, are still there.
fn keep_running(
    index: usize,
    shared: &Arc<Shared>,
    desk: &Arc<Desk>,
    inbox: &mut UnboundedReceiver<Command>,
) {
    loop {
        match catch_unwind(AssertUnwindSafe(|| run(index, shared, desk, inbox))) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::error!(worker = index, %error, "a worker cannot run; trying again"),
            Err(_) => tracing::error!(worker = index, "a worker failed; starting it again"),
        }
        std::thread::sleep(RESTART_PAUSE);
    }
}

fn run(
    index: usize,
    shared: &Arc<Shared>,
    desk: &Arc<Desk>,
    inbox: &mut UnboundedReceiver<Command>,
) -> io::Result<()> {
    let begun = Begun::default();
    let turns = begun.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(move || turns.end_turn())
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async {
        let worker = Rc::new(Worker::new(index, Arc::clone(shared), begun));
        tokio::task::spawn_local(tick(Rc::clone(&worker)));
        tokio::task::spawn_local(begin_waiting(Rc::clone(&worker)));
        let mut crew = Crew { worker, acceptors: HashMap::new() };
        crew.take_up(desk);
        if desk.draining.load(Acquire) {
            crew.drain(desk);
        }
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Apply => {
                    crew.worker.adopt(shared.snapshot.load_full());
                    tracing::debug!(worker = index, "snapshot adopted");
                    crew.take_up(desk);
                }
                Command::Drain => crew.drain(desk),
                Command::Abort => crew.worker.abort(),
                Command::Stop => break,
            }
        }
        crew.worker.log.borrow_mut().flush();
        Ok(())
    })
}

/// A worker with its acceptors.
struct Crew {
    worker: Rc<Worker>,
    acceptors: HashMap<Key, (Rc<Acceptor>, JoinHandle<()>)>,
}

impl Crew {
    /// Accepts from the sockets on the desk, with the settings of the current snapshot, and from no others.
    fn take_up(&mut self, desk: &Desk) {
        let offered: Vec<_> =
            desk.sockets().iter().map(|(key, socket)| (key.clone(), Arc::clone(socket))).collect();
        self.acceptors.retain(|key, (acceptor, _)| {
            let keep = offered.iter().any(|(other, _)| other == key);
            if !keep {
                acceptor.stop();
            }
            keep
        });
        let snapshot = Arc::clone(&self.worker.view().snapshot);
        for (key, socket) in offered {
            let Some(listener) = find(&snapshot, &key) else { continue };
            if let Some((acceptor, _)) = self.acceptors.get(&key) {
                acceptor.update(listener);
                continue;
            }
            let started =
                socket.try_clone().and_then(|socket| Acceptor::start(&self.worker, socket, listener));
            match started {
                Ok(acceptor) => drop(self.acceptors.insert(key, acceptor)),
                Err(error) => {
                    tracing::error!(listener = key.listener, address = %key.address, %error, "cannot accept");
                }
            }
        }
    }

    /// Stops to accept. The desk hears of it once the connections that waited in the sockets are accepted, too.
    fn drain(&mut self, desk: &Arc<Desk>) {
        let mut tasks = Vec::new();
        for (_, (acceptor, task)) in self.acceptors.drain() {
            acceptor.stop();
            tasks.push(task);
        }
        self.worker.drain();
        let desk = Arc::clone(desk);
        tokio::task::spawn_local(async move {
            for task in tasks {
                // One that panicked does not accept either.
                let _ = task.await;
            }
            desk.stopped_accepting.store(true, Release);
        });
    }
}

fn find(snapshot: &Snapshot, key: &Key) -> Option<Arc<Listener>> {
    snapshot.listeners.iter().find(|listener| listener.name == key.listener).map(Arc::clone)
}

async fn begin_waiting(worker: Rc<Worker>) {
    worker.starts.run(&worker.shared.clock).await;
}

async fn tick(worker: Rc<Worker>) {
    let period = Duration::from_millis(TICK_MS);
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut until_sweep = TICKS_PER_SWEEP;
    loop {
        ticks.tick().await;
        worker.tick();
        until_sweep -= 1;
        if until_sweep == 0 {
            until_sweep = TICKS_PER_SWEEP;
            worker.sweep_pools();
        }
    }
}
