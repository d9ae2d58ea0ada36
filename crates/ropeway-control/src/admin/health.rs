//! For those who watch this process: is it alive, and should it get traffic?

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::control::Control;

/// 200 as long as the process can answer.
pub(super) async fn alive() -> Response {
    Json(json!({ "alive": true })).into_response()
}

/// 200 when new traffic is welcome; 503 until the first checks have ended, and while draining.
pub(super) async fn ready(State(control): State<Arc<Control>>) -> Response {
    if control.is_ready() {
        return Json(json!({ "ready": true })).into_response();
    }
    let reason = if control.is_draining() { "draining" } else { "starting" };
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "reason": reason }))).into_response()
}
