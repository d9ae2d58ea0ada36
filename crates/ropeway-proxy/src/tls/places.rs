//! How many handshakes are under way at the same time, and who has to wait.
//!
//! Clients that begin and do not go on could take all places, for as long as a handshake may take. So whoever waits gets
//! the place of the handshake that has been under way for longest, once that had time enough: it takes as many new
//! connections a second as there are places to keep others out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// For how long a handshake keeps its place while others wait. Enough for two round trips on a bad line.
const UNDISTURBED_MS: u64 = 1_000;
/// Places that are over and still in the queue, before it is cleared of them.
const MOST_STALE: usize = 64;

/// The handshakes of one worker, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Places {
    now_ms: Cell<u64>,
    under_way: Cell<u32>,
    held: RefCell<VecDeque<Rc<Claim>>>,
    waiting: RefCell<VecDeque<Rc<Claim>>>,
}

/// What one handshake has, or waits for.
#[derive(Debug)]
struct Claim {
    /// How many may be under way for this one to be.
    most: u32,
    state: Cell<State>,
    since_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Held,
    /// Somebody else has the place now.
    Displaced,
    Over,
}

/// A claim to a place, given up when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    places: &'a Places,
    claim: Rc<Claim>,
}

impl Places {
    /// Claims a place among `most`.
    pub fn claim(&self, most: u32) -> Place<'_> {
        let claim = Rc::new(Claim {
            most,
            state: Cell::new(State::Waiting),
            since_ms: Cell::new(self.now_ms.get()),
            waker: RefCell::new(None),
        });
        if self.under_way.get() < most {
            self.give(Rc::clone(&claim));
        } else {
            self.waiting.borrow_mut().push_back(Rc::clone(&claim));
        }
        Place { places: self, claim }
    }

    /// Lets those who wait have the places of those who had time enough. To be called several times a second.
    pub fn relieve(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.waiting.borrow_mut().retain(|claim| claim.state.get() == State::Waiting);
        self.forget_stale();
        let waiting = self.waiting.borrow().len();
        for _ in 0..waiting {
            let Some(oldest) = self.oldest_held() else { return };
            if now_ms.saturating_sub(oldest.since_ms.get()) <= UNDISTURBED_MS {
                return;
            }
            oldest.change(State::Displaced);
            if !self.release() {
                return;
            }
        }
    }

    fn oldest_held(&self) -> Option<Rc<Claim>> {
        let mut held = self.held.borrow_mut();
        while held.front()?.state.get() != State::Held {
            held.pop_front();
        }
        held.front().map(Rc::clone)
    }

    fn forget_stale(&self) {
        let mut held = self.held.borrow_mut();
        if held.len() > self.under_way.get() as usize + MOST_STALE {
            held.retain(|claim| claim.state.get() == State::Held);
        }
    }

    fn give(&self, claim: Rc<Claim>) {
        self.under_way.set(self.under_way.get() + 1);
        claim.since_ms.set(self.now_ms.get());
        claim.change(State::Held);
        self.held.borrow_mut().push_back(claim);
    }

    /// A place is free: the first who may have it, gets it. Whether there is one.
    fn release(&self) -> bool {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        let next = {
            let mut waiting = self.waiting.borrow_mut();
            let may =
                |claim: &Rc<Claim>| claim.state.get() == State::Waiting && claim.most > self.under_way.get();
            waiting.iter().position(may).and_then(|index| waiting.remove(index))
        };
        let Some(claim) = next else { return false };
        self.give(claim);
        true
    }
}

impl Claim {
    fn change(&self, state: State) {
        self.state.set(state);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn listen(&self, cx: &Context<'_>) {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
    }
}

impl Place<'_> {
    /// Ready once the place is there.
    pub fn poll_held(&self, cx: &Context<'_>) -> Poll<()> {
        if self.claim.state.get() == State::Held {
            return Poll::Ready(());
        }
        self.claim.listen(cx);
        Poll::Pending
    }

    /// Whether somebody else has it by now. Wakes when that comes to pass.
    pub fn is_lost(&self, cx: &Context<'_>) -> bool {
        self.claim.listen(cx);
        self.claim.state.get() == State::Displaced
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.claim.state.replace(State::Over) == State::Held {
            self.places.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_held(place: &Place<'_>) -> bool {
        place.poll_held(&Context::from_waker(Waker::noop())).is_ready()
    }

    fn is_lost(place: &Place<'_>) -> bool {
        place.is_lost(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn who_comes_when_all_places_are_taken_waits_for_the_next_one_in_turn() {
        let places = Places::default();
        let first = places.claim(1);
        let second = places.claim(1);
        let third = places.claim(1);
        assert!(is_held(&first) && !is_held(&second) && !is_held(&third));
        drop(first);
        assert!(is_held(&second) && !is_held(&third));
        drop(second);
        assert!(is_held(&third));
    }

    #[test]
    fn one_that_left_the_queue_gets_no_place() {
        let places = Places::default();
        let first = places.claim(1);
        drop(places.claim(1));
        let third = places.claim(1);
        drop(first);
        assert!(is_held(&third));
        assert_eq!(places.under_way.get(), 1);
    }

    #[test]
    fn who_waits_gets_the_oldest_place_once_it_had_its_time() {
        let places = Places::default();
        let old = places.claim(2);
        places.relieve(600);
        let newer = places.claim(2);
        let waiting = places.claim(2);
        places.relieve(UNDISTURBED_MS);
        assert!(!is_lost(&old) && !is_held(&waiting), "its time is not over");
        places.relieve(UNDISTURBED_MS + 1);
        assert!(is_lost(&old) && is_held(&waiting) && !is_lost(&newer));
        drop(old);
        assert_eq!(places.under_way.get(), 2, "its place was passed on already");
        drop(waiting);
        drop(newer);
        assert_eq!(places.under_way.get(), 0);
    }

    #[test]
    fn nobody_is_displaced_while_nobody_waits() {
        let places = Places::default();
        let (old, other) = (places.claim(2), places.claim(2));
        places.relieve(10 * UNDISTURBED_MS);
        assert!(!is_lost(&old) && !is_lost(&other));
    }

    #[test]
    fn those_with_a_lower_limit_do_not_hold_up_those_behind_them() {
        let places = Places::default();
        let (first, second) = (places.claim(2), places.claim(2));
        let narrow = places.claim(1);
        let wide = places.claim(2);
        drop(first);
        assert!(is_held(&wide) && !is_held(&narrow));
        drop(second);
        assert!(!is_held(&narrow));
        drop(wide);
        assert!(is_held(&narrow));
    }

    #[test]
    fn the_queue_forgets_handshakes_that_are_over() {
        let places = Places::default();
        let _stalled = places.claim(u32::MAX);
        for _ in 0..1_000 {
            drop(places.claim(u32::MAX));
        }
        places.relieve(1);
        assert!(places.held.borrow().len() <= 1 + MOST_STALE);
    }
}
