use std::io::Write;
use std::net::{SocketAddr, TcpListener as StdListener};

use ropeway_config::Severity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::fixture::until;
use crate::log::test_directory::TestDirectory;
use crate::ticker;

/// A proxy with a file that can be written again.
struct Lab {
    directory: TestDirectory,
    control: Arc<Control>,
}

impl Lab {
    fn start(text: &str) -> Self {
        let directory = TestDirectory::new();
        let file = directory.path().join("ropeway.toml");
        std::fs::write(&file, text).unwrap();
        let config = ropeway_config::load(&file).unwrap().config;
        let input =
            StartInput { config, source: Source::File(file), process_log: None, handle: Handle::current() };
        let control = Control::start(input).unwrap_or_else(|error| panic!("{error}"));
        tokio::spawn(ticker::run(Arc::downgrade(&control)));
        Self { directory, control }
    }

    fn reload(&self, text: &str) -> Result<Diff, ReloadError> {
        std::fs::write(self.directory.path().join("ropeway.toml"), text).unwrap();
        self.control.reload()
    }

    async fn client(&self) -> Client {
        let (_, address) = self.control.runtime().local_addresses().remove(0);
        Client(TcpStream::connect(address).await.unwrap())
    }

    fn events(&self) -> Vec<EventKind> {
        self.control.events().list().iter().map(|event| event.kind).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.control.finish();
    }
}

/// A client with one connection.
struct Client(TcpStream);

impl Client {
    /// Sends a request and answers the status of the response and its body, which is one byte long if it is an
    /// origin's.
    async fn get(&mut self) -> (u16, String) {
        self.0.write_all(b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n").await.unwrap();
        let mut response = Vec::new();
        loop {
            assert_ne!(self.0.read_buf(&mut response).await.unwrap(), 0, "the connection was closed");
            let text = str::from_utf8(&response).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && !body.is_empty()
            {
                return (head[9..12].parse().unwrap(), body.to_owned());
            }
        }
    }
}

/// A server whose responses are its name, of one letter.
async fn origin(name: char) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}");
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        stream.write_all(response.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

fn file(servers: &str, more: &str) -> String {
    format!(
        "workers = 1\n[admin]\nenabled = false\n[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
         [upstream.app]\nservers = [{servers}]\n{more}"
    )
}

fn ok(name: &str) -> (u16, String) {
    (200, name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_servers_under_an_open_connection() {
    let (a, b) = (origin('a').await, origin('b').await);
    let lab = Lab::start(&file(&format!("\"{a}\""), ""));
    let mut client = lab.client().await;
    assert_eq!(client.get().await, ok("a"));
    let address = lab.control.runtime().local_addresses();

    let diff = lab.reload(&file(&format!("\"{b}\""), "panic_threshold = 10")).unwrap();
    assert_eq!(diff.servers.added, [format!("app/{b}")]);
    assert_eq!(diff.servers.removed, [format!("app/{a}")]);
    assert_eq!((diff.generation, lab.control.snapshot().generation), (2, 2));
    assert_eq!((diff.bound.len(), diff.closed.len()), (0, 0));
    assert_eq!(client.get().await, ok("b"));
    assert_eq!(lab.control.runtime().local_addresses(), address, "the same socket");
    assert_eq!(lab.control.config().upstreams[0].panic_threshold, 10);
    assert_eq!(lab.events(), [EventKind::Started, EventKind::Reloaded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_servers_are_checked_before_their_first_request() {
    let (a, b) = (origin('a').await, origin('b').await);
    let checked = "health = { type = \"http\", interval = \"1h\", timeout = \"1s\" }";
    let lab = Lab::start(&file(&format!("\"{a}\""), ""));
    let mut client = lab.client().await;
    for (name, servers, expected) in [
        ("by-address", format!("\"{b}\""), "b"),
        ("by-name", format!("\"localhost:{}\"", a.port()), "a"),
        ("renamed", format!("\"{b}\""), "b"),
    ] {
        let text = file(&servers, checked).replace("app", name);
        assert_eq!(lab.reload(&text).unwrap().upstreams.added, [name]);
        assert_eq!(client.get().await, ok(expected), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_prepared_in_vain_ends() {
    let a = origin('a').await;
    let lab = Lab::start(&file(&format!("\"{a}\""), ""));
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let more =
        format!("health = {{ type = \"tcp\" }}\n[listener.more]\nbind = \"{}\"", taken.local_addr().unwrap());
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    lab.reload(&file(&format!("\"{a}\", \"localhost:1\""), &more)).unwrap_err();
    until("no check and no look-up is left", || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing() {
    let a = origin('a').await;
    let lab = Lab::start(&file(&format!("\"{a}\""), ""));
    let mut client = lab.client().await;
    let error = lab.reload(&file("\"127.0.0.1\"", "blance = \"random\"")).unwrap_err();
    let ReloadError::Config(diagnostics) = &error else { panic!("{error}") };
    assert_eq!(diagnostics.iter().filter(|one| one.severity == Severity::Error).count(), 2, "{error}");
    assert_eq!(client.get().await, ok("a"));
    assert_eq!(lab.control.snapshot().generation, 1);
    assert_eq!(lab.events(), [EventKind::Started, EventKind::ReloadFailed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_changes_nothing() {
    let (a, b) = (origin('a').await, origin('b').await);
    let lab = Lab::start(&file(&format!("\"{a}\""), ""));
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let more = format!("[listener.more]\nbind = \"{}\"", taken.local_addr().unwrap());
    let error = lab.reload(&file(&format!("\"{b}\""), &more)).unwrap_err();
    assert!(matches!(&error, ReloadError::Bind(bind) if bind.listener == "more"), "{error}");
    assert_eq!(lab.client().await.get().await, ok("a"));
    assert_eq!(lab.control.snapshot().generation, 1);

    drop(taken);
    let diff = lab.reload(&file(&format!("\"{b}\""), &more)).unwrap();
    assert_eq!(diff.listeners.added, ["more"]);
    assert_eq!(diff.bound.len(), 1);
    let diff = lab.reload(&file(&format!("\"{b}\""), "")).unwrap();
    assert_eq!((diff.listeners.removed.len(), diff.closed.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_takes_a_server_out_and_back() {
    let (a, b) = (origin('a').await, origin('b').await);
    let servers = format!("{{ address = \"{a}\", name = \"a\" }}, {{ address = \"{b}\", name = \"b\" }}");
    let lab = Lab::start(&file(&servers, ""));
    let mut client = lab.client().await;
    lab.control.set_admin_state("app", "a", AdminState::Drain).unwrap();
    assert_eq!([client.get().await, client.get().await], [ok("b"), ok("b")]);
    lab.reload(&file(&servers, "panic_threshold = 10")).unwrap();
    assert_eq!([client.get().await, client.get().await], [ok("b"), ok("b")], "a reload does not forget it");

    lab.control.set_admin_state("app", "a", AdminState::Ready).unwrap();
    lab.control.set_weight("app", "b", Some(0)).unwrap();
    assert_eq!([client.get().await, client.get().await], [ok("a"), ok("a")]);
    let unknown = lab.control.set_weight("app", "c", None).unwrap_err();
    assert_eq!(unknown.to_string(), "upstream `app` has no server `c`");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_waits_for_the_first_checks_and_ends_with_the_drain() {
    let a = origin('a').await;
    let health = "health = { type = \"http\", interval = \"1h\", timeout = \"1s\" }";
    let lab = Lab::start(&file(&format!("\"{a}\""), health));
    until("ready", || lab.control.is_ready()).await;
    assert_eq!(lab.client().await.get().await, ok("a"));
    let upstream = Arc::clone(&lab.control.snapshot().upstreams[0]);
    assert!(lab.control.last_check(&upstream, &upstream.servers[0]).unwrap().ok);

    lab.control.drain();
    assert!(!lab.control.is_ready());
    let error = lab.reload(&file(&format!("\"{a}\""), "")).unwrap_err();
    assert!(matches!(error, ReloadError::Draining));
    until("drained", || lab.control.runtime().is_drained()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ejections_are_told_and_end() {
    let a = origin('a').await;
    let gone = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let passive = "passive = { connect_failures = 1, eject = \"100ms\" }";
    let lab = Lab::start(&file(&format!("\"{a}\", \"{gone}\""), passive));
    let mut client = lab.client().await;
    let told = |what: &str| lab.control.events().list().iter().any(|event| event.message.ends_with(what));
    assert_eq!([client.get().await, client.get().await], [ok("a"), ok("a")], "a retry hides it");
    until("ejected", || told(&format!("{gone} is ejected"))).await;
    until("back", || told(&format!("{gone} is no longer ejected"))).await;
    assert_eq!(lab.control.snapshot().upstreams[0].choice().table.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_there_is_nothing_to_reload() {
    let config = ropeway_config::parse("made", &file("\"127.0.0.1:1\"", "")).unwrap().config;
    let source = Source::Memory(Box::new(config.clone()));
    let input = StartInput { config, source, process_log: None, handle: Handle::current() };
    let control = Control::start(input).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(control.reload(), Err(ReloadError::NoFile)));
    control.finish();
}

/// A configuration whose access log goes to `log`.
fn logging_to(log: &std::path::Path) -> String {
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
         [upstream.app]\nservers = [\"127.0.0.1:1\"]\n[log.access]\noutput = \"{}\"\n",
        log.display()
    )
}

#[tokio::test]
async fn an_access_log_that_cannot_be_written_refuses_the_start() {
    let directory = TestDirectory::new();
    let file = directory.path().join("ropeway.toml");
    std::fs::write(&file, logging_to(&directory.path().join("missing/access.log"))).unwrap();
    let config = ropeway_config::load(&file).unwrap().config;
    let input =
        StartInput { config, source: Source::File(file), process_log: None, handle: Handle::current() };
    let Err(StartError::Config(errors)) = Control::start(input) else { panic!("it started") };
    let text = errors.to_string();
    for part in ["missing/access.log", "log.access.output", "No such file", "create the directory"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_log_that_cannot_be_written_refuses_the_reload_unless_it_was_there_before() {
    let logs = TestDirectory::new();
    let inner = logs.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let lab = Lab::start(&logging_to(&inner.join("access.log")));
    let Err(ReloadError::Config(errors)) = lab.reload(&logging_to(logs.path())) else { panic!("reloaded") };
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), ["unwritable-log"]);
    assert_eq!(lab.control.snapshot().generation, 1);
    // What breaks while the process runs is no reason to keep the operator from other changes.
    std::fs::remove_dir_all(&inner).unwrap();
    assert!(lab.reload(&(logging_to(&inner.join("access.log")) + "[limits]\nrequests = 9\n")).is_ok());
    std::fs::create_dir(&inner).unwrap();
    assert!(lab.reload(&logging_to(&inner.join("other.log"))).is_ok());
    assert!(inner.join("other.log").exists());
}

/// Whoever reads the file holds up everybody else who would change something: a file that changed beside it, such as a
/// list of revoked certificates, must not bring the configuration back that was read before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_later_is_put_into_service_later() {
    let (a, b) = (origin('a').await, origin('b').await);
    let lab = Lab::start(&file(&format!("\"{a}\""), ""));
    let path = lab.directory.path().join("ropeway.toml");
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let control = Arc::clone(&lab.control);
    let reload = std::thread::spawn(move || control.reload());
    // Opens once the reload has begun to read.
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    assert!(lab.control.reloading.try_lock().is_err(), "nobody else may begin");
    let control = Arc::clone(&lab.control);
    let rebuild = std::thread::spawn(move || control.rebuild());
    pipe.write_all(file(&format!("\"{b}\""), "").as_bytes()).unwrap();
    drop(pipe);
    reload.join().unwrap().unwrap();
    rebuild.join().unwrap().unwrap();
    assert_eq!(lab.client().await.get().await, ok("b"));
}
