//! Reload in process: a good file is swapped in under load, a bad one changes nothing.

use std::sync::Arc;

use ropeway_e2e::lab::{SMALLEST, file};
use ropeway_e2e::{Lab, Load, Origin, eventually, reply};

#[test]
fn a_new_file_takes_effect_and_idle_connections_stay() {
    let lab = Lab::new().origins(2).start();
    let mut connection = lab.connect();
    let _ = connection.get("/").expect(200);
    lab.reload(&SMALLEST.replace("@all", "\"@2\""));
    for _ in 0..4 {
        let _ = connection.get("/").expect(200).expect_body("2");
    }
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let lab = Lab::new().origins(2).start();
    let before = lab.generation();
    lab.request_reload("[listener.web]\nbind = \"127.0.0.1:0\"\nbnid = 3\n[[route]]\nupstream = \"nope\"\n");
    eventually("the failure is told", || {
        let transcript = lab.proxy.transcript();
        (transcript.contains("bnid") && transcript.contains("nope")).then_some(())
    });
    eventually("the failure is counted", || {
        (lab.admin().metric("ropeway_config_last_reload_successful", &[]) == 0.0).then_some(())
    });
    assert_eq!(lab.generation(), before);
    let events = lab.admin().status()["events"].to_string();
    assert!(events.contains("bnid") || events.contains("reload"), "{events}");
    assert_eq!(lab.answers(4), ["1", "2", "1", "2"]);
    lab.reload(SMALLEST);
    eventually("the success is counted", || {
        (lab.admin().metric("ropeway_config_last_reload_successful", &[]) == 1.0).then_some(())
    });
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let lab = Lab::new().origins(1).start();
    std::fs::remove_file(lab.proxy.config()).unwrap();
    lab.proxy.signal(rustix::process::Signal::HUP);
    eventually("the failure is counted", || {
        (lab.admin().metric("ropeway_config_last_reload_successful", &[]) == 0.0).then_some(())
    });
    assert_eq!(lab.answers(2), ["1", "1"]);
}

#[test]
fn an_address_that_is_taken_changes_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::new().origins(1).start();
    let more = format!("{SMALLEST}\n[listener.more]\nbind = \"{}\"\n", taken.local_addr().unwrap());
    lab.request_reload(&more);
    eventually("the failure is counted", || {
        (lab.admin().metric("ropeway_config_last_reload_successful", &[]) == 0.0).then_some(())
    });
    assert_eq!(lab.answers(2), ["1", "1"]);
}

#[test]
fn listeners_come_and_go() {
    let lab = Lab::new().origins(1).start();
    lab.reload(&format!("{SMALLEST}\n[listener.more]\nbind = \"127.0.0.1:0\"\n"));
    let more = lab.client_of("more");
    let _ = more.get("/").expect(200).expect_body("1");
    assert_eq!(lab.answers(1), ["1"]);
    lab.reload(SMALLEST);
    eventually("the second listener is closed", || more.try_connect().is_err().then_some(()));
    assert_eq!(lab.answers(1), ["1"]);
}

#[test]
fn the_admin_api_reloads_and_answers_with_what_changed_or_what_is_wrong() {
    let lab = Lab::new().origins(1).start();
    let _ = lab.admin().post("/api/reload", "{}").expect(200);
    std::fs::write(lab.proxy.config(), "[listener.web]\nbnid = 1\n").unwrap();
    let answer = lab.admin().post("/api/reload", "{}").expect(422);
    assert!(answer.text().contains("bnid"), "{}", answer.text());
}

#[test]
fn requests_and_tunnels_in_flight_survive() {
    let gate = ropeway_e2e::Gate::new();
    let door = gate.clone();
    let lab = Lab::new()
        .origin(Origin::scripted(move |peer| {
            while let Some(request) = peer.request() {
                if request.target == "/tunnel" {
                    peer.send(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
                    );
                    let _ = peer.wire.fill();
                    let bytes = peer.wire.pending().to_vec();
                    peer.send(bytes);
                    return;
                }
                door.wait();
                peer.answer(&request, &reply(200, &[], "late"));
            }
        }))
        .origin(Origin::saying("2"))
        .config(&SMALLEST.replace("@all", "\"@1\""))
        .start();
    let mut waiting = lab.connect();
    waiting.send_get("/");
    let mut tunnel = lab.connect();
    tunnel.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    let _ = tunnel.receive_head().expect(101);
    lab.origin(1).wait_for_requests(2);
    lab.reload(&SMALLEST.replace("@all", "\"@2\""));
    gate.open();
    let _ = waiting.receive().expect(200).expect_body("late");
    tunnel.send("still here");
    assert_eq!(tunnel.wire.exactly(10).unwrap(), b"still here");
    let _ = lab.client().get("/").expect(200).expect_body("2");
}

#[test]
fn counters_survive() {
    let lab = Lab::new().origins(1).with("", "name = \"all\"", "").start();
    let _ = lab.answers(5);
    lab.reload(&file("server_name_header = \"x-served-by\"", "name = \"all\"", ""));
    let _ = lab.answers(2);
    // A request is counted once its response is on its way.
    let counted = || lab.admin().metric("ropeway_requests_total", &[("route", "all"), ("class", "2xx")]);
    eventually("all are counted", || (counted() == 7.0).then_some(()));
}

#[test]
fn threat_55_a_hundred_reloads_under_load() {
    let lab = Lab::new().origins(3).workers(2).start();
    let load = Load::start(&lab.client(), 8);
    let huge: Arc<str> = (0..5_000)
        .map(|n| format!("[[route]]\nupstream = \"app\"\nmatch = {{ host = \"h{n}.example\" }}\n"))
        .collect::<String>()
        .into();
    for round in 0..100 {
        match round {
            30 => {
                lab.request_reload("this is not TOML");
                eventually("the bad file is refused", || {
                    (lab.admin().metric("ropeway_config_last_reload_successful", &[]) == 0.0).then_some(())
                });
            }
            60 => lab.reload(&format!("{SMALLEST}{huge}")),
            _ if round % 2 == 0 => {
                lab.reload(&file("", "name = \"even\"", "balance = \"least_connections\""));
            }
            _ => lab.reload(&SMALLEST.replace("@all", "\"@1\", \"@2\"")),
        }
    }
    load.run_for(100);
    let report = load.stop();
    report.expect_no_failure();
    assert!(report.answered > 100);
}
