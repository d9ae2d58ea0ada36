//! Live counts on standard output.

use std::io::{self, Write};
use std::sync::Weak;
use std::time::Duration;

use ropeway_proxy::snapshot::Snapshot;

use crate::control::Control;
use crate::metrics::{Distribution, route_counters};

/// On a terminal, where the line is drawn again in its place.
const REFRESH: Duration = Duration::from_secs(1);
/// Elsewhere, where every line stays.
const LINE: Duration = Duration::from_secs(5);

/// Shows counts until the proxy ends.
pub(super) async fn show(control: Weak<Control>, terminal: bool) {
    let period = if terminal { REFRESH } else { LINE };
    let mut before = 0;
    loop {
        tokio::time::sleep(period).await;
        let Some(control) = control.upgrade() else { return };
        if control.is_draining() {
            return;
        }
        let counts = Counts::of(&control.snapshot());
        let rate = counts.requests.saturating_sub(before) as f64 / period.as_secs_f64();
        before = counts.requests;
        // A closed standard output ends the show, not the proxy.
        if print(&counts.line(rate), terminal).is_err() {
            return;
        }
    }
}

fn print(line: &str, terminal: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if terminal {
        // Back to the first column, and erase what was there.
        write!(out, "\r\x1b[K{line}")?;
    } else {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

#[derive(Debug, PartialEq)]
struct Counts {
    requests: u64,
    p99_ms: Option<f64>,
    /// Name and completed attempts of each server.
    servers: Vec<(String, u64)>,
}

impl Counts {
    fn of(snapshot: &Snapshot) -> Self {
        let listeners = snapshot.listeners.iter();
        let servers = snapshot.upstreams.iter().flat_map(|upstream| &upstream.servers);
        let routes = route_counters(snapshot);
        let latency = routes.first().map(|(_, counters)| Distribution::of(counters, |worker| &worker.total));
        Self {
            requests: listeners
                .map(|listener| listener.live.counters.sum(|worker| worker.requests.get()))
                .sum(),
            p99_ms: latency.and_then(|latency| latency.quantile_ms(0.99)),
            servers: servers
                .map(|server| {
                    (server.name.to_string(), server.live.counters.sum(|worker| worker.ended.get()))
                })
                .collect(),
        }
    }

    fn line(&self, rate: f64) -> String {
        let servers: Vec<String> =
            self.servers.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let p99 = self.p99_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
        format!("{} requests ({rate:.0}/s)   {}   p99 {p99}", self.requests, servers.join("  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_it_all() {
        let mut counts = Counts {
            requests: 1234,
            p99_ms: None,
            servers: vec![("one".to_owned(), 617), ("two".to_owned(), 617)],
        };
        assert_eq!(counts.line(40.2), "1234 requests (40/s)   one 617  two 617   p99 -");
        counts.p99_ms = Some(21.46);
        assert!(counts.line(0.0).ends_with("p99 21.5 ms"));
    }
}
