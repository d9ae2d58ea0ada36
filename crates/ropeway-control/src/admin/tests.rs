//! The admin listener as those who use it see it: over a socket.

use serde_json::Value;
use tokio::runtime::Handle;

use super::*;
use crate::client::{AdminClient, ClientError, status_table};
use crate::control::StartInput;
use crate::fixture::until;
use crate::log::test_directory::TestDirectory;
use crate::run::Source;

/// A proxy with an admin listener on a port of the kernel's choice.
struct Lab {
    directory: TestDirectory,
    control: Arc<Control>,
    address: SocketAddr,
}

impl Lab {
    async fn start(text: &str) -> Self {
        let directory = TestDirectory::new();
        let file = directory.path().join("ropeway.toml");
        std::fs::write(&file, text).unwrap();
        let config = ropeway_config::load(&file).unwrap().config;
        let input =
            StartInput { config, source: Source::File(file), process_log: None, handle: Handle::current() };
        let control = Control::start(input).unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(Arc::clone(&control), listener));
        Self { directory, control, address }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.directory.path().join("ropeway.toml"), text).unwrap();
    }

    /// Runs what blocks beside the runtime.
    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(AdminClient) -> T + Send + 'static) -> T {
        let client = AdminClient::new(self.address);
        tokio::task::spawn_blocking(move || ask(client)).await.unwrap()
    }

    async fn server(&self) -> Value {
        self.ask(|client| client.status().unwrap()["upstreams"][0]["servers"][0].clone()).await
    }

    /// The status code of the answer to a request with these fields.
    async fn code(&self, request: &str) -> u16 {
        self.answer(request).await.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn answer(&self, request: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request = request.replace("{host}", &self.address.to_string());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.control.finish();
    }
}

fn file(more: &str) -> String {
    format!(
        "workers = 1\n[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
         [upstream.app]\nservers = [{{ address = \"127.0.0.1:1\", name = \"a/b\" }}]\n{more}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_server_is_changed_and_shown() {
    let lab = Lab::start(&file("")).await;
    assert_eq!(lab.server().await["state"], "up");
    lab.ask(|client| client.set_server_state("app", "a/b", "drain")).await.unwrap();
    assert_eq!(lab.server().await["state"], "draining");
    lab.ask(|client| client.set_server_state("app", "a/b", "ready")).await.unwrap();
    assert_eq!(lab.server().await["state"], "up");

    let unknown = lab.ask(|client| client.set_server_state("app", "c", "drain")).await.unwrap_err();
    assert!(matches!(unknown, ClientError::Refused { status: 404, .. }), "{unknown}");
    let table = lab.ask(|client| status_table(&client.status().unwrap())).await;
    assert!(table.contains("app       a/b     up"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_says_what_changed_or_what_is_wrong() {
    let lab = Lab::start(&file("")).await;
    lab.write(&file("panic_threshold = 10\n"));
    let summary = lab.ask(|client| client.reload()).await.unwrap();
    assert!(summary.contains("upstreams ~app"), "{summary}");
    lab.write(&file("panic_threshold = \"ten\"\n"));
    let error = lab.ask(|client| client.reload()).await.unwrap_err();
    let ClientError::Refused { status: 422, reason } = error else { panic!("{error}") };
    assert!(reason.contains("panic_threshold"), "{reason}");
    assert!(!lab.control.last_reload_ok());
    assert_eq!(lab.ask(|client| client.status().unwrap()).await["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_readiness_and_leaves_the_process_alive() {
    let lab = Lab::start(&file("")).await;
    until("the process is ready", || lab.control.is_ready()).await;
    assert_eq!(lab.code("GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n").await, 200);
    lab.ask(|client| client.drain()).await.unwrap();
    assert!(*lab.control.stop_requested().borrow());
    lab.control.drain();
    assert_eq!(lab.code("GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n").await, 503);
    assert_eq!(lab.code("GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_42_a_web_page_elsewhere_cannot_use_the_admin_listener() {
    let lab = Lab::start(&file("")).await;
    let json = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    for (request, code) in [
        ("GET /status HTTP/1.0\r\nHost: {host}\r\n\r\n".to_owned(), 200),
        ("GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned(), 200),
        ("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".to_owned(), 200),
        ("GET /status HTTP/1.0\r\nHost: rebound.example\r\n\r\n".to_owned(), 403),
        ("GET / HTTP/1.0\r\nHost: rebound.example\r\n\r\n".to_owned(), 403),
        (format!("POST /api/reload HTTP/1.0\r\nHost: {{host}}\r\n{json}\r\n{{}}"), 200),
        (format!("POST /api/reload HTTP/1.0\r\nHost: {{host}}\r\n{json}Origin: http://{{host}}\r\n\r\n{{}}"), 200),
        (format!("POST /api/reload HTTP/1.0\r\nHost: {{host}}\r\n{json}Origin: http://a.example\r\n\r\n{{}}"), 403),
        ("POST /api/reload HTTP/1.0\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}".to_owned(), 403),
        ("POST /api/drain HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".to_owned(), 403),
        ("GET /api/drain HTTP/1.0\r\nHost: {host}\r\n\r\n".to_owned(), 405),
        ("GET /../../etc/passwd HTTP/1.0\r\nHost: {host}\r\n\r\n".to_owned(), 404),
    ] {
        assert_eq!(lab.code(&request).await, code, "{request}");
    }
    assert!(!*lab.control.stop_requested().borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_may_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let lab = Lab::start(&file("")).await;
    let answer = lab.answer("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").await;
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    for field in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
    let directives: Vec<_> = policy.split("; ").collect();
    for directive in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
    {
        assert!(directives.contains(&directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(page.contains("<div id=\"page\">"), "{page}");
}
