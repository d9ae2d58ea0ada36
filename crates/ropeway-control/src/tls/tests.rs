use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection};

use super::*;
use crate::fixture;
use crate::log::test_directory::TestDirectory;

/// A directory with an authority, and what it signs.
struct Authority {
    directory: TestDirectory,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let directory = TestDirectory::new();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn sign(&self, name: &str, hosts: &[&str]) {
        self.sign_with(&PKCS_ECDSA_P256_SHA256, name, hosts);
    }

    /// Writes `NAME.pem` and `NAME.key` for these hosts.
    fn sign_with(&self, algorithm: &'static SignatureAlgorithm, name: &str, hosts: &[&str]) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let cert = CertificateParams::new(hosts).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A file with a listener whose `tls` table holds `keys`, with `DIR` for the directory.
    fn config(&self, keys: &str) -> Config {
        let keys = keys.replace("DIR", &self.directory.path().display().to_string());
        fixture::config(&format!(
            "[[route]]\nupstream = \"app\"\n[upstream.app]\nservers = [\"127.0.0.1:8001\"]\n\
             [listener.web]\nbind = \"127.0.0.1:0\"\n[listener.web.tls]\n{keys}\n"
        ))
    }

    fn listener(&self, keys: &str, live: &LiveTls) -> Arc<ListenerTls> {
        let built = build(&self.config(keys), live).unwrap();
        let listener = Arc::clone(&built.listeners["web"]);
        live.follow(built);
        listener
    }

    fn complaint(&self, keys: &str) -> String {
        let errors = build(&self.config(keys), &LiveTls::default()).unwrap_err();
        errors.iter().map(|error| format!("{}: {}\n", error.place.line(), error.message)).collect()
    }

    /// A client that believes the authority, and shows the certificate `identity` if there is one.
    fn client(&self, identity: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let cert = CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        }
    }
}

/// What a handshake led to: the certificate shown, and how it came about.
type Outcome = Result<(CertificateDer<'static>, HandshakeKind), rustls::Error>;

/// A handshake by the profile that the data plane would choose.
fn handshake(listener: &ListenerTls, client: &Arc<ClientConfig>, host: &str) -> Outcome {
    let profile = listener.profiles.get(listener.profiles.index_for(host.as_bytes())).unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(&profile.config)).unwrap();
    let mut wire = Vec::new();
    // Tickets come after the handshake: the last turn brings them to the client.
    for _ in 0..6 {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut sent = &wire[..];
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut sent = &wire[..];
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets()?;
        }
        wire.clear();
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    let shown = client.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((shown, client.handshake_kind().unwrap()))
}

fn on_disk(authority: &Authority, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(authority.path(&format!("{name}.pem"))).unwrap()
}

#[test]
fn a_certificate_is_found_by_its_exact_name_then_by_wildcard_then_the_first() {
    let authority = Authority::new();
    authority.sign("first", &["first.example"]);
    authority.sign("wild", &["*.b.example"]);
    authority.sign("exact", &["a.b.example"]);
    let keys =
        "certificates = [{ cert = \"DIR/first.pem\", key = \"DIR/first.key\" }, { directory = \"DIR\" }]";
    // The authority's own file is there, too, and is passed over.
    let listener = authority.listener(keys, &LiveTls::default());
    let client = Arc::new(authority.client(None));
    for (host, shown) in [("a.b.example", "exact"), ("x.b.example", "wild"), ("first.example", "first")] {
        assert_eq!(handshake(&listener, &client, host).unwrap().0, on_disk(&authority, shown), "{host}");
    }
    // Nobody has this one: the first is shown, and the client refuses it.
    let unknown = handshake(&listener, &client, "x.y.b.example").unwrap_err();
    assert!(unknown.to_string().contains("not valid for name"), "{unknown}");
}

#[test]
fn among_several_for_a_name_the_client_gets_one_that_it_can_verify() {
    let authority = Authority::new();
    authority.sign_with(&PKCS_RSA_SHA256, "rsa", &["a.example"]);
    authority.sign("ecdsa", &["a.example"]);
    let keys = "certificates = [{ cert = \"DIR/rsa.pem\", key = \"DIR/rsa.key\" }, \
                { cert = \"DIR/ecdsa.pem\", key = \"DIR/ecdsa.key\" }]";
    let listener = authority.listener(keys, &LiveTls::default());
    let modern = Arc::new(authority.client(None));
    assert_eq!(handshake(&listener, &modern, "a.example").unwrap().0, on_disk(&authority, "ecdsa"));
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let old = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert_eq!(handshake(&listener, &Arc::new(old), "a.example").unwrap().0, on_disk(&authority, "rsa"));
}

#[test]
fn changed_files_are_exchanged_and_bad_ones_are_not() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    let live = LiveTls::default();
    let keys = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]";
    let listener = authority.listener(keys, &live);
    let client = Arc::new(authority.client(None));
    let before = on_disk(&authority, "site");
    std::fs::write(authority.path("site.pem"), "-----BEGIN CERTIFICATE-----\nnothing").unwrap();
    assert!(!live.look_twice());
    assert_eq!(handshake(&listener, &client, "a.example").unwrap().0, before);
    assert_eq!(live.exchanges(), (0, 1));
    assert!(live.problems()[0].contains("site.pem"), "{:?}", live.problems());
    authority.sign("site", &["a.example"]);
    live.look_twice();
    // A client without a ticket: one that resumes is not shown a certificate again.
    let client = Arc::new(authority.client(None));
    let after = handshake(&listener, &client, "a.example").unwrap().0;
    assert!(after != before && after == on_disk(&authority, "site"));
    assert_eq!((live.exchanges(), live.problems()), ((1, 1), Vec::new()));
    assert_eq!(live.certificates()[0].facts.names, ["a.example".into()]);
}

#[test]
fn a_reload_says_which_files_hold_something_else() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    let live = LiveTls::default();
    let keys = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]";
    let reload = || live.follow(build(&authority.config(keys), &live).unwrap());
    assert!(reload().is_empty(), "all of them are new");
    assert!(reload().is_empty(), "nothing has changed");
    authority.sign("site", &["a.example"]);
    assert_eq!(reload(), ["site.key", "site.pem"].map(|file| authority.path(file).display().to_string()));
}

#[test]
fn a_client_that_comes_back_resumes_even_after_a_reload() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    let live = LiveTls::default();
    let keys = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]";
    let client = Arc::new(authority.client(None));
    let first = handshake(&authority.listener(keys, &live), &client, "a.example").unwrap().1;
    let second = handshake(&authority.listener(keys, &live), &client, "a.example").unwrap().1;
    assert_eq!((first, second), (HandshakeKind::Full, HandshakeKind::Resumed));
    let without = format!("{keys}\ntickets = {{ enabled = false }}");
    let third = handshake(&authority.listener(&without, &live), &client, "a.example").unwrap().1;
    assert_eq!(third, HandshakeKind::Full);
}

/// The ticket of an open host opens no host that wants certificates, under whatever name it is presented.
#[test]
fn threat_25_a_ticket_is_good_for_its_own_host_only() {
    let authority = Authority::new();
    authority.sign("site", &["a.example", "b.example"]);
    authority.sign("client", &["client.example"]);
    let keys = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]\n";
    let host = "[[listener.web.tls.host]]\nnames = \"b.example\"\n\
                client_auth = { mode = \"required\", ca = \"DIR/ca.pem\" }\n";
    let live = LiveTls::default();
    let listener = authority.listener(&format!("{keys}{host}"), &live);
    assert_eq!([0, 1].map(|index| listener.profiles.get(index).unwrap().asks_clients), [false, true]);
    let plain = ticket_of(listener.profiles.get(0).unwrap());
    assert_eq!(listener.profiles.get(1).unwrap().config.ticketer.decrypt(&plain), None);
    assert!(listener.profiles.get(0).unwrap().config.ticketer.decrypt(&plain).is_some());
    let stranger = Arc::new(authority.client(None));
    assert!(handshake(&listener, &stranger, "b.example").is_err());
    let mut known = authority.client(Some("client"));
    known.resumption = Resumption::in_memory_sessions(4);
    let known = Arc::new(known);
    let kinds = [(); 2].map(|()| handshake(&listener, &known, "b.example").unwrap().1);
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    // Another authority: what the old one's clients hold is worth nothing.
    let ticket = ticket_of(listener.profiles.get(1).unwrap());
    std::fs::write(authority.path("ca.pem"), Authority::new().issuer.pem()).unwrap();
    assert!(live.look_twice(), "the snapshot is made again");
    let listener = authority.listener(&format!("{keys}{host}"), &live);
    assert_eq!(listener.profiles.get(1).unwrap().config.ticketer.decrypt(&ticket), None);
    assert!(handshake(&listener, &known, "b.example").is_err());
}

fn ticket_of(profile: &ropeway_proxy::tls::TlsProfile) -> Vec<u8> {
    profile.config.ticketer.encrypt(b"session").unwrap()
}

/// Whatever is wrong with authorities and lists, nobody is let in for it.
#[test]
fn threat_27_authorities_that_cannot_be_read_are_refused() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    std::fs::write(authority.path("empty"), "").unwrap();
    std::fs::write(authority.path("bad"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let keys = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]\nclient_auth = { mode = \"required\", ";
    for file in ["missing", "empty", "bad", "site.key"] {
        let complaint = authority.complaint(&format!("{keys}ca = \"DIR/{file}\" }}"));
        assert!(complaint.starts_with("9: ") && complaint.contains(file), "{file}: {complaint}");
        let complaint = authority.complaint(&format!("{keys}ca = \"DIR/ca.pem\", crl = \"DIR/{file}\" }}"));
        assert!(complaint.starts_with("9: ") && complaint.contains(file), "{file}: {complaint}");
    }
}

#[test]
fn files_that_do_not_fit_are_named_with_their_place() {
    let authority = Authority::new();
    authority.sign("one", &["a.example"]);
    authority.sign("two", &["a.example"]);
    let pair =
        |cert: &str, key: &str| format!("certificates = [{{ cert = \"DIR/{cert}\", key = \"DIR/{key}\" }}]");
    for (cert, key, wanted) in [
        ("one.pem", "two.key", "two.key: this is not the private key"),
        ("one.key", "one.key", "one.key: there is no certificate"),
        ("one.pem", "one.pem", "one.pem: there is no private key"),
        ("none.pem", "one.key", "none.pem: No such file"),
    ] {
        let complaint = authority.complaint(&pair(cert, key));
        assert!(complaint.starts_with("8: ") && complaint.contains(wanted), "{complaint}");
    }
    std::fs::create_dir(authority.path("certs")).unwrap();
    let complaint = authority.complaint("certificates = [{ directory = \"DIR/certs\" }]");
    assert!(complaint.contains("certs: there is no certificate in it"), "{complaint}");
}

#[test]
fn every_file_that_is_bad_is_named_at_once() {
    let authority = Authority::new();
    std::fs::create_dir(authority.path("certs")).unwrap();
    for file in ["certs/one.pem", "certs/two.pem", "ca", "crl", "tickets"] {
        std::fs::write(authority.path(file), "nothing").unwrap();
    }
    let complaint = authority.complaint(
        "certificates = [{ cert = \"DIR/cert\", key = \"DIR/key\" }, { directory = \"DIR/certs\" }]\n\
         client_auth = { mode = \"required\", ca = \"DIR/ca\", crl = \"DIR/crl\" }\n\
         tickets = { keys = \"DIR/tickets\" }\n\
         host = [{ names = \"a.example\", policy = \"modern\" }]\n\
         [upstream.other]\nservers = [\"127.0.0.1:8002\"]\n\
         tls = { ca = \"DIR/roots\", client = { cert = \"DIR/shown\", key = \"DIR/secret\" } }",
    );
    let named =
        ["/cert", "/key", "/one.pem", "/two.pem", "/ca", "/crl", "/tickets", "/roots", "/shown", "/secret"];
    for file in named {
        assert!(complaint.contains(&format!("{file}: ")), "{file}: {complaint}");
    }
    // Without a key of its own, each file of the directory lacks a certificate and a key; other than that each once,
    // although a host uses the files of its listener.
    assert_eq!(complaint.lines().count(), named.len() + 2, "{complaint}");
}

#[test]
fn a_name_whose_certificates_go_with_no_suite_is_refused() {
    let authority = Authority::new();
    authority.sign("ecdsa", &["a.example"]);
    authority.sign_with(&PKCS_RSA_SHA256, "rsa", &["b.example"]);
    let pair = |name: &str| format!("{{ cert = \"DIR/{name}.pem\", key = \"DIR/{name}.key\" }}");
    let keys = |versions: &str, suites: &str, pairs: &[&str]| {
        let pairs: Vec<String> = pairs.iter().map(|name| pair(name)).collect();
        format!("versions = [{versions}]\nsuites = [{suites}]\ncertificates = [{}]", pairs.join(", "))
    };
    let rsa = "\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"";
    let complaint = authority.complaint(&keys("\"1.2\"", rsa, &["rsa", "ecdsa"]));
    assert!(complaint.contains("ecdsa.pem: none of the suites"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    authority.sign_with(&PKCS_RSA_SHA256, "other", &["a.example"]);
    authority.listener(&keys("\"1.2\"", rsa, &["rsa", "ecdsa", "other"]), &LiveTls::default());
    let both = format!("{rsa}, \"TLS_AES_128_GCM_SHA256\"");
    authority.listener(&keys("\"1.2\", \"1.3\"", &both, &["ecdsa"]), &LiveTls::default());
}

/// What `cert dev` makes: an authority with its key beside the certificate.
#[test]
fn an_authority_in_a_directory_is_no_certificate_of_a_host() {
    let directory = TestDirectory::new();
    dev::create(directory.path(), &[]).unwrap();
    let authority = Authority::new();
    let live = LiveTls::default();
    let path = directory.path().display();
    authority.listener(&format!("certificates = [{{ directory = \"{path}\" }}]"), &live);
    let names: Vec<String> = live.certificates().iter().map(|one| one.facts.title()).collect();
    assert_eq!(names, ["localhost"]);
}

#[test]
fn policies_offer_what_they_say() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    let offered = |policy: &str| {
        let keys = format!("certificates = [{{ directory = \"DIR/certs\" }}]\npolicy = \"{policy}\"");
        let listener = authority.listener(&keys, &LiveTls::default());
        let provider = Arc::clone(listener.profiles.get(0).unwrap().config.crypto_provider());
        (
            provider.cipher_suites.len(),
            provider.kx_groups.iter().map(|group| group.name()).collect::<Vec<_>>(),
        )
    };
    std::fs::create_dir(authority.path("certs")).unwrap();
    for end in ["pem", "key"] {
        std::fs::copy(authority.path(&format!("site.{end}")), authority.path(&format!("certs/site.{end}")))
            .unwrap();
    }
    let counts =
        ["modern", "intermediate", "compatible"].map(|policy| (offered(policy).0, offered(policy).1.len()));
    assert_eq!(counts, [(3, 4), (9, 4), (9, 5)]);
    assert_eq!(offered("modern").1[0], rustls::NamedGroup::X25519MLKEM768);
}

/// The storage may be on another machine, which may be away for a moment.
#[test]
fn a_certificate_that_was_ordered_stays_when_its_file_is_gone_or_broken() {
    let authority = Authority::new();
    let live = LiveTls::default();
    let toml = "certificates = [{ acme = \"shop.example\" }]\n[acme]\nstorage = \"DIR/acme\"\nterms_agreed = true\n\
                challenge = \"tls-alpn-01\"";
    let config = authority.config(toml);
    let put = |text: &str| {
        let names = config.acme_sets().next().unwrap();
        let file = crate::acme::certificate_file(config.acme.as_ref().unwrap(), names);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file
    };
    let listener = authority.listener(toml, &live);
    assert_eq!(live.certificates().len(), 0, "a placeholder is no certificate");
    authority.sign("site", &["shop.example"]);
    let [cert, key] =
        ["pem", "key"].map(|end| std::fs::read_to_string(authority.path(&format!("site.{end}"))).unwrap());
    let file = put(&format!("{key}{cert}"));
    live.look_twice();
    let shown = |listener: &ListenerTls| {
        handshake(listener, &Arc::new(authority.client(None)), "shop.example").unwrap().0
    };
    assert_eq!(shown(&listener), on_disk(&authority, "site"));
    for broken in [false, true] {
        if broken {
            put("nothing")
        } else {
            std::fs::remove_file(&file).map(|()| file.clone()).unwrap()
        };
        live.look_twice();
        assert_eq!(shown(&listener), on_disk(&authority, "site"));
        assert!(live.problems()[0].contains("shop.example-"), "{:?}", live.problems());
        assert_eq!(
            shown(&authority.listener(toml, &live)),
            on_disk(&authority, "site"),
            "after a reload, too"
        );
    }
}

#[test]
fn who_vouches_for_an_authority_has_to_be_there_before_it_is_asked() {
    let authority = Authority::new();
    let toml = "certificates = [{ acme = \"shop.example\" }]\n[acme]\nstorage = \"DIR/acme\"\nterms_agreed = true\n\
                challenge = \"tls-alpn-01\"\nca = \"DIR/roots.pem\"";
    let complaint = authority.complaint(toml);
    assert!(complaint.starts_with("13: ") && complaint.contains("roots.pem: No such file"), "{complaint}");
    std::fs::rename(authority.path("ca.pem"), authority.path("roots.pem")).unwrap();
    build(&authority.config(toml), &LiveTls::default()).unwrap();
}

/// What stood in the way of a list of revoked certificates may be mended without a trace in the list itself.
#[test]
fn files_that_could_not_be_taken_are_tried_again() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    let live = LiveTls::default();
    authority.listener(
        "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]\n\
         client_auth = { mode = \"required\", ca = \"DIR/ca.pem\" }",
        &live,
    );
    std::fs::write(authority.path("ca.pem"), Authority::new().issuer.pem()).unwrap();
    assert!(live.look_twice());
    live.note_failure("something else is wrong");
    assert!(!live.look_twice(), "not all the time");
    assert!((0..100).any(|_| live.look_twice()), "but again");
    live.note_failure("something else is wrong");
    assert_eq!(live.exchanges(), (0, 1), "it is counted once");
}

#[test]
fn a_change_of_who_may_read_a_file_is_a_change() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TestDirectory::new();
    let file = directory.path().join("site.key");
    std::fs::write(&file, "key").unwrap();
    let before = Signature::of([file.clone()]);
    // Clocks of file systems are coarse.
    let is_seen = (0..1_000_000).any(|count: u32| {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600 + (count % 2) * 0o40)).unwrap();
        Signature::of([file.clone()]) != before
    });
    assert!(is_seen);
}

/// What is revoked, by nobody yet, for so many days from a number of days ago.
fn revocations_since(authority: &Authority, file: &str, ago: u64, days: u64) {
    let day = |count: u64| std::time::Duration::from_secs(count * 24 * 60 * 60);
    let made = std::time::SystemTime::now() - day(ago);
    let params = rcgen::CertificateRevocationListParams {
        this_update: made.into(),
        next_update: (made + day(days)).into(),
        crl_number: rcgen::SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&authority.issuer).unwrap().pem().unwrap();
    std::fs::write(authority.path(file), list).unwrap();
}

fn revocations(authority: &Authority, file: &str, days: u64) {
    revocations_since(authority, file, 0, days);
}

const REVOKING: &str = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]\n\
                        client_auth = { mode = \"required\", ca = \"DIR/ca.pem\", crl = \"DIR/one.crl\" }";

#[test]
fn a_list_that_has_expired_is_told_wherever_one_looks() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    revocations_since(&authority, "one.crl", 3, 2);
    let live = LiveTls::default();
    let built = build(&authority.config(REVOKING), &live).unwrap();
    assert_eq!(built.warnings.iter().map(|warning| warning.place.line()).collect::<Vec<_>>(), [9]);
    assert!(built.warnings[0].message.contains("one.crl: the list of revoked certificates has expired"));
    live.follow(built);
    assert!(live.problems()[0].contains("one.crl: the list of revoked certificates has expired"));
    revocations(&authority, "one.crl", 2);
    authority.listener(REVOKING, &live);
    assert!(live.problems().is_empty());
    assert_eq!(check(&authority.config(REVOKING)).unwrap(), []);
}

#[test]
fn an_authority_without_a_list_beside_others_is_refused() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    revocations(&authority, "one.crl", 2);
    assert_eq!(check(&authority.config(REVOKING)).unwrap(), []);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "another");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let another = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    std::fs::write(authority.path("ca.pem"), authority.issuer.pem() + &another.pem()).unwrap();
    let complaint = authority.complaint(REVOKING);
    assert!(complaint.contains("ca.pem: no list of `crl` is from the authority CN=another"), "{complaint}");
}

#[test]
fn a_certificate_that_is_not_valid_at_this_time_is_warned_of() {
    let authority = Authority::new();
    for (from, until, wanted) in [(1999, 2000, "has expired"), (2990, 2999, "is not valid yet")] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let cert = params.signed_by(&key, &authority.issuer).unwrap();
        std::fs::write(authority.path("site.pem"), cert.pem() + &key.serialize_pem()).unwrap();
        let warnings = check(&authority.config("certificates = [{ cert = \"DIR/site.pem\" }]")).unwrap();
        assert!(
            warnings[0].message.ends_with(&format!("site.pem: the certificate {wanted}")),
            "{warnings:?}"
        );
    }
}

#[test]
fn of_several_lists_the_one_is_named_that_is_bad_and_the_end_of_each_is_known() {
    let authority = Authority::new();
    authority.sign("site", &["a.example"]);
    revocations(&authority, "one.crl", 7);
    revocations(&authority, "two.crl", 1);
    let keys = "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]\n\
                client_auth = { mode = \"required\", ca = \"DIR/ca.pem\", crl = [\"DIR/one.crl\", \"DIR/two.crl\"] }";
    let live = LiveTls::default();
    authority.listener(keys, &live);
    let lists = live.revocation_lists();
    assert_eq!(
        lists.iter().map(|list| list.source.clone()).collect::<Vec<_>>(),
        ["one.crl", "two.crl"].map(|file| authority.path(file))
    );
    assert!(lists[1].next_update < lists[0].next_update);
    std::fs::write(authority.path("two.crl"), [0x30, 3, 2, 1, 0]).unwrap();
    let complaint = authority.complaint(keys);
    assert!(complaint.contains("two.crl: the list of revoked certificates is malformed"), "{complaint}");
}

/// Otherwise every reload would close the connections to all servers that are reached by TLS.
#[test]
fn tls_towards_servers_stays_the_same_until_something_about_it_changes() {
    let authority = Authority::new();
    authority.sign("client", &["client.example"]);
    let live = LiveTls::default();
    let tls_of = |before: &str, keys: &str| {
        let keys = keys.replace("DIR", &authority.directory.path().display().to_string());
        let config = fixture::config(&format!(
            "{before}[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
             [upstream.app]\nservers = [\"127.0.0.1:8001\"]\n{keys}"
        ));
        let built = build(&config, &live).unwrap();
        let tls = Arc::clone(&built.upstreams["app"]);
        live.follow(built);
        tls
    };
    let keys =
        "tls = { ca = \"DIR/ca.pem\", client = { cert = \"DIR/client.pem\", key = \"DIR/client.key\" } }\n";
    let first = tls_of("", keys);
    assert!(Arc::ptr_eq(&first, &tls_of("# moved\nworkers = 3\n", keys)));
    authority.sign("client", &["client.example"]);
    let renewed = tls_of("", keys);
    assert!(!Arc::ptr_eq(&first, &renewed), "another certificate is shown");
    std::fs::write(authority.path("ca.pem"), Authority::new().issuer.pem()).unwrap();
    let others = tls_of("", keys);
    assert!(!Arc::ptr_eq(&renewed, &others), "others are believed");
    let http2 = tls_of("", &format!("{keys}protocol = \"h2\"\n"));
    assert!(!Arc::ptr_eq(&others, &http2), "another protocol is agreed on");
    assert!(!Arc::ptr_eq(&http2, &tls_of("", "tls = { verify = false }\n")));
}
