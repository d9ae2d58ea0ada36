//! Something to look at: a proxy in front of three origins of its own, with a little traffic.

mod counts;
mod origin;
mod ports;
mod traffic;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ropeway_config::Diagnostics;
use ropeway_config::schema::Config;

use crate::control::Control;
use crate::run::{self, RunOptions, Source};
use origin::Origin;

/// Names of the origins, and how long each takes to answer: one is visibly slower.
const ORIGINS: [(&str, Duration); 3] = [
    ("one", Duration::from_millis(2)),
    ("two", Duration::from_millis(3)),
    ("three", Duration::from_millis(20)),
];

const READY_POLL: Duration = Duration::from_millis(20);

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Where the proxy listens; when it is taken, on a free port of the same address.
    pub listen: SocketAddr,
    /// Where the admin listener is; when it is taken, on a free port of the same address.
    pub admin: SocketAddr,
    /// Whether to send requests.
    pub traffic: bool,
}

/// Why there is nothing to see.
#[derive(Debug)]
pub enum DemoError {
    /// The system refused a socket or a directory.
    System(io::Error),
    /// The addresses make no configuration.
    Config(Diagnostics),
}

impl std::fmt::Display for DemoError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(error) => write!(out, "the demonstration cannot start: {error}"),
            Self::Config(diagnostics) => write!(out, "{diagnostics}"),
        }
    }
}

impl std::error::Error for DemoError {}

/// Runs until a signal ends it.
///
/// # Errors
/// When it cannot start.
pub fn run(options: DemoOptions) -> Result<ExitCode, DemoError> {
    let origins = ORIGINS
        .iter()
        .map(|(name, delay)| Origin::bind(name, *delay))
        .collect::<io::Result<Vec<_>>>()
        .map_err(DemoError::System)?;
    let listen = ports::wanted_or_free(options.listen).map_err(DemoError::System)?;
    let admin = ports::wanted_or_free(options.admin).map_err(DemoError::System)?;
    let logs = LogDirectory::create().map_err(DemoError::System)?;
    let config = configuration(listen, admin, &origins, &logs.access_log())?;
    print_introduction(options, listen, admin, &origins, &logs.access_log());
    Ok(run::run(RunOptions {
        source: Source::Memory(Box::new(config)),
        on_start: Some(Box::new(move |control| start(control, origins, listen, options.traffic))),
    }))
}

/// Starts what runs beside the proxy, on the control plane's threads.
fn start(control: Arc<Control>, origins: Vec<Origin>, listen: SocketAddr, traffic: bool) {
    for origin in origins {
        tokio::spawn(origin.serve());
    }
    // Weak: the proxy must be able to end while somebody watches it.
    tokio::spawn(counts::show(Arc::downgrade(&control), io::stdout().is_terminal()));
    if traffic {
        tokio::spawn(async move {
            until_ready(control).await;
            traffic::send(listen).await;
        });
    }
}

/// Waits for the first checks, before which no server is used.
async fn until_ready(control: Arc<Control>) {
    while !control.is_ready() && !control.is_draining() {
        tokio::time::sleep(READY_POLL).await;
    }
}

fn configuration(
    listen: SocketAddr,
    admin: SocketAddr,
    origins: &[Origin],
    access_log: &Path,
) -> Result<Config, DemoError> {
    let mut servers = String::new();
    for origin in origins {
        let address = origin.address().map_err(DemoError::System)?;
        servers.push_str(&format!("  {{ name = \"{}\", address = \"{address}\" }},\n", origin.name()));
    }
    let text = format!(
        "[admin]\nbind = \"{admin}\"\nallow_remote = true\n\n\
         [log]\nlevel = \"warn\"\naccess = {{ output = '{}' }}\n\n\
         [listener.web]\nbind = \"{listen}\"\nserver_name_header = \"x-served-by\"\n\n\
         [[route]]\nname = \"everything\"\nupstream = \"origins\"\n\n\
         [upstream.origins]\nservers = [\n{servers}]\nhealth = {{ type = \"http\", interval = \"1s\", timeout = \"500ms\" }}\n",
        access_log.display()
    );
    ropeway_config::parse("demo", &text).map(|loaded| loaded.config).map_err(DemoError::Config)
}

fn print_introduction(
    options: DemoOptions,
    listen: SocketAddr,
    admin: SocketAddr,
    origins: &[Origin],
    access_log: &Path,
) {
    println!("Ropeway demonstration: a load balancer in front of three small servers of its own.\n");
    for origin in origins {
        let address = origin.address().map_or_else(|error| error.to_string(), |address| address.to_string());
        println!("  server {:<6} {address}  answers after {} ms", origin.name(), origin.delay().as_millis());
    }
    println!("\n  proxy         http://{listen}/{}", moved(options.listen, listen));
    println!("  dashboard     http://{admin}/{}", moved(options.admin, admin));
    println!("  access log    {}", access_log.display());
    if options.traffic {
        println!("  traffic       about 40 requests a second of its own (--no-traffic sends none)");
    }
    println!("\nTry it, a few times:\n\n  curl -i http://{listen}/hello\n\nCtrl-C ends it.\n");
}

/// Says so when the wanted address was taken.
fn moved(wanted: SocketAddr, got: SocketAddr) -> String {
    if wanted == got || wanted.port() == 0 { String::new() } else { format!("  ({wanted} is taken)") }
}

/// A directory for the access log, removed at the end.
#[derive(Debug)]
struct LogDirectory(PathBuf);

impl LogDirectory {
    /// Fails when something of that name is there already, so that nobody else can have put a link there.
    fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("ropeway-demo-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn access_log(&self) -> PathBuf {
        self.0.join("access.log")
    }
}

impl Drop for LogDirectory {
    fn drop(&mut self) {
        // What is left in the directory for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one() {
        let origins: Vec<Origin> =
            ORIGINS.iter().map(|(name, delay)| Origin::bind(name, *delay).unwrap()).collect();
        let listen = "127.0.0.1:8080".parse().unwrap();
        let admin = "127.0.0.1:9900".parse().unwrap();
        let config = configuration(listen, admin, &origins, Path::new("/tmp/demo/access.log")).unwrap();
        assert_eq!(config.upstreams[0].servers.len(), ORIGINS.len());
        assert!(config.log.access.is_some());
    }

    #[test]
    fn a_taken_address_is_mentioned() {
        let (wanted, other) = ("127.0.0.1:8080".parse().unwrap(), "127.0.0.1:4321".parse().unwrap());
        assert_eq!(moved(wanted, wanted), "");
        assert_eq!(moved(wanted, other), "  (127.0.0.1:8080 is taken)");
        assert_eq!(moved("127.0.0.1:0".parse().unwrap(), other), "");
    }
}
