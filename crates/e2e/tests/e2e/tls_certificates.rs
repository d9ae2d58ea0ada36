//! Which certificate is shown to whom, and what happens when files change.

use ropeway_e2e::tls::{Authority, ClientSide, Identity, certificate_shown};
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::{Gate, Lab, Load, Origin, Running, eventually, reply};

fn pair(name: &str) -> String {
    format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}")
}

#[test]
fn certificates_are_found_by_exact_name_then_wildcard_then_the_first() {
    let authority = Authority::new("Test CA");
    // The default has every name, so that the client is content with it.
    let names = ["default.example", "other.example", "x.y.wild.example"];
    let default = authority.issue(&names);
    let exact = authority.issue(&["exact.wild.example"]);
    let wildcard = authority.issue(&["*.wild.example"]);
    let tls = format!(
        "tls = {{ certificates = [{}, {}, {}] }}\n",
        pair("default"),
        pair("wildcard"),
        pair("exact")
    );
    let lab = Lab::new()
        .with(&tls, "", "")
        .identity("default", &default)
        .identity("exact", &exact)
        .identity("wildcard", &wildcard)
        .origins(1)
        .start();
    let config = ClientSide::trusting(&authority).config();
    for (name, identity) in [
        ("exact.wild.example", &exact),
        ("EXACT.Wild.example", &exact),
        ("any.wild.example", &wildcard),
        ("default.example", &default),
        ("other.example", &default),
        ("x.y.wild.example", &default),
    ] {
        assert_eq!(certificate_shown(&lab.client(), &config, name), identity.der(), "{name}");
    }
}

#[test]
fn a_directory_is_as_good_as_a_list() {
    let authority = Authority::new("Test CA");
    let (a, b) = (authority.issue(&["a.example"]), authority.issue(&["b.example"]));
    let lab = in_directory(&[("a", &a), ("b", &b)]);
    let config = ClientSide::trusting(&authority).config();
    assert_eq!(certificate_shown(&lab.client(), &config, "a.example"), a.der());
    assert_eq!(certificate_shown(&lab.client(), &config, "b.example"), b.der());
    let c = authority.issue(&["c.example"]);
    lab.replace_identity("certs/c", &c);
    eventually("a certificate that came into the directory is shown", || {
        lab.client().tls(&config, "c.example").try_connect().ok()
    });
}

fn in_directory(identities: &[(&str, &Identity)]) -> Running {
    let tls = "tls = { certificates = [{ directory = \"certs\" }] }\n";
    let lab = Lab::new().with(tls, "", "").origins(1);
    identities
        .iter()
        .fold(lab, |lab, (name, identity)| lab.identity(&format!("certs/{name}"), identity))
        .start()
}

#[test]
fn another_certificate_is_taken_without_dropping_a_connection() {
    let site = Site::new();
    let gate = Gate::new();
    let door = gate.clone();
    let lab = site
        .lab("")
        .origin(Origin::scripted(move |peer| {
            while let Some(request) = peer.request() {
                if request.target == "/tunnel" {
                    peer.send(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
                    );
                    while let Ok(line) = peer.wire.until(b"\n") {
                        let Some(line) = line else { return };
                        peer.send(line);
                    }
                    return;
                }
                if request.target == "/held" {
                    door.wait();
                }
                peer.answer(&request, &reply(200, &[], "1"));
            }
        }))
        .workers(2)
        .start();
    let mut tunnel = site.client(&lab).field("Connection", "Upgrade").field("Upgrade", "echo").connect();
    tunnel.send_get("/tunnel");
    let _ = tunnel.receive_head().expect(101);
    let mut held = site.client(&lab).connect();
    held.send_get("/held");
    lab.origin(1).wait_for_requests(2);
    let load = Load::start(&site.client(&lab), 4);
    load.run_for(50);

    let next = site.authority.issue(&[HOST]);
    lab.replace_identity("site", &next);
    eventually("the other certificate is shown", || {
        load.run_for(1);
        tunnel.send("ping\n");
        assert_eq!(tunnel.wire.until(b"\n").unwrap().as_deref(), Some(b"ping\n".as_slice()));
        (certificate_shown(&lab.client(), &site.config(), HOST) == next.der()).then_some(())
    });
    load.run_for(50);
    load.stop().expect_no_failure();
    gate.open();
    let _ = held.receive().expect(200);
    tunnel.send("still here\n");
    assert_eq!(tunnel.wire.until(b"\n").unwrap().as_deref(), Some(b"still here\n".as_slice()));
}

/// Waits until the proxy has said that it did not take a file.
fn wait_for_refusal(lab: &Running, file: &str) {
    eventually(&format!("the proxy says that {file} is bad"), || {
        lab.proxy.lines().iter().any(|line| line.contains("bad") && line.contains(file)).then_some(())
    });
}

#[test]
fn a_bad_replacement_keeps_what_was_there_and_says_so() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    for text in ["", &site.identity.cert[..200], &Authority::new("x").issue(&[HOST]).cert] {
        let before = lab.proxy.lines().len();
        lab.replace_file("site.pem", text);
        eventually("the proxy says that the file is bad", || {
            lab.proxy.lines()[before..]
                .iter()
                .any(|line| line.contains("ERROR") && line.contains("site."))
                .then_some(())
        });
        assert_eq!(certificate_shown(&lab.client(), &site.config(), HOST), site.identity.der());
    }
    let next = site.authority.issue(&[HOST]);
    lab.replace_identity("site", &next);
    eventually("a good one is taken again", || {
        (certificate_shown(&lab.client(), &site.config(), HOST) == next.der()).then_some(())
    });
}

#[test]
fn a_certificate_that_goes_away_stays_in_service_and_the_proxy_says_so() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    std::fs::remove_file(lab.file("site.pem")).unwrap();
    wait_for_refusal(&lab, "site.pem");
    let _ = site.client(&lab).get("/").expect(200);
}

#[test]
fn a_reload_takes_other_certificates_at_once() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let next = site.authority.issue(&[HOST]);
    lab.replace_identity("site", &next);
    lab.reload(&ropeway_e2e::lab::file(TLS, "", ""));
    assert_eq!(certificate_shown(&lab.client(), &site.config(), HOST), next.der());
}

#[test]
fn a_key_that_belongs_to_another_certificate_refuses_a_reload() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    lab.replace_file("site.key", &site.authority.issue(&[HOST]).key);
    let answer = lab.admin().post("/api/reload", "{}").expect(422);
    assert!(answer.text().contains("site.key"), "{}", answer.text());
    assert_eq!(certificate_shown(&lab.client(), &site.config(), HOST), site.identity.der());
}
