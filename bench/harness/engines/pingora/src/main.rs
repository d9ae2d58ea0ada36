//! A plain reverse proxy made with Pingora, to be measured beside the other engines.
//!
//! `pingora-engine PORT WORKERS forwarding|plain ORIGIN-PORT...`

use std::net::{Ipv4Addr, SocketAddr};
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// As many as the pool of nginx holds beside it.
const IDLE_UPSTREAM_CONNECTIONS: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((port, workers, relay)) = understood(&arguments) else {
        eprintln!("usage: pingora-engine PORT WORKERS forwarding|plain ORIGIN-PORT...");
        exit(2);
    };
    let mut server = Server::new_with_opt_and_conf(Opt::default(), configuration(workers));
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, relay);
    service.add_tcp(&loopback(port).to_string());
    server.add_service(service);
    server.run_forever();
}

fn understood(arguments: &[String]) -> Option<(u16, usize, Relay)> {
    let [port, workers, fields, origins @ ..] = arguments else { return None };
    let forwarding_fields = match fields.as_str() {
        "forwarding" => true,
        "plain" => false,
        _ => return None,
    };
    let origins: Vec<SocketAddr> =
        origins.iter().map(|port| port.parse().ok().map(loopback)).collect::<Option<_>>()?;
    let relay = Relay { origins, turn: AtomicUsize::new(0), forwarding_fields };
    (!relay.origins.is_empty()).then_some((port.parse().ok()?, workers.parse().ok()?, relay))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The defaults, except: one runtime per thread instead of one that steals work, room in the pool for the
/// connections of all clients, and an end without a period of grace.
fn configuration(workers: usize) -> ServerConf {
    ServerConf {
        threads: workers,
        work_stealing: false,
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

/// Round robin over the origins.
struct Relay {
    origins: Vec<SocketAddr>,
    turn: AtomicUsize,
    forwarding_fields: bool,
}

#[async_trait]
impl ProxyHttp for Relay {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut Self::CTX) -> Result<Box<HttpPeer>> {
        let turn = self.turn.fetch_add(1, Relaxed) % self.origins.len();
        Ok(Box::new(HttpPeer::new(self.origins[turn], false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut Self::CTX,
    ) -> Result<()> {
        match session.client_addr().and_then(|address| address.as_inet()) {
            Some(client) if self.forwarding_fields => {
                add_forwarding_fields(request, &client.ip().to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Host is kept as it is without being asked.
fn add_forwarding_fields(request: &mut RequestHeader, client: &str) -> Result<()> {
    let earlier = request.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let path = earlier.map_or_else(|| client.to_owned(), |earlier| format!("{earlier}, {client}"));
    request.insert_header("X-Forwarded-For", path)?;
    request.insert_header("X-Forwarded-Proto", "http")?;
    request.insert_header("X-Real-IP", client)
}
