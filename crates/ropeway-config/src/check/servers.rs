//! The servers of an upstream.

use std::collections::HashMap;

use super::names::refuse_duplicates;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::schema::{Config, Server, ServerAddress, ServerState, Upstream, UpstreamTls};

pub(super) fn check(context: &mut Context, config: &Config) {
    // An empty list, or one whose servers could not be read, has been reported.
    for upstream in config.upstreams.iter().filter(|upstream| !upstream.servers.is_empty()) {
        check_distinct(context, upstream);
        check_one_is_in_service(context, upstream);
        check_verification(context, upstream);
        check_names(context, upstream);
        check_check_has_tls(context, upstream);
    }
}

fn check_distinct(context: &mut Context, upstream: &Upstream) {
    let mut first: HashMap<&ServerAddress, &Server> = HashMap::new();
    // A stand-in for an address that could not be read has the port 0, which no server has.
    let read = |server: &&Server| !matches!(&server.address.value, ServerAddress::Ip(address) if address.port() == 0);
    for server in upstream.servers.iter().filter(read) {
        if let Some(earlier) = first.get(&server.address.value) {
            let message = format!("the upstream `{}` has the server {} twice", upstream.name, server.address);
            let complaint = Diagnostic::error("duplicate-server", &server.address.place, message);
            let complaint = complaint.label("again here").related(&earlier.address.place, "first here");
            context.report(complaint.help("for a larger share of the traffic give it a `weight`"));
        } else {
            first.insert(&server.address.value, server);
        }
    }
    let named = upstream.servers.iter().filter(|server| server.name.value != server.address.to_string());
    refuse_duplicates(context, "server", named.map(|server| &server.name));
}

fn check_verification(context: &mut Context, upstream: &Upstream) {
    let unverified = |tls: &UpstreamTls| tls.enabled && !tls.verify && tls.pins.is_empty();
    if upstream.tls.as_ref().is_some_and(unverified) {
        let message = format!("the servers of the upstream `{}` are not verified", upstream.name);
        let complaint = Diagnostic::warning("unverified-servers", &upstream.name.place, message);
        context.report(complaint.help(
            "whoever sits in between can read and change everything: name their authority with `ca`, or their keys \
             with `pins`",
        ));
    }
}

/// A socket in the file system has no host that could stand in a certificate.
fn check_names(context: &mut Context, upstream: &Upstream) {
    let needs_name = |tls: &UpstreamTls| tls.enabled && tls.verify && tls.server_name.is_none();
    if !upstream.tls.as_ref().is_some_and(needs_name) {
        return;
    }
    let is_unix = |server: &&Server| matches!(&server.address.value, ServerAddress::Unix(_));
    for server in upstream.servers.iter().filter(is_unix) {
        let message = format!("there is no name to verify {} by", server.address);
        let complaint = Diagnostic::error("missing-key", &server.address.place, message);
        context.report(
            complaint.help("add the name in its certificate: `tls = { server_name = \"app.internal\" }`"),
        );
    }
}

/// A check has no authorities of its own to verify a server with.
fn check_check_has_tls(context: &mut Context, upstream: &Upstream) {
    let asked = upstream.health.as_ref().and_then(|health| health.tls.as_ref()).filter(|tls| tls.value);
    let has_tls = upstream.tls.as_ref().is_some_and(|tls| tls.enabled);
    if let Some(tls) = asked.filter(|_| !has_tls) {
        let message = "a check by TLS uses the settings of the upstream, which has none";
        let complaint = Diagnostic::error("missing-key", &tls.place, message);
        context.report(complaint.help(format!("give the upstream `{}` the key `tls`", upstream.name)));
    }
}

fn check_one_is_in_service(context: &mut Context, upstream: &Upstream) {
    let place = &upstream.name.place;
    if upstream.servers.iter().all(|server| server.backup) {
        let message = format!("the upstream `{}` has backup servers only", upstream.name);
        let complaint = Diagnostic::warning("only-backups", place, message);
        context.report(complaint.help("they are used as if they were none; leave `backup` out"));
    }
    let in_service = |server: &Server| server.weight > 0 && server.state == ServerState::Ready;
    if !upstream.servers.iter().any(in_service) {
        let message = format!("no server of the upstream `{}` takes traffic", upstream.name);
        let complaint = Diagnostic::warning("no-server-in-service", place, message);
        context.report(
            complaint
                .help("each has `weight = 0`, or a `state` other than `ready`: requests are answered 503"),
        );
    }
}
