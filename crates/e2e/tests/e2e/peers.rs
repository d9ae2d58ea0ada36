//! nginx and HAProxy at both sides: as servers behind the proxy, and as clients in front of it.

use ropeway_e2e::lab::file;
use ropeway_e2e::program::Server;
use ropeway_e2e::tls::Authority;
use ropeway_e2e::tls_site::{self, Site};
use ropeway_e2e::{Client, Gate, Lab, Origin, Program, Running, reply};

const HOST: &str = "app.lab.example";

/// Answers POST with the body that came, and all others with their target.
fn echo() -> Origin {
    Origin::answering(|request| match request.method.as_str() {
        "POST" => reply(200, &[], &request.text()),
        _ => reply(200, &[("X-Host", &request.field("host").unwrap_or_default())], &request.target),
    })
}

/// Requests of every kind, on one connection, are answered through all that is on the way.
#[track_caller]
fn expect_service(client: &Client) {
    let mut connection = client.connect();
    for number in 0..20 {
        let path = format!("/page/{number}?q=a%20b");
        let _ = connection.get(&path).expect(200).expect_body(&path);
    }
    let body: String = (0..1_048_576_u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    for size in [1, 70_000, body.len()] {
        connection.send_request("POST", "/echo", &body[..size]);
        let response = connection.receive().expect(200);
        assert!(response.text() == body[..size], "{} bytes of {size}", response.body.data.len());
    }
    connection.send("POST /echo HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send("5\r\nthere\r\n9\r\n and back\r\n0\r\n\r\n");
    let _ = connection.receive().expect(200).expect_body("there and back");
    connection.send_request("HEAD", "/head", "");
    let _ = connection.receive_for("HEAD").expect(200);
    let _ = connection.get("/after").expect(200).expect_body("/after");
}

/// Behind the proxy: each peer passes on to an origin of the harness.
mod servers {
    use super::*;

    /// The files of a server: nginx has certificate and key apart, HAProxy together.
    struct Files {
        cert: String,
        key: String,
        both: String,
    }

    impl Files {
        fn of(authority: &Authority) -> Self {
            let identity = authority.issue(&[HOST]);
            Self { both: identity.cert.clone() + &identity.key, cert: identity.cert, key: identity.key }
        }

        fn list(&self) -> [(&str, &str); 3] {
            [("server.pem", &self.cert), ("server.key", &self.key), ("both.pem", &self.both)]
        }
    }

    const NGINX_TLS: &str = "ssl_certificate @dir/server.pem; ssl_certificate_key @dir/server.key;";

    /// nginx that listens with these options and has these lines in its `server` block.
    fn nginx(authority: &Authority, listen: &str, lines: &str, origin: &Origin) -> Server {
        let (tls, origin) = (if listen.contains("ssl") { NGINX_TLS } else { "" }, origin.address());
        Server::nginx(
            &Files::of(authority).list(),
            &format!(
                "server {{ listen 127.0.0.1:@port {listen}; {tls} {lines}\n\
                 location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; proxy_set_header Host $host; \
                 proxy_set_header X-Seen $remote_addr; proxy_set_header X-Protocol $server_protocol; }} }}"
            ),
        )
    }

    /// HAProxy that listens with these options.
    fn haproxy(authority: &Authority, bind: &str, origin: &Origin) -> Server {
        let origin = origin.address();
        Server::haproxy(
            &Files::of(authority).list(),
            &format!(
                "frontend in\n bind 127.0.0.1:@port {bind}\n http-request set-header X-Seen %[src]\n\
                 \n http-request set-header X-Protocol HTTP/%[req.ver]\n default_backend out\n\
                 backend out\n server origin {origin}\n"
            ),
        )
    }

    /// A proxy before one server, with more lines for its upstream.
    fn before(server: &Server, authority: &Authority, upstream: &str) -> Running {
        let config = file("", "", upstream).replace("@all", &format!("\"{}\"", server.address()));
        Lab::new().config(&config).file("ca.pem", &authority.pem()).start()
    }

    fn tls() -> String {
        format!("tls = {{ ca = \"ca.pem\", server_name = \"{HOST}\" }}\n")
    }

    /// All is well through `server`, and it was asked by this version of HTTP.
    #[track_caller]
    fn expect_asked_by(protocol: &str, origin: &Origin, lab: &Running) {
        expect_service(&lab.client());
        let protocols: Vec<_> = origin.requests().iter().map(|request| request.field("x-protocol")).collect();
        assert!(protocols.iter().all(|seen| seen.as_deref() == Some(protocol)), "{protocols:?}");
        let connections = lab.admin().metric("ropeway_upstream_connections_opened_total", &[]);
        // By HTTP/1.1, none is used again after HEAD.
        assert_eq!(connections, if protocol == "HTTP/1.1" { 2.0 } else { 1.0 });
    }

    #[test]
    fn nginx_by_tls() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let server = nginx(&authority, "ssl", "", &origin);
        expect_asked_by("HTTP/1.1", &origin, &before(&server, &authority, &tls()));
    }

    #[test]
    fn nginx_by_http2_over_tls() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let server = nginx(&authority, "ssl http2", "", &origin);
        let lab = before(&server, &authority, &(tls() + "protocol = \"h2\""));
        expect_asked_by("HTTP/2.0", &origin, &lab);
    }

    #[test]
    fn nginx_by_http2_with_prior_knowledge() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let server = nginx(&authority, "http2", "", &origin);
        expect_asked_by("HTTP/2.0", &origin, &before(&server, &authority, "protocol = \"h2\""));
    }

    /// nginx ends the connection over large fields, and over trailers of requests.
    #[test]
    fn nginx_cannot_be_made_to_end_the_connection_of_others() {
        let (authority, gate) = (Authority::new("Test CA"), Gate::new());
        let held = gate.clone();
        let origin = Origin::answering(move |request| {
            if request.target == "/held" {
                held.wait();
            }
            reply(200, &[], &request.target)
        });
        let server = nginx(&authority, "http2", "", &origin);
        let lab = before(&server, &authority, "protocol = \"h2\"\npassive = false");
        let mut waiting = lab.connect();
        waiting.send_request("POST", "/held", "body");
        origin.wait_for_requests(1);
        // What is written byte by byte is no larger for what it is made of.
        for (large, status) in [("l".repeat(20_000), 502), ("\\".repeat(4_500), 200)] {
            let _ = lab.client().field("X-Large", &large).get("/large").expect(status);
        }
        for announcement in ["", "Trailer: X-Sum\r\n"] {
            let mut client = lab.connect();
            client.send(format!("POST /sum HTTP/1.1\r\nHost: a\r\n{announcement}"));
            client.send("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n");
            let _ = client.receive().expect(if announcement.is_empty() { 200 } else { 502 });
        }
        gate.open();
        let _ = waiting.receive().expect(200).expect_body("/held");
    }

    /// nginx says GOAWAY after so many requests on a connection.
    #[test]
    fn nginx_that_closes_often_costs_no_request() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        for (listen, upstream) in [
            ("ssl", tls()),
            ("http2", "protocol = \"h2\"".to_owned()),
            ("ssl http2", tls() + "protocol = \"h2\""),
        ] {
            let server = nginx(&authority, listen, "keepalive_requests 3;", &origin);
            expect_service(&before(&server, &authority, &upstream).client());
        }
    }

    #[test]
    fn haproxy_by_tls() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let server = haproxy(&authority, "ssl crt @dir/both.pem alpn h2,http/1.1", &origin);
        expect_asked_by("HTTP/1.1", &origin, &before(&server, &authority, &tls()));
    }

    #[test]
    fn haproxy_by_http2_over_tls() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let server = haproxy(&authority, "ssl crt @dir/both.pem alpn h2,http/1.1", &origin);
        let lab = before(&server, &authority, &(tls() + "protocol = \"h2\""));
        expect_asked_by("HTTP/2.0", &origin, &lab);
    }

    #[test]
    fn haproxy_by_http2_with_prior_knowledge() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let server = haproxy(&authority, "proto h2", &origin);
        expect_asked_by("HTTP/2.0", &origin, &before(&server, &authority, "protocol = \"h2\""));
    }

    /// Both believe the PROXY header, before TLS where there is any.
    #[test]
    fn both_are_told_who_the_client_is() {
        let (authority, origin) = (Authority::new("Test CA"), echo());
        let believing = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;";
        let servers = [
            (nginx(&authority, "proxy_protocol", believing, &origin), String::new()),
            (nginx(&authority, "proxy_protocol ssl", believing, &origin), tls()),
            (haproxy(&authority, "accept-proxy", &origin), String::new()),
            (haproxy(&authority, "accept-proxy ssl crt @dir/both.pem", &origin), tls()),
        ];
        for (server, tls) in &servers {
            for version in ["v1", "v2"] {
                let upstream = format!("{tls}proxy_protocol = \"{version}\"");
                let lab = before(server, &authority, &upstream);
                origin.forget();
                expect_service(&lab.client().from("127.0.0.77"));
                let seen: Vec<_> = origin.requests().iter().map(|request| request.field("x-seen")).collect();
                let right = seen.iter().all(|seen| seen.as_deref() == Some("127.0.0.77"));
                assert!(right && !seen.is_empty(), "{version}: {seen:?} {}", server.transcript());
            }
        }
    }
}

/// In front of the proxy: each peer takes what the harness sends.
mod clients {
    use super::*;

    fn site() -> Site {
        Site::new()
    }

    /// nginx that passes to the proxy by these lines; `kept` is the proxy by connections that are kept.
    fn nginx(site: &Site, lab: &Running, pass: &str) -> Server {
        Server::nginx(
            &[("ca.pem", &site.authority.pem())],
            &format!(
                "upstream kept {{ server {}; keepalive 4; }}\n\
                 server {{ listen 127.0.0.1:@port; location / {{ {pass} }} }}",
                lab.proxy.address("web")
            ),
        )
    }

    /// How nginx speaks TLS to the proxy, where `module` is `proxy` or `grpc`.
    fn nginx_tls(module: &str) -> String {
        let host = tls_site::HOST;
        format!(
            "{module}_ssl_server_name on; {module}_ssl_name {host}; {module}_ssl_verify on; \
             {module}_ssl_trusted_certificate @dir/ca.pem; {module}_ssl_protocols TLSv1.2 TLSv1.3; \
             {module}_set_header Host {host};"
        )
    }

    const KEPT: &str =
        "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_request_buffering off;";

    fn connections(lab: &Running) -> f64 {
        lab.admin().metric("ropeway_listener_accepted_total", &[])
    }

    /// HAProxy that passes to the proxy by these words behind its address.
    fn haproxy(site: &Site, lab: &Running, server: &str) -> Server {
        let address = lab.proxy.address("web");
        Server::haproxy(
            &[("ca.pem", &site.authority.pem())],
            &format!(
                "frontend in\n bind 127.0.0.1:@port\n default_backend out\n\
                 backend out\n server proxy {address} {server}\n"
            ),
        )
    }

    fn haproxy_tls() -> String {
        format!("ssl verify required ca-file @dir/ca.pem sni str({})", tls_site::HOST)
    }

    fn client(server: &Server) -> Client {
        Client::new(server.address().parse().unwrap()).host(tls_site::HOST)
    }

    /// All is well, and the proxy was asked by this version of HTTP.
    #[track_caller]
    fn expect_asked_by(via: &str, lab: &Running, server: &Server) {
        expect_service(&client(server));
        let seen: Vec<_> = lab.origin(1).requests().iter().map(|request| request.field("via")).collect();
        let right = |seen: &Option<String>| seen.as_ref().is_some_and(|seen| seen.starts_with(via));
        assert!(seen.iter().all(right), "{seen:?}\n{}", server.transcript());
    }

    #[test]
    fn nginx_by_http1() {
        let (site, lab) = (site(), Lab::new().origin(echo()).start());
        expect_asked_by("1.1", &lab, &nginx(&site, &lab, &format!("proxy_pass http://kept; {KEPT}")));
        assert_eq!(connections(&lab), 1.0);
    }

    #[test]
    fn nginx_by_tls() {
        let site = site();
        let lab = site.lab("").origin(echo()).start();
        let pass = format!("proxy_pass https://kept; {KEPT} {}", nginx_tls("proxy"));
        expect_asked_by("1.1", &lab, &nginx(&site, &lab, &pass));
        assert_eq!(connections(&lab), 1.0);
    }

    /// A connection for each request, all of one session.
    #[test]
    fn nginx_by_tls_for_every_request_anew() {
        let site = site();
        let lab = site.lab("").origin(echo()).start();
        let pass = format!("proxy_pass https://{}; {}", lab.proxy.address("web"), nginx_tls("proxy"));
        expect_asked_by("1.0", &lab, &nginx(&site, &lab, &pass));
        let resumed = lab.admin().metric("ropeway_listener_tls_resumed_total", &[]);
        assert_eq!(resumed, connections(&lab) - 1.0);
        assert!(resumed > 20.0, "{resumed}");
    }

    /// The only HTTP/2 that nginx speaks to servers.
    #[test]
    fn nginx_by_http2() {
        let site = site();
        let plain = Lab::new().origin(echo()).with("http2 = { prior_knowledge = true }", "", "").start();
        expect_asked_by("2", &plain, &nginx(&site, &plain, "grpc_pass grpc://kept;"));
        assert_eq!(connections(&plain), 1.0);

        let lab = site.lab("").origin(echo()).start();
        let pass = format!("grpc_pass grpcs://kept; {}", nginx_tls("grpc"));
        expect_asked_by("2", &lab, &nginx(&site, &lab, &pass));
        assert_eq!(connections(&lab), 1.0);
    }

    #[test]
    fn haproxy_by_tls() {
        let site = site();
        let lab = site.lab("").origin(echo()).start();
        expect_asked_by("1.1", &lab, &haproxy(&site, &lab, &(haproxy_tls() + " alpn http/1.1")));
    }

    #[test]
    fn haproxy_by_http2_over_tls() {
        let site = site();
        let lab = site.lab("").origin(echo()).start();
        expect_asked_by("2", &lab, &haproxy(&site, &lab, &(haproxy_tls() + " alpn h2")));
    }

    #[test]
    fn haproxy_by_http2_with_prior_knowledge() {
        let lab = Lab::new().origin(echo()).with("http2 = { prior_knowledge = true }", "", "").start();
        expect_asked_by("2", &lab, &haproxy(&site(), &lab, "proto h2"));
    }

    /// With the header of either version, before TLS where there is any.
    #[test]
    fn haproxy_says_who_the_client_is() {
        let trusting = "proxy_protocol = { trusted = [\"127.0.0.1\"] }\n";
        let site = site();
        let plain = format!("{trusting}http2 = {{ prior_knowledge = true }}");
        let plain = Lab::new().origin(echo()).with(&plain, "", "").start();
        let secured = site.lab(trusting).origin(echo()).start();
        for (lab, words) in [
            (&plain, "send-proxy".to_owned()),
            (&plain, "send-proxy-v2".to_owned()),
            (&plain, "send-proxy-v2 proto h2".to_owned()),
            (&secured, format!("send-proxy {}", haproxy_tls())),
            (&secured, format!("send-proxy-v2 {} alpn h2", haproxy_tls())),
            (&secured, format!("send-proxy-v2-ssl {} alpn http/1.1", haproxy_tls())),
        ] {
            let server = haproxy(&site, lab, &words);
            lab.origin(1).forget();
            expect_service(&client(&server).from("127.0.0.77"));
            for request in lab.origin(1).requests() {
                let seen = request.field("x-forwarded-for");
                assert_eq!(seen.as_deref(), Some("127.0.0.77"), "{words}: {}", server.transcript());
            }
        }
    }
}

/// From one end to the other by HTTP/2 over TLS, with many requests at a time: h2load, HAProxy, the proxy, nginx, an origin.
#[test]
fn a_long_way_by_http2() {
    let site = Site::new();
    let origin = Origin::answering(|request| reply(200, &[], &"x".repeat(request.body.data.len() + 10)));
    let tls = "ssl_certificate @dir/site.pem; ssl_certificate_key @dir/site.key;";
    let both = site.identity.cert.clone() + &site.identity.key;
    let files = [
        ("site.pem", site.identity.cert.as_str()),
        ("site.key", &site.identity.key),
        ("both.pem", &both),
        ("ca.pem", &site.authority.pem()),
    ];
    let nginx = Server::nginx(
        &files,
        &format!(
            "server {{ listen 127.0.0.1:@port ssl http2; {tls} keepalive_requests 100000;\n\
             location / {{ proxy_pass http://{}; }} }}",
            origin.address()
        ),
    );
    let upstream = format!(
        "protocol = \"h2\"\ntls = {{ ca = \"ca.pem\", server_name = \"{}\" }}\npassive = false",
        tls_site::HOST
    );
    let config = file(tls_site::TLS, "", &upstream).replace("@all", &format!("\"{}\"", nginx.address()));
    let lab = site.lab("").config(&config).workers(2).start();
    let haproxy = Server::haproxy(
        &files,
        &format!(
            "frontend in\n bind 127.0.0.1:@port ssl crt @dir/both.pem alpn h2\n default_backend out\n\
             backend out\n server proxy {} ssl verify required ca-file @dir/ca.pem sni str({}) alpn h2\n",
            lab.proxy.address("web"),
            tls_site::HOST
        ),
    );
    let body = lab.file("body");
    std::fs::write(&body, "b".repeat(20_000)).unwrap();
    for options in [String::new(), format!("--data={}", body.display())] {
        let output = Program::new("h2load -n 2000 -c 4 -m 20")
            .args(options.split_whitespace())
            .argument(format!("https://{}/", haproxy.address()))
            .run()
            .expect_success();
        let _ = output.expect_text("2000 succeeded, 0 failed, 0 errored");
    }
    assert_eq!(origin.count(), 4000);
}
