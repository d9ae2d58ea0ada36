//! Where the addresses of a name come from.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// What a lookup that is under way will give.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send + 'a>>;

/// Resolves names. A trait so that tests can script the answers.
pub trait Source: Send + Sync + 'static {
    /// Looks a name up. The error says in words why there is no address.
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a>;
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// At least one address.
    pub addresses: Vec<IpAddr>,
    /// How long the answer may be used.
    pub ttl: Duration,
}

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Name servers; empty takes those of the system.
    pub servers: Vec<SocketAddr>,
    /// The longest time until a name is looked up again, whatever its TTL says.
    pub interval: Duration,
    /// How long a name server may take to answer.
    pub timeout: Duration,
}

/// The files that the system's resolver is made from.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// DNS and the hosts file, through one resolver that all names share.
pub struct Dns {
    settings: DnsSettings,
    resolver: Mutex<Option<Built>>,
}

/// A resolver, and the state of the system's files that it was made from.
struct Built {
    resolver: Arc<TokioResolver>,
    files: [Option<SystemTime>; SYSTEM_FILES.len()],
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Dns {
    /// A resolver with these settings. Nothing is read or sent before the first lookup.
    #[must_use]
    pub fn new(settings: DnsSettings) -> Self {
        Self { settings, resolver: Mutex::new(None) }
    }

    /// The shared resolver. It is made again when the system's files have changed, which the resolver itself does
    /// not notice.
    fn resolver(&self) -> Result<Arc<TokioResolver>, String> {
        let files = SYSTEM_FILES.map(modified);
        let mut built = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref().filter(|built| built.files == files) {
            return Ok(Arc::clone(&built.resolver));
        }
        let resolver = build(&self.settings).map(Arc::new).map_err(|error| error.to_string())?;
        *built = Some(Built { resolver: Arc::clone(&resolver), files });
        Ok(resolver)
    }
}

impl Source for Dns {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let found = self.resolver()?.lookup_ip(host).await.map_err(|error| describe(&error))?;
            let ttl = found.valid_until().saturating_duration_since(Instant::now());
            let addresses: Vec<IpAddr> = found.iter().collect();
            if addresses.is_empty() {
                return Err("the name has no address".to_owned());
            }
            Ok(Answer { addresses, ttl })
        })
    }
}

/// The usual failures in words.
fn describe(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no name server answered in time".to_owned(),
        error if error.is_nx_domain() => "there is no such name".to_owned(),
        error if error.is_no_records_found() => "the name has no address".to_owned(),
        error => error.to_string(),
    }
}

fn build(settings: &DnsSettings) -> Result<TokioResolver, NetError> {
    let mut builder = if settings.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let config = ResolverConfig::from_name_servers(name_servers(&settings.servers));
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    tune(builder.options_mut(), settings);
    builder.build()
}

fn tune(options: &mut ResolverOpts, settings: &DnsSettings) {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = settings.timeout;
    // A name that was just created must not stay unknown for the hours that its zone allows: we ask again soon.
    options.negative_max_ttl = Some(Duration::from_secs(1));
    options.positive_max_ttl = Some(settings.interval);
}

/// One entry per address, with UDP and TCP on the port given.
fn name_servers(addresses: &[SocketAddr]) -> Vec<NameServerConfig> {
    let mut seen = HashSet::new();
    let unique = addresses.iter().filter(|address| seen.insert(**address));
    let with_port = |mut connection: ConnectionConfig, port| {
        connection.port = port;
        connection
    };
    unique
        .map(|address| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(|connection| with_port(connection, address.port()));
            NameServerConfig::new(address.ip(), true, connections.into())
        })
        .collect()
}

fn modified(path: &str) -> Option<SystemTime> {
    Path::new(path).metadata().and_then(|metadata| metadata.modified()).ok()
}
