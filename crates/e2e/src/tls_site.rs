//! The smallest laboratory with TLS: one host with its certificate.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::client::Client;
use crate::lab::{Lab, Running};
use crate::tls::{Authority, ClientSide, Identity};

/// The host.
pub const HOST: &str = "shop.example";

/// The line in the listener that serves it.
pub const TLS: &str = "tls = { certificates = [{ cert = \"site.pem\", key = \"site.key\" }] }\n";

/// [`HOST`] and those who certify it.
#[derive(Debug)]
pub struct Site {
    /// Who has signed the certificate.
    pub authority: Authority,
    /// The certificate.
    pub identity: Identity,
}

impl Site {
    /// With an authority of its own.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a site is always written out in a test")]
    pub fn new() -> Self {
        let authority = Authority::new("Test CA");
        let identity = authority.issue(&[HOST]);
        Self { authority, identity }
    }

    /// A laboratory whose listener serves the host, with more lines at the end of the listener.
    #[must_use]
    pub fn lab(&self, listener: &str) -> Lab {
        self.lab_with(&format!("{TLS}{listener}"))
    }

    /// A laboratory whose listener has these lines, and beside it the files `site.pem`, `site.key` and `ca.pem`.
    #[must_use]
    pub fn lab_with(&self, listener: &str) -> Lab {
        Lab::new()
            .with(listener, "", "")
            .identity("site", &self.identity)
            .file("ca.pem", &self.authority.pem())
    }

    /// How a client connects.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        ClientSide::trusting(&self.authority).config()
    }

    /// A client that asks for the host by HTTP/1.1.
    #[must_use]
    pub fn client(&self, lab: &Running) -> Client {
        lab.client().tls(&self.config(), HOST)
    }

    /// A client that asks for the host by HTTP/2.
    #[must_use]
    pub fn http2_client(&self, lab: &Running) -> Client {
        lab.client().tls(&ClientSide::trusting(&self.authority).alpn(&["h2"]).config(), HOST)
    }
}
