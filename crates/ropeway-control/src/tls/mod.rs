//! TLS: certificates, keys and authorities, read from files, checked, and made ready for the data plane.
//!
//! [`build`] does it for a whole configuration, before anything is put into service: a file that is missing, empty or
//! wrong is a mistake in the configuration like any other, with the place that names it.

mod certificate;
mod client_auth;
mod file;
mod listener;
mod policy;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ropeway_config::schema::Config;
use ropeway_config::{Diagnostic, Diagnostics, Place, Source};
use ropeway_proxy::tls::ListenerTls;

pub use certificate::CertificateFacts;

use store::CertificateStore;

/// TLS of a configuration, not yet in service.
#[derive(Debug, Default)]
pub struct Built {
    /// By the name of the listener.
    pub(crate) listeners: HashMap<String, Arc<ListenerTls>>,
    stores: Vec<WatchedStore>,
    /// What else was read.
    files: Vec<PathBuf>,
}

/// Certificates, and whose they are.
#[derive(Clone, Debug)]
struct WatchedStore {
    listener: Arc<str>,
    store: Arc<CertificateStore>,
}

/// Reads every file that the TLS settings of `config` name.
///
/// # Errors
/// Everything that is wrong with them.
pub fn build(config: &Config) -> Result<Built, Diagnostics> {
    let mut builder = Builder { config, complaints: Vec::new(), stores: Vec::new(), files: Vec::new() };
    let mut built = Built::default();
    for listener in &config.listeners {
        if let Some(tls) = builder.listener(listener) {
            built.listeners.insert(listener.name.value.clone(), Arc::new(tls));
        }
    }
    if !builder.complaints.is_empty() {
        return Err(Diagnostics(builder.complaints));
    }
    Ok(Built { stores: builder.stores, files: builder.files, ..built })
}

/// One building; its parts are in the files of this folder.
struct Builder<'a> {
    config: &'a Config,
    complaints: Vec<Diagnostic>,
    stores: Vec<WatchedStore>,
    files: Vec<PathBuf>,
}

impl Builder<'_> {
    /// The place of what the configuration does not say.
    fn nowhere(&self) -> Place {
        let listener = self.config.listeners.first();
        listener.map_or_else(|| Place::start_of(&Source::new("", "")), |listener| listener.name.place.clone())
    }
}
