//! TLS of one listener, from its configuration.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use ropeway_config::schema::{self, CertificateFiles, ClientAuth, ClientAuthMode};
use ropeway_config::{Diagnostic, Located, Place};
use ropeway_proxy::tls::{ListenerTls, TlsProfile, TlsProfiles};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

use super::Builder;
use super::at_once::{add, both};
use super::certificate::Validity;
use super::client_auth;
use super::file::FileProblem;
use super::policy::Offer;
use super::revocation_list::{self, RevocationList};
use super::store::{self, CertificateSource, CertificateStore};
use super::tickets::{KeyRing, KeySource, Ticketer};
use super::watch::{Made, Signature, Watched};
use crate::acme;

impl Builder<'_> {
    /// TLS of a listener, or what is wrong with its files.
    pub(super) fn listener(&mut self, listener: &schema::Listener) -> Option<ListenerTls> {
        let tls = listener.tls.as_ref()?;
        let default = Profile {
            listener: &listener.name.value,
            names: Vec::new(),
            certificates: &tls.certificates,
            offer: Offer::new(
                tls.policy,
                tls.versions.as_deref(),
                tls.suites.as_deref(),
                tls.groups.as_deref(),
            ),
            client_auth: &tls.client_auth,
            tickets: &tls.tickets,
            http2: listener.http2.enabled,
        };
        let hosts = tls.hosts.iter().map(|host| of_host(host, tls, &default));
        let profiles: Vec<Profile<'_>> = std::iter::once(default.clone()).chain(hosts).collect();
        let built: Vec<TlsProfile> = profiles.iter().filter_map(|profile| self.profile(profile)).collect();
        (built.len() == profiles.len()).then(|| ListenerTls {
            profiles: TlsProfiles::new(built),
            handshake_ms: u64::try_from(tls.handshake_timeout.as_millis()).unwrap_or(u64::MAX),
            max_handshakes: tls.max_handshakes,
            identity_fields: tls.identity_headers,
            identify: super::identity::identify,
        })
    }

    fn profile(&mut self, profile: &Profile<'_>) -> Option<TlsProfile> {
        let built = self.try_profile(profile);
        built.map_err(|complaints| add(&mut self.complaints, complaints)).ok()
    }

    fn try_profile(&mut self, profile: &Profile<'_>) -> Result<TlsProfile, Vec<Diagnostic>> {
        let provider = profile.offer.provider();
        let place = &profile.certificates.first().map_or_else(|| self.nowhere(), |first| first.place.clone());
        let sources: Vec<CertificateSource> =
            profile.certificates.iter().map(|files| source(files, self.config.acme.as_ref())).collect();
        // Before they are read, so that no change in between is overlooked.
        let signature = Signature::of(store::files(&sources));
        let store = CertificateStore::load(sources, Arc::clone(&provider), &self.live.in_service());
        let store = store.map_err(|problems| {
            let at = |problem: &FileProblem| place_of(problem, profile.certificates).unwrap_or(place);
            problems.iter().map(|problem| complain(problem, at(problem))).collect()
        });
        self.files.extend(Signature::of(client_auth::files(profile.client_auth)));
        let clients = client_auth::load(profile.client_auth, &provider).map_err(|problems| {
            let at =
                |problem: &FileProblem| place_of_authority(problem, profile.client_auth).unwrap_or(place);
            problems.iter().map(|problem| complain(problem, at(problem))).collect()
        });
        let ring = profile.tickets.enabled.then(|| self.ring(profile)).transpose();
        let ((store, clients), ring) = both(both(store, clients), ring)?;
        let store = Arc::new(store);
        self.warn_of_certificates(profile, &store);
        self.warn_of_lists(profile.client_auth, &clients.lists);
        self.lists.extend(clients.lists);
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&profile.offer.protocol_versions())
            .map_err(|error| vec![Diagnostic::error("bad-tls", place, error.to_string())])?;
        let builder = match clients.verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&store) as _);
        config.alpn_protocols = alpn(profile.http2);
        // Tickets do the same without memory that clients could fill.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match ring {
            Some(ring) => {
                config.ticketer = Arc::new(Ticketer::new(ring, profile.identity(&clients.identity)));
            }
            None => config.send_tls13_tickets = 0,
        }
        self.watched
            .push(Watched::new(Made::Certificates { listener: profile.listener.into(), store }, signature));
        Ok(TlsProfile {
            names: profile.names.clone(),
            config: Arc::new(config),
            asks_clients: profile.client_auth.mode != ClientAuthMode::Off,
        })
    }

    /// The keys of its tickets.
    fn ring(&mut self, profile: &Profile<'_>) -> Result<Arc<KeyRing>, Vec<Diagnostic>> {
        let shared = profile.tickets.keys.as_ref();
        let source = match shared {
            Some(file) => KeySource::Shared(file.resolved()),
            None => KeySource::Own(profile.listener.into()),
        };
        let files = Signature::of(shared.map(Located::resolved));
        let place = shared.map_or_else(|| self.nowhere(), |file| file.place.clone());
        let ring = self.live.ring(source, profile.tickets.rotate);
        let ring = ring.map_err(|problem| vec![complain(&problem, &place)])?;
        if shared.is_some() {
            self.watched.push(Watched::new(Made::TicketKeys(Arc::clone(&ring)), files));
        }
        Ok(ring)
    }
}

/// What is in good order, and all the same of no use at this moment.
impl Builder<'_> {
    fn warn_of_certificates(&mut self, profile: &Profile<'_>, store: &CertificateStore) {
        for certificate in store.certificates() {
            let facts = &certificate.facts;
            let why = match facts.validity(self.now) {
                Validity::NotYet => "the certificate is not valid yet",
                Validity::Over => "the certificate has expired",
                Validity::Good => continue,
            };
            let problem = FileProblem::new(&facts.source, why);
            let place = place_of(&problem, profile.certificates).cloned();
            self.warn(&problem, &place.unwrap_or_else(|| self.nowhere()));
        }
    }

    fn warn_of_lists(&mut self, clients: &ClientAuth, lists: &[RevocationList]) {
        let now = self.now;
        for list in lists.iter().filter(|list| list.has_expired(now)) {
            let problem = FileProblem::new(&list.source, revocation_list::EXPIRED);
            let place = place_of_authority(&problem, clients).cloned();
            self.warn(&problem, &place.unwrap_or_else(|| self.nowhere()));
        }
    }

    fn warn(&mut self, problem: &FileProblem, place: &Place) {
        add(&mut self.warnings, vec![Diagnostic::warning("useless-tls-file", place, problem.to_string())]);
    }
}

/// Settings of one group of hosts, after those of the listener have filled the gaps.
#[derive(Clone)]
struct Profile<'a> {
    listener: &'a str,
    names: Vec<Box<str>>,
    certificates: &'a [Located<CertificateFiles>],
    offer: Offer,
    client_auth: &'a ClientAuth,
    tickets: &'a schema::Tickets,
    http2: bool,
}

impl Profile<'_> {
    /// What a ticket of this profile is bound to: the listener, the hosts, and how their clients are verified.
    fn identity(&self, clients: &[u8; 32]) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        for part in std::iter::once(self.listener).chain(self.names.iter().map(|name| &**name)) {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        hash.update(clients);
        let mut identity = [0; 32];
        identity.copy_from_slice(hash.finish().as_ref());
        identity
    }
}

fn of_host<'a>(
    host: &'a schema::TlsHost,
    tls: &'a schema::ListenerTls,
    default: &Profile<'a>,
) -> Profile<'a> {
    // A policy of the host's own is not mixed with single settings of the listener's.
    let inherits = host.policy.is_none();
    let versions = host.versions.as_deref().or(tls.versions.as_deref().filter(|_| inherits));
    let suites =
        host.suites.as_deref().or(tls.suites.as_deref().filter(|_| inherits && host.versions.is_none()));
    let groups = host.groups.as_deref().or(tls.groups.as_deref().filter(|_| inherits));
    Profile {
        names: host.names.iter().map(|name| name.value.to_string().into()).collect(),
        certificates: if host.certificates.is_empty() { default.certificates } else { &host.certificates },
        offer: Offer::new(host.policy.unwrap_or(tls.policy), versions, suites, groups),
        client_auth: host.client_auth.as_ref().unwrap_or(default.client_auth),
        ..default.clone()
    }
}

/// RFC 7301; what comes first is preferred.
fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let h2 = http2.then(|| b"h2".to_vec());
    h2.into_iter().chain([b"http/1.1".to_vec(), b"http/1.0".to_vec()]).collect()
}

fn source(files: &CertificateFiles, acme: Option<&schema::Acme>) -> CertificateSource {
    if let (Some(names), Some(acme)) = (&files.acme, acme) {
        let hosts = names.iter().map(|name| name.as_str().to_owned()).collect();
        return CertificateSource::Ordered { file: acme::certificate_file(acme, names), hosts };
    }
    match (&files.cert, &files.directory) {
        (Some(cert), _) => {
            let key = files.key.as_ref().unwrap_or(cert).resolved();
            CertificateSource::Pair { cert: cert.resolved(), key }
        }
        (None, directory) => {
            let directory = directory.as_ref().map(Located::resolved);
            CertificateSource::Directory(directory.unwrap_or_default())
        }
    }
}

pub(super) fn complain(problem: &FileProblem, place: &Place) -> Diagnostic {
    Diagnostic::error("bad-tls-file", place, problem.to_string())
}

/// The key in the file that names the file with the problem.
fn place_of<'a>(problem: &FileProblem, certificates: &'a [Located<CertificateFiles>]) -> Option<&'a Place> {
    let paths = certificates.iter().flat_map(|files| {
        let files = &files.value;
        files.cert.iter().chain(&files.key).chain(&files.directory)
    });
    place_among(problem.path(), paths)
}

fn place_of_authority<'a>(problem: &FileProblem, auth: &'a ClientAuth) -> Option<&'a Place> {
    place_among(problem.path(), auth.ca.iter().chain(&auth.crl))
}

fn place_among<'a>(
    path: &Path,
    files: impl Iterator<Item = &'a Located<schema::FilePath>> + Clone,
) -> Option<&'a Place> {
    let exact = files.clone().find(|file| file.resolved() == path);
    let above = || files.into_iter().find(|file| path.starts_with(file.resolved()));
    exact.or_else(above).map(|file| &file.place)
}
