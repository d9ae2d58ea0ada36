//! Rules of RFC 9113 as rows: what a client sends, and what must come of it.
//!
//! ```text
//! http2_rules! {
//!     /// RFC 9113 section 6.7: a PING belongs to the connection.
//!     ping_on_a_stream: [ping(*b"12345678").on(1)] => connection_error(&[PROTOCOL_ERROR]);
//! }
//! ```
//!
//! Every row is a test of its own, with a proxy and an origin of its own. Whatever the outcome, the proxy serves
//! others afterwards, and no request for `/hostile` ever reaches the origin whole.

use crate::h2::connection::Connection;
use crate::h2::frame::{Frame, code};
use crate::lab::{Lab, Running};
use crate::origin::{Origin, reply};

/// Turns rows of `name: [steps] => outcome;` into tests.
#[macro_export]
macro_rules! http2_rules {
    ($($(#[$about:meta])* $name:ident: [$($step:expr),* $(,)?] => $outcome:expr;)*) => {
        $(
            $(#[$about])*
            #[test]
            fn $name() {
                $crate::h2::rules::judge(vec![$($crate::h2::rules::Step::from($step)),*], &$outcome);
            }
        )*
    };
}

/// One step of a client.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends a frame.
    Frame(Frame),
    /// Sends bytes.
    Bytes(Vec<u8>),
    /// Waits for the whole response on a stream.
    Response(u32),
    /// Waits until a stream is reset.
    Reset(u32),
    /// Waits until a request for a path has arrived at the origin.
    Arrived(&'static str),
}

/// What must come of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// GOAWAY with one of the codes, then the connection is closed (RFC 9113 section 5.4.1).
    ConnectionError(&'static [u32]),
    /// RST_STREAM with one of the codes, and the connection goes on (RFC 9113 section 5.4.2).
    StreamError(u32, &'static [u32]),
    /// One or the other, where the RFC leaves the choice.
    EitherError(u32, &'static [u32]),
    /// RST_STREAM with PROTOCOL_ERROR or an answer of 4xx, nothing at the origin (RFC 9113 section 8.1.1).
    Malformed(u32),
    /// The request on the stream is answered with 200, and the connection goes on.
    Served(u32),
    /// Nothing comes of it; the connection goes on.
    Ignored,
}

/// See [`Outcome::ConnectionError`].
#[must_use]
pub fn connection_error(codes: &'static [u32]) -> Outcome {
    Outcome::ConnectionError(codes)
}

/// See [`Outcome::StreamError`].
#[must_use]
pub fn stream_error(stream: u32, codes: &'static [u32]) -> Outcome {
    Outcome::StreamError(stream, codes)
}

/// See [`Outcome::EitherError`].
#[must_use]
pub fn either_error(stream: u32, codes: &'static [u32]) -> Outcome {
    Outcome::EitherError(stream, codes)
}

/// See [`Outcome::Malformed`]; on stream 1.
#[must_use]
pub fn malformed() -> Outcome {
    Outcome::Malformed(1)
}

/// See [`Outcome::Served`].
#[must_use]
pub fn served(stream: u32) -> Outcome {
    Outcome::Served(stream)
}

/// See [`Outcome::Ignored`].
#[must_use]
pub fn ignored() -> Outcome {
    Outcome::Ignored
}

impl From<Frame> for Step {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

impl From<Vec<u8>> for Step {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// A lab whose listener takes HTTP/2 with prior knowledge.
#[must_use]
pub fn lab(origin: Origin) -> Lab {
    Lab::new().origin(origin).with("http2 = { prior_knowledge = true }", "", "")
}

/// An origin that answers with `ok`, and never when the path is `/held`.
#[must_use]
pub fn holding_origin() -> Origin {
    Origin::scripted(|peer| {
        while let Some(request) = peer.request() {
            if request.target.starts_with("/held") {
                let _ = peer.wait_for_end();
                return;
            }
            peer.answer(&request, &reply(200, &[], "ok"));
        }
    })
}

/// Takes the steps on a new connection and asserts the outcome.
///
/// # Panics
/// When it is another.
#[track_caller]
pub fn judge(steps: Vec<Step>, outcome: &Outcome) {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    take(&lab, &mut connection, steps);
    match outcome {
        Outcome::ConnectionError(codes) => connection.expect_goaway(codes),
        Outcome::StreamError(stream, codes) => {
            expect_either(&mut connection, *stream, codes);
            if connection.goaways.is_empty() {
                expect_going_on(&mut connection);
            }
        }
        Outcome::EitherError(stream, codes) => expect_either(&mut connection, *stream, codes),
        Outcome::Malformed(stream) => {
            if !is_connection_error(&mut connection, *stream) {
                expect_refused(&mut connection, *stream);
                expect_going_on(&mut connection);
            }
        }
        Outcome::Served(stream) => {
            let _ = connection.response(*stream).expect(200);
            expect_going_on(&mut connection);
        }
        Outcome::Ignored => expect_going_on(&mut connection),
    }
    let nothing_may_arrive = matches!(outcome, Outcome::Malformed(_));
    expect_clean_origin(&lab, nothing_may_arrive);
}

/// Whether the server took a malformed request for an error of the connection, which section 5.4.1 leaves to it.
#[track_caller]
fn is_connection_error(connection: &mut Connection, stream: u32) -> bool {
    while !connection.exchange(stream).is_over() && connection.goaways.is_empty() && connection.step() {}
    if connection.goaways.is_empty() {
        return false;
    }
    connection.expect_goaway(&[code::PROTOCOL_ERROR]);
    true
}

/// A stream on which a malformed request was sent is reset, or answered with 4xx.
#[track_caller]
pub fn expect_refused(connection: &mut Connection, stream: u32) {
    let exchange = connection.outcome(stream);
    let status = exchange.response.as_ref().map(|response| response.status);
    let refused = match status {
        Some(status) => status / 100 == 4,
        None => exchange.reset == Some(code::PROTOCOL_ERROR),
    };
    assert!(refused, "status {status:?}, reset {:?}", exchange.reset);
}

/// The connection answers, and serves a request.
#[track_caller]
pub fn expect_going_on(connection: &mut Connection) {
    connection.round_trip();
    let _ = connection.get("/after").expect(200).expect_body("ok");
    assert_eq!(connection.goaways, [], "the connection was to go on");
}

#[track_caller]
fn expect_either(connection: &mut Connection, stream: u32, codes: &[u32]) {
    while connection.exchange(stream).reset.is_none() && connection.step() {}
    match connection.exchange(stream).reset {
        Some(reset) => assert!(codes.contains(&reset), "not {codes:?}: {}", connection.summary()),
        None => connection.expect_goaway(codes),
    }
}

#[track_caller]
fn take(lab: &Running, connection: &mut Connection, steps: Vec<Step>) {
    for step in steps {
        match step {
            // The server may have closed already; the outcome tells.
            Step::Frame(frame) => drop(connection.try_send(&[frame])),
            Step::Bytes(bytes) => drop(connection.send_bytes(&bytes)),
            Step::Response(stream) => drop(connection.response(stream)),
            Step::Reset(stream) => drop(connection.outcome(stream).reset.expect("the stream is reset")),
            Step::Arrived(path) => {
                crate::eventually(path, || {
                    lab.origin(1).requests().iter().any(|seen| seen.target == path).then_some(())
                });
            }
        }
    }
}

/// The proxy serves others, and the origin saw nothing that it should not.
#[track_caller]
fn expect_clean_origin(lab: &Running, nothing_may_arrive: bool) {
    let _ = lab.client().get("/sentinel").expect(200);
    let targets: Vec<String> = lab.origin(1).requests().into_iter().map(|request| request.target).collect();
    let strangers: Vec<&String> = targets
        .iter()
        .filter(|target| !matches!(target.as_str(), "/sentinel" | "/after"))
        .filter(|target| nothing_may_arrive || target.starts_with("/hostile"))
        .collect();
    assert!(strangers.is_empty(), "at the origin: {strangers:?}");
}
