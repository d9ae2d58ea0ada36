//! Logs whose reader has stopped to read: they cost messages and records, and nobody's time.

use ropeway_e2e::{Gate, Lab, Origin, Running, eventually, lab, reply};
use rustix::process::Signal;

/// A lab whose access log goes to standard output.
fn with_records() -> Lab {
    Lab::new().config(&(lab::file("", "", "") + "[log.access]\nbuffer = \"64KiB\"\noutput = \"stdout\"\n"))
}

/// Reads no more, and asks for long targets until records are dropped: the pipe and the ring are full then.
fn stall_records(lab: &Running) {
    lab.proxy.stop_reading();
    let long = format!("/{}", "x".repeat(8_000));
    let mut connection = lab.connect();
    eventually("the writer is stuck", || {
        let _ = connection.get(&long).expect(200);
        (lab.admin().metric("ropeway_access_log_dropped_total", &[("cause", "backlog")]) > 0.0).then_some(())
    });
}

/// Reads no more, and has reloads refused at length, many times what a pipe and the queue hold.
fn stall_messages(lab: &Running) {
    lab.proxy.stop_reading();
    let file = std::fs::read_to_string(lab.proxy.config()).unwrap();
    let wrong = format!("{file}\n[{}]\n", "x".repeat(8_000));
    lab.replace_file("ropeway.toml", &wrong);
    for _ in 0..100 {
        assert!(lab.admin().post("/api/reload", "{}").status >= 400);
    }
    assert!(lab.admin().metric("ropeway_log_messages_dropped_total", &[]) > 0.0);
    lab.replace_file("ropeway.toml", &file);
}

#[test]
fn messages_that_nobody_reads_cost_no_request_and_are_missed_where_they_are_missing() {
    let mut lab = Lab::new().origins(1).start();
    stall_messages(&lab);
    let _ = lab.client().get("/").expect(200);
    assert_eq!(lab.admin().post("/api/reload", "{}").status, 200);
    lab.proxy.read_on();
    let (told, missing) = eventually("it is told that some are missing", || {
        let lines = lab.proxy.lines();
        let told = lines.iter().position(|line| line.contains("messages of this log are lost here"))?;
        Some((told, lines[told].clone()))
    });
    let dropped = lab.admin().metric("ropeway_log_messages_dropped_total", &[]);
    assert!(missing.contains(&format!("lost={dropped}")), "{dropped}: {missing}");
    assert!(told > 0 && lab.proxy.lines()[told - 1..told].concat().contains("reload"), "{missing}");
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
    assert!(lab.proxy.lines().last().is_some_and(|line| line.contains("drained")), "the last words are said");
}

#[test]
fn messages_that_nobody_reads_do_not_hold_up_the_end() {
    let mut lab = Lab::new().origins(1).start();
    stall_messages(&lab);
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
}

#[test]
fn records_that_nobody_takes_do_not_hold_up_the_end_and_are_missed() {
    let mut lab = with_records().origins(1).start();
    stall_records(&lab);
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
    let lines = lab.proxy.lines();
    let told = lines.iter().find(|line| line.contains("the access log took no more records in time"));
    let lost = told.and_then(|line| line.split_once("lost=")?.1.parse::<u64>().ok());
    assert!(lost.is_some_and(|lost| lost > 0), "{told:?}");
}

#[test]
fn a_second_signal_ends_a_drain_whose_records_nobody_takes() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::answering(move |request| {
        if request.target == "/held" {
            door.wait();
        }
        reply(200, &[], "")
    });
    let mut lab = with_records().origin(origin).start();
    stall_records(&lab);
    let mut held = lab.connect();
    held.send_get("/held");
    eventually("the request is there", || {
        lab.origin(1).requests().iter().any(|request| request.target == "/held").then_some(())
    });
    lab.proxy.signal(Signal::TERM);
    eventually("it drains", || lab.admin().try_get("/readyz").filter(|answer| answer.status == 503));
    lab.proxy.signal(Signal::TERM);
    assert_eq!(lab.proxy.wait().code(), Some(1));
    gate.open();
}

#[test]
fn a_named_pipe_without_a_reader_is_refused_by_a_reload_and_taken_once_it_has_one() {
    let mut lab = Lab::new().origins(1).start();
    let pipe = lab.file("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let file = lab::file("", "", "") + &format!("[log.access]\noutput = \"{}\"\n", pipe.display());
    lab.request_reload(&file);
    eventually("the reload is refused", || {
        lab.proxy.transcript().contains("a pipe has to have a reader first").then_some(())
    });
    let _ = lab.client().get("/before").expect(200);
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    lab.reload(&file);
    let _ = lab.client().get("/after").expect(200);
    let mut record = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&reader), &mut record).unwrap();
    assert!(record.contains("/after"), "{record}");
    lab.proxy.signal(Signal::TERM);
    assert!(lab.proxy.wait().success());
}
