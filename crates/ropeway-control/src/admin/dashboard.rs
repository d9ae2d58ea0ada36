//! The dashboard: files embedded into the binary.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::reply;

/// The built dashboard.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Bundle;

/// A page without a build step, served when the binary was built without the dashboard.
#[derive(RustEmbed)]
#[folder = "src/admin/builtin"]
struct Builtin;

/// Names of files in this folder carry a hash of their content, so that they can be kept for good.
const HASHED: &str = "assets/";

pub(super) async fn asset(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::error(StatusCode::NOT_FOUND, "there is nothing at this address");
    }
    let path = match request.uri().path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = find(path) else {
        return reply::error(StatusCode::NOT_FOUND, "there is nothing at this address");
    };
    let caching = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(CONTENT_TYPE, media_type(path)), (CACHE_CONTROL, caching)], file.data).into_response()
}

fn find(path: &str) -> Option<rust_embed::EmbeddedFile> {
    if Bundle::get("index.html").is_some() { Bundle::get(path) } else { Builtin::get(path) }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_without_a_build_step_is_whole() {
        let page = Builtin::get("index.html").unwrap();
        let text = String::from_utf8(page.data.into_owned()).unwrap();
        assert!(text.contains("src=\"builtin.js\""));
        assert!(Builtin::get("builtin.js").is_some());
    }

    #[test]
    fn there_is_always_a_start_page() {
        assert!(find("index.html").is_some());
        assert!(find("../Cargo.toml").is_none());
    }
}
