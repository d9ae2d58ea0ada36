//! A little traffic of its own, so that there is something to see.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Clients that send at the same time.
const CLIENTS: u64 = 4;
/// Between two requests of a client: together, some 40 requests a second.
const PAUSE: Duration = Duration::from_millis(100);
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
const PATHS: [&str; 5] = ["/", "/products", "/products/42", "/cart", "/images/logo.svg"];
const MAX_FIELDS: usize = 64;

/// Sends requests to `address` until it is dropped.
pub(super) async fn send(address: SocketAddr) {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(send_as(address, client));
    }
    while clients.join_next().await.is_some() {}
}

async fn send_as(address: SocketAddr, client: u64) {
    loop {
        // The proxy may refuse or close at any time; that is what there is to see.
        if use_connection(address, client).await.is_err() {
            tokio::time::sleep(AFTER_AN_ERROR).await;
        }
    }
}

/// Sends one request after the other over one connection, until it ends.
async fn use_connection(address: SocketAddr, client: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    for path in PATHS.iter().cycle().skip(client as usize) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: ropeway-demo\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        if !read_answer(&mut stream).await? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads one answer; `false` when the connection ends with it.
async fn read_answer(stream: &mut TcpStream) -> io::Result<bool> {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = Answer::parse(&bytes)?
            && bytes.len() >= answer.length
        {
            return Ok(!answer.closes);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What has to be known of an answer to find the next one.
struct Answer {
    length: usize,
    closes: bool,
}

impl Answer {
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let status = head.parse(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let httparse::Status::Complete(head_length) = status else { return Ok(None) };
        let value = |name: &str| {
            let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(field.value).ok()
        };
        let body: usize = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Some(Self { length: head_length + body, closes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_body() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let answer = Answer::parse(text).unwrap().unwrap();
        assert_eq!((answer.length, answer.closes), (text.len(), false));
        let answer = Answer::parse(b"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n").unwrap().unwrap();
        assert!(answer.closes);
        assert!(Answer::parse(b"HTTP/1.1 200").unwrap().is_none());
        assert!(Answer::parse(b"220 mail\r\n").is_err());
    }
}
