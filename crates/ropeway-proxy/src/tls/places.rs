//! How many handshakes of a listener are under way at the same time, and who has to wait.
//!
//! Clients that begin and do not go on could take all places, for as long as a handshake may take. So whoever waits gets
//! the place of the client that has had our answer for longest, once that had time enough: it takes hundreds of new
//! connections a second to keep others out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// For how long a client that was answered keeps its place while others wait. Enough for two round trips on a bad line, and
/// for one program that opens thousands of connections at once to get on with them.
const UNDISTURBED_MS: u64 = 2_000;
/// While we have not answered yet, it is not the client that takes its time.
const NOT_ANSWERED: u64 = u64::MAX;
/// Places that are over and still in the queue, before it is cleared of them.
const MOST_STALE: usize = 64;

/// The handshakes of one listener in one worker, in the order in which they came.
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
    answered_ms: Cell<u64>,
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
    pub fn new(now_ms: u64) -> Self {
        Self { now_ms: Cell::new(now_ms), ..Self::default() }
    }

    /// Claims a place among `most`.
    pub fn claim(&self, most: u32) -> Place<'_> {
        let claim = Rc::new(Claim {
            most,
            state: Cell::new(State::Waiting),
            answered_ms: Cell::new(NOT_ANSWERED),
            waker: RefCell::new(None),
        });
        if self.under_way.get() < most {
            self.give(Rc::clone(&claim));
        } else {
            self.waiting.borrow_mut().push_back(Rc::clone(&claim));
        }
        Place { places: self, claim }
    }

    /// Whether anybody has a place, or waits for one.
    pub fn are_in_use(&self) -> bool {
        self.under_way.get() > 0 || !self.waiting.borrow().is_empty()
    }

    /// Lets those who wait have the places of those who had time enough, and ends up to `more` of these besides. Returns how
    /// many it has ended. To be called several times a second.
    pub fn relieve(&self, now_ms: u64, more: u32) -> u32 {
        self.now_ms.set(now_ms);
        self.waiting.borrow_mut().retain(|claim| claim.state.get() == State::Waiting);
        self.forget_stale();
        let mut displaced = 0;
        while displaced < more || !self.waiting.borrow().is_empty() {
            let Some(oldest) = self.oldest_held() else { break };
            if now_ms.saturating_sub(oldest.answered_ms.get()) <= UNDISTURBED_MS {
                break;
            }
            oldest.change(State::Displaced);
            self.release();
            displaced += 1;
        }
        displaced
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
        claim.change(State::Held);
        self.held.borrow_mut().push_back(claim);
    }

    /// A place is free: the first who may have it, gets it.
    fn release(&self) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        let next = {
            let mut waiting = self.waiting.borrow_mut();
            let may =
                |claim: &Rc<Claim>| claim.state.get() == State::Waiting && claim.most > self.under_way.get();
            waiting.iter().position(may).and_then(|index| waiting.remove(index))
        };
        if let Some(claim) = next {
            self.give(claim);
        }
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

    /// From now on the client takes the time that its handshake takes.
    pub fn note_answer(&self) {
        self.claim.answered_ms.set(self.places.now_ms.get());
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

    fn answered(places: &Places, most: u32) -> Place<'_> {
        let place = places.claim(most);
        place.note_answer();
        place
    }

    #[test]
    fn who_waits_gets_the_oldest_place_once_it_had_its_time() {
        let places = Places::default();
        let old = answered(&places, 2);
        places.relieve(600, 0);
        let newer = answered(&places, 2);
        let waiting = places.claim(2);
        assert_eq!(places.relieve(UNDISTURBED_MS, 0), 0);
        assert!(!is_lost(&old) && !is_held(&waiting), "its time is not over");
        assert_eq!(places.relieve(UNDISTURBED_MS + 1, 0), 1);
        assert!(is_lost(&old) && is_held(&waiting) && !is_lost(&newer));
        drop(old);
        assert_eq!(places.under_way.get(), 2, "its place was passed on already");
        drop(waiting);
        drop(newer);
        assert!(!places.are_in_use());
    }

    #[test]
    fn who_has_no_answer_yet_keeps_its_place() {
        let places = Places::default();
        let unanswered = places.claim(1);
        let _waiting = places.claim(1);
        assert_eq!(places.relieve(10 * UNDISTURBED_MS, 1), 0);
        assert!(!is_lost(&unanswered));
        unanswered.note_answer();
        assert_eq!(places.relieve(11 * UNDISTURBED_MS, 1), 0);
        assert_eq!(places.relieve(12 * UNDISTURBED_MS, 1), 1);
        assert!(is_lost(&unanswered));
    }

    #[test]
    fn nobody_is_displaced_while_nobody_waits_unless_that_is_asked_for() {
        let places = Places::default();
        let (old, other) = (answered(&places, 2), answered(&places, 2));
        assert_eq!(places.relieve(10 * UNDISTURBED_MS, 0), 0);
        assert!(!is_lost(&old) && !is_lost(&other));
        assert_eq!(places.relieve(10 * UNDISTURBED_MS, 1), 1);
        assert!(is_lost(&old) && !is_lost(&other));
    }

    #[test]
    fn a_limit_that_was_lowered_keeps_nobody_out_for_long() {
        let places = Places::default();
        let _held = [(); 10].map(|()| answered(&places, 10));
        let waiting = places.claim(2);
        assert_eq!(places.relieve(2 * UNDISTURBED_MS, 0), 9);
        assert!(is_held(&waiting));
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
        places.relieve(1, 0);
        assert!(places.held.borrow().len() <= 1 + MOST_STALE);
    }
}
