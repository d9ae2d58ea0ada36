//! When requests may begin: what is under way goes before what is new.
//!
//! A few requests may begin in one turn of the event loop. Those beyond wait, in the order in which they came, while the
//! loop looks for responses. A worker with more to do than it can thus has few requests under way at a time, whose state
//! stays in the caches of the processor from their first step to their last, and servers are sent no more at once than the
//! worker can take back. One that is not busy lets nobody wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use crate::clock::Clock;

/// Requests that may begin in a turn, at least.
const PER_TURN: u32 = 32;
/// A turn that takes longer than `PER_TURN` times this lets more of them begin in the next one, so that they get their
/// share of the time beside whatever else takes so long.
const US_PER_START: u64 = 64;
/// Requests of one connection that begin before those of others have their turn.
const PER_LANE: usize = 8;

/// How many requests have begun in the current turn of a worker's event loop. A turn also ends when the loop goes to
/// sleep, which it tells from a place that has nothing else of the worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun(Arc<AtomicU32>);

impl Begun {
    /// The event loop has nothing to do.
    pub fn end_turn(&self) {
        self.0.store(0, Relaxed);
    }
}

/// The requests of one connection that wait, where there may be several.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    waiting: RefCell<VecDeque<Waker>>,
    /// How many have ever waited, and how many of these do so no more: they go in the order in which they came.
    came: Cell<u64>,
    went: Cell<u64>,
}

/// The turn of a request in its lane: its number there, once it waits.
#[derive(Debug, Default)]
pub(crate) struct Turn(Option<u64>);

/// Who begins next: the only request of a connection, or a few of those that wait in a lane.
#[derive(Debug)]
enum Next {
    Request(Waker),
    Lane(Rc<Lane>),
}

/// The requests of one worker that want to begin.
#[derive(Debug)]
pub(crate) struct Starts {
    begun: Begun,
    /// How many may begin in the current turn.
    most: Cell<u32>,
    /// How many have begun in it that do not count.
    uncounted: Cell<u32>,
    waiting: RefCell<VecDeque<Next>>,
    /// Of [`Self::run`], while nobody waits.
    idle: RefCell<Option<Waker>>,
}

impl Starts {
    pub fn new(begun: Begun) -> Self {
        Self {
            begun,
            most: Cell::new(PER_TURN),
            uncounted: Cell::new(0),
            waiting: RefCell::default(),
            idle: RefCell::default(),
        }
    }

    /// Whether a request may begin at once. If not, its task is woken when its turn comes, and need not ask again.
    #[inline]
    pub fn may_begin(&self, cx: &Context<'_>, lane: Option<&Rc<Lane>>) -> bool {
        let begun = self.begun.0.load(Relaxed);
        if begun < self.most.get() && self.waiting.borrow().is_empty() {
            self.begun.0.store(begun + 1, Relaxed);
            return true;
        }
        self.enqueue(cx.waker().clone(), lane);
        if let Some(task) = self.idle.take() {
            task.wake();
        }
        false
    }

    fn enqueue(&self, task: Waker, lane: Option<&Rc<Lane>>) {
        let Some(lane) = lane else { return self.waiting.borrow_mut().push_back(Next::Request(task)) };
        if lane.is_empty() {
            self.waiting.borrow_mut().push_back(Next::Lane(Rc::clone(lane)));
        }
        lane.push(task);
    }

    /// A request that has begun shares its connection with others, and counts no more: frames that are sent and received
    /// together cost less than those of a few requests at a time.
    #[inline]
    pub fn uncount(&self) {
        self.begun.0.store(self.begun.0.load(Relaxed).saturating_sub(1), Relaxed);
        self.uncounted.set(self.uncounted.get().saturating_add(1));
    }

    /// Wakes those who wait, a few in each turn of the event loop.
    pub async fn run(&self, clock: &Clock) {
        loop {
            poll_fn(|cx| self.poll_waiting(cx)).await;
            let mut began_us = clock.now_us();
            while !self.waiting.borrow().is_empty() {
                // Comes back after the loop has looked for events, and behind all those whom they concern.
                tokio::task::yield_now().await;
                let now_us = clock.now_us();
                self.begin_turn(now_us.saturating_sub(began_us));
                began_us = now_us;
            }
        }
    }

    fn poll_waiting(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.waiting.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.idle.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Begins a turn after one of this length.
    fn begin_turn(&self, last_us: u64) {
        let most = most_after(last_us);
        // Where those who wait do not count either, soon nobody has to wait.
        let room = most.max(self.uncounted.take().saturating_mul(2));
        let mut waiting = self.waiting.borrow_mut();
        let mut begun = 0;
        while begun < room
            && let Some(next) = waiting.pop_front()
        {
            match next {
                Next::Request(task) => {
                    task.wake();
                    begun += 1;
                }
                Next::Lane(lane) => {
                    begun += lane.begin_some();
                    if !lane.is_empty() {
                        waiting.push_back(Next::Lane(lane));
                    }
                }
            }
        }
        if waiting.is_empty() {
            waiting.shrink_to(PER_TURN as usize * 64);
        }
        self.begun.0.store(begun, Relaxed);
        self.most.set(most);
    }
}

impl Turn {
    /// Whether the request begins: at once if `may_begin` says so, which is asked once and else lets it wait in the lane; never
    /// if its client is gone. Whatever else wakes it does not make it begin.
    pub fn poll(&mut self, lane: &Lane, is_gone: bool, may_begin: impl FnOnce() -> bool) -> Poll<bool> {
        if is_gone {
            return Poll::Ready(false);
        }
        let begins = match self.0 {
            Some(number) => number <= lane.went.get(),
            None => may_begin(),
        };
        if begins {
            return Poll::Ready(true);
        }
        self.0.get_or_insert_with(|| lane.came.get());
        Poll::Pending
    }
}

impl Lane {
    /// Wakes all: the connection is over, and none of them is to begin.
    pub fn give_up(&self) {
        self.begin(usize::MAX);
    }

    fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    fn push(&self, task: Waker) {
        self.came.set(self.came.get() + 1);
        self.waiting.borrow_mut().push_back(task);
    }

    /// Wakes the first few, and says how many.
    fn begin_some(&self) -> u32 {
        self.begin(PER_LANE) as u32
    }

    fn begin(&self, most: usize) -> usize {
        let mut waiting = self.waiting.borrow_mut();
        let count = waiting.len().min(most);
        self.went.set(self.went.get() + count as u64);
        waiting.drain(..count).for_each(Waker::wake);
        count
    }
}

/// How many requests may begin after a turn of this length.
fn most_after(last_us: u64) -> u32 {
    u32::try_from(last_us / US_PER_START).unwrap_or(u32::MAX).max(PER_TURN)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Asks so many times, and says how many may begin at once.
    fn ask(starts: &Starts, times: u32, woken: &Arc<Woken>) -> usize {
        let waker = Waker::from(Arc::clone(woken));
        let cx = Context::from_waker(&waker);
        (0..times).filter(|_| starts.may_begin(&cx, None)).count()
    }

    #[test]
    fn a_turn_has_room_for_a_few_and_the_next_ones_for_the_rest() {
        let (starts, woken) = (Starts::new(Begun::default()), Arc::new(Woken::default()));
        assert_eq!(ask(&starts, 80, &woken), 32);
        starts.begin_turn(0);
        assert_eq!(woken.0.load(Relaxed), 32);
        assert_eq!(ask(&starts, 1, &woken), 0, "nobody overtakes those who wait");
        starts.begin_turn(0);
        assert_eq!(woken.0.load(Relaxed), 49);
        assert_eq!(ask(&starts, 20, &woken), 15, "those who were woken are counted");
    }

    /// Asks so many times for one connection, and leaves its requests waiting.
    fn wait_in(lane: &Rc<Lane>, starts: &Starts, times: u32, woken: &Arc<Woken>) {
        let waker = Waker::from(Arc::clone(woken));
        let cx = Context::from_waker(&waker);
        assert!((0..times).all(|_| !starts.may_begin(&cx, Some(lane))));
    }

    #[test]
    fn a_connection_with_many_requests_does_not_keep_others_waiting() {
        let (starts, lanes) = (Starts::new(Begun::default()), [Rc::<Lane>::default(), Rc::default()]);
        let woken: [Arc<Woken>; 3] = Default::default();
        assert_eq!(ask(&starts, 32, &woken[2]), 32);
        wait_in(&lanes[0], &starts, 100, &woken[0]);
        wait_in(&lanes[1], &starts, 10, &woken[1]);
        assert_eq!(ask(&starts, 1, &woken[2]), 0);
        let begun = || [0, 1, 2].map(|index| woken[index].0.load(Relaxed));
        starts.begin_turn(0);
        assert_eq!(begun(), [24, 10, 1], "8 of each, the single one, 8 and 2, and 8");
        starts.begin_turn(0);
        assert_eq!(begun()[0], 56);
        for _ in 0..2 {
            starts.begin_turn(0);
        }
        assert_eq!(begun(), [100, 10, 1]);
    }

    #[test]
    fn a_lane_calls_in_order_and_all_when_it_is_given_up() {
        let (starts, lane) = (Starts::new(Begun::default()), Rc::<Lane>::default());
        let woken: [Arc<Woken>; 2] = Default::default();
        assert_eq!(ask(&starts, 32, &woken[0]), 32);
        let waker = Waker::from(Arc::clone(&woken[1]));
        let cx = Context::from_waker(&waker);
        let mut turns: [Turn; 100] = std::array::from_fn(|_| Turn::default());
        let look = |turns: &mut [Turn], is_gone| {
            let poll = |turn: &mut Turn| turn.poll(&lane, is_gone, || starts.may_begin(&cx, Some(&lane)));
            turns.iter_mut().map(poll).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            assert_eq!(look(&mut turns, false), [Poll::Pending; 100], "nobody begins for being woken");
        }
        starts.begin_turn(0);
        let called = look(&mut turns, false);
        assert!(called.iter().enumerate().all(|(index, called)| called.is_ready() == (index < 32)));
        lane.give_up();
        assert_eq!(woken[1].0.load(Relaxed), 100);
        assert_eq!(look(&mut turns, true), [Poll::Ready(false); 100], "whose client is gone");
        starts.begin_turn(0);
        assert_eq!(ask(&starts, 32, &woken[0]), 32, "they take nobody's place");
        assert_eq!(Turn::default().poll(&lane, true, || unreachable!()), Poll::Ready(false));
    }

    #[test]
    fn requests_that_share_connections_do_not_count() {
        let (starts, woken) = (Starts::new(Begun::default()), Arc::new(Woken::default()));
        for _ in 0..100 {
            assert_eq!(ask(&starts, 1, &woken), 1);
            starts.uncount();
        }
        starts.uncount();
        assert_eq!(ask(&starts, 80, &woken), 32);
        starts.begin_turn(0);
        assert_eq!(woken.0.load(Relaxed), 48, "twice as many as have begun uncounted");
        ask(&starts, 100, &woken);
        (0..48).for_each(|_| starts.uncount());
        starts.begin_turn(0);
        assert_eq!(woken.0.load(Relaxed), 48 + 96);
        starts.begin_turn(0);
        assert_eq!(woken.0.load(Relaxed), 48 + 96 + 4);
    }

    #[test]
    fn a_loop_that_sleeps_has_room_again() {
        let begun = Begun::default();
        let (starts, woken) = (Starts::new(begun.clone()), Arc::new(Woken::default()));
        for _ in 0..100 {
            assert_eq!(ask(&starts, 32, &woken), 32);
            begun.end_turn();
        }
    }

    #[test]
    fn a_long_turn_is_followed_by_more() {
        assert_eq!(most_after(0), 32);
        assert_eq!(most_after(2_048), 32);
        assert_eq!(most_after(64_000), 1_000);
        assert_eq!(most_after(u64::MAX), u32::MAX);
        let (starts, woken) = (Starts::new(Begun::default()), Arc::new(Woken::default()));
        ask(&starts, 1_032, &woken);
        starts.begin_turn(50_000);
        assert_eq!(woken.0.load(Relaxed), 781);
    }

    #[test]
    fn those_who_wait_begin_in_the_order_in_which_they_came() {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
        let order = Rc::new(RefCell::new(Vec::new()));
        runtime.block_on(async {
            let starts = Rc::new(Starts::new(Begun::default()));
            let keeper = Rc::clone(&starts);
            tokio::task::spawn_local(async move { keeper.run(&Clock::start()).await });
            let tasks = (0..100).map(|number| {
                let (starts, order) = (Rc::clone(&starts), Rc::clone(&order));
                tokio::task::spawn_local(async move {
                    let mut has_asked = false;
                    poll_fn(|cx| {
                        match std::mem::replace(&mut has_asked, true) || starts.may_begin(cx, None) {
                            true => Poll::Ready(()),
                            false => Poll::Pending,
                        }
                    })
                    .await;
                    order.borrow_mut().push(number);
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        assert_eq!(*order.borrow(), (0..100).collect::<Vec<_>>());
    }
}
