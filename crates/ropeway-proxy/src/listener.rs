//! Accepting connections.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ropeway_core::end::EndReason;
use ropeway_core::forwarding::Arrival;
use socket2::{SockFilter, SockRef};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::complaint::Gate;
use crate::connection::{self, Client};
use crate::link::Link;
use crate::local_response::{self, Manner};
use crate::snapshot::Listener;
use crate::sys::socket::Socket;
use crate::worker::Worker;

/// How long accepting pauses when descriptors or memory ran out. Connections wait in the kernel's queue meanwhile.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Time for a handshake that has begun when a listener closes.
const HANDSHAKE_TIME: Duration = Duration::from_millis(250);

/// One accepting task, as its worker steers it.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: RefCell<Arc<Listener>>,
    stopped: Cell<bool>,
    complaints: Gate,
    waker: RefCell<Option<Waker>>,
}

impl Acceptor {
    /// Starts to accept from `socket`, which must be non-blocking. The task ends after [`Self::stop`].
    pub fn start(
        worker: &Rc<Worker>,
        socket: TcpListener,
        listener: Arc<Listener>,
    ) -> io::Result<(Rc<Self>, JoinHandle<()>)> {
        let local = socket.local_addr()?;
        let socket = Socket::watched(socket.into())?;
        let acceptor = Rc::new(Self {
            listener: RefCell::new(listener),
            stopped: Cell::new(false),
            complaints: Gate::default(),
            waker: RefCell::new(None),
        });
        let task = tokio::task::spawn_local(Rc::clone(&acceptor).run(Rc::clone(worker), socket, local));
        Ok((acceptor, task))
    }

    /// New settings for connections that are accepted from now on.
    pub fn update(&self, listener: Arc<Listener>) {
        *self.listener.borrow_mut() = listener;
    }

    /// Accepts what is in the queue, and closes the socket.
    pub fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    async fn run(self: Rc<Self>, worker: Rc<Worker>, mut socket: Socket, local: SocketAddr) {
        self.accept_all(&worker, &mut socket, local).await;
        // A connection that enters the queue between the last look at it and the close would be reset. So nobody new
        // is let in, those whose handshake is under way get the time to end it, and then the queue is emptied.
        if let Err(error) = refuse_handshakes(&socket) {
            tracing::warn!(%error, "connections that arrive while a listener closes may be reset");
        }
        tokio::time::sleep(HANDSHAKE_TIME).await;
        self.accept_all(&worker, &mut socket, local).await;
    }

    /// Accepts until the acceptor is stopped and the queue is empty.
    async fn accept_all(&self, worker: &Rc<Worker>, socket: &mut Socket, local: SocketAddr) {
        while let Some(accepted) = poll_fn(|cx| self.poll(cx, socket)).await {
            match accepted {
                Ok((stream, peer)) => self.welcome(worker, stream, peer, local),
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    self.complain(worker, &error);
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }

    fn complain(&self, worker: &Worker, error: &io::Error) {
        if let Some(counters) = worker.counters() {
            counters.accept_errors.bump();
        }
        if self.complaints.opens(worker.shared.clock.now_ms()) {
            tracing::warn!(listener = %self.listener.borrow().name, %error, "cannot accept connections");
        }
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
    ) -> Poll<Option<io::Result<(OwnedFd, SocketAddr)>>> {
        if self.waker.borrow().is_none() {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        match socket.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending if self.stopped.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn welcome(&self, worker: &Rc<Worker>, stream: OwnedFd, peer: SocketAddr, local: SocketAddr) {
        let listener = Arc::clone(&self.listener.borrow());
        let counters = listener.live.counters.of(worker.index);
        let shared = &worker.shared;
        let most = worker.view().snapshot.max_connections;
        let Some(admission) = Admission::enter(&shared.connections, most, &listener, peer.ip()) else {
            if let Some(counters) = counters {
                counters.refused.bump();
                counters.ends.bump(EndReason::ConnectionLimit);
            }
            turn_away(&stream, &worker.next_request_id().hex(), &listener);
            return;
        };
        let arrival =
            Arrival { peer: peer.ip(), peer_port: peer.port(), local_port: local.port(), https: false };
        let client = Client::new(worker, Link::new(Socket::new(stream)), listener, arrival, admission);
        tokio::task::spawn_local(connection::serve(Rc::clone(worker), client));
    }
}

/// Answers a connection that is one too many: at once, and without a task of its own.
fn turn_away(stream: &OwnedFd, id: &[u8], listener: &Listener) {
    use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
    let mut response = Vec::new();
    let manner = Manner { close: true, ..Manner::default() };
    local_response::write(&mut response, (EndReason::ConnectionLimit, ""), None, id, listener, manner);
    // The client may be gone already; there is nobody to tell. What it sent is read, so that the close does not
    // reset the connection before the response is seen.
    let _ = send(stream, &response, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    let _ = shutdown(stream, Shutdown::Write);
    let _ = recv(stream, &mut [0_u8; 4096], RecvFlags::DONTWAIT);
}

/// Lets the kernel drop every segment that begins a connection. A client sends it again after a second, and finds the
/// port closed, or open in the process that follows.
fn refuse_handshakes(socket: &Socket) -> io::Result<()> {
    // Classic BPF, on the TCP header: load byte 13, the flags; if SYN is set keep 0 bytes, else all.
    let program = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x45, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(socket).attach_filter(&program)
}

/// Errors that accept(2) passes on from a connection that has failed already.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
