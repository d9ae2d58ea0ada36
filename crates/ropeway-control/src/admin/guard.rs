//! Refuses what a web page in the operator's browser could send to the admin listener.
//!
//! A page on another site can make a browser send requests to the loopback address. Three rules stop it: the Host
//! must be an address of this listener or `localhost`, so that a name that was made to resolve to it does not work;
//! a request that changes something must be JSON, which a browser sends to another site only after asking; and when
//! it says where it comes from, that must be this listener.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::reply;

/// Everything comes from here, nothing is inline, and no other page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn guard(State(bound): State<SocketAddr>, request: Request, next: Next) -> Response {
    let mut response = match check(&request, bound) {
        Ok(()) => next.run(request).await,
        Err(reason) => reply::error(StatusCode::FORBIDDEN, reason),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check<B>(request: &axum::http::Request<B>, bound: SocketAddr) -> Result<(), &'static str> {
    let host = the_host(request.uri(), request.headers())?;
    if !is_own(host, bound.ip()) {
        return Err("the Host must be `localhost` or the address of the admin listener");
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    if !is_json(request.headers()) {
        return Err("a request that changes something must have `Content-Type: application/json`");
    }
    match single(request.headers(), &ORIGIN) {
        Ok(None) => Ok(()),
        Ok(Some(origin)) if origin.strip_prefix("http://") == Some(host) => Ok(()),
        _ => Err("the Origin must be the admin listener itself"),
    }
}

/// The one Host that the request names; a target in absolute form must name the same.
fn the_host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Result<&'r str, &'static str> {
    let host = single(headers, &HOST)?.ok_or("the request has no Host")?;
    match uri.authority() {
        Some(authority) if authority.as_str() != host => Err("the request names two hosts"),
        _ => Ok(host),
    }
}

fn single<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err("a field of the request is repeated or malformed"),
    }
}

/// Whether `host` is `localhost`, a loopback address, or the address that the listener is bound to. A listener bound
/// to every address is asked for by whichever of them the client knows; names stay refused.
fn is_own(host: &str, bound: IpAddr) -> bool {
    let name = without_port(host);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    literal
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback() || address == bound || bound.is_unspecified())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = single(headers, &CONTENT_TYPE).ok().flatten().unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http;

    const LOOPBACK: &str = "127.0.0.1:9900";

    fn verdict(method: &str, bound: &str, fields: &[(&str, &str)]) -> bool {
        let request = fields
            .iter()
            .fold(http::Request::builder().method(method).uri("/status"), |request, (name, value)| {
                request.header(*name, *value)
            })
            .body(())
            .unwrap();
        check(&request, bound.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_an_own_host_may_be_asked_for() {
        for host in
            ["localhost", "LocalHost:9900", "127.0.0.1", "127.0.0.1:9900", "127.8.8.8", "[::1]:9900", "[::1]"]
        {
            assert!(verdict("GET", LOOPBACK, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9900",
            "localhost.evil.example",
            "10.0.0.1:9900",
            "",
            "127.0.0.1:x",
            "[::1",
        ] {
            assert!(!verdict("GET", LOOPBACK, &[("host", host)]), "{host}");
        }
        assert!(!verdict("GET", LOOPBACK, &[]));
        assert!(!verdict("GET", LOOPBACK, &[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn the_bound_address_is_an_own_host_and_with_every_address_bound_names_stay_refused() {
        assert!(verdict("GET", "10.0.0.1:9900", &[("host", "10.0.0.1:9900")]));
        assert!(!verdict("GET", "10.0.0.1:9900", &[("host", "10.0.0.2:9900")]));
        assert!(verdict("GET", "0.0.0.0:9900", &[("host", "192.0.2.7:9900")]));
        assert!(!verdict("GET", "0.0.0.0:9900", &[("host", "rebound.example:9900")]));
    }

    #[test]
    fn a_target_in_absolute_form_must_agree_with_the_host() {
        let request =
            |uri: &str| http::Request::builder().uri(uri).header("host", "localhost").body(()).unwrap();
        let bound = LOOPBACK.parse().unwrap();
        assert!(check(&request("http://localhost/status"), bound).is_ok());
        assert!(check(&request("http://evil.example/status"), bound).is_err());
    }

    #[test]
    fn a_change_must_be_json_and_of_the_same_origin() {
        let (host, json) = (("host", LOOPBACK), ("content-type", "application/json"));
        assert!(verdict("POST", LOOPBACK, &[host, json]));
        assert!(verdict("POST", LOOPBACK, &[host, ("content-type", "Application/JSON; charset=utf-8")]));
        assert!(verdict("POST", LOOPBACK, &[host, json, ("origin", "http://127.0.0.1:9900")]));
        assert!(!verdict("POST", LOOPBACK, &[host]));
        assert!(!verdict("POST", LOOPBACK, &[host, ("content-type", "text/plain")]));
        assert!(!verdict("POST", LOOPBACK, &[host, ("content-type", "application/x-www-form-urlencoded")]));
        for origin in ["http://evil.example", "null", "https://127.0.0.1:9900", "http://127.0.0.1:8080", ""] {
            assert!(!verdict("POST", LOOPBACK, &[host, json, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn every_method_but_get_and_head_counts_as_a_change() {
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
            assert!(!verdict(method, LOOPBACK, &[("host", LOOPBACK)]), "{method}");
        }
        assert!(verdict("HEAD", LOOPBACK, &[("host", LOOPBACK)]));
    }
}
