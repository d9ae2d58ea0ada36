//! TLS: what clients are shown, what is asked of them, and how servers are verified.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::acme::AcmeName;
use super::address::is_host_name;
use super::http::HostPattern;
use crate::diagnostic::Diagnostic;
use crate::kind::{
    Kind, Text, TextError, at_least_one, boolean, choice, choices, duration, hours, integer, list, located,
    millis, minutes, one_or_many, optional, or, seconds, short_for, table, text,
};
use crate::place::Located;
use crate::reader::Reader;
use crate::section::section;

/// Clients accept no ticket that lives longer (RFC 8446 section 4.6.1).
const LONGEST_TICKET_HOURS: u64 = 7 * 24;

section! {
    /// TLS from clients. Certificates, keys and lists of revoked certificates are read again when their files change.
    pub struct ListenerTls checked by versions_and_suites_fit {
        /// What clients are shown: the certificate that names the host they ask for, by its exact name before a
        /// wildcard; else the first one. A host may have several with keys of different kinds.
        certificates: Vec<Located<CertificateFiles>> = at_least_one(list(located(table()))),
        /// Versions, cipher suites and key exchange groups that are offered.
        policy: TlsPolicy = or(choice(), TlsPolicy::Intermediate),
        /// The versions that are offered.
        versions: Option<Vec<TlsVersion>> = optional(at_least_one(list(choice())), "what `policy` says"),
        /// The cipher suites that are offered; the client's order decides among them.
        suites: Option<Vec<TlsSuite>> = optional(at_least_one(list(choice())), "what `policy` says"),
        /// The key exchange groups that are offered, the best one first.
        groups: Option<Vec<TlsGroup>> = optional(at_least_one(list(choice())), "what `policy` says"),
        /// Certificates of clients.
        client_auth: ClientAuth = table(),
        /// Session tickets, by which a client that comes back skips the costly part of the handshake.
        tickets: Tickets = table(),
        /// How long a handshake may take, from its first byte.
        handshake_timeout: Duration = or(duration(millis(100), minutes(5)), seconds(10)),
        /// Handshakes of this listener that are under way in one worker at the same time, slow clients included; others wait
        /// for the end of one, or for the place of the client that was answered first, once it has had two seconds.
        /// However many there are, a worker computes only a few before it serves the connections that are there.
        max_handshakes: u32 = or(integer(1..=100_000), 1_000_u32),
        /// Tell servers who a client is that has shown a certificate, in X-Client-Cert-* fields.
        identity_headers: bool = boolean(false),
        /// Hosts with settings of their own. A request for such a host on a connection that was opened for another one
        /// is answered 421 where certificates of clients are concerned.
        hosts as "host": Vec<TlsHost> = list(table()),
    }
}

section! {
    /// Hosts with TLS settings of their own. What is not given is as in the listener's own table.
    pub struct TlsHost checked by host_versions_and_suites_fit {
        /// The hosts, as names or as `*.` and the name that they are below, at any depth.
        names: Vec<Located<HostPattern>> = at_least_one(one_or_many(located(text()))),
        /// What clients are shown.
        certificates: Vec<Located<CertificateFiles>> = list(located(table())),
        /// Versions, cipher suites and key exchange groups that are offered.
        policy: Option<TlsPolicy> = optional(choice(), "the listener's"),
        /// The versions that are offered.
        versions: Option<Vec<TlsVersion>> = optional(at_least_one(list(choice())), "what the policy says"),
        /// The cipher suites that are offered.
        suites: Option<Vec<TlsSuite>> = optional(at_least_one(list(choice())), "what the policy says"),
        /// The key exchange groups that are offered, the best one first.
        groups: Option<Vec<TlsGroup>> = optional(at_least_one(list(choice())), "what the policy says"),
        /// Certificates of clients.
        client_auth: Option<ClientAuth> = optional(table(), "the listener's"),
    }
}

section! {
    /// A certificate with its key, a directory of them, or the hosts that one is ordered for.
    pub struct CertificateFiles checked by one_source {
        /// The file with the certificate, followed by its intermediates (PEM).
        cert: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("site.pem")), "see `directory`"),
        /// The file with its private key (PEM).
        key: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("site.key")), "in the file of `cert`"),
        /// A directory. Each `NAME.pem` or `NAME.crt` in it is a certificate; its key is in `NAME.key`, or in the same
        /// file. Files that come and go count as soon as they are there.
        directory: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("certs/")), "see `cert`"),
        /// Hosts of which one certificate is ordered from the authority in `[acme]`, and renewed in time. Until the first
        /// one is there, clients are shown a placeholder that none of them accepts.
        acme: Option<Vec<Located<AcmeName>>> = optional(at_least_one(one_or_many(located(text()))), "see `cert`"),
    }
}

fn one_source(_files: &CertificateFiles, reader: &mut Reader<'_, '_>) {
    let mut given =
        ["cert", "directory", "acme"].into_iter().filter(|key| reader.place_of_key(key).is_some());
    let (Some(first), second) = (given.next(), given.next()) else {
        let message = "a certificate needs the key `cert`, `directory` or `acme`";
        let complaint = Diagnostic::error("missing-key", &reader.place_of_value("cert"), message);
        reader.report(complaint.help(
            "write `{ cert = \"site.pem\", key = \"site.key\" }`, `{ directory = \"certs/\" }` or \
             `{ acme = [\"shop.example.com\"] }`",
        ));
        return;
    };
    if let Some(second) = second {
        let message = format!("`{first}` and `{second}` cannot be given together");
        let complaint = Diagnostic::error("conflicting-keys", &reader.place_of_value(second), message);
        reader.report(complaint.help("write two tables in the list"));
        return;
    }
    match first {
        "directory" => refuse_useless(reader, "key", "means nothing to a directory"),
        "acme" => refuse_useless(reader, "key", "means nothing to a certificate that is ordered"),
        _ => {}
    }
}

fn refuse_useless(reader: &mut Reader<'_, '_>, key: &str, why: &str) {
    if let Some(place) = reader.place_of_key(key) {
        reader.report(Diagnostic::error("useless-key", &place, format!("`{key}` {why}")));
    }
}

choices! {
    /// What is offered, after Mozilla's recommendations for servers, as far as it is still safe to offer.
    pub enum TlsPolicy {
        /// TLS 1.3 only: clients of 2019 and later.
        Modern = "modern",
        /// TLS 1.2 and 1.3 with forward secrecy and authenticated encryption.
        Intermediate = "intermediate",
        /// As `intermediate`, with every key exchange group there is. Nothing older than TLS 1.2 is ever offered.
        Compatible = "compatible",
    }
}

choices! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2 (RFC 5246).
        Tls12 = "1.2",
        /// TLS 1.3 (RFC 8446).
        Tls13 = "1.3",
    }
}

choices! {
    /// A cipher suite, by its name in the IANA registry.
    pub enum TlsSuite {
        /// TLS 1.3.
        Aes128GcmSha256 = "TLS_AES_128_GCM_SHA256",
        /// TLS 1.3.
        Aes256GcmSha384 = "TLS_AES_256_GCM_SHA384",
        /// TLS 1.3.
        Chacha20Poly1305Sha256 = "TLS_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2, ECDSA certificates.
        EcdheEcdsaAes128GcmSha256 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        /// TLS 1.2, ECDSA certificates.
        EcdheEcdsaAes256GcmSha384 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        /// TLS 1.2, ECDSA certificates.
        EcdheEcdsaChacha20Poly1305Sha256 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2, RSA certificates.
        EcdheRsaAes128GcmSha256 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        /// TLS 1.2, RSA certificates.
        EcdheRsaAes256GcmSha384 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        /// TLS 1.2, RSA certificates.
        EcdheRsaChacha20Poly1305Sha256 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    }
}

impl TlsSuite {
    /// The one version that has this suite.
    #[must_use]
    pub fn version(self) -> TlsVersion {
        match self {
            TlsSuite::Aes128GcmSha256 | TlsSuite::Aes256GcmSha384 | TlsSuite::Chacha20Poly1305Sha256 => {
                TlsVersion::Tls13
            }
            _ => TlsVersion::Tls12,
        }
    }
}

choices! {
    /// A key exchange group, by its name in the IANA registry.
    pub enum TlsGroup {
        /// Post-quantum, with X25519.
        X25519Mlkem768 = "X25519MLKEM768",
        /// Post-quantum, with P-256.
        Secp256r1Mlkem768 = "SecP256r1MLKEM768",
        /// X25519.
        X25519 = "x25519",
        /// P-256.
        Secp256r1 = "secp256r1",
        /// P-384.
        Secp384r1 = "secp384r1",
    }
}

impl TlsGroup {
    /// Whether a version can use it. The post-quantum ones are of TLS 1.3 alone.
    #[must_use]
    pub fn is_for(self, version: TlsVersion) -> bool {
        let is_post_quantum = matches!(self, TlsGroup::X25519Mlkem768 | TlsGroup::Secp256r1Mlkem768);
        version == TlsVersion::Tls13 || !is_post_quantum
    }
}

impl TlsPolicy {
    /// The versions that it offers.
    #[must_use]
    pub fn versions(self) -> &'static [TlsVersion] {
        match self {
            TlsPolicy::Modern => &[TlsVersion::Tls13],
            TlsPolicy::Intermediate | TlsPolicy::Compatible => &[TlsVersion::Tls12, TlsVersion::Tls13],
        }
    }
}

fn versions_and_suites_fit(tls: &ListenerTls, reader: &mut Reader<'_, '_>) {
    let versions = tls.versions.as_deref().unwrap_or(tls.policy.versions());
    check_fit(versions, tls.suites.as_deref(), tls.groups.as_deref(), reader);
}

fn host_versions_and_suites_fit(host: &TlsHost, reader: &mut Reader<'_, '_>) {
    // Otherwise the versions are the listener's, which is not seen from here.
    if host.policy.is_some() || host.versions.is_some() {
        let policy = host.policy.unwrap_or(TlsPolicy::Intermediate);
        let versions = host.versions.as_deref().unwrap_or(policy.versions());
        check_fit(versions, host.suites.as_deref(), host.groups.as_deref(), reader);
    }
}

/// A version without a suite or a group could never be spoken; a handshake would fail without saying why.
fn check_fit(
    versions: &[TlsVersion],
    suites: Option<&[TlsSuite]>,
    groups: Option<&[TlsGroup]>,
    reader: &mut Reader<'_, '_>,
) {
    for version in versions {
        let has_suite = |suites: &[TlsSuite]| suites.iter().any(|suite| suite.version() == *version);
        let has_group = |groups: &[TlsGroup]| groups.iter().any(|group| group.is_for(*version));
        let checks = [
            ("suites", "suite", suites.is_none_or(has_suite)),
            ("groups", "group", groups.is_none_or(has_group)),
        ];
        for (key, what, _) in checks.into_iter().filter(|(.., fits)| !fits) {
            let version = version.as_str();
            let message = format!("no {what} of TLS {version} is in `{key}`");
            let complaint = Diagnostic::error("conflicting-keys", &reader.place_of_value(key), message);
            reader.report(complaint.help(format!("add one, or leave \"{version}\" out of `versions`")));
        }
    }
}

section! {
    /// Whether clients show certificates, and whose.
    pub struct ClientAuth checked by authorities_are_named {
        /// Whether clients are asked.
        mode: ClientAuthMode = or(choice(), ClientAuthMode::Off),
        /// The certificates of the authorities whose clients are accepted (PEM).
        ca: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("clients-ca.pem")), "none"),
        /// Lists of certificates that were revoked (PEM or DER). With any, the authority of every client needs one.
        crl: Vec<Located<FilePath>> = one_or_many(located(text::<FilePath>().such_as("clients.crl"))),
    }
}

choices! {
    /// Whether clients are asked for a certificate.
    pub enum ClientAuthMode {
        /// They are not asked.
        Off = "off",
        /// They are asked, and may have none. A bad one is refused.
        Optional = "optional",
        /// They are asked, and must have one.
        Required = "required",
    }
}

fn authorities_are_named(auth: &ClientAuth, reader: &mut Reader<'_, '_>) {
    match auth.mode {
        ClientAuthMode::Off => {
            for key in ["ca", "crl"] {
                refuse_useless(
                    reader,
                    key,
                    "means nothing when clients are not asked; add `mode = \"required\"`",
                );
            }
        }
        ClientAuthMode::Optional | ClientAuthMode::Required if auth.ca.is_none() => {
            let place = reader.place_of_value("mode");
            let message = format!("`mode = \"{}\"` needs the key `ca`", auth.mode.as_str());
            let complaint = Diagnostic::error("missing-key", &place, message);
            reader.report(
                complaint.help("add `ca = \"clients-ca.pem\"`: the authorities whose clients are accepted"),
            );
        }
        ClientAuthMode::Optional | ClientAuthMode::Required => {}
    }
}

section! {
    /// Session tickets. A ticket is only good for the hosts and the client certificates that it was made for.
    pub struct Tickets {
        /// Whether they are given out.
        enabled: bool = boolean(true),
        /// A file with secrets, one on each line: 32 random bytes in base64 or hexadecimal, as `openssl rand -base64 32`
        /// prints them. The first one makes tickets, all of them are accepted. With the same file, a process that was
        /// started again, and its siblings on other machines, take each other's tickets.
        keys: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("tickets.key")), "a secret of this process alone"),
        /// How often the key is changed, by itself. Tickets live as long; the key before is kept for them.
        rotate: Duration = or(duration(minutes(1), hours(LONGEST_TICKET_HOURS)), hours(12)),
    }
}

section! {
    /// TLS towards the servers.
    pub struct UpstreamTls checked by verification_makes_sense {
        /// Whether it is used.
        enabled: bool = boolean(true),
        /// Whether the certificate of a server is verified. Without, anybody in between can read and change everything.
        verify: bool = boolean(true),
        /// The certificates of the authorities that are believed (PEM).
        ca: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("internal-ca.pem")), "those of the system"),
        /// The name that is sent and verified.
        server_name: Option<Located<TlsName>> = optional(located(text()), "the host in each server's address"),
        /// What the proxy shows when a server asks for a certificate.
        client: Option<ClientCertificate> = optional(table(), "nothing is shown"),
        /// Keys that are good: the SHA-256 hash of a certificate's SubjectPublicKeyInfo, as `sha256/` and base64. The
        /// server's own certificate must have one of them, and with `verify = false` that is enough.
        pins: Vec<SpkiPin> = list(text()),
        /// How long a handshake may take.
        handshake_timeout: Duration = or(duration(millis(100), minutes(5)), seconds(10)),
    }
}

fn verification_makes_sense(tls: &UpstreamTls, reader: &mut Reader<'_, '_>) {
    if !tls.verify {
        refuse_useless(reader, "ca", "means nothing with `verify = false`");
    }
}

/// TLS towards the servers: `true`, or a table.
pub(super) fn upstream_tls() -> impl Kind<Value = Option<UpstreamTls>> {
    optional(short_for::<UpstreamTls>("enabled"), "no TLS")
}

section! {
    /// A certificate of the proxy's own.
    pub struct ClientCertificate {
        /// The file with the certificate, followed by its intermediates (PEM).
        cert: Located<FilePath> = located(text::<FilePath>().such_as("proxy.pem")),
        /// The file with its private key (PEM).
        key: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("proxy.key")), "in the file of `cert`"),
    }
}

/// A path. A relative one is relative to the file that names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// Whether this takes the place of a path that could not be read.
    pub(crate) fn is_stand_in(&self) -> bool {
        self.0.as_os_str().is_empty()
    }
}

impl Located<FilePath> {
    /// The path as a process finds it: relative ones start at the directory of the file that names them.
    #[must_use]
    pub fn resolved(&self) -> PathBuf {
        let beside = Path::new(self.place.source().name()).parent().unwrap_or(Path::new(""));
        beside.join(&self.value.0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(out)
    }
}

impl Text for FilePath {
    const WHAT: &'static str = "the path of a file, absolute or relative to this one";
    const EXAMPLE: &'static str = "site.pem";

    fn parse(text: &str) -> Result<FilePath, TextError> {
        if text.is_empty() || text.contains('\0') {
            return Err(TextError::because("a path is not empty and has no NUL"));
        }
        Ok(FilePath(PathBuf::from(text)))
    }

    fn stand_in() -> FilePath {
        FilePath(PathBuf::new())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// A name that certificates are verified against: a host name in lower case, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsName(String);

impl TlsName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text for TlsName {
    const WHAT: &'static str = "a host name or an address";
    const EXAMPLE: &'static str = "app.internal";

    fn parse(text: &str) -> Result<TlsName, TextError> {
        let bare = text.trim_matches(['[', ']']);
        if bare.parse::<std::net::IpAddr>().is_ok() {
            return Ok(TlsName(bare.to_owned()));
        }
        if is_host_name(text) {
            return Ok(TlsName(text.trim_end_matches('.').to_ascii_lowercase()));
        }
        Err(TextError::because("a name has neither a scheme nor a port"))
    }

    fn stand_in() -> TlsName {
        TlsName("invalid".to_owned())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// The SHA-256 hash of a SubjectPublicKeyInfo (RFC 7469 section 2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpkiPin([u8; 32]);

impl SpkiPin {
    /// The hash.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Text for SpkiPin {
    const WHAT: &'static str = "the hash of a key";
    const EXAMPLE: &'static str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn parse(text: &str) -> Result<SpkiPin, TextError> {
        let Some(encoded) = text.strip_prefix("sha256/") else {
            return Err(TextError::because("it begins with `sha256/`"));
        };
        base64_of_32(encoded)
            .map(SpkiPin)
            .ok_or_else(|| TextError::because("32 bytes in base64 follow `sha256/`"))
    }

    fn stand_in() -> SpkiPin {
        SpkiPin([0; 32])
    }

    fn write(&self) -> String {
        format!("sha256/{}", base64(&self.0))
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The 32 bytes that `text` stands for in base64 (RFC 4648 section 4): 43 letters and one `=`. Unused bits must be zero, so
/// that there is one spelling.
pub fn base64_of_32(text: &str) -> Option<[u8; 32]> {
    let letters = text.strip_suffix('=').filter(|letters| letters.len() == 43)?;
    let mut bytes = Vec::with_capacity(33);
    let (mut bits, mut held) = (0_u32, 0);
    for letter in letters.bytes() {
        let value = BASE64.iter().position(|known| *known == letter)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    if bits != 0 { None } else { bytes.try_into().ok() }
}

fn base64(bytes: &[u8; 32]) -> String {
    let mut text: String = bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(move |at| char::from(BASE64[(word >> (18 - 6 * at)) as usize & 63]))
        })
        .collect();
    text.push('=');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_32_bytes_in_base64() {
        let empty = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = SpkiPin::parse(empty).unwrap();
        assert_eq!(&pin.bytes()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(pin.bytes()[31], 0x55);
        assert_eq!(pin.write(), empty);
        let bad = [
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "sha256/47DEQpj8HBSa_/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256/",
        ];
        for bad in bad {
            assert!(SpkiPin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_to_verify_have_no_port() {
        assert_eq!(TlsName::parse("App.Internal.").unwrap().as_str(), "app.internal");
        assert_eq!(TlsName::parse("[::1]").unwrap().as_str(), "::1");
        for bad in ["app.internal:443", "https://app", "", "127.0.0.1:1"] {
            assert!(TlsName::parse(bad).is_err(), "{bad}");
        }
    }
}
