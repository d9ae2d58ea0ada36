//! A browser over HTTPS: pages with everything in them, uploads and WebSocket.

use ropeway_e2e::browser::{Page, open_page};
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::{Gate, Origin, Peer, Running, eventually, lab, reply};
use serde_json::Value;
use tungstenite::WebSocket;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

const PARTS: usize = 60;

/// The group that a quantum computer could not break, by its number in the registry of TLS.
const X25519_MLKEM768: u64 = 0x11ec;

/// Says in the document what came of everything. The image is held back until that is done, and with it the end of loading.
const PAGE: &str = r#"<!doctype html>
<title>Ropeway</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script>let parts = 0;</script>
@parts
<p id="parts"></p><p id="fetched"></p><p id="uploaded"></p><p id="socket"></p><p id="protocols"></p>
<img src="/held" alt="">
<script>
const say = (id, text) => { document.getElementById(id).textContent = text; };

async function talk() {
  const socket = new WebSocket(`wss://${location.host}/socket`);
  const next = () => new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(event.data);
    socket.onerror = () => reject(new Error("the socket failed"));
  });
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const heard = [];
  for (const message of ["one", "two", "x".repeat(100000)]) {
    const answer = next();
    socket.send(message);
    heard.push((await answer) === message ? message.slice(0, 3) : "another");
  }
  const end = new Promise((resolve) => { socket.onclose = (event) => resolve(event.code); });
  socket.close(1000);
  return `${heard.join(" ")}, closed by ${await end}`;
}

async function run() {
  say("parts", `${parts} parts`);
  const data = await (await fetch("/data.json")).json();
  say("fetched", `fetched ${data.value}`);
  const body = "u".repeat(1000000);
  const echo = await (await fetch("/echo", { method: "POST", body })).text();
  say("uploaded", `uploaded ${echo === body ? body.length : "in vain"}`);
  say("socket", `heard ${await talk()}`);
  const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  say("protocols", `by ${[...new Set(entries.map((entry) => entry.nextHopProtocol))].join(" and ")}`);
}

run().catch((error) => say("fetched", `failed: ${error}`)).finally(() => fetch("/done", { method: "POST" }));
</script>
"#;

fn page() -> String {
    let parts: String =
        (0..PARTS).map(|number| format!("<script src=\"/part/{number}\"></script>\n")).collect();
    PAGE.replace("@parts\n", &parts)
}

/// The server of the page.
fn origin() -> Origin {
    let done = Gate::new();
    Origin::scripted(move |peer| {
        while let Some(request) = peer.request() {
            let (kind, body) = match request.target.as_str() {
                "/" => ("text/html", page()),
                "/style.css" => ("text/css", "p { color: green }".to_owned()),
                "/data.json" => ("application/json", "{\"value\":42}".to_owned()),
                "/echo" => ("text/plain", request.text()),
                "/socket" => return echo(peer, &request.field("sec-websocket-key").unwrap_or_default()),
                "/held" => {
                    done.wait();
                    ("image/svg+xml", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned())
                }
                "/done" => {
                    done.open();
                    ("text/plain", String::new())
                }
                _ => ("text/javascript", "parts += 1;".to_owned()),
            };
            peer.answer(&request, &reply(200, &[("Content-Type", kind)], &body));
        }
    })
}

fn echo(peer: &mut Peer, key: &str) {
    peer.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    ));
    let pending = peer.wire.pending().to_vec();
    let stream = peer.wire.stream().try_clone().unwrap();
    let mut socket = WebSocket::from_partially_read(stream, pending, Role::Server, None);
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

/// Opens the page through a listener with these lines at its end, and gives the records of the access log too.
fn open(listener: &str) -> (Running, Page, Vec<Value>) {
    let site = Site::new();
    let log = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
    let config = lab::file(&format!("{TLS}{listener}"), "", "") + log;
    let lab = site.lab("").config(&config).origin(origin()).start();
    let page = open_page(&lab, HOST, &site.identity);
    expect_all(&page.document);
    // The page, its style sheet, its parts, its image, three requests of its program, and a WebSocket.
    let records = eventually("the access log", || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let records: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        (records.len() >= PARTS + 7).then_some(records)
    });
    for record in &records {
        let reasons: &[&str] = match record["path"].as_str() {
            Some("/socket") => &["tunnel_closed"],
            // The browser may leave before it has read the answer.
            Some("/done") => &["completed", "client_closed"],
            _ => &["completed"],
        };
        assert_eq!(record["tls"], "TLSv1.3", "{record}");
        assert!(reasons.iter().any(|reason| record["reason"] == *reason), "{record}");
    }
    (lab, page, records)
}

#[track_caller]
fn expect_all(document: &str) {
    for text in [
        &*format!("<p id=\"parts\">{PARTS} parts</p>"),
        "<p id=\"fetched\">fetched 42</p>",
        "<p id=\"uploaded\">uploaded 1000000</p>",
        "<p id=\"socket\">heard one two xxx, closed by 1000</p>",
    ] {
        assert!(document.contains(text), "{text} is not in {document}");
    }
}

/// The protocols that the access log names, each once: for the WebSocket, and for everything else.
fn protocols(records: &[Value]) -> (Vec<&str>, Vec<&str>) {
    let named = |socket: bool| {
        let some = records.iter().filter(|record| (record["path"] == "/socket") == socket);
        let mut names: Vec<&str> = some.filter_map(|record| record["protocol"].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    (named(true), named(false))
}

#[test]
fn a_page_with_everything_in_it_comes_by_http2() {
    let (lab, page, records) = open("");
    assert!(page.document.contains("<p id=\"protocols\">by h2</p>"), "{page:?}");
    assert_eq!(protocols(&records), (vec!["HTTP/2.0"], vec!["HTTP/2.0"]), "the socket too, by RFC 8441");
    let handshakes = lab.admin().metric("ropeway_listener_tls_handshakes_total", &[]);
    assert!(handshakes < 10.0, "{handshakes} handshakes for {} requests", records.len());
    assert!(!page.handshakes.is_empty());
    for handshake in &page.handshakes {
        assert_eq!(handshake["key_exchange_group"], X25519_MLKEM768, "{handshake}");
        assert_eq!(handshake["next_proto"], "h2", "{handshake}");
    }
}

#[test]
fn the_same_page_comes_by_http1_where_http2_is_off() {
    let (_lab, page, records) = open("http2 = false\n");
    assert!(page.document.contains("<p id=\"protocols\">by http/1.1</p>"), "{page:?}");
    assert_eq!(protocols(&records), (vec!["HTTP/1.1"], vec!["HTTP/1.1"]));
}
