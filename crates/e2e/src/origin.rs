//! Origins of which every byte is scripted, and everything they received on record.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketType};
use rustls::ServerConfig;

use crate::message::Request;
use crate::wait::eventually;
use crate::wire::{Record, Wire};

type Script = Arc<dyn Fn(&mut Peer) + Send + Sync>;

/// A server on a port of its own, which it keeps while it is stopped.
pub struct Origin {
    port: Port,
    script: Script,
    shared: Arc<Shared>,
    running: Option<Running>,
    receive_buffer: Option<usize>,
    tls: Option<Arc<ServerConfig>>,
}

/// A port that is held, though nobody listens on it, so that connections to it are refused and nobody else gets it.
#[derive(Debug)]
pub struct Port {
    _holder: rustix::fd::OwnedFd,
    /// The address.
    pub address: SocketAddr,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    connections: Mutex<Vec<Seen>>,
    stopping: AtomicBool,
}

struct Seen {
    record: Record,
    stream: Option<TcpStream>,
    closed: Arc<AtomicBool>,
}

struct Running {
    listener: Arc<TcpListener>,
    acceptor: JoinHandle<()>,
}

/// The origin's end of one connection, as a script sees it.
pub struct Peer {
    /// The bytes.
    pub wire: Wire,
    /// The number of the connection, counted from 0.
    pub connection: usize,
    shared: Arc<Shared>,
    keep_alive: bool,
}

impl Port {
    /// Reserves a port that the kernel chooses.
    ///
    /// # Panics
    /// When the kernel has none.
    #[must_use]
    pub fn reserve() -> Self {
        Self::reserve_at(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the kernel has a free port")
    }

    /// Reserves an address; port 0 lets the kernel choose the port.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn reserve_at(address: SocketAddr) -> io::Result<Self> {
        let holder = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        set_socket_reuseaddr(&holder, true)?;
        rustix::net::bind(&holder, &address)?;
        let address = rustix::net::getsockname(&holder)?.try_into()?;
        Ok(Self { _holder: holder, address })
    }
}

impl Origin {
    /// A server that answers every request with 200 and `body`, connections kept alive.
    #[must_use]
    pub fn saying(body: &str) -> Self {
        let body = body.to_owned();
        Self::answering(move |_| reply(200, &[], &body))
    }

    /// A server that answers every request with the bytes that `answer` makes, connections kept alive.
    #[must_use]
    pub fn answering(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::scripted(move |peer| {
            while let Some(request) = peer.request() {
                let bytes = answer(&request);
                peer.answer(&request, &bytes);
            }
        })
    }

    /// A server that runs `script` for every connection, in a thread of its own; the connection closes at its end.
    #[must_use]
    pub fn scripted(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::scripted_at(Port::reserve(), script)
    }

    /// As [`Self::scripted`], on a port that was reserved before.
    #[must_use]
    pub fn scripted_at(port: Port, script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let mut origin = Self {
            port,
            script: Arc::new(script),
            shared: Arc::default(),
            running: None,
            receive_buffer: None,
            tls: None,
        };
        origin.start();
        origin
    }

    /// As [`Self::saying`], on a port that was reserved before.
    #[must_use]
    pub fn saying_at(port: Port, body: &str) -> Self {
        let body = body.to_owned();
        Self::scripted_at(port, move |peer| {
            while let Some(request) = peer.request() {
                peer.answer(&request, &reply(200, &[], &body));
            }
        })
    }

    /// Limits how much the kernel takes in for the origin before the script reads.
    #[must_use]
    pub fn with_receive_buffer(mut self, bytes: usize) -> Self {
        self.stop();
        self.receive_buffer = Some(bytes);
        self.start();
        self
    }

    /// Puts TLS over every connection. One whose handshake fails ends without the script having seen it.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.stop();
        self.tls = Some(config);
        self.start();
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Listens, again after [`Self::stop`].
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "the origin runs already");
        self.shared.stopping.store(false, SeqCst);
        let listener = Arc::new(TcpListener::bind(self.port.address).expect("the port is reserved"));
        if let Some(bytes) = self.receive_buffer {
            set_socket_recv_buffer_size(&*listener, bytes).unwrap();
        }
        let acceptor = std::thread::spawn({
            let (listener, shared, script) = (listener.clone(), self.shared.clone(), self.script.clone());
            let tls = self.tls.clone();
            move || accept_loop(&listener, &shared, &script, tls.as_ref())
        });
        self.running = Some(Running { listener, acceptor });
    }

    /// Goes away as a killed process does: open connections end, new ones are refused.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        self.shared.stopping.store(true, SeqCst);
        let _ = rustix::net::shutdown(&*running.listener, rustix::net::Shutdown::Both);
        running.acceptor.join().unwrap();
        drop(running.listener);
        self.close_connections();
        eventually("the scripts of a stopped origin end", || (self.open_connections() == 0).then_some(()));
    }

    /// Ends every open connection in an orderly way and goes on listening.
    pub fn close_connections(&self) {
        for seen in self.shared.connections.lock().unwrap().iter_mut() {
            if let Some(stream) = seen.stream.take() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// The requests received until now, in the order in which they were complete.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests were received until now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// The only request received.
    ///
    /// # Panics
    /// When there were none or several.
    #[track_caller]
    #[must_use]
    pub fn only_request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(
            requests.len(),
            1,
            "{:?}",
            self.bytes().iter().map(|b| String::from_utf8_lossy(b).into_owned()).collect::<Vec<_>>()
        );
        requests.into_iter().next().unwrap()
    }

    /// Waits until at least `count` requests were received, and gives all.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        eventually(&format!("{count} requests at {}", self.address()), || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
    }

    /// How many connections were accepted until now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// How many connections the peer or the script has not ended.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.connections.lock().unwrap().iter().filter(|seen| !seen.closed.load(SeqCst)).count()
    }

    /// Every byte received until now, by connection.
    #[must_use]
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.shared.connections.lock().unwrap().iter().map(|seen| seen.record.bytes()).collect()
    }

    /// Whether `needle` was received on any connection.
    #[must_use]
    pub fn saw(&self, needle: &[u8]) -> bool {
        self.bytes().iter().any(|bytes| crate::wire::find(bytes, needle).is_some())
    }

    /// Forgets the requests, so that a second part of a test counts from nothing.
    pub fn forget(&self) {
        self.shared.requests.lock().unwrap().clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept_loop(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    script: &Script,
    tls: Option<&Arc<ServerConfig>>,
) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopping.load(SeqCst) {
            return;
        }
        let handle = stream.try_clone().unwrap();
        let wire = Wire::new(stream);
        let closed = Arc::new(AtomicBool::new(false));
        let mut connections = shared.connections.lock().unwrap();
        let connection = connections.len();
        connections.push(Seen { record: wire.record(), stream: Some(handle), closed: closed.clone() });
        drop(connections);
        let mut peer = Peer { wire, connection, shared: shared.clone(), keep_alive: true };
        let (script, tls) = (script.clone(), tls.cloned());
        std::thread::spawn(move || {
            if tls.is_none_or(|tls| peer.wire.secure_as_server(tls).is_ok()) {
                script(&mut peer);
            }
            peer.forget_handle();
            drop(peer);
            closed.store(true, SeqCst);
        });
    }
}

impl Peer {
    /// The next request, on record; `None` when the connection ends, is in error, or was to be closed.
    pub fn request(&mut self) -> Option<Request> {
        if !self.keep_alive {
            return None;
        }
        let mut request = Request::read(&mut self.wire).ok()??;
        request.connection = self.connection;
        self.keep_alive = request.version == "HTTP/1.1" && !names_close(&request.field("connection"));
        self.shared.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// The head of the next request, on record; the body is left on the connection.
    pub fn request_head(&mut self) -> Option<Request> {
        let mut request = Request::read_head(&mut self.wire).ok()??;
        request.connection = self.connection;
        self.shared.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// Sends bytes; the peer may be gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes.as_ref()).is_ok()
    }

    /// Sends the answer to `request`: without its body when that was a HEAD.
    pub fn answer(&mut self, request: &Request, bytes: &[u8]) -> bool {
        let head_only = request.method == "HEAD";
        let end = crate::wire::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        self.keep_alive &= !head.contains("connection: close");
        self.send(if head_only { &bytes[..end] } else { bytes })
    }

    /// Waits until the other side ends the connection, and gives what came until then.
    pub fn wait_for_end(&mut self) -> io::Result<Vec<u8>> {
        self.wire.to_end()
    }

    /// Closes with a reset when the script ends.
    pub fn reset(&mut self) {
        self.forget_handle();
        rustix::net::sockopt::set_socket_linger(self.wire.stream(), Some(std::time::Duration::ZERO)).unwrap();
    }

    /// The second handle on the socket, kept for [`Origin::stop`], would keep it open.
    fn forget_handle(&self) {
        if let Some(seen) = self.shared.connections.lock().unwrap().get_mut(self.connection) {
            seen.stream = None;
        }
    }
}

fn names_close(connection: &Option<String>) -> bool {
    connection.as_ref().is_some_and(|value| value.to_ascii_lowercase().contains("close"))
}

/// A response with a Content-Length.
#[must_use]
pub fn reply(status: u16, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} Whatever\r\n");
    for (name, value) in fields {
        out += &format!("{name}: {value}\r\n");
    }
    out += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    out.into_bytes()
}
