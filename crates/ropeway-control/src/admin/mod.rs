//! The admin listener: status, metrics, readiness, changes at run time, and the dashboard.
//!
//! It has no password, so it listens on the loopback address by default, and `guard` refuses what a web page in
//! the operator's browser could send there.

mod certificates;
mod changes;
mod dashboard;
mod events;
mod guard;
mod health;
mod metrics;
mod orders;
mod reply;
mod status;
mod timestamp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::control::Control;

pub use status::Status;

/// No request of the admin API needs more.
const MAX_BODY: usize = 16 * 1024;

/// Serves `listener` until the future is dropped.
///
/// # Errors
/// When the address of the listener cannot be read.
pub async fn serve(control: Arc<Control>, listener: TcpListener) -> io::Result<()> {
    let bound = listener.local_addr()?;
    axum::serve(listener, router(control, bound)).await
}

fn router(control: Arc<Control>, bound: SocketAddr) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/status", get(status::status))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/api/events", get(events::events))
        .route("/api/upstreams/{upstream}/servers/{server}", post(changes::change_server))
        .route("/api/reload", post(changes::reload))
        .route("/api/drain", post(changes::drain))
        .fallback(dashboard::asset)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(bound, guard::guard))
        .with_state(control)
}

#[cfg(test)]
mod tests;
