//! Addresses that are free.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// `wanted`, or a free port of the same address when it is taken. Somebody else may take it until it is used; then
/// the one who uses it says so.
pub(super) fn wanted_or_free(wanted: SocketAddr) -> io::Result<SocketAddr> {
    let any_port = SocketAddr::new(wanted.ip(), 0);
    TcpListener::bind(wanted).or_else(|_taken| TcpListener::bind(any_port))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_and_a_free_one_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = taken.local_addr().unwrap();
        let got = wanted_or_free(wanted).unwrap();
        assert_eq!(got.ip(), wanted.ip());
        assert_ne!(got.port(), wanted.port());
        assert_ne!(wanted_or_free("127.0.0.1:0".parse().unwrap()).unwrap().port(), 0);
    }
}
