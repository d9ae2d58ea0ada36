//! The status as a table for a terminal.

use std::fmt::Write;

use serde_json::Value;

/// The most important parts of a status, for people. Fields that an older or newer process does not send are blank.
#[must_use]
pub fn status_table(status: &Value) -> String {
    let mut out = String::new();
    let draining = if status["draining"] == true { ", draining" } else { "" };
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "ropeway {}  up {}  configuration {} of {}  {} workers{draining}",
        text(&status["version"]),
        duration(status["uptime_seconds"].as_f64().unwrap_or_default()),
        text(&status["generation"]),
        text(&status["loaded_at"]),
        text(&status["workers"]),
    );
    let _ = writeln!(
        out,
        "{} connections  {} requests active  {} in all",
        text(&status["connections"]["open"]),
        text(&status["requests"]["active"]),
        text(&status["requests"]["total"]),
    );
    for table in [listeners(status), routes(status), servers(status)] {
        out.push('\n');
        out.push_str(&table);
    }
    out
}

fn listeners(status: &Value) -> String {
    let mut rows = vec![row(["LISTENER", "ADDRESSES", "OPEN", "ACCEPTED", "REFUSED", "REQUESTS"])];
    for listener in list(&status["listeners"]) {
        let addresses: Vec<String> = list(&listener["addresses"]).iter().map(text).collect();
        rows.push(vec![
            text(&listener["name"]),
            addresses.join(", "),
            text(&listener["connections_open"]),
            text(&listener["accepted"]),
            text(&listener["refused"]),
            text(&listener["requests"]),
        ]);
    }
    aligned(&rows, 2)
}

fn routes(status: &Value) -> String {
    let mut rows = vec![row(["ROUTE", "HOST", "PATH", "UPSTREAM", "REQUESTS", "5XX", "P50 MS", "P99 MS"])];
    for route in list(&status["routes"]) {
        rows.push(vec![
            text(&route["name"]),
            text(&route["host"]),
            text(&route["path"]),
            text(&route["upstream"]),
            sum(&route["requests"]).to_string(),
            text(&route["requests"]["5xx"]),
            millis(&route["latency_ms"]["p50"]),
            millis(&route["latency_ms"]["p99"]),
        ]);
    }
    aligned(&rows, 4)
}

fn servers(status: &Value) -> String {
    let heading =
        ["UPSTREAM", "SERVER", "STATE", "WEIGHT", "IN FLIGHT", "ATTEMPTS", "5XX", "RETRIES", "P99 MS"];
    let mut rows = vec![row(heading)];
    for upstream in list(&status["upstreams"]) {
        for server in list(&upstream["servers"]) {
            let backup = if server["backup"] == true { " (backup)" } else { "" };
            rows.push(vec![
                text(&upstream["name"]),
                text(&server["name"]) + backup,
                text(&server["state"]),
                text(&server["weight"]),
                text(&server["in_flight"]),
                sum(&server["requests"]).to_string(),
                text(&server["requests"]["5xx"]),
                text(&server["retries"]),
                millis(&server["latency_ms"]["p99"]),
            ]);
        }
    }
    aligned(&rows, 3)
}

/// Columns separated by two blanks; the first `left` begin at the left, the others end at the right.
fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.into_iter().map(str::to_owned).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Without what a terminal would act upon: names come from a file.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.chars().filter(|character| !character.is_control()).collect(),
        other => other.to_string(),
    }
}

fn millis(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum())
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes}m"),
        (days, hours, ..) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_becomes_three_tables() {
        let status = json!({
            "version": "0.1.0", "uptime_seconds": 3725.4, "generation": 2, "loaded_at": "2026-11-21T08:00:00.000Z",
            "workers": 4, "draining": true, "connections": { "open": 3, "max": 100 },
            "requests": { "active": 1, "total": 1234 },
            "listeners": [{ "name": "web", "addresses": ["0.0.0.0:8080"], "connections_open": 3, "accepted": 9,
                "refused": 0, "requests": 1234 }],
            "routes": [{ "name": "all", "host": "*", "path": "/", "upstream": "app",
                "requests": { "2xx": 1230, "5xx": 4 }, "latency_ms": { "p50": 1.04, "p99": 12.5 } }],
            "upstreams": [{ "name": "app", "servers": [
                { "name": "one", "state": "up", "weight": 1, "backup": false, "in_flight": 1,
                  "requests": { "2xx": 615 }, "retries": 0, "latency_ms": { "p99": null } },
                { "name": "\u{1b}[2Jspare", "state": "down", "weight": 1, "backup": true, "in_flight": 0,
                  "requests": { "2xx": 615, "5xx": 4 }, "retries": 4, "latency_ms": { "p99": 12.0 } },
            ] }],
        });
        let expected = "\
ropeway 0.1.0  up 1h2m  configuration 2 of 2026-11-21T08:00:00.000Z  4 workers, draining
3 connections  1 requests active  1234 in all

LISTENER  ADDRESSES     OPEN  ACCEPTED  REFUSED  REQUESTS
web       0.0.0.0:8080     3         9        0      1234

ROUTE  HOST  PATH  UPSTREAM  REQUESTS  5XX  P50 MS  P99 MS
all    *     /     app           1234    4     1.0    12.5

UPSTREAM  SERVER             STATE  WEIGHT  IN FLIGHT  ATTEMPTS  5XX  RETRIES  P99 MS
app       one                up          1          1       615             0       -
app       [2Jspare (backup)  down        1          0       619    4        4    12.0
";
        assert_eq!(status_table(&status), expected);
    }

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        for (seconds, text) in [(0.9, "0s"), (61.0, "1m1s"), (7_260.0, "2h1m"), (90_000.0, "1d1h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
