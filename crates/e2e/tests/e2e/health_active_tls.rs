//! Active checks open their connections as requests do: TLS, HTTP/2, the PROXY header; and checks by gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Request, Response};
use ropeway_e2e::tls::{Authority, ServerSide};
use ropeway_e2e::{Lab, Origin, Running, eventually, reply};
use tokio::net::TcpListener;

const QUICK: &str = "interval = \"250ms\", timeout = \"240ms\", fall = 2, rise = 2";

const HOST: &str = "app.internal";

/// What a lab needs to have its servers checked with these keys of `health`.
fn checked(upstream: &str, health: &str) -> Lab {
    Lab::new().with("", "", &format!("{upstream}\nhealth = {{ {health}, {QUICK} }}\npassive = false"))
}

fn believing(authority: &Authority, health: &str) -> Lab {
    let tls = format!("tls = {{ ca = \"ca.pem\", server_name = \"{HOST}\" }}");
    checked(&tls, health).file("ca.pem", &authority.pem())
}

fn detail(lab: &Running) -> String {
    lab.admin().server("app", 1)["last_check"]["detail"].as_str().unwrap_or_default().to_owned()
}

fn secured(authority: &Authority) -> Origin {
    Origin::answering(|_| reply(200, &[], "1")).with_tls(ServerSide::new(&authority.issue(&[HOST])).config())
}

#[test]
fn a_server_that_speaks_tls_is_checked_by_tls() {
    let authority = Authority::new("Test CA");
    for (health, seen) in
        [("type = \"tcp\"", "connected by TLS"), ("type = \"http\", path = \"/health\"", "status 200")]
    {
        let lab = believing(&authority, health).origin(secured(&authority)).start();
        lab.wait_for_state("app", 1, "up");
        assert_eq!(detail(&lab), seen);
        assert_eq!(lab.answers(2), ["1", "1"]);
    }
}

#[test]
fn a_server_with_a_certificate_of_a_stranger_is_down() {
    let stranger = Authority::new("Stranger");
    let lab = believing(&Authority::new("Test CA"), "type = \"http\"").origin(secured(&stranger)).start();
    lab.wait_for_state("app", 1, "down");
    assert!(detail(&lab).starts_with("TLS handshake: invalid peer certificate"), "{}", detail(&lab));
    assert_eq!(lab.origin(1).count(), 0, "it got no request");
}

#[test]
fn a_port_of_its_own_may_be_checked_in_the_clear() {
    let authority = Authority::new("Test CA");
    let watcher = Origin::answering(|_| reply(200, &[], "fine"));
    let health = format!("type = \"http\", port = {}, tls = false", watcher.address().port());
    let lab = believing(&authority, &health).origin(secured(&authority)).start();
    lab.wait_for_state("app", 1, "up");
    assert_eq!(lab.origin(1).connections(), 0, "the checks went to the other port");
    assert!(watcher.count() > 0);
    assert_eq!(lab.answers(1), ["1"]);
}

/// A check speaks for nobody, so an origin that would log addresses of clients sees none of it.
#[test]
fn checks_begin_with_the_proxy_header() {
    for (version, header) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")] {
        let origin = Origin::scripted(move |peer| {
            let begins_well = peer.wire.exactly(header.len()).is_ok_and(|received| received == header);
            if begins_well && peer.request().is_some() {
                peer.send(reply(200, &[], "fine"));
            }
        });
        let lab =
            checked(&format!("proxy_protocol = \"{version}\""), "type = \"http\"").origin(origin).start();
        lab.wait_for_state("app", 1, "up");
        assert_eq!(detail(&lab), "status 200", "{version}");
    }
}

/// A server that speaks HTTP/2 with prior knowledge, by another implementation than the harness's.
struct Http2Server {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<Infallible>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

type Answer = dyn Fn(&Request<RecvStream>) -> (u16, &'static [u8], Option<&'static str>) + Send + Sync;

impl Http2Server {
    /// `answer` gives a status, a body, and the `grpc-status` in the trailers.
    fn start(answer: Arc<Answer>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<Infallible>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(&listener, &answer) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Http2Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: &TcpListener, answer: &Arc<Answer>) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = Arc::clone(answer);
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let (status, body, grpc_status) = answer(&request);
                let response = Response::builder().status(status).header("content-type", "application/grpc");
                let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else { return };
                let _ = stream.send_data(Bytes::from_static(body), grpc_status.is_none());
                if let Some(code) = grpc_status {
                    let trailers =
                        HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
                    let _ = stream.send_trailers(trailers);
                }
            }
        });
    }
}

fn http2_lab(server: &Http2Server, health: &str) -> Running {
    let config = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
         [upstream.app]\nservers = [\"{}\"]\nprotocol = \"h2\"\npassive = false\nhealth = {{ {health}, {QUICK} }}\n",
        server.address
    );
    Lab::new().config(&config).start()
}

#[test]
fn a_server_that_speaks_http2_is_checked_by_http2() {
    let is_fine = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&is_fine);
    let server = Http2Server::start(Arc::new(move |request| match request.uri().path() {
        "/health" if flag.load(SeqCst) => (200, b"state: fine", None),
        "/health" => (200, b"state: poor", None),
        _ => (200, b"1", None),
    }));
    let lab = http2_lab(&server, "type = \"http\", path = \"/health\", body = \"fine\"");
    lab.wait_for_state("app", 1, "up");
    assert_eq!(lab.answers(1), ["1"]);
    is_fine.store(false, SeqCst);
    lab.wait_for_state("app", 1, "down");
    assert_eq!(detail(&lab), "the body does not contain the expected text");
    is_fine.store(true, SeqCst);
    lab.wait_for_state("app", 1, "up");
}

#[test]
fn a_grpc_check_follows_the_serving_status() {
    const SERVING: u8 = 1;
    const NOT_SERVING: u8 = 2;
    let status = Arc::new(AtomicU8::new(SERVING));
    let current = Arc::clone(&status);
    let server = Http2Server::start(Arc::new(move |request| {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers()["te"], "trailers");
        match (request.uri().path(), current.load(SeqCst)) {
            ("/grpc.health.v1.Health/Check", SERVING) => (200, b"\0\0\0\0\x02\x08\x01", Some("0")),
            ("/grpc.health.v1.Health/Check", NOT_SERVING) => (200, b"\0\0\0\0\x02\x08\x02", Some("0")),
            _ => (200, b"", Some("5")),
        }
    }));
    let lab = http2_lab(&server, "type = \"grpc\", service = \"shop.v1.Cart\"");
    lab.wait_for_state("app", 1, "up");
    assert_eq!(detail(&lab), "SERVING");
    status.store(NOT_SERVING, SeqCst);
    lab.wait_for_state("app", 1, "down");
    assert_eq!(detail(&lab), "NOT_SERVING");
    let history = lab.admin().server("app", 1)["history"].clone();
    assert!(history.to_string().contains("NOT_SERVING"), "{history}");
    status.store(0, SeqCst);
    eventually("an unknown service is told apart", || detail(&lab).contains("NOT_FOUND").then_some(()));
    status.store(SERVING, SeqCst);
    lab.wait_for_state("app", 1, "up");
}
