//! WebSocket with a real client and a real server: through the proxy and directly the same things happen.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use ropeway_e2e::{Lab, lab};
use tungstenite::{Message, WebSocket};

const MESSAGES: usize = 10_000;

/// Text and binary, from nothing to lengths with an extended header of 16 and of 64 bits.
fn message(number: usize, from: &str) -> Message {
    let length = match number % 1000 {
        999 => 70_000,
        hundred if hundred % 100 == 99 => 300,
        small => small % 60,
    };
    let text = format!("{from} {number} {}", "~".repeat(length));
    if number.is_multiple_of(2) { Message::text(text) } else { Message::binary(text.into_bytes()) }
}

/// Receives all messages of a client, then sends as many, then closes when the client does.
fn serve(listener: TcpListener) -> JoinHandle<Vec<Message>> {
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        let received = (0..MESSAGES).map(|_| socket.read().unwrap()).collect();
        for number in 0..MESSAGES {
            socket.write(message(number, "server")).unwrap();
        }
        socket.flush().unwrap();
        while socket.read().is_ok() {}
        received
    })
}

fn converse(address: SocketAddr) -> (Vec<Message>, bool) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(ropeway_e2e::wait::PATIENCE)).unwrap();
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/chat"), stream).unwrap();
    for number in 0..MESSAGES {
        socket.write(message(number, "client")).unwrap();
    }
    socket.flush().unwrap();
    let received = (0..MESSAGES).map(|_| socket.read().unwrap()).collect();
    (received, closes_in_order(&mut socket))
}

fn closes_in_order(socket: &mut WebSocket<TcpStream>) -> bool {
    socket.close(None).unwrap();
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return true,
            Err(_) => return false,
        }
    }
}

#[test]
fn ten_thousand_messages_each_way_are_the_same_as_directly() {
    let direct = TcpListener::bind("127.0.0.1:0").unwrap();
    let direct_address = direct.local_addr().unwrap();
    let direct_server = serve(direct);
    let direct_client = converse(direct_address);

    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = lab::SMALLEST.replace("@all", &format!("\"{}\"", origin.local_addr().unwrap()));
    let lab = Lab::new().config(&config).start();
    let server = serve(origin);
    let client = converse(lab.proxy.address("web"));

    assert!(client.1, "the closing handshake is orderly");
    assert!(client == direct_client, "the client received something else than directly");
    assert!(server.join().unwrap() == direct_server.join().unwrap(), "the server received something else");
}
