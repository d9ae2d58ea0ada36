//! Clients of which every byte is under control.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketType};
use rustls::ClientConfig;
use socket2::SockRef;

use crate::message::{Broken, Response};
use crate::wire::Wire;

/// Sends requests, each on a connection of its own; see [`Connection`] for several on one.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    source: Ipv4Addr,
    host: String,
    fields: Vec<(String, String)>,
    receive_buffer: Option<usize>,
    segments: Option<u32>,
    tls: Option<(Arc<ClientConfig>, String)>,
}

/// One connection to the proxy.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub wire: Wire,
    /// The interim responses (1xx) that came before the last response.
    pub interim: Vec<Response>,
    host: String,
    fields: Vec<(String, String)>,
}

impl Client {
    /// A client of the proxy, or of anything else, at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            source: Ipv4Addr::LOCALHOST,
            host: "example.com".into(),
            fields: Vec::new(),
            receive_buffer: None,
            segments: None,
            tls: None,
        }
    }

    /// Puts TLS over every connection, and asks for the host `name`, in the handshake and in requests.
    #[must_use]
    pub fn tls(mut self, config: &Arc<ClientConfig>, name: &str) -> Self {
        self.tls = Some((config.clone(), name.to_owned()));
        self.host(name)
    }

    /// Connects from another loopback address.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        self.source = source.parse().expect("an IPv4 address");
        self
    }

    /// Sends another Host than `example.com`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Adds a field to every request.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Limits how much the kernel takes in for the client before it reads.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Limits the segments that the proxy sends, as networks do. Those of the loopback are so large that its kernel
    /// holds more than a MiB for each connection.
    #[must_use]
    pub fn segments(mut self, bytes: u32) -> Self {
        self.segments = Some(bytes);
        self
    }

    /// GET on a new connection.
    ///
    /// # Panics
    /// When the answer is not one whole response.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.connect().get(path)
    }

    /// A request with a method and a body, on a new connection.
    ///
    /// # Panics
    /// When the answer is not one whole response.
    #[track_caller]
    #[must_use]
    pub fn request(&self, method: &str, path: &str, body: &str) -> Response {
        let mut connection = self.connect();
        connection.send_request(method, path, body);
        connection.receive_for(method)
    }

    /// Sends bytes on a new connection and gives everything that comes back until the proxy closes.
    ///
    /// # Panics
    /// When the proxy does not close, or resets.
    #[track_caller]
    #[must_use]
    pub fn converse(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connect();
        connection.send(bytes);
        connection.rest()
    }

    /// A new connection.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.try_connect().unwrap_or_else(|error| panic!("connecting to {}: {error}", self.address))
    }

    /// A new connection.
    ///
    /// # Errors
    /// When it is refused or nobody answers.
    pub fn try_connect(&self) -> io::Result<Connection> {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer {
            set_socket_recv_buffer_size(&socket, bytes)?;
        }
        if let Some(bytes) = self.segments {
            SockRef::from(&socket).set_tcp_mss(bytes)?;
        }
        if self.source != Ipv4Addr::LOCALHOST {
            set_socket_reuseaddr(&socket, true)?;
            rustix::net::bind(&socket, &SocketAddr::new(IpAddr::V4(self.source), 0))?;
        }
        rustix::net::connect(&socket, &self.address)?;
        let mut wire = Wire::new(TcpStream::from(socket));
        if let Some((config, name)) = &self.tls {
            wire.secure_as_client(config.clone(), name)?;
        }
        Ok(Connection { wire, interim: Vec::new(), host: self.host.clone(), fields: self.fields.clone() })
    }
}

impl Connection {
    /// Sends bytes in one write.
    ///
    /// # Panics
    /// When the connection is closed.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.wire.send(bytes.as_ref()).expect("the proxy takes the bytes");
        self
    }

    /// Sends bytes, which the proxy may refuse to take.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes.as_ref()).is_ok()
    }

    /// Sends a request without a body.
    pub fn send_get(&mut self, path: &str) -> &mut Self {
        self.send_request("GET", path, "")
    }

    /// Sends a request; a Content-Length is added when there is a body.
    pub fn send_request(&mut self, method: &str, path: &str, body: &str) -> &mut Self {
        let bytes = self.request_bytes(method, path, body);
        self.send(bytes)
    }

    fn request_bytes(&self, method: &str, path: &str, body: &str) -> String {
        let mut out = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            out += &format!("Content-Length: {}\r\n", body.len());
        }
        out + "\r\n" + body
    }

    /// GET, and its response; the connection stays.
    #[track_caller]
    #[must_use]
    pub fn get(&mut self, path: &str) -> Response {
        self.send_get(path);
        self.receive()
    }

    /// GET, and its response when it comes whole.
    ///
    /// # Errors
    /// When it does not.
    pub fn try_get(&mut self, path: &str) -> Result<Response, Broken> {
        let bytes = self.request_bytes("GET", path, "");
        self.wire.send(bytes.as_bytes())?;
        self.try_receive("GET")
    }

    /// The next final response to a request that was not HEAD.
    ///
    /// # Panics
    /// When it does not come whole.
    #[track_caller]
    #[must_use]
    pub fn receive(&mut self) -> Response {
        self.receive_for("GET")
    }

    /// The next final response to a request with `method`.
    ///
    /// # Panics
    /// When it does not come whole.
    #[track_caller]
    #[must_use]
    pub fn receive_for(&mut self, method: &str) -> Response {
        match self.try_receive(method) {
            Ok(response) => response,
            Err(broken) => panic!("no whole response: {broken:?}; unread: {:?}", lossy(self.wire.pending())),
        }
    }

    /// The next final response, as far as it comes.
    ///
    /// # Errors
    /// When it does not come whole.
    pub fn try_receive(&mut self, method: &str) -> Result<Response, Broken> {
        self.interim.clear();
        Response::read(&mut self.wire, method, &mut self.interim)
    }

    /// The next response head, interim or final; its body is left on the connection.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    #[must_use]
    pub fn receive_head(&mut self) -> Response {
        Response::read_head(&mut self.wire).unwrap_or_else(|error| {
            panic!("no response head: {error}; unread: {:?}", lossy(self.wire.pending()));
        })
    }

    /// Everything up to an orderly end of the connection.
    ///
    /// # Panics
    /// When the connection is reset or does not end.
    #[track_caller]
    #[must_use]
    pub fn rest(&mut self) -> Vec<u8> {
        match self.wire.to_end() {
            Ok(bytes) => bytes,
            Err(error) => panic!("no orderly end: {error}; unread: {:?}", lossy(self.wire.pending())),
        }
    }

    /// Asserts that the proxy ends the connection, in an orderly way and without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "bytes before the end: {:?}", lossy(&rest));
    }

    /// Asserts that the connection ends without another byte, be it by a reset.
    #[track_caller]
    pub fn expect_gone(&mut self) {
        match self.wire.to_end() {
            Ok(bytes) => assert!(bytes.is_empty(), "bytes before the end: {:?}", lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("still open: {error}; unread: {:?}", lossy(self.wire.pending())),
        }
    }

    /// Ends the sending side.
    pub fn half_close(&mut self) -> &mut Self {
        self.wire.half_close();
        self
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
