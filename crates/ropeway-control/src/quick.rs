//! A configuration without a file: one listener, one upstream.

use std::fmt::Write;
use std::net::SocketAddr;

use ropeway_config::Diagnostics;
use ropeway_config::schema::Config;

/// What a whole configuration is made from.
#[derive(Clone, Debug)]
pub struct QuickProxy {
    /// Addresses to listen on.
    pub listen: Vec<String>,
    /// The servers, as in the `servers` of an upstream.
    pub to: Vec<String>,
    /// The `balance` of the upstream; `None` for its default.
    pub balance: Option<String>,
    /// The admin listener; `None` switches it off.
    pub admin: Option<SocketAddr>,
    /// Whether access records go to standard output.
    pub access_log: bool,
}

impl QuickProxy {
    /// The configuration as a file would hold it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = match self.admin {
            Some(address) => writeln!(text, "[admin]\nbind = \"{address}\"\nallow_remote = true\n"),
            None => writeln!(text, "[admin]\nenabled = false\n"),
        };
        if self.access_log {
            text.push_str("[log.access]\noutput = \"stdout\"\n\n");
        }
        let _ = writeln!(text, "[listener.proxy]\nbind = {}\n", list(&self.listen));
        text.push_str("[[route]]\nupstream = \"servers\"\n\n");
        let _ = writeln!(text, "[upstream.servers]\nservers = {}", list(&self.to));
        if let Some(balance) = &self.balance {
            let _ = writeln!(text, "balance = {}", quoted(balance));
        }
        text
    }

    /// The configuration.
    ///
    /// # Errors
    /// What is wrong with an address or another value.
    pub fn config(&self) -> Result<Config, Diagnostics> {
        ropeway_config::parse("command line", &self.text()).map(|loaded| loaded.config)
    }
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
}

/// A basic string of TOML, in which the configuration replaces nothing.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '$' => out.push_str("$$"),
            character if character.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(to: &[&str]) -> QuickProxy {
        QuickProxy {
            listen: vec!["127.0.0.1:8080".to_owned()],
            to: to.iter().map(|server| (*server).to_owned()).collect(),
            balance: None,
            admin: None,
            access_log: false,
        }
    }

    #[test]
    fn a_few_words_become_a_configuration() {
        let config = proxy(&["127.0.0.1:8001", "app.internal:80"]).config().unwrap();
        assert_eq!(config.upstreams[0].servers.len(), 2);
        assert_eq!(config.routes.len(), 1);
        assert!(!config.admin.enabled);
        assert!(config.log.access.is_none());
    }

    #[test]
    fn everything_can_be_asked_for() {
        let asked = QuickProxy {
            balance: Some("least_connections".to_owned()),
            admin: Some("127.0.0.1:9900".parse().unwrap()),
            access_log: true,
            ..proxy(&["127.0.0.1:8001"])
        };
        let config = asked.config().unwrap();
        assert!(config.admin.enabled && config.log.access.is_some());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for words in ["not an address", "a\"b", "${HOME}", "line\nbreak"] {
            assert!(proxy(&[words]).config().is_err(), "{words}");
        }
    }
}
