//! TLS: certificates, keys and authorities, read from files, checked, and made ready for the data plane.
//!
//! [`build`] does it for a whole configuration, before anything is put into service: a file that is missing, empty or
//! wrong is a mistake in the configuration like any other, with the place that names it.

mod at_once;
mod certificate;
mod client_auth;
pub mod dev;
mod distinguished_name;
mod expiry;
mod file;
mod identity;
mod listener;
mod placeholder;
mod policy;
mod revocation_list;
mod store;
#[cfg(test)]
mod tests;
mod tickets;
mod upstream;
pub(crate) mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use ropeway_config::schema::Config;
use ropeway_config::{Diagnostic, Diagnostics, Place, Source};
use ropeway_proxy::challenges::Challenges;
use ropeway_proxy::tls::{ListenerTls, UpstreamTls};
use rustls::RootCertStore;

pub(crate) use certificate::Certificate;
pub use certificate::CertificateFacts;
pub(crate) use client_auth::roots_in;
pub(crate) use file::FileProblem;
pub use revocation_list::RevocationList;
pub use watch::{CertificateInUse, LiveTls};

use watch::{Made, Signature, Watched};

/// TLS of a configuration, not yet in service.
#[derive(Debug, Default)]
pub struct Built {
    /// By the name of the listener.
    pub(crate) listeners: HashMap<String, Arc<ListenerTls>>,
    /// By the name of the upstream.
    pub(crate) upstreams: HashMap<String, Arc<UpstreamTls>>,
    /// Files that are in good order, and all the same of no use now. The log says so as soon as they are in service.
    pub(crate) warnings: Vec<Diagnostic>,
    watched: Vec<Watched>,
    lists: Vec<RevocationList>,
    /// What the upstreams were made from.
    reusable: watch::Reusable,
    /// Those of every configuration.
    pub(crate) challenges: Arc<Challenges>,
}

/// Reads every file that the TLS settings of `config` name, to see whether it could be put into service. Returns what is
/// questionable about them.
///
/// # Errors
/// Everything that is wrong with them.
pub fn check(config: &Config) -> Result<Vec<Diagnostic>, Diagnostics> {
    build(config, &LiveTls::default()).map(|built| built.warnings)
}

/// Reads every file that the TLS settings of `config` name. Keys of tickets that `live` has stay as they are.
///
/// # Errors
/// Everything that is wrong with them.
pub fn build(config: &Config, live: &LiveTls) -> Result<Built, Diagnostics> {
    let mut builder = Builder {
        config,
        live,
        now: SystemTime::now(),
        complaints: Vec::new(),
        warnings: Vec::new(),
        watched: Vec::new(),
        lists: Vec::new(),
        files: Signature::default(),
        system_roots: None,
    };
    let mut built = Built { challenges: Arc::clone(live.challenges()), ..Built::default() };
    for listener in &config.listeners {
        if let Some(tls) = builder.listener(listener) {
            built.listeners.insert(listener.name.value.clone(), Arc::new(tls));
        }
    }
    for upstream in &config.upstreams {
        if let Some(tls) = builder.upstream(upstream) {
            let (made_from, tls) = tls;
            built.reusable.insert(upstream.name.value.clone(), (made_from, Arc::clone(&tls)));
            built.upstreams.insert(upstream.name.value.clone(), tls);
        }
    }
    builder.authority_of_orders();
    if !builder.complaints.is_empty() {
        return Err(Diagnostics(builder.complaints));
    }
    (built.watched, built.lists, built.warnings) = (builder.watched, builder.lists, builder.warnings);
    if builder.files != Signature::default() {
        built.watched.push(Watched::new(Made::Snapshot, builder.files));
    }
    Ok(built)
}

/// One building; its parts are in the files of this folder.
struct Builder<'a> {
    config: &'a Config,
    live: &'a LiveTls,
    now: SystemTime,
    complaints: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    watched: Vec<Watched>,
    lists: Vec<RevocationList>,
    /// What was read of which everything has to be made again when it changes.
    files: Signature,
    /// With a hash of them.
    system_roots: Option<(Arc<RootCertStore>, [u8; 32])>,
}

impl Builder<'_> {
    /// Whether the authority that certificates are ordered from could be believed. The file is read again for every
    /// order.
    fn authority_of_orders(&mut self) {
        let Some(ca) = self.config.acme.as_ref().and_then(|acme| acme.ca.as_ref()) else { return };
        if let Err(problem) = roots_in(&ca.resolved()) {
            self.complaints.push(listener::complain(&problem, &ca.place));
        }
    }

    /// The place of what the configuration does not say.
    fn nowhere(&self) -> Place {
        let listener = self.config.listeners.first();
        listener.map_or_else(|| Place::start_of(&Source::new("", "")), |listener| listener.name.place.clone())
    }
}
