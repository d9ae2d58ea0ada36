//! Chromium, without a screen.

use std::path::Path;

use crate::lab::Running;
use crate::program::{Output, Program};
use crate::tls::Identity;

/// What every start needs: nobody is asked anything, and nothing is fetched but what the page names.
const OPTIONS: &str = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
     --disable-background-networking --disable-component-update --disable-sync --disable-default-apps";

/// Opens the page at `/` of a host of the listener `web`, for whose certificate it takes only this one, and gives the
/// document as it is when everything in it is loaded.
#[must_use]
pub fn open_page(lab: &Running, host: &str, identity: &Identity) -> Output {
    let address = lab.proxy.address("web");
    let home = lab.file("browser");
    std::fs::create_dir_all(&home).unwrap();
    let key = identity.pin().replace("sha256/", "");
    Program::new("env")
        .argument(variable("HOME", &home))
        .argument("chromium")
        .args(OPTIONS.split_whitespace())
        .argument(variable("--user-data-dir", &home.join("profile")))
        .argument(format!("--ignore-certificate-errors-spki-list={key}"))
        .argument(format!("--host-resolver-rules=MAP {host}:443 {address}, MAP * ~NOTFOUND"))
        .args(["--dump-dom", &format!("https://{host}/")])
        .run()
        .expect_success()
}

fn variable(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}
