//! HTTP/1.1 over TLS, as much as an ACME client needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Shared, resources};
use crate::tls::{Identity, ServerSide};

/// The longest body that is read.
const LONGEST_BODY: u64 = 1 << 20;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
    pub is_jose: bool,
}

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    pub body: String,
}

/// Answers connections in the background.
pub(super) fn serve(listener: TcpListener, identity: &Identity, shared: &Arc<Shared>) {
    let config = ServerSide::new(identity).config();
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if shared.books().down {
                continue;
            }
            let (shared, config) = (Arc::clone(&shared), Arc::clone(&config));
            // A client that breaks off is none of the server's business.
            std::thread::spawn(move || drop(converse(stream, config, &shared)));
        }
    });
}

fn converse(stream: TcpStream, config: Arc<ServerConfig>, shared: &Arc<Shared>) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = read(&mut stream)? {
        if shared.books().down {
            break;
        }
        let response = resources::answer(shared, &request);
        write(stream.get_mut(), &request, &response)?;
    }
    Ok(())
}

/// The next request; `None` at the end of the connection.
fn read(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let (mut length, mut is_jose) = (0, false);
    loop {
        let mut field = String::new();
        stream.read_line(&mut field)?;
        let field = field.trim_end().to_ascii_lowercase();
        match field.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().map_err(io::Error::other)?,
            Some(("content-type", value)) => is_jose = value.trim() == "application/jose+json",
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    stream.take(LONGEST_BODY.min(length)).read_to_end(&mut body)?;
    Ok(Some(Request { method, path, body, is_jose }))
}

fn write(stream: &mut impl Write, request: &Request, response: &Response) -> io::Result<()> {
    let Response { status, fields, body } = response;
    let mut text = format!("HTTP/1.1 {status} .\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    if request.method != "HEAD" {
        text += body;
    }
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
