//! What a reload changed, or why it did not.

use std::fmt;

use ropeway_config::schema::{Config, Listener, Route, Server, Upstream};
use ropeway_config::{Diagnostic, Diagnostics, Style};
use ropeway_proxy::runtime::BindError;

/// How many changes of a kind are named when they are put into words.
const MOST_NAMED: usize = 5;

/// What a reload changed.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// The generation of the snapshot that is in service now.
    pub generation: u64,
    /// Listeners, by name.
    pub listeners: Changes,
    /// Routes, by name.
    pub routes: Changes,
    /// Upstreams, by name.
    pub upstreams: Changes,
    /// Servers, as `upstream/name`.
    pub servers: Changes,
    /// Files of TLS that hold something else than before, by their paths.
    pub files: Changes,
    /// Tables with other settings that are of no listener, route or upstream.
    pub settings: Vec<&'static str>,
    /// Addresses that are listened on since.
    pub bound: Vec<String>,
    /// Addresses that are no longer listened on.
    pub closed: Vec<String>,
    /// Keys whose new values count from the next start of the process only.
    pub needs_restart: Vec<&'static str>,
    /// What is questionable in the new configuration.
    pub warnings: Vec<Diagnostic>,
}

/// The difference between two sets of named things; each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Only in the new set.
    pub added: Vec<String>,
    /// Only in the old set.
    pub removed: Vec<String>,
    /// In both, with other settings.
    pub changed: Vec<String>,
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub enum ReloadError {
    /// The process was started without a file.
    NoFile,
    /// The process is shutting down.
    Draining,
    /// The file is missing or wrong.
    Config(Diagnostics),
    /// A new address cannot be listened on.
    Bind(BindError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => out.write_str("there is no file to load: the process was started without one"),
            Self::Draining => out.write_str("the process is shutting down"),
            Self::Config(diagnostics) => out.write_str(diagnostics.render(Style::Plain).trim_end()),
            Self::Bind(error) => {
                let BindError { listener, address, source } = error;
                write!(out, "listener `{listener}` cannot listen on {address}: {source}")
            }
        }
    }
}

impl std::error::Error for ReloadError {}

impl ReloadError {
    /// The error in one line, for logs and lists.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self::Config(diagnostics) = self else { return self.to_string() };
        let Some(first) = diagnostics.iter().next() else { return "the configuration is wrong".to_owned() };
        match diagnostics.error_count() {
            0 | 1 => format!("{}: {}", first.place, first.message),
            count => format!("{}: {} (and {} more)", first.place, first.message, count - 1),
        }
    }
}

impl Diff {
    /// Compares two configurations. What the data plane and the compiler add is left empty.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        Self {
            listeners: Changes::between(listeners(old), &listeners(new)),
            routes: Changes::between(routes(old), &routes(new)),
            upstreams: Changes::between(upstreams(old), &upstreams(new)),
            servers: Changes::between(servers(old), &servers(new)),
            settings: settings(old, new),
            needs_restart: needs_restart(old, new),
            ..Self::default()
        }
    }

    /// Whether the two configurations mean the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.listeners, &self.routes, &self.upstreams, &self.servers, &self.files]
            .iter()
            .all(|changes| changes.is_empty())
            && self.settings.is_empty()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("listeners", &self.listeners),
            ("routes", &self.routes),
            ("upstreams", &self.upstreams),
            ("servers", &self.servers),
            ("files", &self.files),
        ];
        let mut changed: Vec<String> = parts
            .iter()
            .filter(|(_, changes)| !changes.is_empty())
            .map(|(what, changes)| format!("{what} {changes}"))
            .collect();
        if !self.settings.is_empty() {
            changed.push(format!("settings ~{}", self.settings.join(" ~")));
        }
        if changed.is_empty() { out.write_str("nothing changed") } else { out.write_str(&changed.join(", ")) }
    }
}

impl Changes {
    fn between<T: PartialEq>(old: Named<'_, T>, new: &Named<'_, T>) -> Self {
        let find = |list: &[(String, &T)], name: &str| {
            list.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()
        };
        let mut changes = Self::default();
        for (name, value) in new {
            match find(&old, name) {
                None => changes.added.push(name.clone()),
                Some(index) if old.get(index).is_some_and(|(_, before)| before != value) => {
                    changes.changed.push(name.clone());
                }
                Some(_) => {}
            }
        }
        changes.removed =
            old.into_iter().map(|(name, _)| name).filter(|name| find(new, name).is_none()).collect();
        changes
    }

    /// Whether the two sets are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What was added, removed and changed: `+new -old ~other`, or `+10 -0 ~2` when there are too many to name.
impl fmt::Display for Changes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (added, removed, changed) = (&self.added, &self.removed, &self.changed);
        if added.len() + removed.len() + changed.len() > MOST_NAMED {
            return write!(out, "+{} -{} ~{}", added.len(), removed.len(), changed.len());
        }
        let signed = [('+', added), ('-', removed), ('~', changed)];
        let named =
            signed.iter().flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")));
        out.write_str(&named.collect::<Vec<_>>().join(" "))
    }
}

/// Things by name, sorted by it.
type Named<'a, T> = Vec<(String, &'a T)>;

fn listeners(config: &Config) -> Named<'_, Listener> {
    sorted(config.listeners.iter().map(|listener| (listener.name.value.clone(), listener)))
}

fn routes(config: &Config) -> Named<'_, Route> {
    sorted(config.routes.iter().map(|route| (route.name.value.clone(), route)))
}

fn upstreams(config: &Config) -> Named<'_, Upstream> {
    sorted(config.upstreams.iter().map(|upstream| (upstream.name.value.clone(), upstream)))
}

fn servers(config: &Config) -> Named<'_, Server> {
    sorted(config.upstreams.iter().flat_map(|upstream| {
        upstream.servers.iter().map(|server| (format!("{}/{}", upstream.name, server.name), server))
    }))
}

fn sorted<'a, T>(items: impl Iterator<Item = (String, &'a T)>) -> Named<'a, T> {
    let mut items: Named<'a, T> = items.collect();
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    items
}

fn settings(old: &Config, new: &Config) -> Vec<&'static str> {
    let tables = [
        ("log", old.log != new.log),
        ("limits", old.limits != new.limits),
        ("shutdown", old.shutdown != new.shutdown),
        ("dns", old.dns != new.dns),
        ("acme", old.acme != new.acme),
    ];
    tables.into_iter().filter(|(_, differs)| *differs).map(|(table, _)| table).collect()
}

/// What the process takes up once, when it starts.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let buffer = |config: &Config| config.log.access.as_ref().map(|access| access.buffer);
    let keys = [
        ("workers", old.workers != new.workers),
        ("admin", old.admin != new.admin),
        ("log.format", old.log.format != new.log.format),
        ("log.access.buffer", buffer(old).is_some() && buffer(new).is_some() && buffer(old) != buffer(new)),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{app, config};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn equal_configurations_do_not_differ_wherever_they_are_written() {
        let one = app("servers = [\"127.0.0.1:1\"]");
        let other = config(
            "\n\n# moved\n[upstream.app]\nservers = [{ address = \"127.0.0.1:1\", weight = 1 }]\n\
             [listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\nupstream = \"app\"\n",
        );
        let diff = Diff::between(&one, &other);
        assert!(diff.is_empty(), "{diff:?}");
        assert_eq!(diff.to_string(), "nothing changed");
    }

    #[test]
    fn what_came_went_and_changed_is_told_apart() {
        let old = app("servers = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]");
        let new = config(
            r#"
            [listener.web]
            bind = "127.0.0.1:0"
            timeout = { idle = "5s" }
            [listener.more]
            bind = "127.0.0.1:0"
            [[route]]
            name = "all"
            upstream = "app"
            [upstream.app]
            servers = ["127.0.0.1:1", { address = "127.0.0.1:3", weight = 2 }, "127.0.0.1:4"]
            "#,
        );
        let diff = Diff::between(&old, &new);
        assert_eq!(
            diff.servers,
            Changes {
                added: names(&["app/127.0.0.1:4"]),
                removed: names(&["app/127.0.0.1:2"]),
                changed: names(&["app/127.0.0.1:3"]),
            }
        );
        assert_eq!(
            diff.listeners,
            Changes { added: names(&["more"]), removed: Vec::new(), changed: names(&["web"]) }
        );
        assert_eq!(diff.upstreams.changed, names(&["app"]));
        assert_eq!((diff.routes.added.len(), diff.routes.removed.len()), (1, 1));
        let words = "listeners +more ~web, routes +all -default, upstreams ~app, \
                     servers +app/127.0.0.1:4 -app/127.0.0.1:2 ~app/127.0.0.1:3";
        assert_eq!(diff.to_string(), words);
        let many = Changes { added: vec![String::new(); 10], ..diff.upstreams };
        assert_eq!(many.to_string(), "+10 -0 ~1");
    }

    #[test]
    fn what_counts_from_the_next_start_is_named() {
        let old = app("servers = [\"127.0.0.1:1\"]");
        let mut new = old.clone();
        new.workers = Some(7);
        new.admin.enabled = false;
        assert_eq!(Diff::between(&old, &new).needs_restart, ["workers", "admin"]);
    }

    #[test]
    fn a_wrong_file_is_summed_up_in_one_line() {
        let text = |workers| {
            format!(
                "workers = {workers}\n[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
                 [upstream.app]\nservers = [\"127.0.0.1:1\"]\n"
            )
        };
        let summary = |text: &str| {
            ReloadError::Config(ropeway_config::parse("test.toml", text).expect_err("a wrong file")).summary()
        };
        let one = summary(&text("\"many\""));
        assert!(one.starts_with("test.toml:1:11: "), "{one}");
        assert_eq!(one.lines().count(), 1);
        let two = summary(&text("\"many\"\nsurprise = 1"));
        assert!(two.starts_with("test.toml:1:11: ") && two.ends_with(" (and 1 more)"), "{two}");
    }
}
