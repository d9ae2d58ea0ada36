//! `openssl s_client`, a client of TLS that others wrote.

use crate::lab::Running;
use crate::program::Program;

/// One GET for a host over TLS, with more options of `s_client`; in these stands `@dir` for the directory of the lab,
/// which has the authority of the host in `ca.pem`.
///
/// A certificate that this authority has not signed for this host ends the program before its request.
#[must_use]
pub fn s_client(lab: &Running, host: &str, options: &str) -> Program {
    let directory = lab.file("");
    let options =
        options.split_whitespace().map(|option| option.replace("@dir", &directory.to_string_lossy()));
    Program::new("openssl s_client -ign_eof -verify_return_error -CAfile")
        .argument(lab.file("ca.pem"))
        .args([
            "-connect",
            &lab.proxy.address("web").to_string(),
            "-servername",
            host,
            "-verify_hostname",
            host,
        ])
        .args(options)
        .input(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}
