//! A connection to a server, opened as requests open theirs.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ropeway_core::proxy_protocol::Announcement;
use ropeway_proxy::tls::UpstreamTls;
use ropeway_proxy::upstream::{Endpoint, ProxyProtocolVersion};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long the end of a connection may be announced; whoever is slower finds it closed.
const CLOSING: Duration = Duration::from_millis(50);

/// How the connection of a check is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The port to check instead of the server's own. Servers on Unix sockets have none, and are checked as they are.
    pub port: Option<u16>,
    /// The PROXY header that it begins with. It says that the connection is the proxy's own.
    pub proxy_header: Option<ProxyProtocolVersion>,
    /// Whether HTTP/2 is spoken: agreed by ALPN over TLS, known before without.
    pub http2: bool,
}

/// A connection on which a server can be asked.
pub(super) struct Connection {
    pub io: Box<dyn Duplex>,
    pub is_secured: bool,
}

/// What a check asks over: TCP, Unix, TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Why a check was not passed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The server is at fault.
    Server(String),
    /// This side lacks what it takes to ask, which says nothing of the server.
    NotAsked(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(why) => f.write_str(why),
            Self::NotAsked(why) => write!(f, "not checked: {why}"),
        }
    }
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self::Server(why)
    }
}

impl Transport {
    /// Connects, and does what comes before the first request. The error says in words what went wrong.
    pub(super) async fn open(
        &self,
        endpoint: &Endpoint,
        authority: &str,
        tls: Option<&UpstreamTls>,
    ) -> Result<Connection, Failed> {
        let mut io = self.connect(endpoint).await.map_err(|error| describe(&error))?;
        let header = self.header();
        io.write_all(&header).await.map_err(|error| format!("sending the PROXY header: {error}"))?;
        match tls {
            Some(tls) => Ok(self.secure(io, authority, tls).await?),
            None => Ok(Connection { io, is_secured: false }),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Duplex>> {
        Ok(match endpoint {
            Endpoint::Tcp(address) => {
                let address = SocketAddr::new(address.ip(), self.port.unwrap_or(address.port()));
                Box::new(TcpStream::connect(address).await?)
            }
            Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }

    fn header(&self) -> Vec<u8> {
        let (own, mut header) = (Announcement::default(), Vec::new());
        match self.proxy_header {
            None => {}
            Some(ProxyProtocolVersion::V1) => own.write_v1(&mut header),
            Some(ProxyProtocolVersion::V2) => {
                let written = own.write_v2(&mut header);
                debug_assert!(written.is_ok(), "it tells of nobody, so nothing in it can be too long");
            }
        }
        header
    }

    async fn secure(
        &self,
        io: Box<dyn Duplex>,
        authority: &str,
        tls: &UpstreamTls,
    ) -> Result<Connection, String> {
        let name = tls.name_for(authority).map_err(|error| format!("TLS handshake: {error}"))?;
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let io = connector.connect(name, io).await.map_err(|error| format!("TLS handshake: {error}"))?;
        if self.http2 && io.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("TLS handshake: the server did not agree on HTTP/2 by ALPN".to_owned());
        }
        Ok(Connection { io: Box::new(io), is_secured: true })
    }
}

impl Connection {
    /// Announces the end where TLS wants that; others are closed as they are.
    pub(super) async fn close(mut self) {
        if self.is_secured {
            // Whether the server still listens does not matter any more.
            let _ = timeout(CLOSING, self.io.shutdown()).await;
        }
    }
}

/// The words for a connection that failed, without the number that the system's own message ends with.
fn describe(error: &io::Error) -> Failed {
    if lacks_resources(error) {
        return Failed::NotAsked(error.to_string());
    }
    Failed::Server(match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::NotFound => "no such address".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    })
}

/// Descriptors, memory or local ports.
fn lacks_resources(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::ADDRNOTAVAIL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_not_blamed_for_what_is_lacking_here() {
        let failed = |errno: Errno| describe(&errno.into());
        for ours in [Errno::MFILE, Errno::ADDRNOTAVAIL] {
            assert!(matches!(failed(ours), Failed::NotAsked(_)), "{ours}");
        }
        assert_eq!(failed(Errno::CONNREFUSED), Failed::Server("connection refused".to_owned()));
    }
}
