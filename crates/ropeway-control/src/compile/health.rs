//! Active checks.

use std::sync::Arc;

use ropeway_config::Located;
use ropeway_config::schema::{self, HeaderName, HeaderValue, HealthKind, Protocol};
use ropeway_core::health::{ActiveConfig, Expectation};
use ropeway_proxy::tls::UpstreamTls;

use super::millis;
use super::upstream::proxy_protocol;
use crate::probe::{Check, CheckKind, GrpcCheck, HttpCheck, Transport};

/// How the servers of an upstream are checked.
pub(super) struct Checking {
    pub check: Arc<Check>,
    pub tls: Option<Arc<UpstreamTls>>,
}

/// Checks open their connections as requests do, but for what `config` says of a port of its own. `tls` is that of
/// requests.
pub(super) fn checking(
    config: &schema::Health,
    upstream: &schema::Upstream,
    tls: Option<&Arc<UpstreamTls>>,
) -> Checking {
    let transport = transport(config, upstream);
    let is_secured = config.tls.as_ref().is_none_or(|tls| tls.value);
    let tls = tls.filter(|_| is_secured).map(|tls| with_protocol(tls, transport.http2));
    let check = Check {
        kind: match config.kind {
            HealthKind::Tcp => CheckKind::Tcp,
            HealthKind::Http => CheckKind::Http(http_check(config)),
            HealthKind::Grpc => CheckKind::Grpc(grpc_check(config)),
        },
        transport,
        pace: ActiveConfig {
            interval_ms: millis(config.interval),
            jitter_percent: config.jitter,
            timeout_ms: millis(config.timeout),
            fall: config.fall.into(),
            rise: config.rise.into(),
        },
    };
    Checking { check: Arc::new(check), tls }
}

fn transport(config: &schema::Health, upstream: &schema::Upstream) -> Transport {
    let has_header = config.proxy_protocol.unwrap_or(true);
    let protocol = config.protocol.unwrap_or(upstream.protocol);
    Transport {
        port: config.port,
        proxy_header: upstream.proxy_protocol.filter(|_| has_header).map(proxy_protocol),
        http2: protocol == Protocol::Http2 || config.kind == HealthKind::Grpc,
    }
}

/// The same TLS, with the protocol of the check in ALPN where requests speak another one.
fn with_protocol(tls: &Arc<UpstreamTls>, http2: bool) -> Arc<UpstreamTls> {
    let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
    if tls.config.alpn_protocols == [protocol] {
        return Arc::clone(tls);
    }
    let mut config = rustls::ClientConfig::clone(&tls.config);
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(UpstreamTls {
        config: Arc::new(config),
        server_name: tls.server_name.clone(),
        handshake_ms: tls.handshake_ms,
    })
}

fn http_check(config: &schema::Health) -> HttpCheck {
    HttpCheck {
        method: config.method.to_string(),
        path: config.path.to_string(),
        host: config.host.as_ref().map(ToString::to_string),
        headers: fields(&config.headers),
        expected: Expectation {
            statuses: config.status.clone(),
            body: config.body.as_ref().map(|text| text.as_bytes().into()),
        },
    }
}

fn grpc_check(config: &schema::Health) -> GrpcCheck {
    GrpcCheck {
        service: config.service.as_str().to_owned(),
        host: config.host.as_ref().map(ToString::to_string),
        headers: fields(&config.headers),
    }
}

fn fields(config: &[(Located<HeaderName>, HeaderValue)]) -> Vec<(String, String)> {
    config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
