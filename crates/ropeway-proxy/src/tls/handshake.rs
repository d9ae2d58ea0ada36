//! The handshake with a client, from its first byte on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ropeway_core::client_hello::{ClientHello, ClientHelloError, DEFAULT_LIMIT, Progress};
use ropeway_core::end::EndReason;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::sync::Semaphore;

use super::places::Places;
use super::{ListenerTls, Session};
use crate::challenges;
use crate::connection::{Client, Identity, Names, linger};
use crate::local_response::{self, Manner};
use crate::snapshot::ListenerLive;
use crate::worker::Worker;

/// Handshakes that are computed before other tasks have their turn. One takes about as long as ten requests.
const PER_TURN: usize = 4;

/// The handshakes of one worker: how many are under way, and how many may be computed before the event loop goes round.
#[derive(Debug)]
pub(crate) struct Handshakes {
    /// Of each listener that has any.
    places: RefCell<Vec<(Arc<ListenerLive>, Rc<Places>)>>,
    turns: Semaphore,
    refilling: Cell<bool>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { places: RefCell::default(), turns: Semaphore::new(PER_TURN), refilling: Cell::new(false) }
    }
}

/// What came of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secured {
    Yes,
    /// The reason, which was counted; the connection is to be closed.
    No,
}

/// Reads the ClientHello, chooses the profile, and completes the handshake, all within the time-out of the listener.
pub(crate) async fn secure(worker: &Rc<Worker>, client: &mut Client, tls: &ListenerTls) -> Secured {
    let due = client.slot.after(tls.handshake_ms);
    let Err(reason) = run(worker, client, tls, due).await else { return Secured::Yes };
    client.count_end(reason);
    match reason {
        EndReason::PlainOnTls => refuse_plain(worker, client).await,
        // RFC 8737 section 3: nothing else is said on such a connection.
        EndReason::ChallengeAnswered => {
            poll_fn(|cx| {
                client.link.announce_end(cx);
                Poll::Ready(())
            })
            .await;
        }
        _ => {}
    }
    Secured::No
}

async fn run(worker: &Rc<Worker>, client: &mut Client, tls: &ListenerTls, due: u64) -> Result<(), EndReason> {
    let asked = poll_fn(|cx| {
        // Who says nothing may be idle for no longer than elsewhere.
        let due_now = client.idle_due(due, tls.handshake_ms);
        let poll = within(worker, client, due_now, |client| poll_hello(cx, worker, client));
        if matches!(poll, Poll::Ready(Err(EndReason::TlsTimeout))) {
            client.count_made_room(due);
        }
        poll
    })
    .await?;
    let name = asked.name.as_deref().unwrap_or_default();
    let challenge = asked.challenge.then(|| worker.view().snapshot.challenges.tls(name)).flatten();
    let is_challenge = challenge.is_some();
    let profile = tls.profiles.index_for(name.as_bytes());
    let of_profile = || tls.profiles.get(profile).map(|profile| Arc::clone(&profile.config));
    let config = challenge.or_else(of_profile).ok_or(EndReason::Internal)?;
    let places = worker.handshakes.places(&client.listener.live, worker.deadlines.now_ms());
    let place = places.claim(tls.max_handshakes);
    poll_fn(|cx| within(worker, client, due, |_| place.poll_held(cx).map(Ok))).await?;
    {
        let mut turn = pin!(worker.handshakes.turn(worker));
        poll_fn(|cx| within(worker, client, due, |_| turn.as_mut().poll(cx).map(Ok))).await?;
    }
    place.note_answer();
    let session = Session::accept(config, client.link.inbox.as_slice(), Rc::clone(&worker.wire_buffers))
        .map_err(|_| EndReason::Internal)?;
    client.link.inbox.clear(&worker.buffers);
    client.link.secure(session);
    client.arrival.https = true;
    poll_fn(|cx| {
        within(worker, client, due, |client| {
            let poll = client.link.poll_handshake(cx).map_err(|error| explain(client, &error));
            let lost = poll.is_pending() && place.is_lost(cx);
            if lost { Poll::Ready(Err(EndReason::TlsDisplaced)) } else { poll }
        })
    })
    .await?;
    if is_challenge {
        return Err(EndReason::ChallengeAnswered);
    }
    note(worker, client, tls, profile);
    if asked.name.is_some() {
        let unique_id = client.names.as_ref().and_then(|names| names.unique_id.clone());
        client.names = Some(Rc::new(Names { authority: asked.name, unique_id }));
    }
    Ok(())
}

/// Counts a handshake, and keeps what it has shown.
fn note(worker: &Worker, client: &mut Client, tls: &ListenerTls, profile: usize) {
    let Some(state) = client.link.session().map(Session::state) else { return };
    let version = match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
    let certificate = state.peer_certificates().and_then(<[_]>::first);
    client.identity = certificate.and_then(tls.identify).map(Rc::new);
    client.tls = Some(Identity { profile, version });
    if let Some(counters) = client.counters(worker) {
        counters.handshakes.bump();
        if resumed {
            counters.resumed.bump();
        }
    }
}

/// Polls `operation` until it is done or the time is up.
fn within<T>(
    worker: &Worker,
    client: &mut Client,
    due: u64,
    operation: impl FnOnce(&mut Client) -> Poll<Result<T, EndReason>>,
) -> Poll<Result<T, EndReason>> {
    let poll = operation(client);
    if poll.is_pending() {
        if client.slot.has_passed(due) || worker.must_abort() {
            return Poll::Ready(Err(EndReason::TlsTimeout));
        }
        client.slot.arm(due);
    }
    poll
}

/// What a client says before anybody answers it.
#[derive(Debug, Default)]
struct Asked {
    name: Option<Box<str>>,
    /// Whether it is an authority that looks whether the host is ours: such a client offers nothing else (RFC 8737
    /// section 3).
    challenge: bool,
}

/// Reads the ClientHello into the inbox, and returns what it asks for.
fn poll_hello(cx: &mut Context<'_>, worker: &Worker, client: &mut Client) -> Poll<Result<Asked, EndReason>> {
    loop {
        match ClientHello::parse(client.link.inbox.as_slice(), DEFAULT_LIMIT) {
            Ok(Progress::Complete(hello)) => {
                let name = hello.server_name().map(|name| Box::from(name.as_str()));
                return Poll::Ready(Ok(Asked { name, challenge: hello.alpn().eq([challenges::ALPN]) }));
            }
            Ok(Progress::Partial) => {}
            Err(ClientHelloError::PlainHttp) => return Poll::Ready(Err(EndReason::PlainOnTls)),
            Err(ClientHelloError::NotTls | ClientHelloError::TooLarge) => {
                return Poll::Ready(Err(EndReason::TlsHandshake));
            }
            // Such a client is told by an alert what is wrong.
            Err(ClientHelloError::Malformed(_) | ClientHelloError::BadServerName(_)) => {
                return Poll::Ready(Ok(Asked::default()));
            }
        }
        if !ready!(client.poll_more(cx, worker)) {
            return Poll::Ready(Err(EndReason::ClientClosed));
        }
    }
}

fn explain(client: &Client, error: &io::Error) -> EndReason {
    tracing::debug!(client = %client.arrival.peer, %error, "TLS handshake failed");
    match error.kind() {
        io::ErrorKind::InvalidData => EndReason::TlsHandshake,
        _ => EndReason::ClientClosed,
    }
}

/// Tells a client that speaks HTTP in the clear that this port does not.
async fn refuse_plain(worker: &Worker, client: &mut Client) {
    let mut response = Vec::new();
    let id = worker.next_request_id();
    local_response::write(
        &mut response,
        (EndReason::PlainOnTls, ""),
        None,
        &id.hex(),
        &client.listener,
        Manner { close: true, ..Manner::default() },
    );
    poll_fn(|cx| {
        // A client that is gone need not be told.
        let _ = client.link.send(cx, &response, &[], &worker.buffers);
        Poll::Ready(())
    })
    .await;
    linger(worker, client).await;
}

impl Handshakes {
    fn places(&self, listener: &Arc<ListenerLive>, now_ms: u64) -> Rc<Places> {
        let mut all = self.places.borrow_mut();
        if let Some((_, places)) = all.iter().find(|(other, _)| Arc::ptr_eq(other, listener)) {
            return Rc::clone(places);
        }
        let places = Rc::new(Places::new(now_ms));
        all.push((Arc::clone(listener), Rc::clone(&places)));
        places
    }

    /// Lets those who wait have the places of those who had time enough, and ends up to `more` of these besides. Returns how
    /// many it has ended. To be called several times a second.
    pub fn relieve(&self, now_ms: u64, more: u32) -> u32 {
        let mut all = self.places.borrow_mut();
        all.retain(|(_, places)| places.are_in_use());
        all.iter().fold(0, |ended, (_, places)| ended + places.relieve(now_ms, more.saturating_sub(ended)))
    }

    /// Waits for one's turn to compute.
    async fn turn(&self, worker: &Rc<Worker>) {
        if let Ok(turn) = self.turns.acquire().await {
            turn.forget();
        }
        if self.turns.available_permits() == 0 && !self.refilling.replace(true) {
            let worker = Rc::clone(worker);
            tokio::task::spawn_local(async move { worker.handshakes.refill().await });
        }
    }

    /// Gives out the turns of the next round, once everyone who is ready now has been served.
    async fn refill(&self) {
        tokio::task::yield_now().await;
        self.refilling.set(false);
        self.turns.add_permits(PER_TURN.saturating_sub(self.turns.available_permits()));
    }
}
