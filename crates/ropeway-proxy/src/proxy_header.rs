//! PROXY headers: who is behind a load balancer in front of us, and whom we tell a server about.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ropeway_core::end::EndReason;
use ropeway_core::proxy_protocol::{
    Announcement, DEFAULT_LIMIT, Endpoints, Header, Progress, ProxyProtocolError, TlsAnnouncement,
};

use crate::complaint::Complaint;
use crate::connection::{Client, Names};
use crate::snapshot::ProxyProtocolPolicy;
use crate::upstream::ProxyProtocolVersion;
use crate::worker::Worker;

/// Reads the header that a trusted peer must begin its connection with, and takes from it who the client is.
///
/// # Errors
///
/// The header is malformed, did not come in time, or there is none.
pub(crate) async fn read(
    worker: &Worker,
    client: &mut Client,
    policy: &ProxyProtocolPolicy,
) -> Result<(), EndReason> {
    if !policy.trusted.contains(client.arrival.peer) {
        return Ok(());
    }
    let due = client.slot.after(policy.timeout_ms);
    poll_fn(|cx| {
        let poll = poll_header(cx, worker, client);
        if poll.is_pending() {
            // One that has said nothing is idle.
            let idle_due = worker.idle_close_at().filter(|_| client.link.inbox.is_empty());
            if worker.must_abort() || idle_due.is_some_and(|due| client.slot.has_passed(due)) {
                return Poll::Ready(Err(EndReason::BadProxyHeader));
            }
            if client.slot.has_passed(due) {
                complain(worker, client, "it did not come in time");
                return Poll::Ready(Err(EndReason::BadProxyHeader));
            }
            client.slot.arm(due.min(idle_due.unwrap_or(u64::MAX)));
        }
        poll
    })
    .await
}

fn complain(worker: &Worker, client: &Client, why: &str) {
    let (peer, listener) = (client.arrival.peer, &client.listener.name);
    let details = format_args!("{peer} sent no good PROXY header on listener {listener}: {why}");
    worker.complain(Complaint::ProxyHeader, details);
}

fn poll_header(cx: &mut Context<'_>, worker: &Worker, client: &mut Client) -> Poll<Result<(), EndReason>> {
    loop {
        match take(client) {
            Ok(Some(consumed)) => {
                client.link.inbox.consume(consumed, &worker.buffers);
                return Poll::Ready(Ok(()));
            }
            Ok(None) => {}
            Err(error) => {
                complain(worker, client, error.detail());
                return Poll::Ready(Err(EndReason::BadProxyHeader));
            }
        }
        if !ready!(client.poll_more(cx, worker)) {
            return Poll::Ready(Err(EndReason::ClientClosed));
        }
    }
}

/// Looks for a complete header in the inbox. Returns its length.
fn take(client: &mut Client) -> Result<Option<usize>, ProxyProtocolError> {
    let Progress::Complete(header) = Header::parse(client.link.inbox.as_slice(), DEFAULT_LIMIT)? else {
        return Ok(None);
    };
    if let Endpoints::Tcp { source, destination } = header.endpoints() {
        client.arrival.peer = source.ip();
        client.arrival.peer_port = source.port();
        client.arrival.local_port = destination.port();
        client.local = Some(destination);
    }
    let names =
        Names { authority: header.authority().map(Box::from), unique_id: header.unique_id().map(Box::from) };
    let has_names = names.authority.is_some() || names.unique_id.is_some();
    client.names = has_names.then(|| Rc::new(names));
    client.arrival.https |= header.ssl().is_some_and(|ssl| ssl.is_encrypted());
    Ok(Some(header.consumed()))
}

/// What a connection to a server begins with, so that the server learns who the client is.
pub(crate) fn write(client: &Client, version: Option<ProxyProtocolVersion>) -> Vec<u8> {
    let Some(version) = version else { return Vec::new() };
    let source = SocketAddr::new(client.arrival.peer, client.arrival.peer_port);
    let local = client.local.or_else(|| client.link.local_address());
    let endpoints =
        local.map_or(Endpoints::OfConnection, |destination| Endpoints::Tcp { source, destination });
    let names = client.names.as_deref();
    let protocol: &[u8] = if client.link.is_stream() { b"h2" } else { b"http/1.1" };
    let announcement = Announcement {
        endpoints,
        alpn: client.arrival.https.then_some(protocol),
        authority: names.and_then(|names| names.authority.as_deref()),
        tls: client.arrival.https.then(|| TlsAnnouncement {
            version: client.tls.map(|identity| identity.version),
            client_certificate: client.identity.is_some(),
            ..TlsAnnouncement::default()
        }),
        unique_id: names.and_then(|names| names.unique_id.as_deref()),
        checksum: true,
    };
    let mut header = Vec::new();
    match version {
        ProxyProtocolVersion::V1 => announcement.write_v1(&mut header),
        // Nothing that is announced is too long.
        ProxyProtocolVersion::V2 => drop(announcement.write_v2(&mut header)),
    }
    header
}
