//! Threats that come by TLS, each with its number: judged at the client, and at the origin.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use ropeway_e2e::h2::Block;
use ropeway_e2e::h2::connection::Connection;
use ropeway_e2e::h2::frame::code::PROTOCOL_ERROR;
use ropeway_e2e::h2::frame::headers;
use ropeway_e2e::h2::rules::{expect_going_on, expect_refused};
use ropeway_e2e::openssl::s_client;
use ropeway_e2e::tls::{Authority, ClientSide, ServerSide};
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::wire::find;
use ropeway_e2e::{Lab, Origin, Program, Running, binary, eventually, lab, reply};
use rustls::ClientConnection;
use rustls::version::{TLS12, TLS13};

const HOSTILE: [&[u8]; 6] = [b"a\0b", b"a\rb", b"a\nb", b"a\r\nevil: yes", b"\0", b"a\n"];

#[test]
fn threat_08_control_characters_in_http2_values_are_refused() {
    for value in HOSTILE {
        for name in ["x-value", "cookie", "te", "content-type"] {
            expect_refusal(|connection| {
                let stream = connection.new_stream();
                connection.send(&[headers(stream, Block::get("/hostile").field(name, value)).end()]);
                stream
            });
        }
    }
}

#[test]
fn threat_08_control_characters_in_http2_pseudo_fields_are_refused() {
    for value in HOSTILE {
        let path = [b"/hostile".as_slice(), value].concat();
        let usual = [b"GET".as_slice(), b"https", HOST.as_bytes(), b"/hostile"];
        for (place, bad) in [value, value, value, path.as_slice()].into_iter().enumerate() {
            let mut values = usual;
            values[place] = bad;
            let names = [":method", ":scheme", ":authority", ":path"];
            let block = names
                .into_iter()
                .zip(values)
                .fold(Block::new(), |block, (name, value)| block.field(name, value));
            expect_refusal(|connection| {
                let stream = connection.new_stream();
                connection.send(&[headers(stream, block).end()]);
                stream
            });
        }
    }
}

#[test]
fn threat_08_control_characters_in_http2_trailers_never_arrive() {
    for value in HOSTILE {
        expect_refusal(|connection| {
            let stream = connection.start_with_body(Block::post("/trailers"));
            connection.send_body(stream, b"body");
            connection.send(&[headers(stream, Block::new().field("hostile", value)).end()]);
            stream
        });
    }
}

/// Asserts that the request that `send` sends is refused, on its stream or with the whole connection, and that the origin
/// sees no part of what is hostile in it.
#[track_caller]
fn expect_refusal(send: impl FnOnce(&mut Connection) -> u32) {
    let site = Site::new();
    let lab = site.lab("").origin(Origin::saying("ok")).start();
    let mut connection = Connection::open(&site.http2_client(&lab));
    let stream = send(&mut connection);
    while !connection.exchange(stream).is_over() && connection.goaways.is_empty() && connection.step() {}
    if connection.goaways.is_empty() {
        expect_refused(&mut connection, stream);
        expect_going_on(&mut connection);
    } else {
        connection.expect_goaway(&[PROTOCOL_ERROR]);
    }
    let _ = site.client(&lab).get("/after").expect(200);
    let requests = lab.origin(1).requests();
    assert!(requests.iter().all(|request| request.target == "/after"), "{requests:?}");
    assert!(!lab.origin(1).saw(b"hostile"), "a part of a refused request arrived");
}

#[test]
fn threat_23_renegotiation_is_refused() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    // `R` on a line of its own asks for a new handshake.
    let output = Program::new("openssl s_client -tls1_2 -connect")
        .argument(lab.proxy.address("web").to_string())
        .args(["-servername", HOST, "-CAfile"])
        .argument(lab.file("ca.pem"))
        .input("R\n")
        .run();
    assert!(output.err.contains("no renegotiation"), "{}", output.err);
    let _ = site.client(&lab).get("/").expect(200);
    assert_eq!(lab.origin(1).count(), 1);
}

#[test]
fn threat_23_a_client_hello_in_records_of_one_byte_is_refused_without_delay() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    for version in [&TLS12, &TLS13] {
        let config = ClientSide::trusting(&site.authority).version(version).config();
        let mut session = ClientConnection::new(config, HOST.try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let mut socket = connect(&lab);
        let torn: Vec<u8> = hello[5..].iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
        // The proxy may have closed before the last of them.
        let _ = socket.write_all(&torn);
        let error = session.complete_io(&mut socket).expect_err("so many records are no handshake");
        let closed =
            [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::InvalidData];
        assert!(closed.contains(&error.kind()), "an alert or an end, not {error}");
    }
    let _ = site.client(&lab).get("/").expect(200);
}

#[test]
fn threat_23_an_endless_client_hello_is_cut_off() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let before = lab.proxy.resident_kib();
    for _ in 0..8 {
        let mut socket = connect(&lab);
        // A handshake message that says it is 16 MiB long, in records as large as they may be.
        let mut record = vec![0x16, 3, 1, 0x40, 0];
        record.extend_from_slice(&[1, 0xff, 0xff, 0xff]);
        record.resize(5 + 0x4000, 0);
        let mut sent = socket.write_all(&record);
        record[5..9].fill(0);
        for _ in 0..1024 {
            sent = sent.and_then(|()| socket.write_all(&record));
        }
        assert!(
            sent.is_err() || socket.read(&mut [0; 16]).is_ok_and(|count| count <= 7),
            "it is still listened to"
        );
    }
    let grown = lab.proxy.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB for what was thrown away");
    let _ = site.client(&lab).get("/").expect(200);
}

#[test]
fn threat_23_a_handshake_that_stands_still_ends_at_its_time_out_without_a_spin() {
    let site = Site::new();
    let timeout = TLS.replace(" }\n", ", handshake_timeout = \"2s\" }\n");
    let lab = site.lab_with(&timeout).origins(1).start();
    let hello = client_hello(&site);
    // At every stage: nothing at all, a part of a record, a record without the rest of the message, a whole ClientHello
    // without an answer to what comes back, and the end announced before the beginning.
    let stages: [&[u8]; 5] = [b"", &hello[..3], &hello[..hello.len() / 2], &hello, &[0x15, 3, 1, 0, 2, 1, 0]];
    let before = processor_ticks(&lab);
    let mut sockets: Vec<TcpStream> = (0..100).map(|_| connect(&lab)).collect();
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.write_all(stages[number % stages.len()]).unwrap();
    }
    for socket in &mut sockets {
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let used = processor_ticks(&lab) - before;
    assert!(used < 60, "{used} ticks of the processor for connections that stood still");
    let _ = site.client(&lab).get("/").expect(200);
}

#[test]
fn threat_23_an_early_close_notify_ends_the_connection() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let hello = client_hello(&site);
    let close_notify = [0x15, 3, 3, 0, 2, 1, 0];
    for bytes in [close_notify.to_vec(), [hello.as_slice(), &close_notify].concat()] {
        let mut socket = connect(&lab);
        socket.write_all(&bytes).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        // Whatever is said, then the end: a time-out would be an error of the harness.
        let end = socket.read_to_end(&mut Vec::new());
        assert!(
            end.as_ref().map_or_else(|error| error.kind() == io::ErrorKind::ConnectionReset, |_| true),
            "{end:?}"
        );
    }
    let mut connection = site.client(&lab).connect();
    connection.wire.send_close_notify();
    connection.expect_end();
    assert_eq!(lab.origin(1).connections(), 0);
}

/// `open.example` for everybody, `closed.example` for clients of an authority of its own.
struct TwoHosts {
    authority: Authority,
    clients: Authority,
}

impl TwoHosts {
    fn new() -> Self {
        Self { authority: Authority::new("Test CA"), clients: Authority::new("Clients CA") }
    }

    fn lab(&self, mode: &str, names: &str) -> Lab {
        let listener = format!(
            "[listener.web.tls]\ncertificates = [{{ cert = \"open.pem\", key = \"open.key\" }}]\n\
             [[listener.web.tls.host]]\nnames = [{names}]\n\
             certificates = [{{ cert = \"closed.pem\", key = \"closed.key\" }}]\n\
             client_auth = {{ mode = \"{mode}\", ca = \"clients.pem\" }}\n"
        );
        Lab::new()
            .with(&listener, "", "")
            .identity("open", &self.authority.issue(&["open.example"]))
            .identity(
                "closed",
                &self.authority.issue(&["closed.example", "*.closed.example", "a.b.closed.example"]),
            )
            .file("ca.pem", &self.authority.pem())
            .file("clients.pem", &self.clients.pem())
    }
}

#[test]
fn threat_25_a_ticket_of_one_host_is_worth_nothing_at_another_with_client_certificates() {
    let hosts = TwoHosts::new();
    for mode in ["required", "optional"] {
        let lab = hosts.lab(mode, "\"closed.example\"").origins(1).start();
        for version in ["-tls1_2", "-tls1_3"] {
            let visit = |host: &str, more: &str| s_client(&lab, host, &format!("{version} {more}")).run();
            let _ = visit("open.example", "-sess_out @dir/ticket").expect_text("New, ").expect_text("200 ");
            let _ = visit("open.example", "-sess_in @dir/ticket").expect_text("Reused, ");
            let elsewhere = visit("closed.example", "-sess_in @dir/ticket").expect_no_text("Reused, ");
            assert_eq!(
                elsewhere.text().contains("HTTP/1.1 200 "),
                mode == "optional",
                "{}",
                elsewhere.text()
            );
        }
    }
}

#[test]
fn threat_25_a_ticket_made_without_a_certificate_does_not_become_one_with() {
    let hosts = TwoHosts::new();
    let lab = hosts.lab("optional", "\"closed.example\"").origins(1).start();
    for version in ["-tls1_2", "-tls1_3"] {
        let _ = s_client(&lab, "closed.example", &format!("{version} -sess_out @dir/anonymous"))
            .run()
            .expect_text("New, ");
        let required = hosts.lab("required", "\"closed.example\"").origins(1).start();
        std::fs::copy(lab.file("anonymous"), required.file("anonymous")).unwrap();
        let output =
            s_client(&required, "closed.example", &format!("{version} -sess_in @dir/anonymous")).run();
        let output = output.expect_no_text("Reused, ").expect_no_text("HTTP/1.1 200 ");
        assert!(output.err.contains("alert"), "{}", output.err);
    }
}

#[test]
fn threat_26_a_host_with_client_certificates_is_not_served_on_a_connection_for_another() {
    let hosts = TwoHosts::new();
    let lab = hosts.lab("required", "\"closed.example\", \"*.closed.example\"").origins(1).start();
    let config = ClientSide::trusting(&hosts.authority).config();
    for host in [
        "closed.example",
        "CLOSED.example",
        "closed.example:443",
        "closed.example.",
        "a.closed.example",
        "A.Closed.Example:8443",
        "a.b.closed.example",
    ] {
        let response = lab.client().tls(&config, "open.example").host(host).get("/hostile");
        assert_eq!(response.status, 421, "{host}");
        let mut connection = lab.client().tls(&config, "open.example").connect();
        connection.send(format!("GET http://{host}/hostile HTTP/1.1\r\nHost: open.example\r\n\r\n"));
        let status = connection.receive().status;
        assert!(status == 421 || status == 400, "{status} for {host} in absolute form");
        let http2 = ClientSide::trusting(&hosts.authority).alpn(&["h2"]).config();
        let mut http2 = Connection::open(&lab.client().tls(&http2, "open.example"));
        let block = Block::new()
            .field(":method", "GET")
            .field(":scheme", "https")
            .field(":authority", host)
            .field(":path", "/hostile");
        let stream = http2.start(block);
        let _ = http2.response(stream).expect(421);
    }
    let _ = lab.client().tls(&config, "open.example").get("/").expect(200);
    assert!(!lab.origin(1).saw(b"hostile"));
}

#[test]
fn threat_26_nor_without_a_name_in_the_handshake() {
    let hosts = TwoHosts::new();
    let lab = hosts.lab("required", "\"closed.example\"").origins(1).start();
    let request = "GET / HTTP/1.1\r\nHost: closed.example\r\nConnection: close\r\n\r\n";
    let _ = Program::new("openssl s_client -ign_eof -noservername -connect")
        .argument(lab.proxy.address("web").to_string())
        .input(request)
        .run()
        .expect_text("HTTP/1.1 421 ");
    assert_eq!(lab.origin(1).count(), 0);
}

#[test]
fn threat_26_with_the_right_name_and_certificate_it_is_served_and_the_other_is_not() {
    let hosts = TwoHosts::new();
    let lab = hosts.lab("required", "\"closed.example\"").origins(1).start();
    let alice =
        ClientSide::trusting(&hosts.authority).identity(&hosts.clients.issue_client("alice")).config();
    let _ = lab.client().tls(&alice, "closed.example").get("/").expect(200);
    let _ = lab.client().tls(&alice, "closed.example").host("open.example").get("/").expect(421);
    let stranger = Authority::new("Another CA").issue_client("mallory");
    for identity in [None, Some(stranger)] {
        let side = ClientSide::trusting(&hosts.authority);
        let side = identity.as_ref().map_or(side.clone(), |identity| side.identity(identity));
        let client = lab.client().tls(&side.config(), "closed.example");
        // In TLS 1.3 the refusal comes after the client's side of the handshake.
        let answer = client
            .try_connect()
            .map_err(Into::into)
            .and_then(|mut connection| connection.try_get("/hostile"));
        assert!(answer.is_err(), "{answer:?}");
    }
    assert!(!lab.origin(1).saw(b"hostile"));
}

/// Files that are no certificates of authorities.
fn bad_authorities(site: &Site) -> Vec<(&'static str, String)> {
    let half = site.authority.pem().replace("-----END CERTIFICATE-----", "");
    vec![
        ("empty", String::new()),
        ("nothing of the kind", "no certificate\n".into()),
        ("cut off", half),
        ("a key", site.identity.key.clone()),
        ("not base64", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n".into()),
        ("not a certificate", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n".into()),
    ]
}

fn with_clients(more: &str) -> String {
    TLS.replace(
        " }\n",
        &format!(", client_auth = {{ mode = \"required\", ca = \"clients.pem\"{more} }} }}\n"),
    )
}

#[test]
fn threat_27_a_missing_or_bad_client_authority_refuses_the_start() {
    let site = Site::new();
    let mut cases: Vec<(&str, Option<String>)> =
        bad_authorities(&site).into_iter().map(|(name, text)| (name, Some(text))).collect();
    cases.push(("missing", None));
    for (name, text) in cases {
        let directory = ropeway_e2e::tempdir::TempDir::new();
        let write = |name: &str, text: &str| std::fs::write(directory.file(name), text).unwrap();
        write("site.pem", &site.identity.cert);
        write("site.key", &site.identity.key);
        text.iter().for_each(|text| write("clients.pem", text));
        let file = lab::file(&with_clients(""), "", "").replace("@all", "\"127.0.0.1:9\"");
        write("ropeway.toml", &(file + "[admin]\nbind = \"127.0.0.1:0\"\n"));
        for command in ["check", "run"] {
            let program = Program::new(&binary::ropeway().to_string_lossy()).argument(command);
            let program = if command == "run" { program.argument("-c") } else { program };
            let output = program.argument(directory.file("ropeway.toml")).run();
            assert_eq!(
                output.status.code().map(|code| code != 0 && code < 100),
                Some(true),
                "{command} with {name}"
            );
            let said = format!("{}{}", output.err, output.text());
            assert!(said.contains("clients.pem"), "{command} with {name}: {said}");
        }
    }
}

#[test]
fn threat_27_a_bad_client_authority_refuses_a_reload_and_clients_are_still_asked() {
    let site = Site::new();
    let lab = site.lab_with(&with_clients("")).file("clients.pem", &site.authority.pem()).origins(1).start();
    let alice =
        ClientSide::trusting(&site.authority).identity(&site.authority.issue_client("alice")).config();
    let expect_asked = || {
        let _ = lab.client().tls(&alice, HOST).get("/").expect(200);
        let answer = site
            .client(&lab)
            .try_connect()
            .map_err(Into::into)
            .and_then(|mut connection| connection.try_get("/"));
        assert!(answer.is_err(), "{answer:?}");
    };
    expect_asked();
    for (name, text) in bad_authorities(&site) {
        std::fs::write(lab.file("clients.pem"), text).unwrap();
        let answer = lab.admin().post("/api/reload", "{}");
        assert_eq!(answer.status, 422, "{name}: {}", answer.text());
        assert!(answer.text().contains("clients.pem"), "{name}: {}", answer.text());
        expect_asked();
    }
    std::fs::remove_file(lab.file("clients.pem")).unwrap();
    let _ = lab.admin().post("/api/reload", "{}").expect(422);
    expect_asked();
}

#[test]
fn threat_27_a_bad_list_of_revoked_certificates_refuses_too() {
    let site = Site::new();
    let (alice, mallory) = (site.authority.issue_client("alice"), site.authority.issue_client("mallory"));
    let lab = site
        .lab_with(&with_clients(", crl = \"revoked.crl\""))
        .file("clients.pem", &site.authority.pem())
        .file("revoked.crl", &site.authority.revoke(&[&mallory]))
        .origins(1)
        .start();
    let side = ClientSide::trusting(&site.authority);
    let expect_revoked = || {
        let _ = lab.client().tls(&side.clone().identity(&alice).config(), HOST).get("/").expect(200);
        let client = lab.client().tls(&side.clone().identity(&mallory).config(), HOST);
        let answer =
            client.try_connect().map_err(Into::into).and_then(|mut connection| connection.try_get("/"));
        assert!(answer.is_err(), "{answer:?}");
    };
    expect_revoked();
    for text in ["", "nothing", "-----BEGIN X509 CRL-----\naGVsbG8=\n-----END X509 CRL-----\n"] {
        std::fs::write(lab.file("revoked.crl"), text).unwrap();
        let _ = lab.admin().post("/api/reload", "{}").expect(422);
        expect_revoked();
    }
}

#[test]
fn threat_28_plaintext_from_a_tls_server_is_a_502() {
    let site = Site::new();
    let log = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
    let config = lab::file("", "", "tls = { ca = \"ca.pem\", server_name = \"shop.example\" }\n") + log;
    for greeting in [reply(200, &[], "forged"), b"\x17\x03\x03\x00\x06forged".to_vec()] {
        let text = greeting.clone();
        let lab = Lab::new()
            .config(&config)
            .file("ca.pem", &site.authority.pem())
            .origin(Origin::scripted(move |peer| {
                peer.send(&text);
                let _ = peer.wait_for_end();
            }))
            .start();
        let response = lab.client().get("/").expect(502);
        assert!(!response.text().contains("forged"), "{}", response.text());
        let record = eventually("a record", || {
            let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
            serde_json::from_str::<serde_json::Value>(text.lines().next()?).ok()
        });
        assert_eq!(record["reason"], "server_tls_failed", "{record}");
        let sent: Vec<u8> = lab.origin(1).bytes().concat();
        assert!(find(&sent, b"GET ").is_none(), "a request went out in the clear");
    }
}

#[test]
fn threat_28_plaintext_before_a_good_handshake_is_no_response() {
    let site = Site::new();
    let tls = ServerSide::new(&site.identity).config();
    let config = lab::file("", "", "tls = { ca = \"ca.pem\", server_name = \"shop.example\" }\n");
    let lab = Lab::new()
        .config(&config)
        .file("ca.pem", &site.authority.pem())
        .origin(Origin::scripted(move |peer| {
            peer.send(reply(200, &[], "forged"));
            if peer.wire.secure_as_server(tls.clone()).is_ok() {
                while let Some(request) = peer.request() {
                    peer.answer(&request, &reply(200, &[], "true"));
                }
            }
        }))
        .start();
    let response = lab.client().get("/").expect(502);
    assert!(!response.text().contains("forged"), "{}", response.text());
}

#[test]
fn threat_29_early_data_is_never_taken() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let mut config = (*ClientSide::trusting(&site.authority).version(&TLS13).config()).clone();
    config.enable_early_data = true;
    let config = std::sync::Arc::new(config);
    let _ = lab.client().tls(&config, HOST).get("/").expect(200);
    let mut session = ClientConnection::new(config, HOST.try_into().unwrap()).unwrap();
    assert!(session.early_data().is_none(), "the ticket invites to send early data");
    let mut socket = connect(&lab);
    session.complete_io(&mut socket).unwrap();
    assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert!(!session.is_early_data_accepted());
}

#[test]
fn threat_29_a_real_client_that_would_send_early_data_sends_its_request_once() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let request =
        format!("POST /once HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    std::fs::write(lab.file("early"), &request).unwrap();
    let _ = s_client(&lab, HOST, "-tls1_3 -sess_out @dir/ticket").run().expect_text("New, ");
    let output =
        s_client(&lab, HOST, "-tls1_3 -sess_in @dir/ticket -early_data @dir/early").input(&request).run();
    let output = output.expect_text("HTTP/1.1 200 ").expect_no_text("Early data was accepted");
    assert_eq!(output.text().matches("HTTP/1.1 200 ").count(), 1);
    let posts = lab.origin(1).requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 1);
}

pub(crate) fn connect(lab: &Running) -> TcpStream {
    connect_to(lab, "web")
}

pub(crate) fn connect_to(lab: &Running, listener: &str) -> TcpStream {
    let socket = TcpStream::connect(lab.proxy.address(listener)).unwrap();
    socket.set_read_timeout(Some(ropeway_e2e::wait::PATIENCE)).unwrap();
    socket.set_write_timeout(Some(ropeway_e2e::wait::PATIENCE)).unwrap();
    socket
}

pub(crate) fn client_hello(site: &Site) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut session = ClientConnection::new(site.config(), HOST.try_into().unwrap()).unwrap();
    session.write_tls(&mut hello).unwrap();
    hello
}

/// Time of the processor that the proxy has used, in hundredths of a second.
fn processor_ticks(lab: &Running) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", lab.proxy.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    ticks(11) + ticks(12)
}
