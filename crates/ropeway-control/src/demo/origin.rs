//! Small HTTP servers that say who they are.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than any request that the demonstration makes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_FIELDS: usize = 128;
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// A server that answers every request with its name.
#[derive(Debug)]
pub(super) struct Origin {
    name: &'static str,
    delay: Duration,
    listener: std::net::TcpListener,
}

impl Origin {
    /// Listens on a port that the kernel chooses.
    pub(super) fn bind(name: &'static str, delay: Duration) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self { name, delay, listener })
    }

    /// What it calls itself.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// How long it takes to answer.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// Where it listens.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped.
    pub(super) async fn serve(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve_connection(stream, self.name, self.delay));
                }
                Err(_) => tokio::time::sleep(AFTER_AN_ERROR).await,
            }
        }
    }
}

/// What the answer depends on.
struct Request {
    line: String,
    is_head: bool,
    /// Bytes of the body that are still to be read; `None` when the body has no length, which ends the connection.
    body: Option<u64>,
}

async fn serve_connection(mut stream: TcpStream, name: &'static str, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        let Some(body) = request.body else {
            return stream.write_all(&answer(&request, name, "close")).await;
        };
        skip_body(&mut stream, &mut buffer, body).await?;
        tokio::time::sleep(delay).await;
        stream.write_all(&answer(&request, name, "keep-alive")).await?;
    }
    Ok(())
}

/// Reads a request head, and takes it out of `buffer`; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, length)) = parse(buffer)? {
            buffer.drain(..length);
            return Ok(Some(request));
        }
        if buffer.len() > MAX_HEAD || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn skip_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, mut left: u64) -> io::Result<()> {
    loop {
        let here = left.min(buffer.len() as u64);
        buffer.drain(..here as usize);
        left -= here;
        if left == 0 {
            return Ok(());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let status = head.parse(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let (method, path) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
    let value = |name: &str| {
        head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    };
    let body = match (value("transfer-encoding"), value("content-length")) {
        (Some(_), _) => None,
        (None, None) => Some(0),
        (None, Some(length)) => {
            std::str::from_utf8(length).ok().and_then(|length| length.trim().parse().ok())
        }
    };
    Ok(Some((Request { line: format!("{method} {path}"), is_head: method == "HEAD", body }, length)))
}

fn answer(request: &Request, name: &str, connection: &str) -> Vec<u8> {
    let body = format!("{name} answers {}\n", request.line);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Origin: {name}\r\n\
         Connection: {connection}\r\n\r\n",
        body.len()
    );
    let mut bytes = head.into_bytes();
    if !request.is_head {
        bytes.extend_from_slice(body.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn exchange(request: &str) -> String {
        let origin = Origin::bind("one", Duration::ZERO).unwrap();
        let address = origin.address().unwrap();
        tokio::spawn(origin.serve());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn an_origin_says_who_it_is_on_a_kept_connection() {
        let text = exchange("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n").await;
        assert_eq!(text.matches("X-Origin: one").count(), 2);
        assert!(text.contains("\r\n\r\none answers POST /a\n"));
        assert!(text.ends_with("\r\n\r\none answers GET /b\n"));
    }

    #[tokio::test]
    async fn a_head_request_gets_no_body() {
        let text = exchange("HEAD / HTTP/1.1\r\n\r\n").await;
        assert!(text.contains("Content-Length: 19\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_body_without_length_ends_the_connection() {
        let text = exchange("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
        assert!(text.contains("Connection: close\r\n"));
    }
}
