//! HTTP/2 with clients that others wrote: curl, nghttp and h2load.

use std::path::PathBuf;
use std::process::{Command, Output};

use ropeway_e2e::h2::rules::lab;
use ropeway_e2e::{Origin, Running, reply};

/// Answers `/N` with N bytes, and POST with what came.
fn origin() -> Origin {
    Origin::answering(|request| match request.method.as_str() {
        "POST" => reply(200, &[], &request.text()),
        _ => reply(200, &[("X-Target", &request.target)], &"x".repeat(size(&request.target))),
    })
}

fn size(target: &str) -> usize {
    target[1..].parse().unwrap_or(2)
}

fn url(lab: &Running, path: &str) -> String {
    format!("http://{}{path}", lab.proxy.address("web"))
}

/// Runs a client to its end and gives what it printed.
///
/// # Panics
/// When it fails.
fn run(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let printed = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{program} {arguments:?}: {status}\n{printed}\n{}",
        String::from_utf8_lossy(&stderr)
    );
    printed
}

fn curl(arguments: &[&str]) -> String {
    run(
        "curl",
        &[&["--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "60"], arguments].concat(),
    )
}

/// The number after a word in the summary of h2load.
fn counted(printed: &str, word: &str) -> u64 {
    let line =
        printed.lines().find(|line| line.starts_with("requests:")).unwrap_or_else(|| panic!("{printed}"));
    let part = line.split(", ").find(|part| part.ends_with(word)).unwrap_or_else(|| panic!("{line}"));
    part.trim_start_matches("requests: ").split(' ').next().unwrap().parse().unwrap()
}

fn body_file(lab: &Running, bytes: usize) -> PathBuf {
    let path = lab.file("body");
    std::fs::write(&path, "b".repeat(bytes)).unwrap();
    path
}

#[test]
fn curl_gets() {
    let lab = lab(origin()).start();
    let printed = curl(&["--write-out", " %{http_version} %{response_code}", &url(&lab, "/5")]);
    assert_eq!(printed, "xxxxx 2 200");
}

#[test]
fn curl_posts_and_gets_it_back() {
    let lab = lab(origin()).start();
    let body = format!("@{}", body_file(&lab, 3_000_000).display());
    let printed = curl(&["--data-binary", &body, &url(&lab, "/")]);
    assert!(printed == "b".repeat(3_000_000), "{} bytes came back", printed.len());
}

#[test]
fn curl_asks_for_the_head_alone() {
    let lab = lab(origin()).start();
    let printed = curl(&["--head", &url(&lab, "/77")]);
    assert!(printed.starts_with("HTTP/2 200"), "{printed}");
    assert!(printed.to_ascii_lowercase().contains("content-length: 77"), "{printed}");
}

#[test]
fn curl_speaks_http1_to_the_same_port() {
    let lab = lab(origin()).start();
    let arguments = ["--silent", "--http1.1", "--write-out", " %{http_version}", &url(&lab, "/5")];
    assert_eq!(run("curl", &arguments), "xxxxx 1.1");
}

#[test]
fn nghttp_gets_a_page_with_windows_of_its_own() {
    let lab = lab(origin()).start();
    let printed = run("nghttp", &["--window-bits=10", "--connection-window-bits=17", &url(&lab, "/500000")]);
    assert_eq!(printed.len(), 500_000);
}

#[test]
fn nghttp_sends_trailers() {
    let lab = lab(origin()).start();
    let body = body_file(&lab, 10_000);
    let data = format!("--data={}", body.display());
    let printed = run("nghttp", &[&data, "--no-content-length", "--trailer=x-sum: 42", &url(&lab, "/")]);
    assert_eq!(printed.len(), 10_000);
    assert_eq!(lab.origin(1).only_request().body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn nghttp_pads_and_continues() {
    let lab = lab(origin()).start();
    let large = format!("-Hx-large: {}", "v".repeat(20_000));
    let printed = run("nghttp", &["--padding=256", "--continuation", &large, &url(&lab, "/10")]);
    assert_eq!(printed, "x".repeat(10));
}

#[test]
fn h2load_many_streams_on_few_connections() {
    let lab = lab(origin()).workers(2).start();
    let printed = run("h2load", &["-n", "20000", "-c", "8", "-m", "100", &url(&lab, "/100")]);
    assert_eq!(counted(&printed, "succeeded"), 20_000, "{printed}");
    assert_eq!(lab.origin(1).count(), 20_000);
}

#[test]
fn h2load_large_responses() {
    let lab = lab(origin()).start();
    let printed = run("h2load", &["-n", "200", "-c", "4", "-m", "10", &url(&lab, "/1000000")]);
    assert_eq!(counted(&printed, "succeeded"), 200, "{printed}");
}

#[test]
fn h2load_uploads() {
    let lab = lab(origin()).start();
    let data = format!("--data={}", body_file(&lab, 100_000).display());
    let printed = run("h2load", &["-n", "400", "-c", "4", "-m", "20", &data, &url(&lab, "/")]);
    assert_eq!(counted(&printed, "succeeded"), 400, "{printed}");
    assert!(lab.origin(1).requests().iter().all(|request| request.body.data.len() == 100_000));
}
