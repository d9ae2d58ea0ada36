//! The connection to the authority.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::error::OrderError;
use crate::tls;

/// From a request to the last byte of its answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of an answer: more than any chain of certificates.
const LARGEST_ANSWER: usize = 1 << 20;

/// An HTTPS client that waits for nobody for ever, and holds no more than it should.
pub(super) struct Https(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Https {
    /// Believes the authorities of the system, and those in the file `ca`.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, OrderError> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| OrderError::Unreachable(error.to_string()))?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, OrderError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let own = tls::roots_in(path).map_err(|problem| OrderError::Unreachable(problem.to_string()))?;
        roots.extend(own.roots);
    }
    if roots.is_empty() {
        let why = "this system has no list of certificate authorities; name one with `ca` in `[acme]`";
        return Err(OrderError::Unreachable(why.to_owned()));
    }
    Ok(roots)
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let response = self.0.request(request);
        let whole = async move {
            let (parts, body) = response.await.map_err(|error| Error::Other(Box::new(error)))?.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(Error::Other)?;
            Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
        };
        Box::pin(async move {
            let in_time = tokio::time::timeout(TIMEOUT, whole).await;
            in_time.unwrap_or_else(|_| Err(Error::Other("no answer in time".into())))
        })
    }
}
