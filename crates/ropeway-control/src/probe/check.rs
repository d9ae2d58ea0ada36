//! One check of one server.

use std::time::Duration;

use ropeway_core::health::ActiveConfig;
use ropeway_proxy::tls::UpstreamTls;
use ropeway_proxy::upstream::Endpoint;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Failed, Transport};
use super::grpc::GrpcCheck;
use super::http::HttpCheck;

/// How the servers of an upstream are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// How the connection for it is opened.
    pub transport: Transport,
    /// How often, how long, and how many results in a row count.
    pub pace: ActiveConfig,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Opens a connection.
    Tcp,
    /// Opens a connection, sends a request and judges the response.
    Http(HttpCheck),
    /// Opens a connection and asks the health service of gRPC, which takes [`Transport::http2`].
    Grpc(GrpcCheck),
}

impl Check {
    /// Checks a server by its addresses, of which one has to pass, within the time-out; by TLS if there is any. Answers
    /// what was seen; the error says in words why the check failed.
    pub(super) async fn run(
        &self,
        endpoints: &[Endpoint],
        authority: &str,
        tls: Option<&UpstreamTls>,
    ) -> Result<String, Failed> {
        let limit = Duration::from_millis(self.pace.timeout_ms);
        let deadline = Instant::now() + limit;
        let mut connection = self.open(endpoints, authority, tls, deadline).await?;
        let answer = timeout_at(deadline, self.ask(&mut connection, authority)).await;
        connection.close().await;
        Ok(answer.unwrap_or_else(|_| Err(no_answer(limit)))?)
    }

    /// Opens a connection to the first address that accepts one. Each gets an equal part of the time that is left, so
    /// that a silent one does not use up the time of the others.
    async fn open(
        &self,
        endpoints: &[Endpoint],
        authority: &str,
        tls: Option<&UpstreamTls>,
        deadline: Instant,
    ) -> Result<Connection, Failed> {
        let mut last = Failed::Server("no address".to_owned());
        for (index, endpoint) in endpoints.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let remaining = u32::try_from(endpoints.len() - index).unwrap_or(u32::MAX);
            match timeout(left / remaining, self.transport.open(endpoint, authority, tls)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(reason)) => last = reason,
                Err(_) => last = no_answer(Duration::from_millis(self.pace.timeout_ms)).into(),
            }
        }
        Err(last)
    }

    async fn ask(&self, connection: &mut Connection, authority: &str) -> Result<String, String> {
        match &self.kind {
            CheckKind::Tcp if connection.is_secured => Ok("connected by TLS".to_owned()),
            CheckKind::Tcp => Ok("connected".to_owned()),
            CheckKind::Http(http) if self.transport.http2 => http.run_http2(connection, authority).await,
            CheckKind::Http(http) => http.run(&mut connection.io, authority).await,
            CheckKind::Grpc(grpc) => {
                grpc.run(connection, authority, Duration::from_millis(self.pace.timeout_ms)).await
            }
        }
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {limit:?}")
}
