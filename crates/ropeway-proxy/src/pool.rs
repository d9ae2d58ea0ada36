//! Idle connections to one server, kept by one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::counters::ServerCounters;
use crate::http2::Stream;
use crate::http2::multiplexer::Multiplexer;
use crate::link::Link;
use crate::upstream::{KeepAlive, ServerLive};

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct ServerLink {
    pub link: Link,
    /// Requests it has answered.
    pub served: u64,
    /// [`ServerLive::moves`] when it was opened.
    moves: u64,
    /// Bytes received and sent before the current attempt.
    before: (u64, u64),
}

impl ServerLink {
    /// A stream on a connection that carries other requests, too. `may_be_stale` says that the server may have given the
    /// connection up by now, as with one that was used before, and that one failure would be laid to that.
    pub fn on_multiplexed(stream: Stream, moves: u64, may_be_stale: bool) -> Self {
        Self { served: u64::from(may_be_stale), ..Self::new(Link::of_stream(stream), moves) }
    }

    /// A connection that was just opened.
    pub fn new(link: Link, moves: u64) -> Self {
        Self { link, served: 0, moves, before: (0, 0) }
    }

    /// Notes where the bytes of an attempt begin.
    pub fn begin_attempt(&mut self) {
        self.before = (self.link.received, self.link.sent);
    }

    /// Bytes received and sent in the current attempt.
    pub fn moved(&self) -> (u64, u64) {
        (self.link.received.saturating_sub(self.before.0), self.link.sent.saturating_sub(self.before.1))
    }

    /// Closes it after a response that is complete, at once: an orderly end would keep a port of ours for a minute, and
    /// those run out when there are many.
    pub fn discard(mut self) {
        self.link.reset_on_close();
    }

    /// Whether it may carry another exchange: nothing of the last one is left in it.
    pub fn is_reusable(&self) -> bool {
        !self.link.is_stream() && self.link.inbox.is_empty() && self.link.outbox.is_empty()
    }
}

/// The idle connections of one worker to one server, the latest used last.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<Idle>>,
    /// The server is gone from the configuration: what comes back now is not kept.
    closed: Cell<bool>,
    learned_ms: Cell<Option<u64>>,
    /// Connections that are not idle and take more requests all the same.
    pub multiplexer: Rc<Multiplexer>,
}

#[derive(Debug)]
struct Idle {
    server: Box<ServerLink>,
    since_ms: u64,
}

impl Pool {
    /// The connection used last that is still open, if there is one. Costs no system call.
    #[inline]
    pub fn take(
        &self,
        rules: &KeepAlive,
        live: &ServerLive,
        worker: usize,
        now_ms: u64,
    ) -> Option<Box<ServerLink>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(candidate) = idle.pop() {
            count_out(live, worker);
            if self.is_usable(&candidate, rules, live, now_ms) {
                return Some(candidate.server);
            }
        }
        None
    }

    /// Keeps a connection for the next request, when the rules allow it.
    #[inline]
    pub fn put(&self, server: Box<ServerLink>, rules: &KeepAlive, counters: &ServerCounters, now_ms: u64) {
        let spent = rules.max_requests != 0 && server.served >= rules.max_requests;
        let mut idle = self.idle.borrow_mut();
        if spent || self.closed.get() || idle.len() >= rules.max_idle {
            return server.discard();
        }
        counters.idle_in.bump();
        idle.push(Idle { server, since_ms: now_ms });
    }

    /// Learns how long the server keeps idle connections: a second less than it says, so that we close first.
    pub fn learn(&self, rules: &KeepAlive, timeout_s: u32) {
        if rules.learn {
            self.learned_ms.set(Some(u64::from(timeout_s).saturating_mul(1_000).saturating_sub(1_000)));
        }
    }

    /// Closes what has been idle for too long, was closed by the server, or leads to where it no longer is.
    pub fn sweep(&self, rules: &KeepAlive, live: &ServerLive, worker: usize, now_ms: u64) {
        let idle_ms = self.idle_limit_ms(rules).max(SHORTEST_MULTIPLEXED_MS);
        self.multiplexer.sweep(now_ms, idle_ms, live.moves());
        self.idle.borrow_mut().retain(|idle| {
            let keep = self.is_usable(idle, rules, live, now_ms);
            if !keep {
                count_out(live, worker);
            }
            keep
        });
    }

    /// Closes all, and keeps none from now on.
    pub fn close(&self, live: &ServerLive, worker: usize) {
        self.closed.set(true);
        self.multiplexer.close();
        self.close_idle(live, worker);
    }

    /// Closes what is idle and serves one request at a time. Whether there was any.
    pub fn close_idle(&self, live: &ServerLive, worker: usize) -> bool {
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        idle.iter().for_each(|_| count_out(live, worker));
        !idle.is_empty()
    }

    fn is_usable(&self, idle: &Idle, rules: &KeepAlive, live: &ServerLive, now_ms: u64) -> bool {
        now_ms.saturating_sub(idle.since_ms) < self.idle_limit_ms(rules)
            && idle.server.moves == live.moves()
            && idle.server.link.is_quiet()
    }

    fn idle_limit_ms(&self, rules: &KeepAlive) -> u64 {
        match self.learned_ms.get() {
            Some(learned) if rules.learn => learned.min(LONGEST_LEARNED_MS),
            _ => rules.idle_ms,
        }
    }
}

fn count_out(live: &ServerLive, worker: usize) {
    if let Some(counters) = live.counters.of(worker) {
        counters.idle_out.bump();
    }
}

/// However long a server promises to wait, a connection is not kept idle for longer than this.
const LONGEST_LEARNED_MS: u64 = 60_000;
/// A connection for many requests costs a server little while it is idle, and it says so before it closes it.
const SHORTEST_MULTIPLEXED_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::socket::Socket;

    const RULES: KeepAlive = KeepAlive { idle_ms: 1_000, learn: false, max_idle: 8, max_requests: 0 };

    /// A request that was under way when a reload removed its server comes back to a pool that nobody looks at any
    /// more: what it kept there would count as idle for ever.
    #[test]
    fn a_pool_of_a_removed_server_keeps_and_counts_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let (pool, live) = (Pool::default(), ServerLive::new(1, Vec::new()));
        let counters = live.counters.of(0).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (late, _other) = UnixStream::pair().unwrap();
        let link = |stream: UnixStream| {
            Box::new(ServerLink::new(Link::new(Socket::new(stream.into())), live.moves()))
        };
        pool.put(link(ours), &RULES, counters, 0);
        assert_eq!((counters.idle_in.get(), counters.idle_out.get()), (1, 0));
        pool.close(&live, 0);
        pool.put(link(late), &RULES, counters, 0);
        assert_eq!((counters.idle_in.get(), counters.idle_out.get()), (1, 1));
        assert!(pool.take(&RULES, &live, 0, 0).is_none());
    }
}
