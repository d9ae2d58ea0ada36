//! Certificates that are ordered from an authority by themselves.

use std::fmt;
use std::net::Ipv4Addr;

use super::address::is_host_name;
use super::tls::FilePath;
use crate::diagnostic::Diagnostic;
use crate::kind::{Text, TextError, boolean, choice, choices, list, located, optional, or, table, text};
use crate::place::Located;
use crate::reader::Reader;
use crate::section::section;

section! {
    /// Certificates from an authority that speaks ACME (RFC 8555), such as Let's Encrypt. What is ordered stands at the
    /// listeners: `certificates = [{ acme = ["shop.example.com"] }]`.
    pub struct Acme checked by terms_are_agreed_to {
        /// The authority, as the URL of its directory.
        directory: DirectoryUrl = or(text(), DirectoryUrl::lets_encrypt()),
        /// Where the authority writes to when something is wrong with a certificate.
        contact: Vec<Contact> = list(text()),
        /// The directory for the account, its key, and certificates. Processes that share it order each certificate once.
        storage: Located<FilePath> = located(text::<FilePath>().such_as("/var/lib/ropeway/acme")),
        /// Whether you agree to the terms of the authority. Nothing is ordered without.
        terms_agreed: bool = boolean(false),
        /// The account that the authority has given you by other means, if it asks for one (external account binding).
        eab: Option<ExternalAccount> = optional(table(), "the authority does not ask for it"),
        /// The certificates of the authorities that the directory itself is verified with, beside those of the system
        /// (PEM). For an authority inside your own network.
        ca: Option<Located<FilePath>> = optional(located(text::<FilePath>().such_as("internal-ca.pem")), "those of the system alone"),
        /// How the authority finds out that a host is yours.
        challenge: AcmeChallenge = or(choice(), AcmeChallenge::Http01),
    }
}

section! {
    /// An account with the authority that exists outside of ACME (RFC 8555 section 7.3.4).
    pub struct ExternalAccount {
        /// The name of its key.
        kid: String = text::<String>().such_as("kid-1"),
        /// The key, in base64url. Best kept out of the file: `key = "${ACME_EAB_KEY}"`.
        key: Located<MacKey> = located(text()),
    }
}

choices! {
    /// How the authority finds out that a host is yours.
    pub enum AcmeChallenge {
        /// It asks for a file on port 80 of the host, which every listener without TLS answers.
        Http01 = "http-01",
        /// It opens a TLS connection to port 443 of the host, which every listener with TLS answers.
        TlsAlpn01 = "tls-alpn-01",
    }
}

fn terms_are_agreed_to(acme: &Acme, reader: &mut Reader<'_, '_>) {
    if !acme.terms_agreed {
        let message = "`acme` needs `terms_agreed = true`";
        let complaint = Diagnostic::error("missing-key", &reader.place_of_value("terms_agreed"), message);
        reader
            .report(complaint.help("read the terms of the authority; it gives certificates to nobody else"));
    }
}

/// The URL of the directory of an ACME server. It is `https`: whoever could change the answers could have keys signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectoryUrl(String);

impl DirectoryUrl {
    fn lets_encrypt() -> Self {
        Self("https://acme-v02.api.letsencrypt.org/directory".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DirectoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Text for DirectoryUrl {
    const WHAT: &'static str = "the URL of an ACME directory";
    const EXAMPLE: &'static str = "https://acme-v02.api.letsencrypt.org/directory";

    fn parse(text: &str) -> Result<Self, TextError> {
        let Some(rest) = text.strip_prefix("https://") else {
            return Err(TextError::because("it begins with `https://`"));
        };
        let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#@".contains(&byte));
        if !is_plain || !(is_host_name(host) || host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[')) {
            return Err(TextError::because("a host, perhaps a port, and a path follow `https://`"));
        }
        Ok(Self(text.to_owned()))
    }

    fn stand_in() -> Self {
        Self::lets_encrypt()
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// Whom to write to, as a URL (RFC 8555 section 7.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contact(String);

impl Contact {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text for Contact {
    const WHAT: &'static str = "a mail address";
    const EXAMPLE: &'static str = "mailto:ops@example.com";

    fn parse(text: &str) -> Result<Self, TextError> {
        let address = text.strip_prefix("mailto:").unwrap_or(text);
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b",?<>\"".contains(&byte));
        match address.split_once('@') {
            Some((who, host)) if is_plain && !who.is_empty() && is_host_name(host) => {
                Ok(Self(format!("mailto:{address}")))
            }
            _ => Err(TextError::because("one address, without a name or parameters")),
        }
    }

    fn stand_in() -> Self {
        Self("mailto:nobody@invalid".to_owned())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// The key of an external account, in base64url (RFC 4648 section 5).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MacKey(Vec<u8>);

impl MacKey {
    /// The key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

impl fmt::Display for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Text for MacKey {
    const WHAT: &'static str = "a key in base64url";
    const EXAMPLE: &'static str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

    fn parse(text: &str) -> Result<Self, TextError> {
        let why = || TextError::because("letters, digits, `-` and `_`, as the authority shows it");
        let bytes = base64url(text.trim_end_matches('=')).ok_or_else(why)?;
        if bytes.is_empty() { Err(why()) } else { Ok(Self(bytes)) }
    }

    fn stand_in() -> Self {
        Self(vec![0])
    }

    /// Never shown.
    fn write(&self) -> String {
        "(secret)".to_owned()
    }
}

/// Bits that are left over must be zero, so that there is one spelling.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // A single letter behind the last group holds no byte.
    if bits != 0 || held == 6 { None } else { Some(bytes) }
}

/// The name of a host that a certificate is ordered for, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AcmeName(String);

impl AcmeName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AcmeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Text for AcmeName {
    const WHAT: &'static str = "the name of a host";
    const EXAMPLE: &'static str = "shop.example.com";

    fn parse(text: &str) -> Result<Self, TextError> {
        if text.starts_with("*.") {
            let why = "an authority proves a wildcard by DNS alone, which is not supported";
            return Err(TextError::refused(why).help("list the hosts one by one"));
        }
        if text.parse::<std::net::IpAddr>().is_ok() || !is_host_name(text) {
            return Err(TextError::because("a name has neither a scheme nor a port, and is no address"));
        }
        Ok(Self(text.trim_end_matches('.').to_ascii_lowercase()))
    }

    fn stand_in() -> Self {
        Self("invalid".to_owned())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_account_is_base64url() {
        assert_eq!(MacKey::parse("AQID_-8").unwrap().bytes(), [1, 2, 3, 0xff, 0xef]);
        assert_eq!(MacKey::parse("AQID_-8=").unwrap().bytes(), [1, 2, 3, 0xff, 0xef]);
        for bad in ["", "A", "AQID/+8", "AQID_-9", "AQ ID"] {
            assert!(MacKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_of_an_account_is_never_shown() {
        let key = MacKey::parse("AQID").unwrap();
        assert_eq!((format!("{key:?}"), key.write()), ("MacKey(..)".to_owned(), "(secret)".to_owned()));
    }

    #[test]
    fn a_directory_is_asked_over_tls() {
        for good in
            [DirectoryUrl::EXAMPLE, "https://ca.internal:9000/acme/acme/directory", "https://127.0.0.1:1/"]
        {
            assert_eq!(DirectoryUrl::parse(good).unwrap().as_str(), good);
        }
        for bad in
            ["http://ca.internal/", "https://", "https:///directory", "https://a b/", "https://user@ca/", ""]
        {
            assert!(DirectoryUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn certificates_are_ordered_for_hosts() {
        assert_eq!(AcmeName::parse("Shop.Example.Com.").unwrap().as_str(), "shop.example.com");
        for bad in ["*.example.com", "shop.example.com:443", "https://shop", "10.0.0.1", "::1", ""] {
            assert!(AcmeName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_contact_is_a_mail_address() {
        assert_eq!(Contact::parse("ops@example.com").unwrap().as_str(), "mailto:ops@example.com");
        for bad in ["ops", "mailto:a@b.example,c@d.example", "mailto:a@b.example?subject=x", "@b.example"] {
            assert!(Contact::parse(bad).is_err(), "{bad}");
        }
    }
}
