//! One worker: a thread with its own event loop, sockets, buffers, idle connections and counters.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::Context;

use arc_swap::ArcSwap;
use ropeway_core::balance::Rng;
use ropeway_core::retry::RetryBudget;

use crate::access_log::{LogBuffer, LogSender, LogTarget, RequestId};
use crate::admission::Capped;
use crate::buffers::{BufferPool, Scratch};
use crate::clock::Clock;
use crate::complaint::{Complaint, Complaints};
use crate::counters::{PerWorker, WorkerCounters};
use crate::crowding::Crowding;
use crate::deadline::Deadlines;
use crate::exchange::Exchange;
use crate::http2::Runners;
use crate::pool::Pool;
use crate::snapshot::{Listener, Snapshot};
use crate::starts::{Begun, Lane, Starts, Turn};
use crate::tls::{Handshakes, WireBuffers};
use crate::upstream::{ServerLive, Upstream};

/// While draining, a client connection may stay idle for this long, so that a request that is on its way when the
/// drain begins is still answered.
const DRAIN_IDLE_MS: u64 = 1_000;

/// What all workers of a process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub clock: Clock,
    pub snapshot: ArcSwap<Snapshot>,
    /// Open client connections.
    pub connections: Arc<Capped>,
    /// Requests in flight, counted only while there is a cap on them.
    pub active: AtomicU32,
    pub counters: PerWorker<WorkerCounters>,
    pub log: LogSender,
    /// Distinguishes the request ids of this process from those of others.
    pub process_id: u64,
}

/// The state of one worker thread.
#[derive(Debug)]
pub(crate) struct Worker {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub deadlines: Rc<Deadlines>,
    pub scratch: RefCell<Scratch>,
    pub buffers: BufferPool,
    pub wire_buffers: Rc<WireBuffers>,
    pub handshakes: Handshakes,
    pub random: RefCell<Rng>,
    pub log: RefCell<LogBuffer>,
    view: RefCell<Rc<View>>,
    /// Boxed, because they move between the pool and connections.
    #[allow(clippy::vec_box)]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    /// The fewest exchanges that were free since the last sweep: so many are not needed.
    spare_exchanges: Cell<usize>,
    phase: Cell<Phase>,
    pub crowding: Crowding,
    pub starts: Starts,
    /// Tasks for streams of HTTP/2 clients.
    pub runners: Runners,
    requests: Cell<u64>,
    complaints: Complaints,
}

/// Has the current task polled again, after the event loop has looked for events and all others have had their turn.
pub(crate) fn come_back(cx: &mut Context<'_>) {
    // It asks for that when it is polled for the first time.
    let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
}

impl Shared {
    /// How many workers there are.
    fn workers(&self) -> u32 {
        u32::try_from(self.counters.iter().len()).unwrap_or(u32::MAX).max(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining { since_ms: u64 },
    Aborting,
}

/// A snapshot as one worker sees it, with that worker's own pools.
#[derive(Debug)]
pub(crate) struct View {
    /// The worker whose view it is.
    pub worker: usize,
    pub snapshot: Arc<Snapshot>,
    pub upstreams: Vec<UpstreamView>,
}

/// One worker's share of an upstream.
#[derive(Debug)]
pub(crate) struct UpstreamView {
    /// By index of the server.
    pub pools: Vec<Rc<Pool>>,
    pub budget: Rc<RefCell<RetryBudget>>,
}

impl Worker {
    pub fn new(index: usize, shared: Arc<Shared>, begun: Begun) -> Self {
        let snapshot = shared.snapshot.load_full();
        let deadlines = Rc::new(Deadlines::default());
        deadlines.sweep(shared.clock.now_ms());
        Self {
            index,
            deadlines,
            scratch: RefCell::new(Scratch::new()),
            buffers: BufferPool::default(),
            wire_buffers: Rc::default(),
            handshakes: Handshakes::default(),
            random: RefCell::new(Rng::new(shared.process_id ^ (index as u64).rotate_left(32))),
            log: RefCell::new(shared.log.buffer()),
            view: RefCell::new(Rc::new(View::new(index, snapshot, None))),
            exchanges: RefCell::default(),
            spare_exchanges: Cell::new(0),
            phase: Cell::new(Phase::Serving),
            crowding: Crowding::default(),
            starts: Starts::new(begun),
            runners: Runners::default(),
            requests: Cell::new(0),
            complaints: Complaints::default(),
            shared,
        }
    }

    /// The snapshot in service.
    #[inline]
    pub fn view(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// Where records of requests go now, and how they are written; nowhere without an access log.
    #[inline]
    pub fn log_target(&self) -> Option<LogTarget> {
        self.view.borrow().snapshot.access_log
    }

    /// Puts a snapshot into service; pools of servers that stay are kept, those of servers that go are closed.
    pub fn adopt(&self, snapshot: Arc<Snapshot>) {
        let old = self.view();
        let new = View::new(self.index, snapshot, Some(&old));
        old.close_what_is_gone(&new, self);
        *self.view.borrow_mut() = Rc::new(new);
    }

    /// This worker's own counters.
    #[inline]
    pub fn counters(&self) -> Option<&WorkerCounters> {
        self.shared.counters.of(self.index)
    }

    /// An exchange that is not in use.
    #[inline]
    pub fn take_exchange(&self) -> Box<Exchange> {
        let mut exchanges = self.exchanges.borrow_mut();
        let exchange = exchanges.pop();
        self.spare_exchanges.set(self.spare_exchanges.get().min(exchanges.len()));
        exchange.unwrap_or_default()
    }

    /// Gives an exchange back.
    #[inline]
    pub fn give_exchange(&self, mut exchange: Box<Exchange>) {
        exchange.reset();
        self.exchanges.borrow_mut().push(exchange);
    }

    /// Frees what a peak left behind: half of the exchanges that nobody needed since the last call.
    fn trim_exchanges(&self) {
        let mut exchanges = self.exchanges.borrow_mut();
        let keep = exchanges.len() - (self.spare_exchanges.get() / 2).min(exchanges.len());
        exchanges.truncate(keep);
        self.spare_exchanges.set(keep);
    }

    /// Tells the operator of something about a server that may happen many times a second: about once a minute.
    pub fn complain_of(
        &self,
        upstream: &str,
        server: &ServerLive,
        what: Complaint,
        details: std::fmt::Arguments<'_>,
    ) {
        if server.complaints.are_news(what, self.deadlines.now_ms()) {
            tracing::warn!(upstream, "{details}");
        }
    }

    /// The same of something that is of no server.
    pub fn complain(&self, what: Complaint, details: std::fmt::Arguments<'_>) {
        if self.complaints.are_news(what, self.deadlines.now_ms()) {
            tracing::warn!("{details}");
        }
    }

    /// The id of the next request.
    #[inline]
    pub fn next_request_id(&self) -> RequestId {
        let count = self.requests.get().wrapping_add(1);
        self.requests.set(count);
        // The worker's index in the upper bits keeps the ids of workers apart.
        RequestId { process: self.shared.process_id, sequence: ((self.index as u64) << 48) | count }
    }

    /// Whether a request may begin at once; see [`Starts::may_begin`].
    #[inline]
    pub fn may_begin(&self, cx: &Context<'_>, lane: Option<&Rc<Lane>>) -> bool {
        let may_begin = self.starts.may_begin(cx, lane);
        if !may_begin && let Some(counters) = self.counters() {
            counters.requests_held.bump();
        }
        may_begin
    }

    /// Waits until a request of this connection may begin; not at all if its client is gone by then, of which `is_gone`
    /// tells and wakes.
    pub async fn wait_to_begin(
        &self,
        lane: &Rc<Lane>,
        mut is_gone: impl FnMut(&mut Context<'_>) -> bool,
    ) -> bool {
        let mut turn = Turn::default();
        poll_fn(|cx| {
            let is_gone = is_gone(cx);
            turn.poll(lane, is_gone, || self.may_begin(cx, Some(lane)))
        })
        .await
    }

    /// What is done ten times a second.
    pub fn tick(&self) {
        let now_ms = self.shared.clock.now_ms();
        self.deadlines.sweep(now_ms);
        self.make_room(now_ms);
        self.log.borrow_mut().flush();
    }

    /// Keeps a few places free for newcomers, where there is a cap on connections.
    fn make_room(&self, now_ms: u64) {
        let snapshot = &self.view().snapshot;
        let of_listeners: u32 = snapshot.listeners.iter().map(|listener| listener.excess()).sum();
        let excess = self.shared.connections.excess(snapshot.max_connections).max(of_listeners);
        if self.crowding.look(excess.div_ceil(self.shared.workers()), now_ms) {
            self.deadlines.wake_all();
        }
        let displaced = self.handshakes.relieve(now_ms, self.crowding.wanted());
        self.crowding.note_gone(displaced);
    }

    /// How long a client of this listener may be idle now, where that is `idle_ms` at other times.
    #[inline]
    pub fn idle_ms(&self, listener: &Listener, idle_ms: u64) -> u64 {
        if self.crowding.wanted() == 0 {
            return idle_ms;
        }
        let most = self.view().snapshot.max_connections;
        if listener.excess() == 0 && self.shared.connections.excess(most) == 0 {
            return idle_ms;
        }
        self.crowding.shorten(idle_ms, self.deadlines.now_ms())
    }

    /// What is done about twice a second: memory and connections that nobody needs are given up.
    pub fn sweep_pools(&self) {
        self.trim_exchanges();
        self.buffers.trim();
        let view = self.view();
        let now_ms = self.deadlines.now_ms();
        view.each_pool(|pool, upstream, index| {
            if let Some(server) = upstream.servers.get(index) {
                pool.sweep(&upstream.settings.keep_alive, &server.live, self.index, now_ms);
            }
        });
    }

    /// Begins to drain: idle connections are closed soon, and responses announce the close.
    pub fn drain(&self) {
        if self.phase.get() == Phase::Serving {
            self.phase.set(Phase::Draining { since_ms: self.deadlines.now_ms() });
        }
        self.deadlines.wake_all();
    }

    /// Gives up on what is left.
    pub fn abort(&self) {
        self.phase.set(Phase::Aborting);
        self.deadlines.wake_all();
    }

    #[inline]
    pub fn is_draining(&self) -> bool {
        self.phase.get() != Phase::Serving
    }

    #[inline]
    pub fn must_abort(&self) -> bool {
        self.phase.get() == Phase::Aborting
    }

    /// When a connection that is idle now is to be closed because of a drain.
    #[inline]
    pub fn idle_close_at(&self) -> Option<u64> {
        match self.phase.get() {
            Phase::Serving => None,
            Phase::Draining { since_ms } => Some(since_ms + DRAIN_IDLE_MS),
            Phase::Aborting => Some(0),
        }
    }
}

impl View {
    /// The upstream of a route, and this worker's share of it.
    #[inline]
    pub fn upstream(&self, route: &crate::snapshot::Route) -> Option<(&Upstream, &UpstreamView)> {
        Some((self.snapshot.upstreams.get(route.upstream)?, self.upstreams.get(route.upstream)?))
    }

    fn new(worker: usize, snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let known = before.map(Self::by_name).unwrap_or_default();
        let upstreams = snapshot
            .upstreams
            .iter()
            .map(|upstream| {
                let rules = upstream.settings.retry_budget;
                let (old_pools, budget) = match known.get(&*upstream.name) {
                    Some((pools, old, view)) if old.settings.retry_budget == rules => {
                        (Some(pools), Some(&view.budget))
                    }
                    Some((pools, ..)) => (Some(pools), None),
                    None => (None, None),
                };
                // What was opened in another way is not what the new configuration asks for.
                let alike = known
                    .get(&*upstream.name)
                    .is_some_and(|(_, old, _)| old.settings.connects_like(&upstream.settings));
                let pools = upstream.servers.iter().map(|server| {
                    old_pools
                        .filter(|_| alike)
                        .and_then(|pools| pools.get(&*server.authority))
                        .map_or_else(Rc::default, |pool| Rc::clone(pool))
                });
                UpstreamView {
                    pools: pools.collect(),
                    budget: budget.map_or_else(
                        || Rc::new(RefCell::new(RetryBudget::new(rules.percent, rules.floor_per_second))),
                        Rc::clone,
                    ),
                }
            })
            .collect();
        Self { worker, snapshot, upstreams }
    }

    /// The pools by upstream name and server address.
    #[allow(clippy::type_complexity)]
    fn by_name(&self) -> HashMap<&str, (HashMap<&str, &Rc<Pool>>, &Upstream, &UpstreamView)> {
        let pairs = self.snapshot.upstreams.iter().zip(&self.upstreams);
        pairs
            .map(|(upstream, view)| {
                let addresses = upstream.servers.iter().map(|server| &*server.authority);
                (&*upstream.name, (addresses.zip(&view.pools).collect(), &**upstream, view))
            })
            .collect()
    }

    /// Closes the idle connections to all servers, so that their descriptors serve others. Whether there were any.
    pub fn close_idle(&self) -> bool {
        let mut closed = false;
        self.each_pool(|pool, upstream, index| {
            if let Some(server) = upstream.servers.get(index) {
                closed |= pool.close_idle(&server.live, self.worker);
            }
        });
        closed
    }

    fn close_what_is_gone(&self, new: &Self, worker: &Worker) {
        self.each_pool(|pool, upstream, index| {
            let kept = new.upstreams.iter().flat_map(|view| &view.pools).any(|other| Rc::ptr_eq(other, pool));
            if !kept && let Some(server) = upstream.servers.get(index) {
                pool.close(&server.live, worker.index);
            }
        });
    }

    fn each_pool(&self, mut visit: impl FnMut(&Rc<Pool>, &Upstream, usize)) {
        for (upstream, view) in self.snapshot.upstreams.iter().zip(&self.upstreams) {
            for (index, pool) in view.pools.iter().enumerate() {
                visit(pool, upstream, index);
            }
        }
    }
}
