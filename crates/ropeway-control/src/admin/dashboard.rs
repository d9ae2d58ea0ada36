//! The dashboard: files embedded into the binary.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::reply;

/// The built dashboard; `CONTRIBUTING.md` says how it is built.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
struct Bundle;

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
    let Some(file) = Bundle::get(path) else {
        return reply::error(StatusCode::NOT_FOUND, "there is nothing at this address");
    };
    let caching = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(CONTENT_TYPE, media_type(path)), (CACHE_CONTROL, caching)], file.data).into_response()
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
    use axum::body::Body;
    use axum::http::HeaderMap;

    use super::*;

    async fn get(path: &str) -> (StatusCode, HeaderMap, String) {
        let response = asset(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    /// What the page loads: values of `src` and `href`.
    fn links(page: &str) -> Vec<&str> {
        let after = |attribute: &'static str| page.split(attribute).skip(1);
        after("src=\"").chain(after("href=\"")).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[tokio::test]
    async fn the_page_is_asked_for_again_and_what_it_loads_is_kept() {
        let (status, headers, page) = get("/").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");

        let assets: Vec<_> = links(&page).into_iter().filter(|link| link.contains(HASHED)).collect();
        assert!(assets.iter().any(|link| link.ends_with(".js")), "{assets:?}");
        assert!(assets.iter().any(|link| link.ends_with(".css")), "{assets:?}");
        for link in assets {
            let (status, headers, _) = get(link.trim_start_matches('.')).await;
            assert_eq!(status, StatusCode::OK, "{link}");
            assert_eq!(headers[CACHE_CONTROL], "public, max-age=31536000, immutable", "{link}");
            let wanted = if link.ends_with(".js") { "text/javascript" } else { "text/css" };
            assert!(headers[CONTENT_TYPE].to_str().unwrap().starts_with(wanted), "{link}");
        }
    }

    #[tokio::test]
    async fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
        let (_, _, page) = get("/").await;
        for forbidden in ["://", "<style", "style=", "javascript:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("src=").count(),
            "a script without src is inline"
        );
        for link in links(&page).into_iter().filter(|link| link.starts_with("./")) {
            assert!(Bundle::get(&link[2..]).is_some(), "{link}");
        }
    }

    #[tokio::test]
    async fn what_is_not_in_the_bundle_is_not_found() {
        for path in ["/index.htm", "/../Cargo.toml", "/assets/", "/%2e%2e/Cargo.toml"] {
            assert_eq!(get(path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        let post = Request::builder().method(Method::POST).uri("/").body(Body::empty()).unwrap();
        assert_eq!(asset(post).await.status(), StatusCode::NOT_FOUND);
    }
}
