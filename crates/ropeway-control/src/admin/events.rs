//! What happened lately.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::timestamp::rfc3339;
use crate::control::Control;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    at: String,
    kind: &'static str,
    message: String,
}

/// The latest events, the oldest first.
pub(super) async fn events(State(control): State<Arc<Control>>) -> Json<Vec<EventView>> {
    Json(views(&control))
}

pub(super) fn views(control: &Control) -> Vec<EventView> {
    let view = |event: crate::events::Event| EventView {
        at: rfc3339(event.at),
        kind: event.kind.name(),
        message: event.message,
    };
    control.events().list().into_iter().map(view).collect()
}
