//! Chromium, without a screen.

use std::path::Path;

use serde_json::Value;

use crate::lab::Running;
use crate::program::Program;
use crate::tls::Identity;

/// What every start needs: nobody is asked anything, and nothing is fetched but what the page names.
const OPTIONS: &str = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
     --disable-background-networking --disable-component-update --disable-sync --disable-default-apps";

/// A page that was opened.
#[derive(Debug)]
pub struct Page {
    /// The document as it was when everything in it was loaded.
    pub document: String,
    /// What was agreed on in each handshake of TLS, in the words of the browser's own log.
    pub handshakes: Vec<Value>,
}

/// Opens the page at `/` of a host of the listener `web`, for whose certificate the browser takes only this one.
///
/// # Panics
/// When the browser does not get to its end.
#[must_use]
pub fn open_page(lab: &Running, host: &str, identity: &Identity) -> Page {
    let address = lab.proxy.address("web");
    let home = lab.file("browser");
    std::fs::create_dir_all(&home).unwrap();
    let log = home.join("net.json");
    let key = identity.pin().replace("sha256/", "");
    let output = Program::new("env")
        .argument(variable("HOME", &home))
        .argument("chromium")
        .args(OPTIONS.split_whitespace())
        .argument(variable("--user-data-dir", &home.join("profile")))
        .argument(variable("--log-net-log", &log))
        .argument(format!("--ignore-certificate-errors-spki-list={key}"))
        .argument(format!("--host-resolver-rules=MAP {host}:443 {address}, MAP * ~NOTFOUND"))
        .args(["--dump-dom", &format!("https://{host}/")])
        .run()
        .expect_success();
    let log = std::fs::read_to_string(log).unwrap();
    Page { document: output.text(), handshakes: handshakes(&log) }
}

fn variable(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}

/// Those events that tell which group the keys were exchanged in.
fn handshakes(log: &str) -> Vec<Value> {
    let log: Value = serde_json::from_str(log).unwrap_or_else(|error| panic!("{error} in {log}"));
    let events = log["events"].as_array().into_iter().flatten();
    let told = events.map(|event| event["params"].clone());
    told.filter(|params| params.get("key_exchange_group").is_some()).collect()
}
