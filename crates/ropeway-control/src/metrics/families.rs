//! Every family of metrics, declared once.

use prometheus_client::metrics::MetricType;

/// The declaration of one family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name, without the `_total` and `_bucket` that its samples add.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up, from zero at the start of the process. Its sample is named `NAME_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound: `NAME_bucket`, `NAME_sum` and `NAME_count`.
    Histogram,
}

impl Kind {
    pub(super) const fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Family {
    /// The name as queries use it.
    #[must_use]
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

macro_rules! families {
    ($($section:literal { $($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)* })*) => {
        $($(
            #[doc = $help]
            pub const $constant: Family = Family {
                name: concat!("ropeway_", $name),
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*)*

        /// Every family, under the heading of the documentation that it belongs to.
        pub const SECTIONS: &[(&str, &[Family])] = &[$(($section, &[$($constant),*])),*];
    };
}

families! {
    "Requests, by route" {
        REQUESTS: Counter "requests" ["route", "class"]
            "Requests by the class of the status that the client was sent; class `none` was sent none.";
        REQUEST_ENDS: Counter "request_ends" ["route", "reason"]
            "Requests by the reason why they ended; reasons that never occurred are left out.";
        GRPC_REQUESTS: Counter "grpc_requests" ["route", "grpc_status"]
            "Calls of gRPC and gRPC-Web by the status that the client was told; statuses that never occurred are left out.";
        REQUEST_DURATION: Histogram "request_duration_seconds" ["route"]
            "Time from the first byte of a request head to the last byte of its response.";
        REQUEST_BYTES: Counter "request_received_bytes" ["route"]
            "Bytes of request heads and bodies received from clients.";
        RESPONSE_BYTES: Counter "response_sent_bytes" ["route"]
            "Bytes of response heads and bodies sent to clients.";
        REQUESTS_ACTIVE: Gauge "requests_active" []
            "Requests that are being served.";
    }
    "Attempts, by upstream and server" {
        ATTEMPTS: Counter "upstream_attempts" ["upstream", "server", "class"]
            "Attempts by the class of the status that the server answered with; class `none` got no answer.";
        ATTEMPT_ENDS: Counter "upstream_attempt_ends" ["upstream", "server", "reason"]
            "Attempts by the reason why they ended; reasons that never occurred are left out.";
        IN_FLIGHT: Gauge "upstream_in_flight" ["upstream", "server"]
            "Attempts that are waiting for the server or passing on its response.";
        CONNECTS: Counter "upstream_connections_opened" ["upstream", "server"]
            "Connections opened.";
        REUSED: Counter "upstream_connections_reused" ["upstream", "server"]
            "Attempts sent on a connection that had served one before.";
        IDLE: Gauge "upstream_idle_connections" ["upstream", "server"]
            "Connections that wait for their next request; those of HTTP/2 are not among them.";
        MULTIPLEXED: Gauge "upstream_http2_connections" ["upstream", "server"]
            "Open connections of HTTP/2, whether they have requests or not.";
        REPLAYED: Counter "upstream_replays" ["upstream", "server"]
            "Attempts sent again on a fresh connection because a reused one turned out to be closed.";
        RETRIES: Counter "upstream_retries" ["upstream", "server"]
            "Attempts that were the retry of a request that failed on another server.";
        CONNECT_DURATION: Histogram "upstream_connect_duration_seconds" ["upstream", "server"]
            "Time to open a connection.";
        FIRST_BYTE_DURATION: Histogram "upstream_first_byte_duration_seconds" ["upstream", "server"]
            "Time from the request sent to the response head received.";
        SERVER_SENT: Counter "upstream_sent_bytes" ["upstream", "server"]
            "Bytes sent to the server.";
        SERVER_RECEIVED: Counter "upstream_received_bytes" ["upstream", "server"]
            "Bytes received from the server.";
        SERVER_STATE: Gauge "upstream_server_state" ["upstream", "server", "state"]
            "1 for the state that the server is in, 0 for the others.";
        SERVER_WEIGHT: Gauge "upstream_server_weight" ["upstream", "server"]
            "Share of the traffic that the server should get, 0 to 256, run-time changes included.";
        PANIC: Gauge "upstream_panic" ["upstream"]
            "1 while servers that are known to be bad are used because too few others are left.";
        BACKUP: Gauge "upstream_backup_in_use" ["upstream"]
            "1 while backup servers are used because no other is usable.";
    }
    "Connections, by listener" {
        CONNECTIONS: Gauge "listener_connections" ["listener"]
            "Open client connections.";
        ACCEPTED: Counter "listener_accepted" ["listener"]
            "Client connections accepted.";
        HANDSHAKES: Counter "listener_tls_handshakes" ["listener"]
            "TLS handshakes with clients that were completed.";
        RESUMED: Counter "listener_tls_resumed" ["listener"]
            "TLS handshakes with clients that resumed an earlier session.";
        HTTP2_CONNECTIONS: Counter "listener_http2_connections" ["listener"]
            "Client connections that speak HTTP/2.";
        HTTP2_ERRORS: Counter "listener_http2_errors" ["listener", "code"]
            "Connections of HTTP/2 that were ended over an error, by its code (RFC 9113 section 7); codes that never occurred are left out.";
        REFUSED: Counter "listener_refused" ["listener"]
            "Client connections refused because a limit was reached.";
        MADE_ROOM: Counter "listener_made_room" ["listener"]
            "Idle client connections closed early, because there were nearly as many connections as there may be.";
        LISTENER_REQUESTS: Counter "listener_requests" ["listener"]
            "Requests received, malformed ones included.";
        LISTENER_ENDS: Counter "listener_request_ends" ["listener", "reason"]
            "Requests that ended before a route was known; reasons that never occurred are left out.";
    }
    "Certificates" {
        CERTIFICATE_EXPIRY: Gauge "certificate_expiry_timestamp_seconds" ["listener", "name", "key"]
            "When a certificate ends, in seconds since 1970, by its first name and the kind of its key.";
        CRL_EXPIRY: Gauge "crl_expiry_timestamp_seconds" ["file"]
            "When a list of revoked certificates expires, in seconds since 1970; its clients are refused then.";
        TLS_EXCHANGES: Counter "tls_file_changes" ["result"]
            "Changes of certificates, keys and other files of TLS: `taken` into service, or `refused` because they are bad.";
        TLS_REFUSED: Gauge "tls_files_refused" []
            "Changes that were refused and have not been repaired since; what was there before is in service.";
    }
    "Certificates that are ordered" {
        ACME_ORDERS: Counter "acme_orders" ["result"]
            "Orders of certificates, by their result: `succeeded` or `failed`.";
        ACME_NEXT_ORDER: Gauge "acme_next_order_timestamp_seconds" ["name"]
            "When the next order is placed, by the first host of the certificate, in seconds since 1970.";
    }
    "The process" {
        BUILD: Gauge "build_info" ["version"]
            "Always 1; the version is in the label.";
        WORKERS: Gauge "workers" []
            "Worker threads.";
        UPTIME: Gauge "uptime_seconds" []
            "Time since the process started.";
        READY: Gauge "ready" []
            "1 while `/readyz` answers 200.";
        RESIDENT: Gauge "process_resident_memory_bytes" []
            "Physical memory in use.";
        CPU: Counter "process_cpu_seconds" []
            "Processor time used, user and system.";
        OPEN_FDS: Gauge "process_open_fds" []
            "Open file descriptors.";
        MAX_FDS: Gauge "process_max_fds" []
            "Most file descriptors that the process may open.";
        HELD: Counter "requests_held" []
            "Requests that began later than they came, because their worker was busy with others that were under way.";
        ACCEPT_ERRORS: Counter "accept_errors" []
            "Connections that could not be accepted because descriptors or memory ran out.";
        PANICS: Counter "panics" []
            "Connections lost to a defect of the proxy; please report them.";
        BUDGET_EXHAUSTED: Counter "retry_budget_exhausted" []
            "Retries that were wanted but refused by the retry budget.";
        LOG_WRITTEN: Counter "access_log_records" []
            "Access records that workers handed to the writer.";
        LOG_DROPPED: Counter "access_log_dropped" ["cause"]
            "Access records dropped: `backlog` because the writer did not keep up, `destination` because the file could not be written.";
        MESSAGES_DROPPED: Counter "log_messages_dropped" []
            "Messages of the process's own log dropped because standard error did not take them in time.";
        GENERATION: Gauge "config_generation" []
            "Counts up with every configuration put into service.";
        RELOAD_OK: Gauge "config_last_reload_successful" []
            "0 when the last reload was refused, so that the configuration before it is still in service.";
        LOADED_AT: Gauge "config_loaded_timestamp_seconds" []
            "When the configuration in service was put there, in seconds since 1970.";
    }
}

/// The text of `docs/metrics.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (heading, families) in SECTIONS {
        page.push_str(&format!(
            "\n## {heading}\n\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n"
        ));
        families.iter().for_each(|family| page.push_str(&row(family)));
    }
    page
}

fn row(family: &Family) -> String {
    let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    format!(
        "| `{}` | {} | {} | {} |\n",
        family.sample_name(),
        family.kind.name(),
        labels.join(", "),
        family.help
    )
}

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` on the admin listener answers in the OpenMetrics text format, which Prometheus reads:

```yaml
scrape_configs:
  - job_name: ropeway
    static_configs:
      - targets: [\"127.0.0.1:9900\"]
```

Counters start at zero when the process starts, and survive a reload of the configuration. Durations are in seconds,
sizes in bytes. Values of labels come from the configuration and from fixed lists, never from a request, so their
number is bounded: routes beyond the first 1,000 are counted together under the route `other`, and servers beyond the
first 1,000 are left to `/status`. A server takes about 7 KB of the page.

Label `class` is one of `1xx`, `2xx`, `3xx`, `4xx`, `5xx` and `none`. Label `reason` is the end reason that the access
log names too. Label `grpc_status` is a number from 0 to 16. Label `state` is one of `up`, `down`, `unchecked`, `ejected`, `draining`, `disabled` and `unresolved`.

This page is generated from the declarations in the source.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names = std::collections::HashSet::new();
        for family in SECTIONS.iter().flat_map(|(_, families)| *families) {
            assert!(names.insert(family.name), "{} is declared twice", family.name);
        }
    }

    #[test]
    fn the_documentation_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let wanted = reference_markdown();
        if std::env::var_os("ROPEWAY_UPDATE_DOCS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == wanted, "docs/metrics.md is out of date: run the tests with ROPEWAY_UPDATE_DOCS=1");
    }
}
