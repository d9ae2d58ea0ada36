//! Checks over the connections that requests have: TLS, HTTP/2, the PROXY header, and gRPC, which needs HTTP/2.

use std::future::Future;
use std::sync::Arc;

use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::compile::{Compiled, Surroundings, compile};
use crate::log::test_directory::TestDirectory;
use crate::probe::connection::Failed;
use crate::tls::{self, LiveTls};

/// An authority, and a server certificate of it for `app.example`.
struct Site {
    directory: TestDirectory,
    key: PrivateKeyDer<'static>,
    chain: Vec<CertificateDer<'static>>,
}

impl Site {
    fn new() -> Self {
        let directory = TestDirectory::new();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Authorities of one name would be taken for each other.
        params.distinguished_name.push(DnType::CommonName, directory.path().display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        Self { directory, key, chain: vec![certificate.der().clone()] }
    }

    fn acceptor(&self, alpn: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(self.chain.clone(), self.key.clone_key()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// The key `tls` of an upstream that believes this authority, and asks for `name`.
    fn tls(&self, name: &str) -> String {
        let ca = self.directory.path().join("ca.pem");
        format!("tls = {{ ca = \"{}\", server_name = \"{name}\" }}", ca.display())
    }
}

/// A configuration with the files that it names, compiled.
fn compiled_with_files(upstream: &str, registry: &Registry) -> Compiled {
    let config = app(upstream);
    let tls = tls::build(&config, &LiveTls::default()).unwrap();
    let surroundings =
        Surroundings { generation: 1, descriptors: Some(1_024), now_ms: 0, log_destination: 0 };
    compile(&config, &tls, registry, &surroundings)
}

/// Runs the check of a server at `address`, in an upstream with these keys.
async fn check_once(address: SocketAddr, upstream: &str) -> Result<String, Failed> {
    let upstream = format!("servers = [\"{address}\"]\n{upstream}");
    let server = compiled_with_files(&upstream, &Registry::new(1)).checked.remove(0);
    server.check.run(&server.live.endpoints(), "app.example:80", server.tls.as_deref()).await
}

/// Gives every connection to `serve`.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            tokio::spawn(serve(listener.accept().await.unwrap().0));
        }
    });
    address
}

/// What an HTTP/2 server was asked, and what it answers.
struct Answer {
    status: u16,
    fields: Vec<(&'static str, &'static str)>,
    body: &'static [u8],
    trailers: Vec<(&'static str, &'static str)>,
}

type Asked = (Request<()>, Vec<u8>);

/// Serves HTTP/2 on one connection.
async fn serve_http2<S>(io: S, answer: impl Fn(&Asked) -> Answer + Clone + Send + 'static)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let answer = answer.clone();
        tokio::spawn(async move {
            let (head, mut incoming) = request.into_parts();
            let mut body = Vec::new();
            while let Some(Ok(data)) = incoming.data().await {
                body.extend_from_slice(&data);
            }
            let answer = answer(&(Request::from_parts(head, ()), body));
            let mut response = Response::builder().status(answer.status);
            for (name, value) in answer.fields {
                response = response.header(name, value);
            }
            let is_bare = answer.body.is_empty() && answer.trailers.is_empty();
            let mut stream = respond.send_response(response.body(()).unwrap(), is_bare).unwrap();
            if is_bare {
                return;
            }
            stream.send_data(Bytes::from_static(answer.body), answer.trailers.is_empty()).unwrap();
            if !answer.trailers.is_empty() {
                let mut trailers = HeaderMap::new();
                for (name, value) in answer.trailers {
                    trailers.insert(name, value.parse().unwrap());
                }
                stream.send_trailers(trailers).unwrap();
            }
        });
    }
}

async fn http2_server(answer: impl Fn(&Asked) -> Answer + Clone + Send + Sync + 'static) -> SocketAddr {
    listen(move |stream| serve_http2(stream, answer.clone())).await
}

/// A server that answers before it is asked, by HTTP/1.1 in the clear.
async fn http1_server() -> SocketAddr {
    listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

/// A server by TLS; what comes after the handshake is up to the protocol that was agreed on.
async fn tls_server(
    site: &Site,
    alpn: &[&str],
    answer: impl Fn(&Asked) -> Answer + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let acceptor = site.acceptor(alpn);
    listen(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                serve_http2(stream, answer).await;
            } else {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap_or(0) > 0
                {
                }
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        }
    })
    .await
}

fn plain(status: u16, body: &'static [u8]) -> Answer {
    Answer { status, fields: Vec::new(), body, trailers: Vec::new() }
}

/// What a health service answers with a serving status.
fn serving(message: &'static [u8]) -> Answer {
    Answer {
        status: 200,
        fields: vec![("content-type", "application/grpc")],
        body: message,
        trailers: vec![("grpc-status", "0")],
    }
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 2];

#[tokio::test]
async fn checks_use_tls_where_requests_do() {
    let site = Site::new();
    let address = tls_server(&site, &["http/1.1"], |_| plain(500, b"")).await;
    for (health, what) in
        [("health = { type = \"tcp\" }", "connected by TLS"), ("health = { type = \"http\" }", "status 200")]
    {
        let upstream = format!("{}\n{health}", site.tls("app.example"));
        assert_eq!(check_once(address, &upstream).await, passed(what));
    }
}

#[tokio::test]
async fn a_certificate_that_requests_would_refuse_fails_the_check() {
    let site = Site::new();
    let address = tls_server(&site, &["http/1.1"], |_| plain(500, b"")).await;
    for (tls, why) in [
        (site.tls("other.example"), "not valid for name \"other.example\""),
        (Site::new().tls("app.example"), "UnknownIssuer"),
    ] {
        let reason = check_once(address, &format!("{tls}\nhealth = {{ type = \"tcp\" }}"))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            reason.starts_with("TLS handshake: invalid peer certificate") && reason.contains(why),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_fails_a_check_by_tls() {
    let site = Site::new();
    let server = http1_server().await;
    let upstream = format!("{}\nhealth = {{ type = \"tcp\" }}", site.tls("app.example"));
    let reason = check_once(server, &upstream).await.unwrap_err().to_string();
    assert!(reason.starts_with("TLS handshake: received corrupt message"), "{reason}");
}

#[tokio::test]
async fn http_checks_speak_http2_where_requests_do() {
    let site = Site::new();
    let answer = |asked: &Asked| {
        let (head, _) = asked;
        assert_eq!((head.method().as_str(), head.uri().path()), ("GET", "/ok"));
        assert_eq!(head.uri().authority().unwrap(), "app.example:80");
        assert_eq!(head.headers()["user-agent"], "ropeway-check");
        assert_eq!(head.headers()["x-y"], "z");
        plain(200, b"all fine")
    };
    let health = "protocol = \"h2\"\nhealth = { type = \"http\", path = \"/ok\", headers = { X-Y = \"z\" }, body = \"fine\" }";
    assert_eq!(check_once(http2_server(answer).await, health).await, passed("status 200"));
    let upstream = format!("{}\n{health}", site.tls("app.example"));
    let address = tls_server(&site, &["h2", "http/1.1"], answer).await;
    assert_eq!(check_once(address, &upstream).await, passed("status 200"));
}

#[tokio::test]
async fn an_answer_by_http2_is_judged_like_any_other() {
    let cases = [
        ("", 503, &b""[..], failed("status 503, expected 200-399")),
        ("status = \"503\"", 503, b"", passed("status 503")),
        ("body = \"fine\"", 200, b"bad", failed("the body does not contain the expected text")),
        ("body = \"fine\"", 200, b"", failed("the body does not contain the expected text")),
        ("body = \"fine\", method = \"POST\"", 200, b"so fine", passed("status 200")),
    ];
    for (keys, status, body, outcome) in cases {
        let address = http2_server(move |_| plain(status, body)).await;
        let upstream = format!("protocol = \"h2\"\nhealth = {{ type = \"http\", {keys} }}");
        assert_eq!(check_once(address, &upstream).await, outcome, "{keys}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_http2_fails() {
    let upstream = "protocol = \"h2\"\nhealth = { type = \"http\" }";
    let reason = check_once(http1_server().await, upstream).await.unwrap_err().to_string();
    assert!(reason.contains("frame with invalid size"), "{reason}");
    let site = Site::new();
    let address = tls_server(&site, &[], |_| plain(200, b"")).await;
    for kind in ["tcp", "http", "grpc"] {
        let upstream =
            format!("{}\nprotocol = \"h2\"\nhealth = {{ type = \"{kind}\" }}", site.tls("app.example"));
        let outcome = check_once(address, &upstream).await;
        assert_eq!(outcome, failed("TLS handshake: the server did not agree on HTTP/2 by ALPN"));
    }
}

#[tokio::test]
async fn grpc_checks_ask_the_health_service() {
    let address = http2_server(|(head, body)| {
        assert_eq!((head.method().as_str(), head.uri().path()), ("POST", "/grpc.health.v1.Health/Check"));
        let field = |name| head.headers()[name].to_str().unwrap();
        assert_eq!(
            (field("content-type"), field("te"), field("grpc-timeout")),
            ("application/grpc", "trailers", "1500m")
        );
        match body.as_slice() {
            [0, 0, 0, 0, 0] => serving(SERVING),
            b"\0\0\0\0\x07\x0a\x05sleep" => serving(NOT_SERVING),
            b"\0\0\0\0\x03\x0a\x01u" => serving(&[0, 0, 0, 0, 0]),
            _ => Answer { trailers: vec![("grpc-status", "5")], ..serving(b"") },
        }
    })
    .await;
    for (service, outcome) in [
        ("", passed("SERVING")),
        ("sleep", failed("NOT_SERVING")),
        ("u", failed("UNKNOWN, expected SERVING")),
        ("stranger", failed("grpc-status 5 (NOT_FOUND): the server does not know the service")),
    ] {
        let health = format!("health = {{ type = \"grpc\", service = \"{service}\", timeout = \"1500ms\" }}");
        assert_eq!(check_once(address, &health).await, outcome, "{service}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_a_health_service_fails() {
    let malformed = "malformed response: not a HealthCheckResponse";
    for (status, body, code, why) in [
        (404, &b"what?"[..], Some("0"), "status 404, expected 200"),
        (200, SERVING, None, "the response has no grpc-status"),
        (200, b"\0\0\0\0", Some("0"), malformed),
        (200, SERVING, Some("99"), "grpc-status 99"),
    ] {
        let trailers: Vec<_> = code.map(|code| ("grpc-status", code)).into_iter().collect();
        let answer = move |_: &Asked| Answer { trailers: trailers.clone(), ..plain(status, body) };
        let address = http2_server(answer).await;
        assert_eq!(check_once(address, "health = { type = \"grpc\" }").await, failed(why));
    }
    // The status of a response without messages stands in its head.
    let answer = |_: &Asked| Answer { fields: vec![("grpc-status", "12")], ..plain(200, b"") };
    let address = http2_server(answer).await;
    let why = "grpc-status 12 (UNIMPLEMENTED): the server has no health service";
    assert_eq!(check_once(address, "health = { type = \"grpc\" }").await, failed(why));
}

#[tokio::test]
async fn a_grpc_check_by_tls_agrees_on_http2_whatever_requests_speak() {
    let site = Site::new();
    let address = tls_server(&site, &["h2", "http/1.1"], |_| serving(SERVING)).await;
    for protocol in ["h2", "http1"] {
        let upstream =
            format!("{}\nprotocol = \"{protocol}\"\nhealth = {{ type = \"grpc\" }}", site.tls("app.example"));
        assert_eq!(check_once(address, &upstream).await, passed("SERVING"), "{protocol}");
    }
}

#[tokio::test]
async fn silence_at_any_stage_fails_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let site = Site::new();
    let tls = site.tls("app.example");
    for upstream in [
        format!("{tls}\nhealth = {{ type = \"tcp\", timeout = \"20ms\" }}"),
        "protocol = \"h2\"\nhealth = { type = \"http\", timeout = \"20ms\" }".to_owned(),
        "health = { type = \"grpc\", timeout = \"20ms\" }".to_owned(),
    ] {
        assert_eq!(check_once(address, &upstream).await, failed("no answer within 20ms"), "{upstream}");
    }
}

/// The first bytes of the only connection that a check opens.
async fn first_bytes(count: usize, upstream: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let checking = check_once(address, upstream);
    let reading = async {
        let mut bytes = vec![0; count];
        listener.accept().await.unwrap().0.read_exact(&mut bytes).await.unwrap();
        bytes
    };
    tokio::join!(reading, checking).0
}

#[tokio::test]
async fn connections_begin_with_the_proxy_header_that_speaks_for_nobody() {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let site = Site::new();
    let tls = site.tls("app.example");
    for (keys, expected) in [
        ("proxy_protocol = \"v1\"\nhealth = { type = \"tcp\" }", &b"PROXY UNKNOWN\r\n"[..]),
        ("proxy_protocol = \"v1\"\nhealth = { type = \"http\" }", b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n"),
        ("proxy_protocol = \"v2\"\nhealth = { type = \"tcp\" }", v2),
        (
            "proxy_protocol = \"v2\"\nhealth = { type = \"grpc\" }",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0PRI * HTTP/2.0\r\n",
        ),
        (
            &format!("{tls}\nproxy_protocol = \"v2\"\nhealth = {{ type = \"tcp\" }}"),
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0\x16\x03",
        ),
    ] {
        assert_eq!(first_bytes(expected.len(), keys).await, expected, "{keys}");
    }
}

#[tokio::test]
async fn another_port_may_be_spoken_to_in_another_way() {
    let mut origin = Origin::start(OK).await;
    let (site, port) = (Site::new(), origin.address.port());
    let upstream = format!(
        "{}\nprotocol = \"h2\"\nproxy_protocol = \"v2\"\n\
         health = {{ type = \"http\", port = {port}, tls = false, protocol = \"http1\", proxy_protocol = false }}",
        site.tls("app.example")
    );
    let unused = SocketAddr::new(origin.address.ip(), 1);
    assert_eq!(check_once(unused, &upstream).await, passed("status 200"));
    assert!(origin.requests.recv().await.unwrap().starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_reload_brings_its_tls_along_and_the_check_goes_on() {
    let (site, stranger) = (Site::new(), Site::new());
    let address = tls_server(&site, &["http/1.1"], |_| plain(500, b"")).await;
    let registry = Registry::new(1);
    let compiled = |site: &Site| {
        let keys = format!(
            "servers = [\"{address}\"]\n{}\nhealth = {{ {QUICK} }}\npassive = false",
            site.tls("app.example")
        );
        compiled_with_files(&keys, &registry)
    };
    let mut first = compiled(&site);
    let current = current(first.snapshot);
    let prober = Prober::new(Arc::clone(&current), Handle::current());
    let server = first.checked.remove(0);
    registry.put_into_service(&first.usage, 0);
    prober.reconcile(vec![server.clone()]);
    until("up", || server.live.health() == HealthState::Up).await;
    let tasks = alive_tasks();

    prober.reconcile(compiled(&site).checked);
    assert!(prober.last_check("app", &server.authority).is_some(), "what is known stays");
    prober.reconcile(compiled(&stranger).checked);
    assert!(prober.last_check("app", &server.authority).is_some(), "what is known stays");
    until("down", || server.live.health() == HealthState::Down).await;
    assert!(alive_tasks() <= tasks + 1, "the same task went on");
    let detail = prober.last_check("app", &server.authority).unwrap().detail;
    assert!(detail.contains("UnknownIssuer"), "{detail}");
}
