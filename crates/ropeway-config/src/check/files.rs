//! Files that the configuration names and that are not there.
//!
//! Whoever reads a file says what is wrong with it, once the configuration is otherwise in order. This is for the one
//! that is not: its errors are reported all at once, and a missing file is one of them.

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Located;
use crate::schema::{CertificateFiles, ClientAuth, Config, FilePath, ListenerTls, UpstreamTls};

pub(crate) fn check(context: &mut Context, config: &Config) {
    for file in named(config).filter(|file| !file.value.is_stand_in()) {
        let path = file.resolved();
        if let Err(problem) = path.metadata() {
            let message = format!("{}: {problem}", path.display());
            context.report(Diagnostic::error("bad-tls-file", &file.place, message));
        }
    }
}

/// Every file or directory that has to be there.
fn named(config: &Config) -> impl Iterator<Item = &Located<FilePath>> {
    let of_orders = config.acme.iter().filter_map(|acme| acme.ca.as_ref());
    let of_clients =
        config.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(of_listener);
    let of_servers =
        config.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()).flat_map(of_upstream);
    of_orders.chain(of_clients).chain(of_servers)
}

fn of_listener(tls: &ListenerTls) -> impl Iterator<Item = &Located<FilePath>> {
    let certificates = tls.certificates.iter().chain(tls.hosts.iter().flat_map(|host| &host.certificates));
    let authorities = tls.hosts.iter().filter_map(|host| host.client_auth.as_ref()).chain([&tls.client_auth]);
    let of_clients = authorities.flat_map(of_client_auth);
    certificates.flat_map(|one| of_certificate(&one.value)).chain(of_clients).chain(&tls.tickets.keys)
}

fn of_certificate(files: &CertificateFiles) -> impl Iterator<Item = &Located<FilePath>> {
    files.cert.iter().chain(&files.key).chain(&files.directory)
}

fn of_client_auth(auth: &ClientAuth) -> impl Iterator<Item = &Located<FilePath>> {
    auth.ca.iter().chain(&auth.crl)
}

fn of_upstream(tls: &UpstreamTls) -> impl Iterator<Item = &Located<FilePath>> {
    let client = tls.client.iter().flat_map(|client| std::iter::once(&client.cert).chain(&client.key));
    tls.ca.iter().chain(client)
}
