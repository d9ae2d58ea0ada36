//! How urgent a client calls its requests (RFC 9218): what the server is told, and the access log.

use ropeway_e2e::h2::frame::{headers, priority_update};
use ropeway_e2e::h2::rules::lab;
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::{Lab, Origin, eventually};
use serde_json::Value;

/// The Priority field that the server gets of a request that has `field`, after frames that say `updates`.
#[track_caller]
fn told(updates: &[&str], field: Option<&str>) -> Option<String> {
    let lab = lab(Origin::saying("1")).start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.new_stream();
    let block = field.into_iter().fold(Block::get("/"), |block, value| block.field("priority", value));
    let mut frames: Vec<_> = updates.iter().map(|value| priority_update(stream, value)).collect();
    frames.push(headers(stream, block).end());
    connection.send(&frames);
    let _ = connection.response(stream).expect(200);
    lab.origin(1).only_request().field("priority")
}

#[test]
fn the_field_is_passed_on_byte_for_byte() {
    assert_eq!(told(&[], None), None);
    assert_eq!(told(&[], Some("i=?1,u=3;x, later=1")).as_deref(), Some("i=?1,u=3;x, later=1"));
}

/// RFC 9218 section 7.
#[test]
fn a_frame_counts_instead_of_the_field() {
    assert_eq!(told(&["i, u=1"], Some("u=5")).as_deref(), Some("u=1, i"));
    assert_eq!(told(&["u=1"], None).as_deref(), Some("u=1"));
    assert_eq!(told(&["u=1, i", "u=6"], Some("u=5")).as_deref(), Some("u=6"), "the last one");
    assert_eq!(told(&["u=3"], Some("u=5, i")), None, "the default needs no field");
}

#[test]
fn a_frame_for_another_stream_changes_nothing() {
    let lab = lab(Origin::saying("1")).start();
    let mut connection = Connection::open(&lab.client());
    connection.send(&[priority_update(3, "u=1"), priority_update(5, "u=2")]);
    for field in ["u=4", "u=5", "u=6"] {
        let stream = connection.start(Block::get("/").field("priority", field));
        let _ = connection.response(stream).expect(200);
    }
    let told: Vec<_> = lab.origin(1).requests().iter().map(|request| request.field("priority")).collect();
    assert_eq!(told, ["u=4", "u=1", "u=2"].map(|value| Some(value.to_owned())));
}

#[test]
fn the_access_log_has_what_is_not_the_default() {
    let config = ropeway_e2e::lab::file("http2 = { prior_knowledge = true }", "", "")
        + "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
    let lab = Lab::new().config(&config).workers(1).origins(1).start();
    let _ = lab.client().get("/").expect(200);
    let _ = lab.client().field("Priority", "u=3").get("/").expect(200);
    let _ = lab.client().field("Priority", "i, u=2, x").field("Priority", "u=0").get("/").expect(200);
    let mut connection = Connection::open(&lab.client());
    connection.send(&[priority_update(1, "u=7"), headers(1, Block::get("/").field("priority", "i")).end()]);
    let _ = connection.response(1).expect(200);
    let logged = eventually("4 records", || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let whole = text.lines().count() == 4 && text.ends_with('\n');
        whole.then(|| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>())
    });
    let logged: Vec<&Value> = logged.iter().map(|record| &record["priority"]).collect();
    assert_eq!(logged, [&Value::Null, &Value::Null, &"u=0, i".into(), &"u=7".into()]);
}
