//! Names that the file leaves out.

use std::collections::HashSet;

use crate::schema::{Config, Match, PathMatch, Route};

/// Gives every server and every route a name.
pub(super) fn names(config: &mut Config) {
    for server in config.upstreams.iter_mut().flat_map(|upstream| &mut upstream.servers) {
        if server.name.is_empty() {
            server.name.value = server.address.to_string();
        }
    }
    let mut taken: HashSet<String> = config.routes.iter().map(|route| route.name.value.clone()).collect();
    for route in config.routes.iter_mut().filter(|route| route.name.is_empty()) {
        route.name.value = free_name(route, &taken);
        taken.insert(route.name.value.clone());
    }
}

fn free_name(route: &Route, taken: &HashSet<String>) -> String {
    let base = name_of(&route.matches);
    let numbered = (2..).map(|number| format!("{base}#{number}"));
    let mut candidates = std::iter::once(base.clone()).chain(numbered);
    candidates.find(|name| !taken.contains(name)).unwrap_or(base)
}

/// `shop.example.com/api`, `*.example.com`, `/api`, `=/exact`, or `default` when every request matches.
fn name_of(condition: &Match) -> String {
    let host = match condition.host.as_slice() {
        [] => String::new(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first}+{}", rest.len()),
    };
    let path = match &condition.path {
        PathMatch::Prefix(path) if path == "/" => String::new(),
        PathMatch::Prefix(path) => path.clone(),
        PathMatch::Exact(path) => format!("={path}"),
    };
    match host + &path {
        name if name.is_empty() => "default".to_owned(),
        name => name,
    }
}
