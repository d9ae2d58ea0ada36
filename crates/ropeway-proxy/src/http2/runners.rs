//! Tasks that serve one stream after the other. Streams are many and short: to begin a task for each and to end it costs
//! more than to hand the next one over, and memory that was just used is in the caches.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::server::Serving;
use crate::exchange::Exchange;
use crate::worker::Worker;

/// A stream, and the request that came on it.
type Job = (Box<Serving>, Box<Exchange>);

/// Tasks that stay when there is nothing to do, of a few hundred bytes each.
const MOST_IDLE: usize = 256;

/// The tasks of one worker that wait for a stream, the latest used last.
#[derive(Default)]
pub(crate) struct Runners {
    idle: RefCell<Vec<Rc<Place>>>,
}

/// Where an idle task finds its next stream.
#[derive(Default)]
struct Place {
    next: Cell<Option<Job>>,
    task: Cell<Option<Waker>>,
}

impl Runners {
    /// Has a task do a job.
    pub(super) fn serve(&self, worker: &Rc<Worker>, job: Job) {
        let idle = self.idle.borrow_mut().pop();
        match idle {
            Some(place) => place.hand_over(job),
            None => drop(tokio::task::spawn_local(run(Rc::clone(worker), job))),
        }
    }

    /// Whether an idle task is to stay.
    fn keep(&self, place: &Rc<Place>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let stays = idle.len() < MOST_IDLE;
        if stays {
            idle.push(Rc::clone(place));
        }
        stays
    }
}

impl Place {
    fn hand_over(&self, job: Job) {
        self.next.set(Some(job));
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Job> {
        if let Some(job) = self.next.take() {
            return Poll::Ready(job);
        }
        self.task.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

async fn run(worker: Rc<Worker>, mut job: Job) {
    let place = Rc::<Place>::default();
    loop {
        let (mut stream, exchange) = job;
        stream.run(&worker, exchange).await;
        drop(stream);
        if !worker.runners.keep(&place) {
            return;
        }
        job = poll_fn(|cx| place.poll_next(cx)).await;
    }
}

impl fmt::Debug for Runners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runners").field("idle", &self.idle.borrow().len()).finish()
    }
}
