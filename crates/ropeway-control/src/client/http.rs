//! One request, one answer, one connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How a status line begins (RFC 9112, section 4).
const HTTP: &[u8] = b"HTTP/1.";
/// A status of ten thousand routes is far smaller.
const MAX_ANSWER: u64 = 256 << 20;
const MAX_FIELDS: usize = 64;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Sends a request and reads the answer, waiting at most `patience` for each piece of it; `None` when it is not HTTP. A
/// request of version 1.0 is answered without
/// chunks, and the end of the connection ends the answer (RFC 9112, section 6.3).
pub(super) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&str>,
    patience: Duration,
) -> io::Result<Option<Answer>> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\n");
    if let Some(body) = body {
        request.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    stream.write_all(request.as_bytes())?;
    let mut start = Vec::new();
    // Whoever greets its clients first, and waits for what they say, is seen through at once.
    (&stream).take(HTTP.len() as u64).read_to_end(&mut start)?;
    if start != HTTP {
        return Ok(None);
    }
    let mut bytes = start;
    stream.take(MAX_ANSWER).read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

/// Whether an answer, or the rest of it, did not come in time.
pub(super) fn is_silence(error: &io::Error) -> bool {
    // What a socket with a time-out says; that a connection cannot be opened in time is `TimedOut`.
    error.kind() == io::ErrorKind::WouldBlock
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
    Some(Answer { status: head.code?, body: bytes.get(length..)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Asks somebody who says `greeting` and then waits.
    fn ask_one_who_says(greeting: &[u8], patience: Duration) -> io::Result<Option<Answer>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(move || ask(address, "GET", "/status", None, patience));
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(greeting).unwrap();
            asked.join().unwrap()
        })
    }

    #[test]
    fn another_protocol_is_seen_through_although_its_connection_stays_open() {
        let answer = ask_one_who_says(b"SSH-2.0-OpenSSH\r\n", Duration::from_secs(60));
        assert!(answer.unwrap().is_none());
    }

    #[test]
    fn nobody_is_waited_for_longer_than_said() {
        let error = ask_one_who_says(b"", Duration::from_millis(1)).map(drop).unwrap_err();
        assert!(is_silence(&error), "{error}");
    }

    #[test]
    fn an_answer_is_a_status_and_what_follows_the_head() {
        let answer = parse(b"HTTP/1.0 404 Not Found\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, b"{}".as_slice()));
        assert!(parse(b"SSH-2.0-OpenSSH\r\n").is_none());
        assert!(parse(b"HTTP/1.0 200 OK\r\n").is_none());
    }
}
