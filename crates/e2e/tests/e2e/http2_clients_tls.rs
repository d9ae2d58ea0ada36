//! HTTP/2 over TLS with clients that others wrote: what ALPN agrees on, and what goes over it.

use ropeway_e2e::tls_site::{HOST, Site};
use ropeway_e2e::{Gate, Origin, Output, Program, Running, eventually, reply};
use rustix::process::Signal;

/// Answers `/N` with N bytes, and POST with what came.
fn origin() -> Origin {
    Origin::answering(|request| match request.method.as_str() {
        "POST" => reply(200, &[], &request.text()),
        _ => reply(200, &[], &"x".repeat(request.target[1..].parse().unwrap_or(2))),
    })
}

fn start() -> Running {
    Site::new().lab("").origin(origin()).start()
}

/// curl, for which the certificate has to be good.
fn curl(lab: &Running, options: &str, path: &str) -> Output {
    let port = lab.proxy.address("web").port();
    Program::new("curl --silent --show-error --cacert")
        .argument(lab.file("ca.pem"))
        .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")])
        .args(options.split_whitespace())
        .args(["--write-out", " %{http_version} %{response_code}"])
        .argument(format!("https://{HOST}:{port}{path}"))
        .run()
        .expect_success()
}

fn url(lab: &Running, path: &str) -> String {
    format!("https://{}{path}", lab.proxy.address("web"))
}

#[test]
fn curl_and_the_proxy_agree_on_the_best_that_both_speak() {
    let lab = start();
    for (options, agreed) in [
        ("", "2"),
        ("--http2", "2"),
        ("--http2 --tls-max 1.2", "2"),
        ("--http1.1", "1.1"),
        ("--http1.1 --tls-max 1.2", "1.1"),
        ("--no-alpn", "1.1"),
    ] {
        assert_eq!(curl(&lab, options, "/5").text(), format!("xxxxx {agreed} 200"), "{options}");
    }
    let without = Site::new().lab("http2 = false\n").origin(origin()).start();
    assert_eq!(curl(&without, "--http2", "/5").text(), "xxxxx 1.1 200");
}

#[test]
fn curl_uploads_and_gets_it_back() {
    let lab = start();
    let body = "b".repeat(5_000_000);
    let file = lab.file("body");
    std::fs::write(&file, &body).unwrap();
    let output = curl(&lab, &format!("--http2 --data-binary @{}", file.display()), "/").text();
    assert!(output == body + " 2 200", "{} bytes came back", output.len());
}

#[test]
fn curl_sends_many_requests_over_one_connection() {
    let lab = start();
    let port = lab.proxy.address("web").port();
    let output = Program::new("curl --silent --show-error --http2 --parallel --parallel-max 50 --cacert")
        .argument(lab.file("ca.pem"))
        .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1"), "--output", "/dev/null"])
        .args(["--write-out", "%{http_version} %{response_code} %{size_download}\n"])
        .argument(format!("https://{HOST}:{port}/[1000-1099]"))
        .run()
        .expect_success();
    assert_eq!(output.text().lines().count(), 100, "{}", output.text());
    assert_eq!(output.text().matches("2 200 1").count(), 100, "{}", output.text());
}

#[test]
fn h2load_loses_nothing_over_tls() {
    let lab = Site::new().lab("").origin(origin()).workers(2).start();
    for options in ["-n 10000 -c 8 -m 100", "-n 2000 -c 200 -m 10", "-n 100 -c 4 -m 10"] {
        let path = if options.starts_with("-n 100 ") { "/1000000" } else { "/100" };
        let output = Program::new("h2load").args(options.split(' ')).argument(url(&lab, path)).run();
        let text = output.expect_success().text();
        let requests = text.lines().find(|line| line.starts_with("requests: ")).unwrap_or_default();
        let all = options.split(' ').nth(1).unwrap();
        assert!(requests.contains(&format!(" {all} succeeded, 0 failed")), "{options}: {text}");
        assert!(text.contains("Application protocol: h2"), "{text}");
    }
}

#[test]
fn nghttp_gets_everything_at_once() {
    let lab = start();
    let output = Program::new("nghttp --no-verify-peer --multiply=50 --null-out --stat")
        .argument(url(&lab, "/100000"))
        .run()
        .expect_success();
    assert_eq!(output.text().matches(" 200 ").count(), 50, "{}", output.text());
    assert_eq!(lab.origin(1).count(), 50);
    assert_eq!(lab.admin().metric("ropeway_listener_tls_handshakes_total", &[]), 1.0);
}

#[test]
fn a_transfer_under_way_is_completed_when_the_process_is_told_to_end() {
    let gate = Gate::new();
    let door = gate.clone();
    let held = Origin::scripted(move |peer| {
        let Some(_) = peer.request() else { return };
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        door.wait();
        peer.send("half");
    });
    let mut lab = Site::new().lab("").origin(held).start();
    let newcomer = lab.client();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| curl(&lab, "--http2", "/").text());
        let _ = lab.origin(1).wait_for_requests(1);
        lab.proxy.signal(Signal::TERM);
        eventually("nobody is let in any more", || newcomer.try_connect().is_err().then_some(()));
        gate.open();
        assert_eq!(client.join().unwrap(), "halfhalf 2 200");
    });
    assert!(lab.proxy.wait().success());
}
