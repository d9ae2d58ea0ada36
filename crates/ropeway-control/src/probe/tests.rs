mod transport;

use std::net::SocketAddr;
use std::path::Path;

use ropeway_core::balance::{AdminState, HealthState};
use ropeway_proxy::upstream::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::connection::Failed;
use super::*;
use crate::events::EventKind;
use crate::fixture::{app, compiled, current, until};
use crate::registry::Registry;

/// A server that gives the same bytes to everybody and then closes. Its requests can be read.
struct Origin {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Origin {
    async fn start(response: &'static str) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), response).await
    }

    async fn start_on(address: SocketAddr, response: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap_or(0) > 0
                {
                }
                let _ = sender.send(String::from_utf8(request).unwrap());
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        Self { address, requests, task }
    }

    /// Stops listening: whoever connects afterwards is refused.
    async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The check that these keys of `health` make.
fn check(keys: &str) -> Check {
    let config = app(&format!("servers = [\"127.0.0.1:1\"]\nhealth = {{ {keys} }}"));
    let mut compiled = compiled(&config, &Registry::new(1));
    Check::clone(&compiled.checked.remove(0).check)
}

async fn run(keys: &str, address: SocketAddr) -> Result<String, Failed> {
    check(keys).run(&[Endpoint::Tcp(address)], "app.example:80", None).await
}

async fn check_response(keys: &str, response: &'static str) -> Result<String, Failed> {
    let origin = Origin::start(response).await;
    run(&format!("type = \"http\", {keys}"), origin.address).await
}

fn passed(what: &str) -> Result<String, Failed> {
    Ok(what.to_owned())
}

fn failed(why: &str) -> Result<String, Failed> {
    Err(Failed::Server(why.to_owned()))
}

#[tokio::test]
async fn tcp_checks_connect() {
    let origin = Origin::start("").await;
    assert_eq!(run("type = \"tcp\"", origin.address).await, passed("connected"));
    let address = origin.stop().await;
    assert_eq!(run("type = \"tcp\"", address).await, failed("connection refused"));
}

#[tokio::test]
async fn http_checks_send_what_is_configured() {
    let mut origin = Origin::start(OK).await;
    run("type = \"http\", path = \"/ok\"", origin.address).await.unwrap();
    let request = origin.requests.recv().await.unwrap();
    assert_eq!(
        request,
        "GET /ok HTTP/1.1\r\nHost: app.example:80\r\nUser-Agent: ropeway-check\r\nConnection: close\r\n\r\n"
    );
    let keys = "type = \"http\", method = \"OPTIONS\", host = \"inner\", headers = { user-agent = \"me\", x-y = \"z\" }";
    run(keys, origin.address).await.unwrap();
    let request = origin.requests.recv().await.unwrap();
    assert_eq!(
        request,
        "OPTIONS / HTTP/1.1\r\nHost: inner\r\nuser-agent: me\r\nx-y: z\r\nConnection: close\r\n\r\n"
    );
}

#[tokio::test]
async fn the_status_decides() {
    assert_eq!(check_response("", OK).await, passed("status 200"));
    let unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(check_response("", unavailable).await, failed("status 503, expected 200-399"));
    assert_eq!(check_response("status = \"503\"", unavailable).await, passed("status 503"));
    let informed = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(check_response("", informed).await, passed("status 204"));
}

#[tokio::test]
async fn the_body_is_searched_however_it_is_framed() {
    let lacks = || failed("the body does not contain the expected text");
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine", passed("status 200")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", lacks()),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
            passed("status 200"),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nthis is fine", passed("status 200")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nfine", lacks()),
    ];
    for (response, outcome) in cases {
        assert_eq!(check_response("body = \"fine\"", response).await, outcome, "{response:?}");
    }
}

#[tokio::test]
async fn a_bad_response_fails() {
    let cases = [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfine",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nfine",
    ];
    for response in cases {
        let outcome = check_response("body = \"fine\"", response).await;
        assert!(outcome.is_err(), "{response:?} gave {outcome:?}");
    }
}

#[tokio::test]
async fn a_silent_server_fails_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = "type = \"http\", timeout = \"20ms\"";
    let outcome = run(keys, listener.local_addr().unwrap()).await;
    assert_eq!(outcome, failed("no answer within 20ms"));
}

#[tokio::test]
async fn another_port_can_be_checked() {
    let origin = Origin::start(OK).await;
    let (host, port) = (origin.address.ip(), origin.address.port());
    let keys = format!("type = \"http\", port = {port}");
    assert_eq!(run(&keys, SocketAddr::new(host, 1)).await, passed("status 200"));
}

#[tokio::test]
async fn one_address_of_several_is_enough() {
    let gone = Origin::start("").await.stop().await;
    let origin = Origin::start("").await;
    let endpoints = [Endpoint::Tcp(gone), Endpoint::Tcp(origin.address)];
    assert_eq!(check("type = \"tcp\"").run(&endpoints, "app", None).await, passed("connected"));
}

#[tokio::test]
async fn unix_sockets_are_checked() {
    let path = std::env::temp_dir().join(format!("ropeway-probe-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let check = check("type = \"tcp\", port = 1");
    assert_eq!(check.run(&[Endpoint::Unix(path.clone())], "app", None).await, passed("connected"));
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    let gone = check.run(&[Endpoint::Unix(Path::new("/nowhere/at/all.sock").into())], "app", None).await;
    assert_eq!(gone, failed("no such address"));
}

#[tokio::test]
async fn a_request_over_a_unix_socket_has_a_host_that_is_one() {
    let path = std::env::temp_dir().join(format!("ropeway-probe-host-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream.write_all(OK.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let check = check("type = \"http\"");
    let authority = format!("unix:{}", path.display());
    assert_eq!(check.run(&[Endpoint::Unix(path.clone())], &authority, None).await, passed("status 200"));
    assert!(asked.await.unwrap().contains("\r\nHost: localhost\r\n"));
    std::fs::remove_file(&path).unwrap();
}

/// A prober, and the one server that it checks.
struct Lab {
    registry: Registry,
    current: Arc<Current>,
    prober: Prober,
}

const QUICK: &str = "type = \"http\", interval = \"100ms\", timeout = \"100ms\", fall = 2, rise = 2";

impl Lab {
    fn new(address: &str, health: &str) -> (Self, CheckedServer) {
        let registry = Registry::new(1);
        let mut compiled = compiled(&server(address, health), &registry);
        let current = current(compiled.snapshot);
        let prober = Prober::new(Arc::clone(&current), Handle::current());
        (Self { registry, current, prober }, compiled.checked.remove(0))
    }

    /// What another configuration of the server wants checked.
    fn again(&self, address: &str, health: &str) -> CheckedServer {
        compiled(&server(address, health), &self.registry).checked.remove(0)
    }

    fn usable(&self) -> bool {
        !self.current.upstream("app").unwrap().choice().table.is_empty()
    }
}

fn server(address: &str, health: &str) -> ropeway_config::schema::Config {
    app(&format!("servers = [\"{address}\"]\nhealth = {{ {health} }}\npassive = false"))
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn a_server_comes_and_goes() {
    let origin = Origin::start(OK).await;
    let (lab, server) = Lab::new(&origin.address.to_string(), QUICK);
    assert!(!lab.usable(), "not checked yet");
    lab.prober.reconcile(vec![server.clone()]);
    until("up", || lab.usable()).await;
    assert!(lab.prober.all_checked_once());
    let address = origin.stop().await;
    until("down", || server.live.health() == HealthState::Down).await;
    assert_eq!(lab.prober.last_check("app", &server.authority).unwrap().detail, "connection refused");
    let _origin = Origin::start_on(address, OK).await;
    until("up again", || server.live.health() == HealthState::Up).await;

    let states: Vec<(&str, &str)> = server
        .live
        .history()
        .iter()
        .map(|entry| (entry.transition.from.name(), entry.transition.to.name()))
        .collect();
    assert_eq!(states, [("unchecked", "up"), ("up", "down"), ("down", "up")]);
    let events: Vec<EventKind> = lab.current.events().list().iter().map(|event| event.kind).collect();
    assert_eq!(events, [EventKind::Health; 3]);
}

#[tokio::test]
async fn the_same_check_goes_on_over_a_reload() {
    let origin = Origin::start(OK).await;
    let slow = "type = \"http\", interval = \"1h\"";
    let address = origin.address.to_string();
    let (lab, server) = Lab::new(&address, slow);
    lab.prober.reconcile(vec![server.clone()]);
    until("checked", || lab.prober.all_checked_once()).await;
    let first = lab.prober.last_check("app", &address).unwrap();
    let tasks = alive_tasks();

    lab.prober.reconcile(vec![lab.again(&address, slow)]);
    assert_eq!(lab.prober.last_check("app", &address).unwrap().at, first.at, "what is known stays");
    assert_eq!(alive_tasks(), tasks);

    lab.prober.reconcile(vec![lab.again(&address, "type = \"tcp\", interval = \"1h\"")]);
    assert_eq!(server.live.health(), HealthState::Up, "it serves while it is checked in another way");
    until("checked in another way", || {
        lab.prober.last_check("app", &address).is_some_and(|last| last.detail == "connected")
    })
    .await;
    until("the first task ended", || alive_tasks() == tasks).await;

    lab.prober.reconcile(Vec::new());
    until("no task is left", || alive_tasks() == tasks - 1).await;
}

#[tokio::test]
async fn a_name_is_checked_when_it_has_an_address() {
    let origin = Origin::start(OK).await;
    let (lab, server) = Lab::new("app.example:80", "type = \"http\", interval = \"1h\"");
    lab.prober.reconcile(vec![server.clone()]);
    assert!(lab.prober.all_checked_once(), "there is nobody to ask");
    server.live.set_endpoints(vec![Endpoint::Tcp(origin.address)]);
    lab.current.announce_servers();
    until("up", || lab.usable()).await;
}

#[tokio::test]
async fn a_disabled_server_is_left_alone() {
    let (mut origin, mut other) = (Origin::start(OK).await, Origin::start(OK).await);
    let (lab, server) = Lab::new(&origin.address.to_string(), QUICK);
    server.live.set_admin(AdminState::Disabled);
    lab.prober.reconcile(vec![server.clone(), lab.again(&other.address.to_string(), QUICK)]);
    for _ in 0..2 {
        other.requests.recv().await.unwrap();
    }
    assert!(origin.requests.try_recv().is_err(), "the other one was asked twice meanwhile");
    server.live.set_admin(AdminState::Ready);
    lab.current.announce_servers();
    assert!(origin.requests.recv().await.is_some());
}
