//! The laboratory: origins, the proxy in front of them, and clients.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::admin::Admin;
use crate::client::{Client, Connection};
use crate::origin::Origin;
use crate::proxy::{Proxy, Surroundings};
use crate::tempdir::TempDir;
use crate::wait::eventually;

/// The smallest useful file: one listener, one route, one upstream with all origins.
pub const SMALLEST: &str = r#"
[listener.web]
bind = "127.0.0.1:0"

[[route]]
upstream = "app"

[upstream.app]
servers = [@all]
"#;

/// A laboratory that is being set up.
pub struct Lab {
    origins: Vec<Origin>,
    config: String,
    workers: usize,
    surroundings: Surroundings,
    files: Vec<(String, String)>,
}

/// A laboratory at work. Everything in it ends with it.
pub struct Running {
    /// The proxy.
    pub proxy: Proxy,
    origins: Vec<Origin>,
    workers: usize,
    surroundings: Surroundings,
    directory: TempDir,
}

impl Lab {
    /// A laboratory with the smallest file, one worker and no origin.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a lab is always written out in a test")]
    pub fn new() -> Self {
        Self {
            origins: Vec::new(),
            config: SMALLEST.into(),
            workers: 1,
            surroundings: Surroundings::default(),
            files: Vec::new(),
        }
    }

    /// Adds `count` origins that answer with their number, counted from 1.
    #[must_use]
    pub fn origins(mut self, count: usize) -> Self {
        for number in 1..=count {
            self.origins.push(Origin::saying(&number.to_string()));
        }
        self
    }

    /// Adds an origin.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Sets the file. In it stand `@1` for the address of the first origin, `@all` for all of them as quoted list
    /// members, and `@dir` for the directory of the file. `workers` and an `[admin]` on a free port are added.
    #[must_use]
    pub fn config(mut self, config: &str) -> Self {
        config.clone_into(&mut self.config);
        self
    }

    /// The smallest file with more in it: `listener`, `route` and `upstream` go to the end of each table.
    #[must_use]
    pub fn with(self, listener: &str, route: &str, upstream: &str) -> Self {
        self.config(&file(listener, route, upstream))
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets a variable in the environment of the proxy.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.surroundings.environment.push((name.into(), value.into()));
        self
    }

    /// Limits the descriptors of the proxy.
    #[must_use]
    pub fn descriptors(mut self, most: u32) -> Self {
        self.surroundings.descriptors = Some(most);
        self
    }

    /// Puts a file beside the configuration, which can name it by `name`.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// Starts the proxy and waits until it is ready.
    #[must_use]
    pub fn start(self) -> Running {
        let directory = TempDir::new();
        for (name, text) in &self.files {
            let file = directory.file(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let path = directory.file("ropeway.toml");
        write_config(&path, &self.config, self.workers, &self.origins, directory.path());
        let proxy = Proxy::start(&path, &self.surroundings);
        let Self { origins, workers, surroundings, .. } = self;
        Running { proxy, origins, workers, surroundings, directory }
    }
}

/// The smallest file with more lines at the end of its listener, its route and its upstream.
#[must_use]
pub fn file(listener: &str, route: &str, upstream: &str) -> String {
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n{listener}\n\
         [[route]]\nupstream = \"app\"\n{route}\n\
         [upstream.app]\nservers = [@all]\n{upstream}\n"
    )
}

fn write_config(path: &Path, text: &str, workers: usize, origins: &[Origin], directory: &Path) {
    let mut text = format!("workers = {workers}\n{text}");
    if !text.contains("[admin]") {
        text += "\n[admin]\nbind = \"127.0.0.1:0\"\n";
    }
    let all: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    text = text.replace("@all", &all.join(", ")).replace("@dir", &directory.to_string_lossy());
    for (index, origin) in origins.iter().enumerate().rev() {
        text = text.replace(&format!("@{}", index + 1), &origin.address().to_string());
    }
    let staged = path.with_extension("new");
    std::fs::write(&staged, text).unwrap();
    std::fs::rename(&staged, path).unwrap();
}

impl Running {
    /// A client of the listener `web`.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_of("web")
    }

    /// A client of a listener.
    #[must_use]
    pub fn client_of(&self, listener: &str) -> Client {
        Client::new(self.proxy.address(listener))
    }

    /// A connection to the listener `web`.
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.client().connect()
    }

    /// The admin listener.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        self.proxy.admin()
    }

    /// An origin, counted from 1.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn origin(&self, number: usize) -> &Origin {
        &self.origins[number - 1]
    }

    /// An origin, counted from 1, to stop or start it.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn origin_mut(&mut self, number: usize) -> &mut Origin {
        &mut self.origins[number - 1]
    }

    /// The bodies of `count` requests, one after the other on connections of their own.
    #[must_use]
    pub fn answers(&self, count: usize) -> Vec<String> {
        let client = self.client();
        (0..count).map(|_| client.get("/").expect(200).text()).collect()
    }

    /// The path of a file in the lab's directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.file(name)
    }

    /// Puts a file into the place of one in the lab's directory, in one step.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn replace_file(&self, name: &str, text: &str) {
        let path = self.file(name);
        let staged = path.with_extension("new");
        std::fs::write(&staged, text).unwrap();
        std::fs::rename(&staged, path).unwrap();
    }

    /// Replaces the file and asks the proxy to load it, without waiting.
    pub fn request_reload(&self, config: &str) {
        write_config(self.proxy.config(), config, self.workers, &self.origins, self.directory.path());
        self.proxy.signal(Signal::HUP);
    }

    /// Replaces the file and waits until the proxy has taken it.
    pub fn reload(&self, config: &str) {
        let before = self.generation();
        self.request_reload(config);
        eventually("the reload", || (self.generation() != before).then_some(()));
    }

    /// Ends the process in an orderly way and starts another one with the same files. Ports are others.
    pub fn restart(&mut self) {
        self.proxy.signal(Signal::TERM);
        assert!(self.proxy.wait().success(), "{}", self.proxy.transcript());
        self.proxy = Proxy::start(self.proxy.config(), &self.surroundings);
    }

    /// The generation of the configuration in use.
    #[must_use]
    pub fn generation(&self) -> Value {
        self.admin().status()["generation"].clone()
    }

    /// Waits until `/status` shows a server in a state.
    pub fn wait_for_state(&self, upstream: &str, number: usize, state: &str) {
        eventually(&format!("server {number} of {upstream} is {state}"), || {
            (self.admin().server(upstream, number)["state"] == state).then_some(())
        });
    }

    /// Asserts that the only thing any origin ever received are whole requests to the given targets, in that order.
    ///
    /// A request for `/sentinel` is sent first, so that whatever is still under way has had its time to arrive.
    #[track_caller]
    pub fn expect_origin_saw_only(&self, targets: &[&str]) {
        let _ = self.client().get("/sentinel");
        let bytes: Vec<String> = self
            .origins
            .iter()
            .flat_map(Origin::bytes)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        let requests: Vec<_> = self.origins.iter().flat_map(Origin::requests).collect();
        let mut seen: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
        let sentinels = seen.iter().filter(|target| **target == "/sentinel").count();
        assert!(sentinels >= 1, "the sentinel did not arrive: {bytes:?}");
        seen.retain(|target| *target != "/sentinel");
        assert_eq!(seen, targets, "{bytes:?}");
        let whole: usize = requests.iter().map(wire_length).sum();
        let received: usize = self.origins.iter().flat_map(Origin::bytes).map(|bytes| bytes.len()).sum();
        assert_eq!(received, whole, "bytes that belong to no request: {bytes:?}");
    }
}

/// How many bytes a request took on the wire, chunk framing included.
fn wire_length(request: &crate::Request) -> usize {
    let lines: usize = request.body.chunk_lines.iter().map(|line| line.len() + 2).sum();
    let ends = request.body.chunk_lines.iter().filter(|line| !line.starts_with("0")).count() * 2;
    let trailers: usize =
        request.body.trailers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let last = if request.body.chunk_lines.is_empty() { 0 } else { 2 };
    request.head.len() + request.body.data.len() + lines + ends + trailers + last
}
