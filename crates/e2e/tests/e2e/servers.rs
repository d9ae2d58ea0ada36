//! Backup servers, and what an operator changes while the process runs: state and weight.

use ropeway_e2e::lab::file;
use ropeway_e2e::{Gate, Lab, Origin, Running, eventually, reply};

const NAMED: &str = r#"
[listener.web]
bind = "127.0.0.1:0"

[[route]]
upstream = "app"

[upstream.app]
servers = [{ address = "@1", name = "a" }, { address = "@2", name = "b" }]
"#;

/// The smallest file with servers as `upstream` says.
fn serving(upstream: &str) -> Lab {
    Lab::new().config(&file("", "", upstream).replace("servers = [@all]\n", ""))
}

fn change(lab: &Running, server: &str, json: &str) {
    let _ = lab.admin().post(&format!("/api/upstreams/app/servers/{server}"), json).expect(200);
}

fn count(answers: &[String], body: &str) -> usize {
    answers.iter().filter(|answer| *answer == body).count()
}

#[test]
fn backups_serve_only_when_no_other_server_can() {
    let upstream = r#"
servers = ["@1", "@2", { address = "@3", backup = true }]
health = { type = "tcp", interval = "100ms", timeout = "100ms", fall = 1, rise = 1 }
passive = false
"#;
    let mut lab = serving(upstream).origins(3).start();
    assert_eq!(count(&lab.answers(10), "3"), 0);
    lab.origin_mut(1).stop();
    lab.wait_for_state("app", 1, "down");
    assert_eq!(lab.answers(3), ["2"; 3]);
    lab.origin_mut(2).stop();
    lab.wait_for_state("app", 2, "down");
    assert_eq!(lab.answers(3), ["3"; 3]);
    assert_eq!(lab.admin().upstream("app")["backup_in_use"], true);
    lab.origin_mut(1).start();
    lab.wait_for_state("app", 1, "up");
    assert_eq!(lab.answers(3), ["1"; 3]);
    assert_eq!(lab.admin().upstream("app")["backup_in_use"], false);
}

#[test]
fn a_backup_takes_what_no_other_server_can() {
    let upstream = r#"
servers = ["@1", { address = "@2", backup = true }]
passive = false
"#;
    let mut lab = serving(upstream).origins(2).start();
    assert_eq!(lab.answers(4), ["1"; 4]);
    lab.origin_mut(1).stop();
    // Each is tried on the first one, and then on the backup.
    assert_eq!(lab.answers(8), ["2"; 8]);
    assert_eq!(lab.admin().upstream("app")["backup_in_use"], false);
    lab.origin_mut(1).start();
    assert_eq!(lab.answers(4), ["1"; 4]);
}

#[test]
fn a_backup_takes_what_is_beyond_the_cap_of_the_others() {
    let held = Origin::scripted(|peer| {
        let Some(request) = peer.request() else { return };
        if request.target == "/held" {
            let _ = peer.wire.fill();
        }
        peer.answer(&request, &reply(200, &[], "1"));
    });
    let upstream = r#"
servers = [{ address = "@1", max_connections = 1 }, { address = "@2", backup = true }]
"#;
    let lab = serving(upstream).origin(held).origin(Origin::saying("2")).start();
    assert_eq!(lab.answers(2), ["1"; 2]);
    let mut waiting = lab.connect();
    waiting.send_get("/held");
    eventually("the first server is busy", || lab.origin(1).saw(b"/held").then_some(()));
    assert_eq!(lab.answers(2), ["2"; 2]);
}

#[test]
fn no_server_at_all_is_503_with_a_time_to_try_again() {
    let mut lab = Lab::new()
        .origins(1)
        .with("", "", "health = { type = \"tcp\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }")
        .start();
    lab.origin_mut(1).stop();
    lab.wait_for_state("app", 1, "down");
    let response = lab.client().get("/");
    // A pool without a usable server serves to all of them rather than to none: the refusal is what is reported.
    assert!([502, 503].contains(&response.status), "{}", response.status);
    change_state_of_the_only_server(&lab, "disabled");
    let response = lab.client().get("/").expect(503);
    assert!(response.field("retry-after").is_some());
    assert!(response.text().contains("No server is available"), "{}", response.text());
}

fn change_state_of_the_only_server(lab: &Running, state: &str) {
    let name = lab.admin().server("app", 1)["name"].as_str().unwrap().to_owned();
    change(lab, &name, &format!("{{\"state\": \"{state}\"}}"));
}

#[test]
fn a_draining_server_finishes_what_it_has_and_gets_nothing_new() {
    let gate = Gate::new();
    let door = gate.clone();
    let slow = Origin::answering(move |request| {
        if request.target == "/hold" {
            door.wait();
        }
        reply(200, &[], "1")
    });
    let lab = Lab::new().config(NAMED).origin(slow).origin(Origin::saying("2")).start();
    let mut held = lab.connect();
    held.send_get("/hold");
    lab.origin(1).wait_for_requests(1);
    change(&lab, "a", "{\"state\": \"drain\"}");
    lab.wait_for_state("app", 1, "draining");
    assert_eq!(lab.answers(6), ["2"; 6]);
    gate.open();
    let _ = held.receive().expect(200).expect_body("1");
    change(&lab, "a", "{\"state\": \"ready\"}");
    assert_eq!(count(&lab.answers(6), "1"), 3);
}

#[test]
fn a_disabled_server_gets_nothing() {
    let lab = Lab::new().config(NAMED).origins(2).start();
    change(&lab, "b", "{\"state\": \"disabled\"}");
    lab.wait_for_state("app", 2, "disabled");
    assert_eq!(lab.answers(6), ["1"; 6]);
    change(&lab, "b", "{\"state\": \"ready\"}");
    assert_eq!(count(&lab.answers(6), "2"), 3);
}

#[test]
fn a_weight_can_be_changed_and_taken_back() {
    let lab = Lab::new().config(NAMED).origins(2).workers(2).start();
    assert_eq!(count(&lab.answers(8), "1"), 4);
    change(&lab, "a", "{\"weight\": 3}");
    assert_eq!(count(&lab.answers(8), "1"), 6);
    change(&lab, "a", "{\"weight\": 0}");
    assert_eq!(count(&lab.answers(8), "1"), 0);
    change(&lab, "a", "{\"weight\": null}");
    assert_eq!(count(&lab.answers(8), "1"), 4);
}

#[test]
fn what_an_operator_set_survives_a_reload() {
    let lab = Lab::new().config(NAMED).origins(2).start();
    change(&lab, "b", "{\"state\": \"drain\"}");
    lab.reload(&NAMED.replace("[[route]]", "[[route]]\nname = \"renamed\""));
    assert_eq!(lab.admin().server("app", 2)["state"], "draining");
    assert_eq!(lab.answers(4), ["1"; 4]);
}

#[test]
fn a_state_can_be_configured() {
    let config = NAMED.replace("name = \"b\"", "name = \"b\", state = \"drain\"");
    let lab = Lab::new().config(&config).origins(2).start();
    assert_eq!(lab.answers(4), ["1"; 4]);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let lab = Lab::new().config(NAMED).origins(2).start();
    let _ = lab.admin().post("/api/upstreams/app/servers/zzz", "{\"state\": \"drain\"}").expect(404);
    let _ = lab.admin().post("/api/upstreams/zzz/servers/a", "{\"state\": \"drain\"}").expect(404);
    let _ = lab.admin().post("/api/upstreams/app/servers/a", "{\"state\": \"gone\"}").expect(400);
    let _ = lab.admin().post("/api/upstreams/app/servers/a", "{\"weight\": 257}").expect(400);
    let _ = lab.admin().post("/api/upstreams/app/servers/a", "not json").expect(400);
    assert_eq!(count(&lab.answers(4), "1"), 2);
}

#[test]
fn slow_start_gives_a_returning_server_less_at_first() {
    let config = NAMED.to_owned()
        + "slow_start = \"1h\"\nhealth = { type = \"tcp\", interval = \"100ms\", timeout = \"100ms\", fall = 1, rise = 1 }\n";
    let mut lab = Lab::new().config(&config).origins(2).start();
    assert_eq!(count(&lab.answers(20), "1"), 10, "a server that was always there has its whole share");
    lab.origin_mut(1).stop();
    lab.wait_for_state("app", 1, "down");
    lab.origin_mut(1).start();
    lab.wait_for_state("app", 1, "up");
    let share = count(&lab.answers(110), "1");
    assert!((5..=15).contains(&share), "{share} of 110 with a tenth of the weight");
}
