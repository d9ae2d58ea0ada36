//! Addresses to listen at.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Located;
use crate::schema::{Admin, Config, HostPattern, Listener};

pub(super) fn check(context: &mut Context, config: &Config) {
    for listener in &config.listeners {
        check_trust(context, listener);
        check_tls_hosts(context, listener);
        check_prior_knowledge(context, listener);
    }
    check_distinct(context, config);
    if config.admin.enabled {
        check_admin(context, &config.admin);
    }
}

fn check_trust(context: &mut Context, listener: &Listener) {
    let headers = listener.proxy_protocol.iter().flat_map(|headers| &headers.trusted);
    let networks = listener.trusted_proxies.iter().chain(headers);
    for network in networks.filter(|network| network.prefix_len() == 0) {
        let message = format!("`{network}` trusts everyone: any client can pretend to have any address");
        let complaint = Diagnostic::warning("trusts-everyone", &network.place, message);
        context.report(complaint.help("name the networks of the proxies in front of this one"));
    }
}

/// Of two groups that have a host, one would be chosen, and perhaps not the one that asks for certificates of clients.
fn check_tls_hosts(context: &mut Context, listener: &Listener) {
    let groups = listener.tls.iter().flat_map(|tls| &tls.hosts);
    let mut first: HashMap<&HostPattern, &Located<HostPattern>> = HashMap::new();
    for name in groups.flat_map(|group| &group.names) {
        if name.is_address() {
            let message =
                format!("`{name}` never has TLS settings of its own: clients name no address in TLS");
            let complaint = Diagnostic::error("bad-value", &name.place, message);
            context.report(
                complaint.help("clients that connect to an address get the settings of the listener"),
            );
        }
        if let Some(earlier) = first.get(&name.value) {
            let message = format!("`{name}` has TLS settings of its own twice");
            let complaint = Diagnostic::error("duplicate-host", &name.place, message).label("again here");
            context.report(complaint.related(&earlier.place, "first here"));
        } else {
            first.insert(&name.value, name);
        }
    }
}

fn check_prior_knowledge(context: &mut Context, listener: &Listener) {
    if listener.tls.is_some() && listener.http2.prior_knowledge {
        let message = format!("`http2.prior_knowledge` means nothing to the listener `{}`", listener.name);
        let complaint = Diagnostic::warning("useless-key", &listener.name.place, message);
        context.report(complaint.help("it has TLS, where clients ask for HTTP/2 by ALPN; leave the key out"));
    }
}

/// Port 0 stands for a port of its own each time.
fn check_distinct(context: &mut Context, config: &Config) {
    let binds = config.listeners.iter().flat_map(|listener| &listener.bind);
    let mut first: HashMap<SocketAddr, &Located<SocketAddr>> = HashMap::new();
    for bind in binds.filter(|bind| bind.port() != 0) {
        if let Some(earlier) = first.get(&bind.value) {
            let message = format!("{bind} is bound twice");
            let complaint = Diagnostic::error("duplicate-bind", &bind.place, message).label("again here");
            context.report(complaint.related(&earlier.place, "first here"));
        } else {
            first.insert(bind.value, bind);
        }
    }
    // Most files do not name the admin listener, so the complaint stands at the other one.
    if let Some(bind) = first.get(&config.admin.bind.value).filter(|_| config.admin.enabled) {
        let message = format!("{bind} is the address of the admin listener");
        let complaint = Diagnostic::error("duplicate-bind", &bind.place, message);
        context.report(
            complaint.help("choose another, or move the admin listener: `[admin] bind = \"127.0.0.1:9901\"`"),
        );
    }
}

fn check_admin(context: &mut Context, admin: &Admin) {
    if admin.bind.ip().is_loopback() || admin.allow_remote {
        return;
    }
    let message =
        format!("the admin listener has no password, and {} can be reached from other machines", admin.bind);
    let complaint = Diagnostic::error("admin-exposed", &admin.bind.place, message);
    context.report(complaint.help("bind it to 127.0.0.1, or protect the port and set `allow_remote = true`"));
}
