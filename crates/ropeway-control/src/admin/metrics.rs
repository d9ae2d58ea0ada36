//! The page that Prometheus reads.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::reply;
use crate::control::Control;
use crate::metrics::{self, Certificates, Orders, ProcessFacts, Scrape};

pub(super) async fn metrics(State(control): State<Arc<Control>>) -> Response {
    match metrics::render(scrape(&control)) {
        Ok(page) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(_) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
    }
}

fn scrape(control: &Control) -> Scrape {
    Scrape {
        snapshot: control.snapshot(),
        workers: control.runtime().worker_counters().clone(),
        active_requests: control.runtime().active_requests(),
        uptime: control.uptime(),
        ready: control.is_ready(),
        log_lost: control.access_log_losses().lines,
        messages_dropped: control.dropped_messages(),
        last_reload_ok: control.last_reload_ok(),
        loaded_at: control.loaded_at(),
        process: ProcessFacts::read(),
        certificates: Certificates::read(control.tls()),
        orders: Orders { counts: control.acme().orders(), certificates: control.acme().certificates() },
    }
}
