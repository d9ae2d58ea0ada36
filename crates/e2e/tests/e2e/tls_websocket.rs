//! WebSocket over TLS with a real client and a real server.

use std::net::{SocketAddr, TcpListener, TcpStream};

use ropeway_e2e::tls::certificate_shown;
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::{Lab, Running, eventually, lab};
use rustls::{ClientConnection, StreamOwned};
use tungstenite::{Message, WebSocket};

use crate::tls_clients::noise;

type Socket = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// Sends back what comes on one connection.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        while let Ok(message) = socket.read() {
            if message.is_text() || message.is_binary() {
                socket.send(message).unwrap();
            }
        }
    });
    address
}

fn config(echo: SocketAddr) -> String {
    lab::file(TLS, "", "").replace("@all", &format!("\"{echo}\""))
}

/// A laboratory with nothing but the echo behind it.
fn start(site: &Site, echo: SocketAddr) -> Running {
    Lab::new().config(&config(echo)).identity("site", &site.identity).start()
}

fn open(site: &Site, lab: &Running) -> Socket {
    let stream = TcpStream::connect(lab.proxy.address("web")).unwrap();
    stream.set_read_timeout(Some(ropeway_e2e::wait::PATIENCE)).unwrap();
    let session = ClientConnection::new(site.config(), HOST.try_into().unwrap()).unwrap();
    let stream = StreamOwned::new(session, stream);
    tungstenite::client(format!("wss://{HOST}/chat"), stream).unwrap().0
}

#[track_caller]
fn expect_echo(socket: &mut Socket, message: &Message) {
    socket.send(message.clone()).unwrap();
    assert!(socket.read().unwrap() == *message, "{} bytes came back as others", message.len());
}

#[track_caller]
fn expect_orderly_close(mut socket: Socket) {
    socket.close(None).unwrap();
    let end = loop {
        match socket.read() {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

#[test]
fn a_websocket_over_tls_carries_messages_of_every_size() {
    let site = Site::new();
    let lab = start(&site, echo_server());
    let mut socket = open(&site, &lab);
    for length in [0, 1, 125, 126, 16_383, 16_384, 65_536, 1_000_000] {
        expect_echo(&mut socket, &Message::binary(noise(length)));
    }
    expect_orderly_close(socket);
}

#[test]
fn a_websocket_stays_up_while_certificates_are_exchanged() {
    let site = Site::new();
    let echo = echo_server();
    let lab = start(&site, echo);
    let mut socket = open(&site, &lab);
    let mut number = 0;
    let mut talk = |socket: &mut Socket| {
        number += 1;
        expect_echo(socket, &Message::text(format!("message {number}")));
    };
    let shown = || certificate_shown(&lab.client(), &site.config(), HOST);
    for _ in 0..2 {
        let next = site.authority.issue(&[HOST]);
        lab.replace_identity("site", &next);
        eventually("the files are looked at", || {
            talk(&mut socket);
            (shown() == next.der()).then_some(())
        });
    }
    for (kind, next) in [("RSA", site.authority.issue_rsa(&[HOST])), ("ECDSA", site.authority.issue(&[HOST]))]
    {
        lab.replace_identity("site", &next);
        talk(&mut socket);
        lab.reload(&config(echo));
        talk(&mut socket);
        assert_eq!(shown(), next.der(), "{kind}");
    }
    expect_echo(&mut socket, &Message::binary(noise(1_000_000)));
    expect_orderly_close(socket);
}
