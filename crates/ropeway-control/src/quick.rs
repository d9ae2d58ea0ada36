//! A configuration without a file: one listener, one upstream.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use ropeway_config::schema::Config;
use ropeway_config::{Diagnostic, Diagnostics, Place, Source};

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
        self.draft().text
    }

    /// The configuration.
    ///
    /// # Errors
    /// What is wrong with an argument; places are those of the command line.
    pub fn config(&self) -> Result<Config, Diagnostics> {
        let draft = self.draft();
        let parsed = ropeway_config::parse("command line", &draft.text);
        parsed.map(|loaded| loaded.config).map_err(|errors| CommandLine::of(draft).show(errors))
    }

    fn draft(&self) -> Draft {
        let mut draft = Draft::default();
        draft.line(&match self.admin {
            Some(address) => format!("[admin]\nbind = \"{address}\"\nallow_remote = true\n"),
            None => "[admin]\nenabled = false\n".to_owned(),
        });
        if self.access_log {
            draft.line("[log.access]\noutput = \"stdout\"\n");
        }
        draft.line("[listener.proxy]");
        draft.list("bind", "--listen", &self.listen);
        draft.line("\n[[route]]\nupstream = \"servers\"\n\n[upstream.servers]");
        draft.list("servers", "--to", &self.to);
        if let Some(balance) = &self.balance {
            draft.text.push_str("balance = ");
            draft.value("--balance", balance);
            draft.line("");
        }
        draft
    }
}

/// A configuration that is being written.
#[derive(Default)]
struct Draft {
    text: String,
    arguments: Vec<Argument>,
}

/// A value of the command line, and where the configuration has it.
struct Argument {
    option: &'static str,
    value: String,
    in_draft: Range<usize>,
}

impl Draft {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn list(&mut self, key: &str, option: &'static str, values: &[String]) {
        self.text.push_str(key);
        self.text.push_str(" = [");
        for (index, value) in values.iter().enumerate() {
            self.text.push_str(if index == 0 { "" } else { ", " });
            self.value(option, value);
        }
        self.line("]");
    }

    fn value(&mut self, option: &'static str, value: &str) {
        let start = self.text.len();
        self.text.push_str(&quoted(value));
        let in_draft = start..self.text.len();
        self.arguments.push(Argument { option, value: value.to_owned(), in_draft });
    }
}

/// The command line as it may have been typed, to point at.
struct CommandLine {
    source: Arc<Source>,
    /// Each argument, with its place in `source`.
    arguments: Vec<(Argument, Range<usize>)>,
}

impl CommandLine {
    fn of(draft: Draft) -> CommandLine {
        let mut text = "ropeway proxy".to_owned();
        let mut arguments = Vec::new();
        for argument in draft.arguments {
            text.push_str(&format!(" {} ", argument.option));
            let start = text.len();
            text.push_str(&as_typed(&argument.value));
            arguments.push((argument, start..text.len()));
        }
        CommandLine { source: Source::new("command line", text), arguments }
    }

    /// Has `errors`, which are about a configuration that nobody sees, speak of the command line.
    fn show(&self, errors: Diagnostics) -> Diagnostics {
        Diagnostics(errors.0.into_iter().map(|error| self.show_one(error)).collect())
    }

    fn show_one(&self, mut error: Diagnostic) -> Diagnostic {
        for key in ["bind", "servers", "balance"] {
            if let Some(rest) = error.message.strip_prefix(&format!("`{key}`"))
                && let Some(argument) = self.argument_at(&error.place)
            {
                error.message = format!("`{}`{rest}", argument.0.option);
                break;
            }
        }
        if error.code == "duplicate-bind" && error.related.is_empty() {
            error.help = Some("choose another address here or for `--admin`".to_owned());
        }
        error.place = self.place_of(&error.place);
        for (place, _) in &mut error.related {
            *place = self.place_of(place);
        }
        error
    }

    fn argument_at(&self, place: &Place) -> Option<&(Argument, Range<usize>)> {
        let start = place.span().start;
        self.arguments.iter().find(|(argument, _)| argument.in_draft.contains(&start))
    }

    fn place_of(&self, place: &Place) -> Place {
        let typed = self.argument_at(place).map_or(0..0, |(_, typed)| typed.clone());
        Place::new(Arc::clone(&self.source), typed)
    }
}

/// In quotes, if it needs any.
fn as_typed(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) { value.to_owned() } else { format!("{value:?}") }
}

/// A basic string of TOML, in which the configuration replaces nothing.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '$' => out.push_str("$$"),
            character if character.is_control() => {
                out.push_str(&format!("\\u{:04X}", u32::from(character)));
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

    #[test]
    fn complaints_are_about_the_command_line() {
        let asked = QuickProxy {
            balance: Some("round-robin".to_owned()),
            listen: vec!["127.0.0.1:99999".to_owned()],
            ..proxy(&["127.0.0.1", "a b:80", "127.0.0.1:1", "127.0.0.1:1"])
        };
        let errors = asked.config().unwrap_err();
        let told: Vec<(&str, &str)> = errors
            .iter()
            .map(|error| (error.place.text(), error.message.split(':').next().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("127.0.0.1:99999", "`--listen`"),
                ("127.0.0.1", "`--to`"),
                ("\"a b:80\"", "`--to`"),
                ("127.0.0.1:1", "the upstream `servers` has the server 127.0.0.1"),
                ("round-robin", "`--balance` cannot be \"round-robin\""),
            ]
        );
        let source = errors.iter().next().unwrap().place.source().text().to_owned();
        assert!(
            source.starts_with("ropeway proxy --listen 127.0.0.1:99999 --to 127.0.0.1 --to "),
            "{source}"
        );
    }
}
