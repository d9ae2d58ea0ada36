//! One exchange by HTTP/2 on a connection of its own.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request, header, request};
use tokio::time::timeout;

use super::connection::{Connection, Duplex};

/// How much of a body is searched for the expected text.
pub(super) const MOST_BODY: usize = 64 * 1024;

/// The longest list of fields that is accepted, as HTTP/2 counts it.
const MOST_FIELDS: u32 = 64 * 1024;

/// How long the end of the connection may take; whoever is slower finds it closed.
const CLOSING: Duration = Duration::from_millis(50);

/// A response, as far as it was read.
pub(super) struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// A request for a method and path, to which more fields can be added.
pub(super) fn request(
    connection: &Connection,
    host: &str,
    (method, path): (&str, &str),
    fields: &[(String, String)],
) -> request::Builder {
    let scheme = if connection.is_secured { "https" } else { "http" };
    let mut request = Request::builder().method(method).uri(format!("{scheme}://{host}{path}"));
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let named = |name: &str| fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if named("user-agent") { request } else { request.header(header::USER_AGENT, "ropeway-check") }
}

/// The words for a request that cannot be written.
pub(super) fn not_sendable(error: &http::Error) -> String {
    format!("the request cannot be sent: {error}")
}

/// Sends `request`, with `body` if there is one, and reads the response: with its body and trailers if `is_whole`,
/// otherwise its head alone. The error says in words what went wrong.
pub(super) async fn exchange(
    io: &mut Box<dyn Duplex>,
    request: Request<()>,
    body: Option<Bytes>,
    is_whole: impl Fn(u16) -> bool,
) -> Result<Answer, String> {
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(MOST_FIELDS);
    let (requests, connection) = builder.handshake(io).await.map_err(|error| format!("HTTP/2: {error}"))?;
    let mut connection = Box::pin(connection);
    let mut answer = pin!(ask(requests, request, body, is_whole));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => {
            // What there is to say about it, the stream says, too.
            drop(connection);
            return answer.await;
        }
    };
    // Without a stream left, the connection says goodbye by itself.
    let _ = timeout(CLOSING, connection).await;
    answer
}

async fn ask(
    requests: SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
    is_whole: impl Fn(u16) -> bool,
) -> Result<Answer, String> {
    let mut requests = requests.ready().await.map_err(|error| format!("HTTP/2: {error}"))?;
    let sending = |error: h2::Error| format!("sending the request: {error}");
    let (response, mut sender) = requests.send_request(request, body.is_none()).map_err(sending)?;
    if let Some(body) = body {
        sender.send_data(body, true).map_err(sending)?;
    }
    let (head, mut incoming) =
        response.await.map_err(|error| format!("reading the response: {error}"))?.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        fields: head.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
    };
    if is_whole(answer.status) {
        read_body(&mut incoming, &mut answer)
            .await
            .map_err(|error| format!("reading the response: {error}"))?;
    }
    Ok(answer)
}

/// Reads the body, or as much of it as is searched, and the trailers of a whole one.
async fn read_body(incoming: &mut RecvStream, answer: &mut Answer) -> Result<(), h2::Error> {
    while answer.body.len() < MOST_BODY {
        let Some(data) = incoming.data().await else {
            answer.trailers = poll_fn(|cx| incoming.poll_trailers(cx)).await?.unwrap_or_default();
            return Ok(());
        };
        let data = data?;
        incoming.flow_control().release_capacity(data.len())?;
        answer.body.extend_from_slice(&data);
    }
    answer.body.truncate(MOST_BODY);
    Ok(())
}
