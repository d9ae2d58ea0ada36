//! Certificates that are ordered: first ones, renewals, and what happens when the authority says no or nothing.

use std::path::Path;

use ropeway_e2e::tempdir::TempDir;
use ropeway_e2e::tls::ClientSide;
use ropeway_e2e::{AcmeServer, Client, Gate, Lab, Running, eventually};

const HOST: &str = "shop.example";

/// A laboratory with a listener in the clear, one with TLS, and these lines in `[acme]`.
fn lab(server: &AcmeServer, storage: &Path, hosts: &str, acme: &str) -> Lab {
    Lab::new().config(&file(server, storage, hosts, acme)).file("roots.pem", &server.roots()).origins(1)
}

fn file(server: &AcmeServer, storage: &Path, hosts: &str, acme: &str) -> String {
    format!(
        "[acme]\ndirectory = \"{directory}\"\nstorage = \"{storage}\"\nterms_agreed = true\nca = \"roots.pem\"\n{acme}\n\
         [listener.web]\nbind = \"127.0.0.1:0\"\n\
         [listener.secure]\nbind = \"127.0.0.1:0\"\n\
         tls = {{ certificates = [{{ acme = {hosts} }}] }}\n\
         [[route]]\nupstream = \"app\"\n[upstream.app]\nservers = [@all]\n",
        directory = server.directory(),
        storage = storage.display(),
    )
}

/// A client that believes the authority, and asks for `name` over TLS.
fn client(lab: &Running, server: &AcmeServer, name: &str) -> Client {
    lab.client_of("secure").tls(&ClientSide::trusting(server.issuer()).config(), name)
}

/// Waits until the certificate that was ordered for `name` is shown.
fn wait_for_certificate(lab: &Running, server: &AcmeServer, name: &str) {
    let client = client(lab, server, name);
    eventually("the certificate is shown", || client.try_connect().ok());
    client.get("/").expect(200).expect_body("1");
}

/// Tells the authority where the proxy is, and lets it look at challenges.
fn open(gate: &Gate, server: &AcmeServer, lab: &Running) {
    server.http_is_at(lab.proxy.address("web"));
    server.tls_is_at(lab.proxy.address("secure"));
    gate.open();
}

/// A proxy that has got its first certificate.
fn with_certificate(server: &AcmeServer, storage: &Path, acme: &str) -> Running {
    let gate = Gate::new();
    server.hold_validations(&gate);
    let lab = lab(server, storage, &format!("\"{HOST}\""), acme).start();
    open(&gate, server, &lab);
    wait_for_certificate(&lab, server, HOST);
    lab
}

fn status(lab: &Running) -> serde_json::Value {
    lab.admin().status()["acme"][0].clone()
}

#[test]
fn the_first_certificate_comes_by_http_01() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let lab = with_certificate(&server, storage.path(), "");
    assert_eq!((server.accounts(), server.issued()), (1, 1));
    assert_eq!(server.orders(), [[HOST]]);
    let status = status(&lab);
    assert_eq!((&status["state"], &status["failures"]), (&"ordered".into(), &0.into()), "{status}");
    assert_eq!(status["names"][0], HOST);
    assert!(status["not_after"].is_string() && status["next_order"].is_string(), "{status}");
    assert_eq!(lab.admin().metric("ropeway_acme_orders_total", &[("result", "succeeded")]), 1.0);
    assert!(lab.admin().metric("ropeway_acme_next_order_timestamp_seconds", &[("name", HOST)]) > 1.7e9);
}

#[test]
fn the_first_certificate_comes_by_tls_alpn_01() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let _lab = with_certificate(&server, storage.path(), "challenge = \"tls-alpn-01\"");
    assert_eq!((server.accounts(), server.issued()), (1, 1));
}

#[test]
fn one_certificate_can_be_for_several_hosts() {
    let (server, storage, gate) = (AcmeServer::start(), TempDir::new(), Gate::new());
    server.hold_validations(&gate);
    let lab = lab(&server, storage.path(), "[\"a.example\", \"b.example\"]", "").start();
    open(&gate, &server, &lab);
    wait_for_certificate(&lab, &server, "a.example");
    wait_for_certificate(&lab, &server, "b.example");
    assert_eq!(server.orders(), [["a.example", "b.example"]]);
}

#[test]
fn an_external_account_is_shown_to_who_asks_for_it() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    server.require_external_account("kid-1", b"secret-secret");
    let eab = "eab = { kid = \"kid-1\", key = \"c2VjcmV0LXNlY3JldA\" }";
    let _lab = with_certificate(&server, storage.path(), eab);
    assert_eq!(server.accounts(), 1);
}

#[test]
fn a_wrong_external_account_is_said_to_be_wrong() {
    for (eab, why) in [
        (
            "eab = { kid = \"kid-1\", key = \"d3Jvbmc\" }",
            "the external account is not known, or its key is wrong",
        ),
        ("", "add `eab = { kid = ..., key = ... }` to `[acme]`"),
    ] {
        let (server, storage) = (AcmeServer::start(), TempDir::new());
        server.require_external_account("kid-1", b"secret-secret");
        let lab = lab(&server, storage.path(), &format!("\"{HOST}\""), eab).start();
        let error = eventually("the order fails", || status(&lab)["last_error"].as_str().map(str::to_owned));
        assert!(error.starts_with("the authority refused: ") && error.contains(why), "{error}");
        assert_eq!(status(&lab)["state"], "placeholder");
        assert_eq!(lab.admin().metric("ropeway_acme_orders_total", &[("result", "failed")]), 1.0);
        let events = lab.admin().status()["events"].to_string();
        assert!(events.contains("order_failed") && events.contains(HOST), "{events}");
        assert_eq!((server.accounts(), server.orders().len()), (0, 0));
    }
}

#[test]
fn a_certificate_is_renewed_when_the_authority_says_so() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let lab = with_certificate(&server, storage.path(), "");
    drop(lab);
    server.set_renew_now(true);
    let gate = Gate::new();
    server.hold_validations(&gate);
    let lab = self::lab(&server, storage.path(), &format!("\"{HOST}\""), "").start();
    // Clients are served with the old one meanwhile.
    eventually("the renewal is under way", || server.tokens_under_way().pop());
    client(&lab, &server, HOST).get("/").expect(200);
    open(&gate, &server, &lab);
    eventually("the second certificate", || (server.issued() == 2).then_some(()));
    wait_for_certificate(&lab, &server, HOST);
    assert_eq!(server.accounts(), 1, "the account is kept");
    let replaced = server.replaced();
    assert_eq!(replaced[0], None);
    assert!(replaced[1].as_ref().is_some_and(|id| id.contains('.')), "{replaced:?}");
}

#[test]
fn two_processes_that_share_a_storage_order_once() {
    let (server, storage, gate) = (AcmeServer::start(), TempDir::new(), Gate::new());
    server.hold_validations(&gate);
    let labs = [(); 2].map(|()| lab(&server, storage.path(), &format!("\"{HOST}\""), "").start());
    let token = eventually("the order is under way", || server.tokens_under_way().pop());
    let path = format!("/.well-known/acme-challenge/{token}");
    for lab in &labs {
        let answer = lab.client_of("web").get(&path).expect(200);
        assert!(answer.text().starts_with(&token), "either of them answers: {}", answer.text());
    }
    let others: Vec<&Running> =
        labs.iter().filter(|lab| !lab.proxy.transcript().contains("ordering a certificate")).collect();
    assert_eq!(others.len(), 1, "one of them orders");
    // The authority looks at the other one.
    open(&gate, &server, others[0]);
    for lab in &labs {
        wait_for_certificate(lab, &server, HOST);
        eventually("both know of it", || (status(lab)["state"] == "ordered").then_some(()));
    }
    assert_eq!((server.accounts(), server.orders().len(), server.issued()), (1, 1, 1));
}

#[test]
fn an_authority_that_is_down_is_asked_again() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    server.set_down(true);
    let gate = Gate::new();
    server.hold_validations(&gate);
    let lab = lab(&server, storage.path(), &format!("\"{HOST}\""), "").start();
    let error = eventually("the order fails", || status(&lab)["last_error"].as_str().map(str::to_owned));
    assert!(error.starts_with("the authority cannot be reached: "), "{error}");
    assert_eq!(status(&lab)["state"], "placeholder");
    assert!(client(&lab, &server, HOST).try_connect().is_err(), "nobody accepts a placeholder");
    assert!(lab.proxy.transcript().contains("placeholder"), "the log says so");
    lab.client().get("/").expect(200);
    server.set_down(false);
    open(&gate, &server, &lab);
    wait_for_certificate(&lab, &server, HOST);
    assert_eq!(status(&lab)["failures"], 0);
}

#[test]
fn a_host_that_cannot_be_proved_is_named() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let lab = lab(&server, storage.path(), &format!("\"{HOST}\""), "").start();
    let error = eventually("the order fails", || status(&lab)["last_error"].as_str().map(str::to_owned));
    assert!(error.contains("shop.example: connection: the host has no address"), "{error}");
}

/// Authorities lock out who fails too often in an hour, however often a process is started in it.
#[test]
fn a_process_that_is_started_again_does_not_order_at_once_what_was_refused() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let start = || lab(&server, storage.path(), &format!("\"{HOST}\""), "").start();
    for _ in 0..2 {
        let lab = start();
        let known = eventually("the refusal is known", || {
            Some(status(&lab)).filter(|status| status["failures"] == 1 && status["last_error"].is_string())
        });
        let error = known["last_error"].as_str().unwrap();
        assert!(error.contains("the host has no address"), "{error}");
        assert_eq!(server.orders().len(), 1);
    }
    let authority = std::fs::read_dir(storage.path()).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(authority).unwrap().map(|entry| entry.unwrap().path());
    let records: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "failed")).collect();
    // Who has mended what was wrong takes the record away.
    let lab = start();
    eventually("it waits", || status(&lab)["last_error"].as_str().map(drop));
    server.http_is_at(lab.proxy.address("web"));
    std::fs::remove_file(&records[0]).unwrap();
    wait_for_certificate(&lab, &server, HOST);
    assert_eq!((records.len(), server.orders().len()), (1, 2));
}

/// Whether a certificate is there has to be known: who orders one for every fault of a disk gets none in the end.
#[test]
fn nothing_is_ordered_while_the_storage_cannot_be_read() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    drop(with_certificate(&server, storage.path(), ""));
    let authority = std::fs::read_dir(storage.path()).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(authority).unwrap().map(|entry| entry.unwrap().path());
    let certificate =
        files.into_iter().find(|file| file.extension().is_some_and(|end| end == "pem")).unwrap();
    std::fs::remove_file(&certificate).unwrap();
    std::fs::create_dir(&certificate).unwrap();
    let lab = lab(&server, storage.path(), &format!("\"{HOST}\""), "").start();
    let error = eventually("it is said", || status(&lab)["last_error"].as_str().map(str::to_owned));
    assert!(error.starts_with("the storage cannot be used: "), "{error}");
    assert_eq!(server.orders().len(), 1);
}

#[test]
fn a_host_that_is_added_by_a_reload_gets_a_certificate() {
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let lab = with_certificate(&server, storage.path(), "");
    let two = format!("\"{HOST}\" }}, {{ acme = \"new.example\"");
    let gate = Gate::new();
    server.hold_validations(&gate);
    lab.reload(&file(&server, storage.path(), &two, ""));
    open(&gate, &server, &lab);
    wait_for_certificate(&lab, &server, "new.example");
    wait_for_certificate(&lab, &server, HOST);
    assert_eq!(server.orders(), [[HOST], ["new.example"]]);
}

#[test]
fn the_storage_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (server, storage) = (AcmeServer::start(), TempDir::new());
    let _lab = with_certificate(&server, storage.path(), "");
    let authority = std::fs::read_dir(storage.path()).unwrap().next().unwrap().unwrap().path();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&authority), 0o700);
    let files: Vec<_> = std::fs::read_dir(&authority).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

/// Threat 39: what looks like a challenge and is none goes the way of every other request.
#[test]
fn an_unknown_token_is_a_path_like_any_other() {
    let (server, storage, gate) = (AcmeServer::start(), TempDir::new(), Gate::new());
    server.hold_validations(&gate);
    let lab = lab(&server, storage.path(), &format!("\"{HOST}\""), "").start();
    let token = eventually("the order is under way", || server.tokens_under_way().pop());
    let known = format!("/.well-known/acme-challenge/{token}");
    let answer = lab.client().get(&known).expect(200);
    assert!(answer.text().starts_with(&format!("{token}.")), "{}", answer.text());
    // The origin answers these.
    for path in [format!("{known}x"), format!("{known}/"), "/.well-known/acme-challenge/".into(), "/".into()]
    {
        lab.client().get(&path).expect(200).expect_body("1");
    }
    lab.client().request("POST", &known, "body").expect(200).expect_body("1");
    open(&gate, &server, &lab);
    wait_for_certificate(&lab, &server, HOST);
    lab.client().get(&known).expect(200).expect_body("1");
}

/// Threat 24: a handshake for a challenge that stalls ends when any other would.
#[test]
fn a_stalled_handshake_for_a_challenge_has_the_deadline_of_any_other() {
    let (server, storage, gate) = (AcmeServer::start(), TempDir::new(), Gate::new());
    server.hold_validations(&gate);
    let text = file(&server, storage.path(), &format!("\"{HOST}\""), "challenge = \"tls-alpn-01\"");
    let text = text.replace("}] }", "}], handshake_timeout = \"2s\" }");
    let lab = Lab::new().config(&text).file("roots.pem", &server.roots()).origins(1).start();
    eventually("the order is under way", || server.tokens_under_way().pop());
    let mut hello = Vec::new();
    let config = ClientSide::trusting(server.issuer()).alpn(&["acme-tls/1"]).config();
    let mut tls = rustls::ClientConnection::new(config, HOST.try_into().unwrap()).unwrap();
    tls.write_tls(&mut hello).unwrap();
    // One says nothing behind its first message, the other does not even end that.
    for part in [hello.len(), hello.len() / 2] {
        let mut connection = lab.client_of("secure").connect();
        let _answer = connection.send(&hello[..part]).rest();
    }
    let ends =
        || lab.admin().metric("ropeway_listener_request_ends_total", &[("reason", "tls_handshake_timeout")]);
    eventually("both are counted", || (ends() == 2.0).then_some(()));
    open(&gate, &server, &lab);
    wait_for_certificate(&lab, &server, HOST);
    // Without a challenge nobody speaks that protocol.
    let client = lab
        .client_of("secure")
        .tls(&ClientSide::trusting(server.issuer()).alpn(&["acme-tls/1"]).config(), HOST);
    assert!(client.try_connect().is_err());
}
