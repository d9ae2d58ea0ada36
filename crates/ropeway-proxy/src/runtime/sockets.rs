//! Listening sockets: one per address and worker, sharing the port.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::snapshot::Snapshot;

/// Connections that the kernel holds ready per socket; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Names a listening address across reloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub listener: String,
    /// As configured: port 0 stays 0 here.
    pub address: SocketAddr,
}

/// The sockets of one address, one per worker. Kept here as well as in the workers, so that a worker that has to be
/// started again finds its connections still waiting.
#[derive(Debug)]
pub(crate) struct SocketSet {
    pub local: SocketAddr,
    pub sockets: Vec<Arc<TcpListener>>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The name of the listener.
    pub listener: String,
    /// The address, as configured.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener `{}` cannot listen on {}: {}", self.listener, self.address, self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The addresses that a snapshot listens on.
pub(crate) fn wanted(snapshot: &Snapshot) -> Vec<Key> {
    let listeners = snapshot.listeners.iter();
    listeners
        .flat_map(|listener| {
            listener
                .addresses
                .iter()
                .map(|address| Key { listener: listener.name.clone(), address: *address })
        })
        .collect()
}

impl SocketSet {
    /// Binds one socket per worker. `ours` are the sockets that this process has already.
    pub fn bind(key: &Key, workers: usize, ours: &HashMap<Key, Self>) -> Result<Self, BindError> {
        let fail = |source| BindError { listener: key.listener.clone(), address: key.address, source };
        let held = ours.values().any(|set| set.local == key.address);
        if !held && key.address.port() != 0 {
            refuse_to_share(key.address).map_err(fail)?;
        }
        let first = bind(key.address).map_err(fail)?;
        let local = first.local_addr().map_err(fail)?;
        let mut sockets = vec![Arc::new(first)];
        for _ in 1..workers {
            sockets.push(Arc::new(bind(local).map_err(fail)?));
        }
        Ok(Self { local, sockets })
    }
}

/// SO_REUSEPORT would let two processes of one user take turns at a port without anybody noticing. So a bind
/// without it is tried first, and fails if somebody listens there.
fn refuse_to_share(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    prepare(&socket, address)?;
    socket.bind(&address.into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    prepare(&socket, address)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it, which saves a call per connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners, whatever the system's default.
        socket.set_only_v6(true)?;
    }
    Ok(())
}
