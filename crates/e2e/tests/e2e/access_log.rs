//! The access log: one record per request, in the format that was asked for, rotated and never in the way.

use std::path::Path;

use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::{Lab, Running, eventually};
use rustix::process::Signal;
use serde_json::Value;

fn with_log(format: &str) -> Lab {
    with_log_of(format, "", "name = \"all\"")
}

fn with_log_of(format: &str, listener: &str, route: &str) -> Lab {
    let log = format!("[log.access]\nformat = \"{format}\"\noutput = \"@dir/access.log\"\n");
    Lab::new().config(&(ropeway_e2e::lab::file(listener, route, "") + &log))
}

/// Waits until the log has `count` lines.
fn lines(path: &Path, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines in {}", path.display()), || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

fn records(lab: &Running, count: usize) -> Vec<Value> {
    let lines = lines(&lab.file("access.log"), count);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn a_json_record_says_everything_about_a_request() {
    let lab = with_log("json").origins(1).start();
    let client = lab
        .client()
        .from("127.0.0.7")
        .host("Shop.example")
        .field("User-Agent", "tester/1")
        .field("Referer", "r");
    let _ = client.get("/path?query=1").expect(200);
    let record = records(&lab, 1).remove(0);
    let server = lab.origin(1).address().to_string();
    for (key, value) in [
        ("client", "127.0.0.7"),
        ("method", "GET"),
        ("path", "/path?query=1"),
        ("route", "all"),
        ("upstream", "app"),
        ("server", server.as_str()),
        ("reason", "completed"),
        ("stage", "finish"),
        ("user_agent", "tester/1"),
        ("referer", "r"),
        ("listener", "web"),
    ] {
        assert_eq!(record[key], value, "{key} of {record}");
    }
    assert!(
        record["host"].as_str().is_some_and(|host| host.eq_ignore_ascii_case("shop.example")),
        "{record}"
    );
    assert_eq!(record["status"], 200);
    assert_eq!(record["attempts"], 1);
    assert!(record["bytes_out"].as_u64().is_some_and(|bytes| bytes > 1), "{record}");
    assert!(record["bytes_in"].as_u64().is_some_and(|bytes| bytes > 10), "{record}");
    for key in ["total_us", "connect_us", "first_byte_us"] {
        assert!(record[key].is_u64(), "{key} of {record}");
    }
    assert_eq!(
        record["request_id"].as_str().map(str::to_owned),
        lab.origin(1).only_request().field("x-request-id")
    );
    assert!(record["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{record}");
}

/// Heads of requests that end in different places, with an id and the address of a client.
const REFUSED: [(&str, u16); 7] = [
    ("GET /else HTTP/1.1\r\nHost: a\r\n", 404),
    ("GET /app/../x HTTP/1.1\r\nHost: a\r\n", 400),
    ("GET /app HTTP/1.1\r\nHost: a b\r\n", 400),
    ("GET /app HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n", 417),
    ("GET /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n", 501),
    ("TRACE /app HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n", 501),
    ("GET /app HTTP/1.1\r\nHost: a\r\n", 502),
];

/// What the record and the client are told to be the id of each of these requests, and who sent it.
fn ids_and_clients(lab: &Running, id: &str) -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    for (head, status) in REFUSED {
        let mut connection = lab.connect();
        connection.send(format!("{head}X-Request-Id: {id}\r\nX-Forwarded-For: 192.0.2.6\r\n\r\n"));
        let response = connection.receive().expect(status);
        let field = response.field("x-request-id").unwrap_or_default();
        assert!(response.text().ends_with(&format!("request {field}\n")), "{}", response.text());
        told.push(field);
    }
    let records = records(lab, REFUSED.len());
    let of = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    told.into_iter()
        .zip(&records)
        .map(|(told, record)| (told, of(record, "request_id"), of(record, "client")))
        .collect()
}

fn with_dead_server(listener: &str) -> Running {
    let mut lab = with_log_of("json", listener, "match = { path = \"/app\" }").origins(1).start();
    lab.origin_mut(1).stop();
    lab
}

#[test]
fn threat_32_a_stranger_cannot_choose_the_request_id_of_a_record() {
    for (told, logged, client) in ids_and_clients(&with_dead_server(""), "theirs") {
        assert_eq!(told, logged);
        assert_ne!(told, "theirs");
        assert_eq!(client, "127.0.0.1");
    }
}

#[test]
fn a_request_of_a_trusted_client_has_its_id_wherever_it_ends() {
    let lab = with_dead_server("trusted_proxies = [\"127.0.0.0/8\"]");
    for (told, logged, client) in ids_and_clients(&lab, "theirs") {
        assert_eq!((told.as_str(), logged.as_str()), ("theirs", "theirs"));
        assert_eq!(client, "192.0.2.6");
    }
}

#[test]
fn an_id_that_does_not_fit_is_replaced_even_if_its_client_is_trusted() {
    let lab = with_log_of("json", "trusted_proxies = [\"127.0.0.0/8\"]", "").origins(1).start();
    let ids = ["", "a b", "\"", "one\r\nX-Request-Id: two", &"x".repeat(129)];
    for (count, id) in ids.iter().enumerate() {
        let mut connection = lab.connect();
        connection.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n"));
        let _ = connection.receive().expect(200);
        let request = lab.origin(1).requests().pop().unwrap();
        let sent: Vec<_> =
            request.fields.iter().filter(|field| field.0.eq_ignore_ascii_case("x-request-id")).collect();
        let logged = records(&lab, count + 1).pop().unwrap();
        assert!(sent.len() == 1 && sent[0].1.len() == 32, "{id}: {request:?}");
        assert_eq!(logged["request_id"], sent[0].1.as_str());
    }
}

#[test]
fn a_combined_record_can_be_read_by_what_reads_such_logs() {
    let lab = with_log("combined").origins(1).start();
    let _ = lab.client().from("127.0.0.7").field("User-Agent", "tester/1").get("/path?q").expect(200);
    let line = lines(&lab.file("access.log"), 1).remove(0);
    assert!(line.starts_with("127.0.0.7 - - ["), "{line}");
    assert!(line.contains("] \"GET /path?q HTTP/1.1\" 200 "), "{line}");
    assert!(line.ends_with(" \"-\" \"tester/1\""), "{line}");
}

#[test]
fn requests_that_come_together_are_counted_one_by_one() {
    let lab = with_log("json").origins(1).start();
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let sent = [get, get, post, get, post];
    let mut connection = lab.connect();
    connection.send(sent.concat());
    for _ in sent {
        let _ = connection.receive().expect(200);
    }
    let counted: Vec<_> = records(&lab, 5).iter().map(|record| record["bytes_in"].as_u64()).collect();
    assert_eq!(counted, sent.map(|request| Some(request.len() as u64)));
}

/// What comes behind the last request of a connection belongs to none.
#[test]
fn what_follows_the_last_request_is_not_counted_as_part_of_it() {
    let lab = with_log("json").origins(1).start();
    let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = [
        "GET /closes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /closes HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    ];
    for request in last {
        let _ = lab.client().converse(format!("{request}{next}").as_bytes());
    }
    let counted: Vec<_> = records(&lab, 3).iter().map(|record| record["bytes_in"].as_u64()).collect();
    assert_eq!(counted, last.map(|request| Some(request.len() as u64)));
}

#[test]
fn a_head_by_http2_counts_as_if_it_came_by_http1() {
    let config = ropeway_e2e::lab::file("http2 = { prior_knowledge = true }", "", "");
    let log = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
    let lab = Lab::new().config(&(config + log)).origins(1).start();
    let mut connection = Connection::open(&lab.client());
    for block in [Block::get("/"), Block::get("/").field("x-long", "v".repeat(1_000))] {
        let stream = connection.start(block);
        let _ = connection.response(stream).expect(200);
    }
    let _ = connection.request(Block::post("/"), b"body").expect(200);
    let counted: Vec<_> = records(&lab, 3).iter().map(|record| record["bytes_in"].as_u64()).collect();
    let head = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".len() as u64;
    assert_eq!(counted, [head, head + "x-long: \r\n".len() as u64 + 1_000, head + 1 + 4].map(Some));
}

#[test]
fn refused_and_failed_requests_have_records_too() {
    let mut lab = with_log("json").origins(1).start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    let _ = connection.receive().expect(400);
    lab.origin_mut(1).stop();
    let _ = lab.client().get("/").expect(502);
    let records = records(&lab, 2);
    assert_eq!((records[0]["status"].as_u64(), records[0]["reason"].as_str()), (Some(400), Some("bad_host")));
    assert_eq!(
        (records[1]["status"].as_u64(), records[1]["reason"].as_str()),
        (Some(502), Some("connect_refused"))
    );
    assert_eq!(records[1]["stage"], "connect");
}

#[test]
fn a_client_that_left_is_recorded_as_499() {
    let gate = ropeway_e2e::Gate::new();
    let door = gate.clone();
    let lab = with_log("json")
        .origin(ropeway_e2e::Origin::answering(move |_| {
            door.wait();
            ropeway_e2e::reply(200, &[], "")
        }))
        .start();
    let mut connection = lab.connect();
    connection.send_get("/");
    lab.origin(1).wait_for_requests(1);
    connection.wire.reset();
    let record = records(&lab, 1).remove(0);
    gate.open();
    assert_eq!(record["status"], 499, "{record}");
    assert_eq!(record["reason"], "client_closed", "{record}");
}

#[test]
fn attempts_are_counted() {
    let mut lab = with_log("json").origins(2).start();
    lab.origin_mut(1).stop();
    let _ = lab.answers(2);
    let records = records(&lab, 2);
    let mut attempts: Vec<u64> = records.iter().filter_map(|record| record["attempts"].as_u64()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2]);
    assert!(records.iter().all(|record| record["server"] == lab.origin(2).address().to_string()));
}

#[test]
fn a_rotated_file_is_opened_anew_on_sigusr1() {
    let lab = with_log("json").origins(1).start();
    let _ = lab.answers(3);
    let first = lab.file("access.log");
    let rotated = lab.file("access.log.1");
    lines(&first, 3);
    std::fs::rename(&first, &rotated).unwrap();
    lab.proxy.signal(Signal::USR1);
    eventually("the file is there again", || first.exists().then_some(()));
    let _ = lab.answers(4);
    assert_eq!(lines(&first, 4).len(), 4);
    assert_eq!(lines(&rotated, 3).len(), 3);
}

#[test]
fn records_reach_standard_output() {
    let config =
        ropeway_e2e::lab::file("", "", "") + "[log.access]\nformat = \"json\"\noutput = \"stdout\"\n";
    let lab = Lab::new().origins(1).config(&config).start();
    let _ = lab.client().get("/on-stdout").expect(200);
    eventually("the record", || {
        lab.proxy.lines().iter().any(|line| line.contains("/on-stdout")).then_some(())
    });
}

#[test]
fn a_log_that_cannot_be_written_costs_no_request_and_is_counted() {
    let config =
        ropeway_e2e::lab::file("", "", "") + "[log.access]\nformat = \"json\"\noutput = \"/dev/full\"\n";
    let lab = Lab::new().origins(1).config(&config).start();
    let mut connection = lab.connect();
    for _ in 0..200 {
        let _ = connection.get("/").expect(200);
    }
    eventually("the losses are counted", || {
        (lab.admin().metric("ropeway_access_log_dropped_total", &[]) > 0.0).then_some(())
    });
}

#[test]
fn a_reader_that_does_not_read_costs_records_and_no_request() {
    // A pipe with a reader that never reads: the writer blocks, the ring fills, the workers go on.
    let directory = ropeway_e2e::tempdir::TempDir::new();
    let pipe = directory.file("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let log =
        format!("[log.access]\nformat = \"json\"\noutput = \"{}\"\nbuffer = \"64KiB\"\n", pipe.display());
    let lab = Lab::new().origins(1).config(&(ropeway_e2e::lab::file("", "", "") + &log)).start();
    let long = format!("/{}", "x".repeat(8_000));
    let mut connection = lab.connect();
    for _ in 0..200 {
        let _ = connection.get(&long).expect(200);
    }
    eventually("drops are counted", || {
        (lab.admin().metric("ropeway_access_log_dropped_total", &[("cause", "backlog")]) > 0.0).then_some(())
    });
    drop(reader);
}

#[test]
fn every_request_is_recorded_before_the_process_ends() {
    let mut lab = with_log("json").origins(1).workers(2).start();
    let _ = lab.answers(50);
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
    assert_eq!(lines(&lab.file("access.log"), 50).len(), 50);
}

#[test]
fn without_a_log_there_is_none() {
    let lab = Lab::new().origins(1).start();
    let _ = lab.client().get("/unlogged").expect(200);
    assert_eq!(lab.admin().metric("ropeway_access_log_records_total", &[]), 0.0);
    assert!(lab.proxy.lines().iter().all(|line| !line.contains("/unlogged")));
}

#[test]
fn a_reload_to_a_file_that_cannot_be_opened_changes_nothing_and_says_why() {
    let lab = with_log("json").origins(1).start();
    let file = std::fs::read_to_string(lab.proxy.config()).unwrap();
    let missing = file.replace("access.log", "missing/access.log");
    std::fs::write(lab.proxy.config(), missing).unwrap();
    lab.proxy.signal(Signal::HUP);
    eventually("the reload is refused", || {
        let told = lab.proxy.transcript();
        (told.contains("missing/access.log") && told.contains("create the directory")).then_some(())
    });
    let _ = lab.client().get("/").expect(200);
    assert_eq!(records(&lab, 1).len(), 1, "the old file is still written");
}
