//! SIGTERM: not ready any more, no new connections, and what is under way is finished.

use ropeway_e2e::lab::file;
use ropeway_e2e::tls_site::Site;
use ropeway_e2e::{Gate, Lab, Load, Origin, Running, eventually, reply};
use rustix::process::Signal;

fn slow(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        if request.target == "/slow" {
            gate.wait();
        }
        reply(200, &[], "done")
    })
}

fn wait_until_not_ready(lab: &Running) {
    eventually("it is not ready any more", || {
        lab.admin().try_get("/readyz").filter(|answer| answer.status == 503).map(drop)
    });
}

#[test]
fn a_request_in_flight_is_finished_and_the_process_ends_well() {
    let gate = Gate::new();
    let mut lab = Lab::new().origin(slow(&gate)).start();
    let address = lab.client();
    let mut connection = lab.connect();
    connection.send_get("/slow");
    lab.origin(1).wait_for_requests(1);
    lab.proxy.signal(Signal::TERM);
    wait_until_not_ready(&lab);
    eventually("new connections are refused", || address.try_connect().is_err().then_some(()));
    gate.open();
    let response = connection.receive().expect(200).expect_body("done");
    assert!(response.says_close());
    connection.expect_end();
    assert!(lab.proxy.wait().success());
}

#[test]
fn threat_56_sigterm_drains_without_a_reset() {
    let mut lab = Lab::new().origins(3).workers(2).start();
    let load = Load::start(&lab.client(), 8);
    load.run_for(500);
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
    let report = load.stop();
    // Each client stops at the refused connection after the response that announced the close.
    let others: Vec<_> = report.failures.iter().filter(|failure| !failure.starts_with("connect: ")).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(report.failures.iter().all(|failure| failure.contains("refused")), "{:?}", report.failures);
    assert!(report.answered >= 500);
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut lab = Lab::new().origins(1).start();
    let mut idle = lab.connect();
    let _ = idle.get("/").expect(200);
    let mut silent = lab.connect();
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
    idle.expect_end();
    silent.expect_gone();
}

/// Who has never said anything is idle, however long it may say nothing at other times.
#[test]
fn silent_connections_do_not_hold_up_the_end() {
    let site = Site::new();
    let timeouts = "timeout.head = \"1h\"\n";
    for listener in [
        "http2 = { prior_knowledge = true }\n",
        "tls = { certificates = [{ cert = \"site.pem\", key = \"site.key\" }], handshake_timeout = \"5m\" }\n",
        "proxy_protocol = { trusted = [\"127.0.0.1\"], timeout = \"1m\" }\n",
    ] {
        let config = file(&format!("{timeouts}{listener}"), "", "") + "[shutdown]\ndrain_timeout = \"1h\"\n";
        let mut lab = Lab::new().origins(1).config(&config).identity("site", &site.identity).start();
        let mut silent = lab.connect();
        lab.proxy.signal(Signal::TERM);
        assert!(lab.proxy.wait().success());
        silent.expect_gone();
    }
}

#[test]
fn the_deadline_ends_what_does_not_end_itself() {
    let gate = Gate::new();
    let config = file("", "", "") + "[shutdown]\ndrain_timeout = \"300ms\"\n";
    let mut lab = Lab::new().origin(slow(&gate)).config(&config).start();
    let mut connection = lab.connect();
    connection.send_get("/slow");
    lab.origin(1).wait_for_requests(1);
    lab.proxy.signal(Signal::TERM);
    let _ = lab.proxy.wait();
    assert!(connection.try_receive("GET").map_or(true, |response| response.status == 503));
    gate.open();
}

#[test]
fn sigint_does_the_same_and_a_second_signal_does_not_wait() {
    let gate = Gate::new();
    let mut lab = Lab::new().origin(slow(&gate)).start();
    let mut connection = lab.connect();
    connection.send_get("/slow");
    lab.origin(1).wait_for_requests(1);
    lab.proxy.signal(Signal::INT);
    wait_until_not_ready(&lab);
    assert!(!lab.proxy.has_ended());
    lab.proxy.signal(Signal::INT);
    let _ = lab.proxy.wait();
    gate.open();
}

#[test]
fn a_request_sent_while_the_drain_begins_is_answered() {
    let gate = Gate::new();
    let mut lab = Lab::new().origin(slow(&gate)).start();
    let mut held = lab.connect();
    held.send_get("/slow");
    lab.origin(1).wait_for_requests(1);
    let mut idle = lab.connect();
    let _ = idle.get("/").expect(200);
    lab.proxy.signal(Signal::TERM);
    wait_until_not_ready(&lab);
    let response = idle.get("/").expect(200);
    assert!(response.says_close());
    idle.expect_end();
    gate.open();
    let _ = held.receive().expect(200);
    assert!(lab.proxy.wait().success());
}
