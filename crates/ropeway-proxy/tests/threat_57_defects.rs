//! A defect costs the request that meets it, or a worker that is back at once; never the process.
//!
//! There is no way to make the proxy panic from outside, so a subscriber to its own log does it from inside: it
//! panics in the middle of whatever the proxy was doing when it logged a certain event.

mod lab;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Panics when the proxy logs one of these, once each.
static TRAPS: [Trap; 2] = [Trap::new("server ejected"), Trap::new("snapshot adopted")];

struct Trap {
    message: &'static str,
    armed: AtomicUsize,
    sprung: AtomicUsize,
}

impl Trap {
    const fn new(message: &'static str) -> Self {
        Self { message, armed: AtomicUsize::new(0), sprung: AtomicUsize::new(0) }
    }

    fn arm(&self) {
        self.armed.store(1, Ordering::SeqCst);
    }

    fn has_sprung(&self) -> bool {
        self.sprung.load(Ordering::SeqCst) == 1
    }
}

struct Saboteur;

impl Subscriber for Saboteur {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        for trap in &TRAPS {
            if message.0 == trap.message && trap.armed.swap(0, Ordering::SeqCst) == 1 {
                trap.sprung.store(1, Ordering::SeqCst);
                panic!("sabotage at `{}`", trap.message);
            }
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn threat_57_a_defect_costs_one_request_or_one_restart() {
    tracing::subscriber::set_global_default(Saboteur).unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origins = [lab::origin(RESPONSE), lab::origin(RESPONSE), dead];
    let (runtime, address) = lab::start(&origins, None);

    // A panic inside a request: the fifth refused connection ejects the dead server, and logging that panics.
    TRAPS[0].arm();
    let mut lost = 0;
    let mut bystander = TcpStream::connect(address).unwrap();
    while !TRAPS[0].has_sprung() {
        lost += usize::from(ask(address).is_none());
        assert!(ask_on(&mut bystander), "another connection of the same worker goes on");
    }
    assert_eq!(lost, 1, "only the request that met the defect is lost");
    assert_eq!(runtime.worker_counters().sum(|counters| counters.panics.get()), 1);
    assert!(ask_on(&mut bystander));
    // The bystander may read its response a moment before the worker has noted the end of the exchange.
    let give_up = Instant::now() + Duration::from_secs(20);
    while runtime.active_requests() > 0 {
        assert!(Instant::now() < give_up, "the lost request is in flight for ever");
        std::thread::yield_now();
    }

    // A panic of the worker itself: its connections go down with it, and it is back for the next one.
    TRAPS[1].arm();
    runtime.apply(lab::same_again(&runtime)).unwrap();
    assert!(ask(address).is_some(), "the next connection waits in the socket until the worker is back");
    assert!(TRAPS[1].has_sprung());
    drop(bystander);
}

/// One request on a connection of its own.
fn ask(address: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(address).unwrap();
    ask_on(&mut stream).then_some(())
}

fn ask_on(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut response = Vec::new();
    let mut byte = [0];
    if stream.write_all(REQUEST).is_err() {
        return false;
    }
    while !response.ends_with(b"\r\n\r\nok") {
        if !stream.read(&mut byte).is_ok_and(|count| count == 1) {
            return false;
        }
        response.push(byte[0]);
    }
    response.starts_with(b"HTTP/1.1 200 ")
}
