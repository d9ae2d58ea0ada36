//! Deadlines of connections, coarse and cheap.
//!
//! Every connection owns one slot. Arming a deadline is one store into the slot; a sweep ten times a second wakes
//! the connections whose time has come, and they find out themselves what it was that took too long. There is
//! no timer per request, nothing to cancel, and routes may have as many different time-outs as they like.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

/// Milliseconds between two sweeps: the resolution of every time-out.
pub(crate) const TICK_MS: u64 = 100;

const NEVER: u64 = u64::MAX;

/// The slots of one worker.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    now_ms: Cell<u64>,
    /// When each slot is due; apart from the wakers so that a sweep reads 8 bytes a connection.
    due: RefCell<Vec<u64>>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Deadlines {
    /// The time of the last sweep, in milliseconds of the process's clock.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Takes a slot.
    pub fn slot(self: &Rc<Self>) -> DeadlineSlot {
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.wakers.borrow_mut().push(None);
            let mut due = self.due.borrow_mut();
            due.push(NEVER);
            due.len() - 1
        });
        DeadlineSlot { deadlines: Rc::clone(self), index, limit_ms: Cell::new(NEVER) }
    }

    /// Moves time on, and wakes everyone whose deadline has passed.
    pub fn sweep(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        let mut due = self.due.borrow_mut();
        for (index, at) in due.iter_mut().enumerate() {
            if *at <= now_ms {
                *at = NEVER;
                self.wake(index);
            }
        }
    }

    /// Wakes every slot, for events that concern all connections.
    pub fn wake_all(&self) {
        for index in 0..self.wakers.borrow().len() {
            self.wake(index);
        }
    }

    fn wake(&self, index: usize) {
        if let Some(Some(waker)) = self.wakers.borrow().get(index) {
            waker.wake_by_ref();
        }
    }
}

/// The slot of one task. Returns to the worker when dropped.
#[derive(Debug)]
pub(crate) struct DeadlineSlot {
    deadlines: Rc<Deadlines>,
    index: usize,
    /// The end of everything that is waited for.
    limit_ms: Cell<u64>,
}

impl DeadlineSlot {
    /// Says whom to wake; to be called once by the task that owns the slot.
    pub fn register(&self, waker: &Waker) {
        if let Some(slot) = self.deadlines.wakers.borrow_mut().get_mut(self.index) {
            *slot = Some(waker.clone());
        }
    }

    /// The time of the last sweep.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.deadlines.now_ms()
    }

    /// The moment `after_ms` from now, never earlier than that by the coarse clock.
    #[inline]
    pub fn after(&self, after_ms: u64) -> u64 {
        self.now_ms().saturating_add(after_ms).saturating_add(TICK_MS)
    }

    /// Asks to be woken at the first sweep at or after `at_ms`, or after the limit if that is earlier.
    #[inline]
    pub fn arm(&self, at_ms: u64) {
        if let Some(due) = self.deadlines.due.borrow_mut().get_mut(self.index) {
            *due = at_ms.min(self.limit_ms.get());
        }
    }

    /// Asks to be woken at `at_ms`, too, if that is earlier than what was asked for last.
    pub fn arm_earlier(&self, at_ms: u64) {
        if let Some(due) = self.deadlines.due.borrow_mut().get_mut(self.index) {
            *due = at_ms.min(*due);
        }
    }

    /// Sets an end to whatever will be waited for. A wait that begins later is woken by it, too.
    pub fn limit(&self, at_ms: u64) {
        self.limit_ms.set(at_ms);
    }

    /// Takes the limit away.
    #[inline]
    pub fn unlimit(&self) {
        self.limit_ms.set(NEVER);
    }

    /// Whether the limit has passed.
    #[inline]
    pub fn is_beyond_limit(&self) -> bool {
        self.has_passed(self.limit_ms.get())
    }

    /// Whether the moment has come.
    #[inline]
    pub fn has_passed(&self, at_ms: u64) -> bool {
        self.now_ms() >= at_ms
    }
}

impl Drop for DeadlineSlot {
    fn drop(&mut self) {
        self.arm(NEVER);
        if let Some(slot) = self.deadlines.wakers.borrow_mut().get_mut(self.index) {
            *slot = None;
        }
        self.deadlines.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_deadline_wakes_once_and_never_early() {
        let deadlines = Rc::new(Deadlines::default());
        let slot = deadlines.slot();
        let count = Arc::new(Count::default());
        slot.register(&Waker::from(Arc::clone(&count)));
        deadlines.sweep(1_000);
        let at = slot.after(250);
        slot.arm(at);
        for now in [1_100, 1_200] {
            deadlines.sweep(now);
            assert_eq!(count.0.load(Ordering::Relaxed), 0, "at {now}");
        }
        for now in [1_400, 1_500] {
            deadlines.sweep(now);
            assert_eq!(count.0.load(Ordering::Relaxed), 1, "at {now}");
        }
    }

    #[test]
    fn a_dropped_slot_is_used_again_and_wakes_nobody() {
        let deadlines = Rc::new(Deadlines::default());
        let count = Arc::new(Count::default());
        let first = deadlines.slot();
        first.register(&Waker::from(Arc::clone(&count)));
        first.arm(10);
        drop(first);
        deadlines.sweep(20);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        let second = deadlines.slot();
        assert_eq!(second.index, 0);
        assert_eq!(deadlines.due.borrow().len(), 1);
    }
}
