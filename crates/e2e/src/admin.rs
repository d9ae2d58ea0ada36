//! The admin listener as an operator's tools see it.

use std::net::SocketAddr;

use serde_json::Value;

use crate::client::Client;
use crate::message::Response;

/// A client of the admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
    address: SocketAddr,
}

/// One sample of the Prometheus text format.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name of the time series, suffixes included.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Admin {
    /// A client of the listener at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let client = Client::new(address).host(&address.to_string()).field("Connection", "close");
        Self { client, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client that asks.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// GET, when somebody answers.
    #[must_use]
    pub fn try_get(&self, path: &str) -> Option<Response> {
        self.client.try_connect().ok()?.try_get(path).ok()
    }

    /// GET.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.client.get(path)
    }

    /// POST with a JSON body.
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str, json: &str) -> Response {
        self.client.clone().field("Content-Type", "application/json").request("POST", path, json)
    }

    /// `/status`.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Value {
        let text = self.get("/status").expect(200).text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A server of an upstream as `/status` shows it, by its place in the file counted from 1.
    #[track_caller]
    #[must_use]
    pub fn server(&self, upstream: &str, number: usize) -> Value {
        self.upstream(upstream)["servers"][number - 1].clone()
    }

    /// An upstream as `/status` shows it.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    #[must_use]
    pub fn upstream(&self, name: &str) -> Value {
        let status = self.status();
        let upstreams = status["upstreams"].as_array().cloned().unwrap_or_default();
        upstreams.into_iter().find(|upstream| upstream["name"] == name).unwrap_or_else(|| panic!("{status}"))
    }

    /// `/metrics`.
    #[track_caller]
    #[must_use]
    pub fn metrics(&self) -> Vec<Sample> {
        parse_metrics(&self.get("/metrics").expect(200).text())
    }

    /// The sum of all series of `name`, which there must be, that have these labels.
    #[track_caller]
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.get("/metrics").expect(200).text();
        assert!(is_described(&text, name), "there is no metric {name}");
        sum(&parse_metrics(&text), name, labels)
    }
}

/// The sum of all series of `name` that have these labels.
#[must_use]
pub fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let matching = samples.iter().filter(|sample| {
        let has = |(name, value): &(&str, &str)| sample.labels.iter().any(|(n, v)| n == name && v == value);
        sample.name == name && labels.iter().all(has)
    });
    matching.map(|sample| sample.value).sum()
}

/// Whether a page says what this series is, with or without samples of it.
fn is_described(page: &str, name: &str) -> bool {
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
    families
        .into_iter()
        .any(|family| name.strip_prefix(family).is_some_and(|suffix| suffixes.contains(&suffix)))
}

/// Parses the Prometheus text format strictly enough to notice a malformed line.
///
/// # Panics
/// When a line is malformed.
#[must_use]
pub fn parse_metrics(text: &str) -> Vec<Sample> {
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| parse_sample(line).unwrap_or_else(|| panic!("metrics line {line:?}"))).collect()
}

fn parse_sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    let mut rest = labels.strip_suffix('}')?;
    let mut parsed = Vec::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let end = closing_quote(after)?;
        parsed.push((label.trim_start_matches(',').to_owned(), after[..end].replace("\\\"", "\"")));
        rest = &after[end + 1..];
    }
    Some(Sample { name: name.to_owned(), labels: parsed, value })
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_known_by_its_family() {
        let page = "# TYPE a counter\n# TYPE b_seconds histogram\n";
        assert!(["a", "a_total", "b_seconds_count"].iter().all(|name| is_described(page, name)));
        assert!(!["aa", "a_totals", "b"].iter().any(|name| is_described(page, name)));
    }

    #[test]
    fn metrics_are_parsed_with_their_labels() {
        let samples = parse_metrics("# HELP x y\na 1\nb_total{route=\"a\\\"b\",class=\"2xx\"} 3.5\n");
        assert_eq!(sum(&samples, "a", &[]), 1.0);
        assert_eq!(sum(&samples, "b_total", &[("class", "2xx"), ("route", "a\"b")]), 3.5);
        assert_eq!(sum(&samples, "b_total", &[("class", "5xx")]), 0.0);
    }
}
