//! One end of a TCP connection, with everything that came in on record.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::message::{Fields, parse_fields};
use crate::wait::PATIENCE;

/// A connection that hands out what arrived in lines, heads and bodies, and keeps all of it on record.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    session: Option<Box<rustls::Connection>>,
    buffer: Vec<u8>,
    record: Record,
}

/// Every byte that arrived on one connection, readable while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Vec<u8>>>);

impl Record {
    /// What has arrived until now.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    /// How much has arrived until now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Whether nothing has arrived until now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A body as it was framed.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Its data, chunks joined.
    pub data: Vec<u8>,
    /// The fields after the last chunk.
    pub trailers: Fields,
    /// The chunk lines with their extensions, as received.
    pub chunk_lines: Vec<String>,
}

impl Wire {
    /// Takes a connected socket; reads and writes fail after [`PATIENCE`].
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, session: None, buffer: Vec::new(), record: Record::default() }
    }

    /// Puts TLS over the connection, as the side that begins, and completes the handshake.
    ///
    /// # Errors
    /// Those of the socket, `InvalidData` with the error of rustls inside.
    pub fn secure_as_client(&mut self, config: Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let name = name.to_owned().try_into().map_err(io::Error::other)?;
        self.secure(ClientConnection::new(config, name).map_err(io::Error::other)?.into())
    }

    /// Puts TLS over the connection, as the side that waits, and completes the handshake.
    ///
    /// # Errors
    /// As [`Self::secure_as_client`].
    pub fn secure_as_server(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        self.secure(ServerConnection::new(config).map_err(io::Error::other)?.into())
    }

    fn secure(&mut self, mut session: rustls::Connection) -> io::Result<()> {
        session.set_buffer_limit(None);
        let session = self.session.insert(Box::new(session));
        while session.is_handshaking() {
            session.complete_io(&mut self.stream)?;
        }
        Ok(())
    }

    /// The session of TLS: what was agreed on.
    ///
    /// # Panics
    /// Without TLS.
    #[track_caller]
    pub fn session(&self) -> &rustls::Connection {
        self.session.as_deref().expect("TLS on this connection")
    }

    /// Announces that nothing follows (close_notify), and leaves the connection open.
    pub fn send_close_notify(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            let _ = session.write_tls(&mut self.stream);
        }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What arrives here, also seen from elsewhere.
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// Sends bytes in one write; over TLS in as few records as they fit into.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.session {
            None => self.stream.write_all(bytes),
            Some(session) => {
                session.writer().write_all(bytes)?;
                write_records(session, &mut self.stream)
            }
        }
    }

    /// Ends the sending side, in an orderly way where there is TLS.
    pub fn half_close(&mut self) {
        self.send_close_notify();
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset instead of an orderly end.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// Bytes read and not handed out yet.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads once, for at most `limit`. `Ok(0)` is the end.
    ///
    /// # Errors
    /// Those of the socket; a time-out is `WouldBlock`.
    pub fn fill_within(&mut self, limit: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(limit))?;
        let result = self.fill();
        self.stream.set_read_timeout(Some(PATIENCE))?;
        result
    }

    /// Reads once. `Ok(0)` is the end; over TLS the one that was announced.
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` for an end that TLS did not announce, `InvalidData` for a TLS error.
    pub fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 64 * 1024];
        let count = match &mut self.session {
            None => self.stream.read(&mut chunk)?,
            Some(session) => read_content(session, &mut self.stream, &mut chunk)?,
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        self.record.0.lock().unwrap().extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Everything up to and including the first `end`, or `None` when the connection ends before any byte.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the connection ends in between.
    pub fn until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer[searched..], end) {
                return Ok(Some(self.buffer.drain(..searched + at + end.len()).collect()));
            }
            searched = self.buffer.len().saturating_sub(end.len() - 1);
            if self.fill()? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(truncated()) };
            }
        }
    }

    /// Exactly `count` bytes.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the connection ends before.
    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.fill()? == 0 {
                return Err(truncated());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Everything up to the end of the connection.
    ///
    /// # Errors
    /// Those of the socket; what came before stays in [`Self::pending`].
    pub fn to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads and throws away up to the end of the connection, an error included.
    pub fn drain(&mut self) {
        while matches!(self.fill(), Ok(1..)) {
            self.buffer.clear();
        }
    }

    /// A chunked body, strictly read (RFC 9112 section 7.1). What was read stays in `body` when it breaks off.
    ///
    /// # Errors
    /// Those of the socket, `UnexpectedEof` for an early end, `InvalidData` for anything malformed.
    pub fn chunked(&mut self, body: &mut Body) -> io::Result<()> {
        loop {
            let line = self.until(b"\r\n")?.ok_or_else(truncated)?;
            let line = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
            let size = chunk_size(&line)?;
            body.chunk_lines.push(line);
            if size == 0 {
                break;
            }
            self.chunk_data(size, body)?;
        }
        let mut trailers = Vec::new();
        while !trailers.ends_with(b"\r\n\r\n") && trailers != b"\r\n" {
            trailers.extend(self.until(b"\r\n")?.ok_or_else(truncated)?);
        }
        body.trailers =
            parse_fields(&trailers).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(())
    }

    fn chunk_data(&mut self, size: usize, body: &mut Body) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            if self.buffer.is_empty() && self.fill()? == 0 {
                return Err(truncated());
            }
            let take = left.min(self.buffer.len());
            body.data.extend(self.buffer.drain(..take));
            left -= take;
        }
        match self.exactly(2)?.as_slice() {
            b"\r\n" => Ok(()),
            other => Err(invalid(format!("{other:?} after chunk data"))),
        }
    }
}

fn write_records(session: &mut rustls::Connection, stream: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(stream)?;
    }
    Ok(())
}

fn read_content(
    session: &mut rustls::Connection,
    stream: &mut TcpStream,
    into: &mut [u8],
) -> io::Result<usize> {
    loop {
        match session.reader().read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
        session.read_tls(stream)?;
        let processed = session.process_new_packets().map_err(invalid);
        // An alert tells the peer what was wrong; it may be gone.
        let _ = write_records(session, stream);
        processed?;
    }
}

fn chunk_size(line: &str) -> io::Result<usize> {
    let digits = line.split(';').next().unwrap_or_default();
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match usize::from_str_radix(digits, 16) {
        Ok(size) if well_formed => Ok(size),
        _ => Err(invalid(format!("chunk line {line:?}"))),
    }
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside a message")
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The place of `needle` in `haystack`.
#[must_use]
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
