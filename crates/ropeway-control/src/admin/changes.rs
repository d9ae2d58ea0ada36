//! What an operator changes while the process runs.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ropeway_config::Diagnostic;
use ropeway_core::balance::AdminState;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::reply;
use crate::control::{Control, UnknownServer};
use crate::reload::{Changes, Diff, ReloadError};

const MAX_WEIGHT: u32 = 256;

/// What is to change about a server.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerChange {
    state: Option<WantedState>,
    /// `null` takes the configured weight back.
    #[serde(default, deserialize_with = "given")]
    weight: Option<Option<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WantedState {
    Ready,
    Drain,
    Disabled,
}

/// Tells a `null` from a key that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl From<WantedState> for AdminState {
    fn from(state: WantedState) -> Self {
        match state {
            WantedState::Ready => Self::Ready,
            WantedState::Drain => Self::Drain,
            WantedState::Disabled => Self::Disabled,
        }
    }
}

pub(super) async fn change_server(
    State(control): State<Arc<Control>>,
    Path((upstream, server)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return reply::error(rejection.status(), rejection.body_text()),
    };
    let change = match parse(&body) {
        Ok(change) => change,
        Err(reason) => return reply::error(StatusCode::BAD_REQUEST, reason),
    };
    match apply(&control, &upstream, &server, &change) {
        Ok(()) => Json(json!({ "changed": true })).into_response(),
        Err(unknown) => reply::error(StatusCode::NOT_FOUND, unknown),
    }
}

fn parse(body: &[u8]) -> Result<ServerChange, String> {
    let change: ServerChange = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match change {
        ServerChange { state: None, weight: None } => Err("give `state`, `weight` or both".to_owned()),
        ServerChange { weight: Some(Some(weight)), .. } if weight > MAX_WEIGHT => {
            Err(format!("`weight` is at most {MAX_WEIGHT}"))
        }
        change => Ok(change),
    }
}

fn apply(
    control: &Control,
    upstream: &str,
    server: &str,
    change: &ServerChange,
) -> Result<(), UnknownServer> {
    if let Some(state) = change.state {
        control.set_admin_state(upstream, server, state.into())?;
    }
    if let Some(weight) = change.weight {
        control.set_weight(upstream, server, weight)?;
    }
    Ok(())
}

pub(super) async fn reload(State(control): State<Arc<Control>>) -> Response {
    // Reads files and waits for the workers to bind.
    match tokio::task::spawn_blocking(move || control.reload()).await {
        Ok(Ok(diff)) => Json(diff_view(&diff)).into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => {
            reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the reload ended in a defect of the proxy")
        }
    }
}

/// Ends the process as SIGTERM does.
pub(super) async fn drain(State(control): State<Arc<Control>>) -> Response {
    control.stop();
    (StatusCode::ACCEPTED, Json(json!({ "draining": true }))).into_response()
}

fn diff_view(diff: &Diff) -> Value {
    json!({
        "generation": diff.generation,
        "summary": diff.to_string(),
        "listeners": changes_view(&diff.listeners),
        "routes": changes_view(&diff.routes),
        "upstreams": changes_view(&diff.upstreams),
        "servers": changes_view(&diff.servers),
        "files": changes_view(&diff.files),
        "settings": diff.settings,
        "bound": diff.bound,
        "closed": diff.closed,
        "needs_restart": diff.needs_restart,
        "warnings": diff.warnings.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
    })
}

fn changes_view(changes: &Changes) -> Value {
    json!({ "added": changes.added, "removed": changes.removed, "changed": changes.changed })
}

fn refused(error: &ReloadError) -> Response {
    let (status, diagnostics) = match error {
        ReloadError::Config(diagnostics) => (StatusCode::UNPROCESSABLE_ENTITY, diagnostics.to_json()),
        ReloadError::NoFile | ReloadError::Draining | ReloadError::Bind(_) => {
            (StatusCode::CONFLICT, json!([]))
        }
    };
    let answer = json!({ "error": error.summary(), "detail": error.to_string(), "diagnostics": diagnostics });
    (status, Json(answer)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_can_be_set_taken_back_or_left_alone() {
        let weight = |text: &str| parse(text.as_bytes()).unwrap().weight;
        assert_eq!(weight(r#"{"weight": 0}"#), Some(Some(0)));
        assert_eq!(weight(r#"{"weight": null}"#), Some(None));
        assert_eq!(weight(r#"{"state": "drain"}"#), None);
    }

    #[test]
    fn states_have_the_names_that_status_shows() {
        for state in [AdminState::Ready, AdminState::Drain, AdminState::Disabled] {
            let change = parse(format!(r#"{{"state": "{}"}}"#, state.name()).as_bytes()).unwrap();
            assert_eq!(change.state.map(AdminState::from), Some(state));
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (text, reason) in [
            ("{}", "give `state`"),
            (r#"{"weight": 257}"#, "at most 256"),
            (r#"{"weight": -1}"#, "invalid value"),
            (r#"{"state": "up"}"#, "unknown variant"),
            (r#"{"stat": "drain"}"#, "unknown field"),
            ("", "EOF"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
