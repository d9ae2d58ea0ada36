//! Addresses: where to listen, whom to trust, which servers to call.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::kind::{Text, TextError};

/// Where the admin listener is, unless told otherwise.
pub(super) const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);

const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

impl Text for SocketAddr {
    const WHAT: &'static str = "an IP address and port";
    const EXAMPLE: &'static str = "0.0.0.0:8080";

    fn parse(text: &str) -> Result<SocketAddr, TextError> {
        text.parse().map_err(|_| explain_bind(text))
    }

    fn stand_in() -> SocketAddr {
        NOBODY
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

fn explain_bind(text: &str) -> TextError {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return TextError::because("the port is missing").meant(SocketAddr::new(ip, 8080).to_string());
    }
    if has_impossible_port(text) {
        return bad_port();
    }
    let port = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).unwrap_or(text);
    if port.parse::<u16>().is_ok() {
        let help = format!(
            "write \"0.0.0.0:{port}\" for every IPv4 address, \"[::]:{port}\" for every IPv6 address"
        );
        return TextError::because("the address is missing").meant(format!("0.0.0.0:{port}")).help(help);
    }
    if let Some(port) = text.strip_prefix("localhost:").filter(|port| port.parse::<u16>().is_ok()) {
        return TextError::because("a name cannot be bound").meant(format!("127.0.0.1:{port}"));
    }
    TextError::default().help("write \"0.0.0.0:8080\", \"127.0.0.1:8080\" or \"[::]:8080\"")
}

/// A network, such as `10.0.0.0/8`. A single address is the network that holds only it.
impl Text for IpNet {
    const WHAT: &'static str = "a network or an address";
    const EXAMPLE: &'static str = "10.0.0.0/8";

    fn parse(text: &str) -> Result<IpNet, TextError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(IpNet::from(ip));
        }
        let help = "write a network such as \"10.0.0.0/8\" or \"fd00::/8\", or one address";
        let network: IpNet = text.parse().map_err(|_| TextError::default().help(help))?;
        if network.addr() != network.network() {
            let why = "the address has bits outside of the network";
            return Err(TextError::because(why).meant(network.trunc().to_string()));
        }
        Ok(network)
    }

    fn stand_in() -> IpNet {
        IpNet::from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// A DNS server: address, and port 53 unless given.
pub(super) struct NameServer(pub SocketAddr);

impl Text for NameServer {
    const WHAT: &'static str = "the IP address of a name server";
    const EXAMPLE: &'static str = "127.0.0.1:53";

    fn parse(text: &str) -> Result<NameServer, TextError> {
        let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        bare.or_else(|_| text.parse()).map(NameServer).map_err(|_| match has_impossible_port(text) {
            true => bad_port(),
            false => TextError::default()
                .help("write an address such as \"127.0.0.1\", or with a port \"127.0.0.1:53\""),
        })
    }

    fn stand_in() -> NameServer {
        NameServer(NOBODY)
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A host name, to be resolved, and port. Lower case, without a dot at the end.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Ip(address) => address.fmt(out),
            ServerAddress::Name { host, port } => write!(out, "{host}:{port}"),
            ServerAddress::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

impl ServerAddress {
    /// True for a host name or an address, with or without a port: what a Host field may hold.
    pub(super) fn is_authority(text: &str) -> bool {
        let host = text
            .rsplit_once(':')
            .filter(|(_, port)| port.parse::<u16>().is_ok())
            .map_or(text, |(host, _)| host);
        let is_ip =
            text.parse::<SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_ip || is_host_name(host)
    }
}

/// The longest path that fits into `sockaddr_un` with its closing NUL.
const LONGEST_UNIX_PATH: usize = 107;

impl Text for ServerAddress {
    const WHAT: &'static str = "the address of a server";
    const EXAMPLE: &'static str = "127.0.0.1:8001";

    fn parse(text: &str) -> Result<ServerAddress, TextError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix(path);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 { Err(bad_port()) } else { Ok(ServerAddress::Ip(address)) };
        }
        parse_name(text)
    }

    fn stand_in() -> ServerAddress {
        ServerAddress::Ip(NOBODY)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

fn parse_unix(path: &str) -> Result<ServerAddress, TextError> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(TextError::because("the path of a Unix socket starts with `/`")
            .help("write \"unix:/run/app.sock\""));
    }
    if path.len() > LONGEST_UNIX_PATH {
        return Err(TextError::because(format!(
            "the path of a Unix socket has at most {LONGEST_UNIX_PATH} bytes"
        )));
    }
    Ok(ServerAddress::Unix(PathBuf::from(path)))
}

fn parse_name(text: &str) -> Result<ServerAddress, TextError> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let why = format!("an address, not a URL: leave out `{scheme}://`");
        return Err(
            TextError::because(why).meant(with_port(rest.split('/').next().unwrap_or_default(), scheme))
        );
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(TextError::because("the port is missing").meant(SocketAddr::new(ip, 80).to_string()));
    }
    if has_impossible_port(text) {
        return Err(bad_port());
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        let error = TextError::because("the port is missing");
        return Err(if is_host_name(text) { error.meant(format!("{text}:80")) } else { error });
    };
    if !is_host_name(host) {
        return Err(TextError::because("this is neither an IP address nor a host name")
            .help("write \"10.0.0.1:80\", \"[fd00::1]:80\", \"name.example:80\" or \"unix:/run/app.sock\""));
    }
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad_port)?;
    Ok(ServerAddress::Name { host: host.trim_end_matches('.').to_ascii_lowercase(), port })
}

fn with_port(authority: &str, scheme: &str) -> String {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "https") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    }
}

/// True for an IP address with a number behind it that is no port.
fn has_impossible_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_ip = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_ip && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_err()
    })
}

fn bad_port() -> TextError {
    TextError::because("a port is a number from 1 to 65535")
}

/// Letters, digits, `-` and `_` in labels of 1 to 63 bytes, 253 in all (RFC 1123 section 2.1, and the underscore that
/// is common in practice). A name of digits and dots only would be a mistyped address.
#[must_use]
pub fn is_host_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host.len() <= 253 && !numeric && host.split('.').all(label_fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<String, Option<String>> {
        ServerAddress::parse(text).map(|address| address.to_string()).map_err(|error| error.meant)
    }

    #[test]
    fn server_addresses() {
        for good in ["127.0.0.1:8001", "[::1]:80", "app.example:80", "my_app-1:3000", "unix:/run/app.sock"] {
            assert_eq!(server(good).as_deref(), Ok(good));
        }
        assert_eq!(server("App.Example.:80").as_deref(), Ok("app.example:80"));
    }

    #[test]
    fn server_addresses_that_are_nearly_right() {
        assert_eq!(server("app.example"), Err(Some("app.example:80".to_owned())));
        assert_eq!(server("10.0.0.1"), Err(Some("10.0.0.1:80".to_owned())));
        assert_eq!(server("::1"), Err(Some("[::1]:80".to_owned())));
        assert_eq!(server("https://app.example/x"), Err(Some("app.example:443".to_owned())));
        assert_eq!(server("http://app.example:81"), Err(Some("app.example:81".to_owned())));
        for bad in
            ["", ":80", "app:0", "127.0.0.1:0", "app:70000", "a b:80", "10.0.0.256:80", "unix:app", "-a:80"]
        {
            assert_eq!(server(bad), Err(None), "{bad}");
        }
    }

    #[test]
    fn bind_addresses() {
        let meant = |text| SocketAddr::parse(text).map_err(|error| error.meant);
        assert_eq!(meant("[::]:80"), Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80)));
        assert_eq!(meant(":8080"), Err(Some("0.0.0.0:8080".to_owned())));
        assert_eq!(meant("*:8080"), Err(Some("0.0.0.0:8080".to_owned())));
        assert_eq!(meant("8080"), Err(Some("0.0.0.0:8080".to_owned())));
        assert_eq!(meant("0.0.0.0"), Err(Some("0.0.0.0:8080".to_owned())));
        assert_eq!(meant("localhost:80"), Err(Some("127.0.0.1:80".to_owned())));
        assert_eq!(meant("example.com:80"), Err(None));
    }

    #[test]
    fn networks() {
        let network =
            |text| IpNet::parse(text).map(|network| network.to_string()).map_err(|error| error.meant);
        assert_eq!(network("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(network("10.1.2.3").as_deref(), Ok("10.1.2.3/32"));
        assert_eq!(network("::1").as_deref(), Ok("::1/128"));
        assert_eq!(network("10.1.2.3/8"), Err(Some("10.0.0.0/8".to_owned())));
        assert_eq!(network("10.0.0.0/33"), Err(None));
    }
}
