//! Routes name upstreams.

use std::collections::HashSet;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Located;
use crate::schema::Config;
use crate::suggest::closest;

/// For how many unknown names a close one is looked for, and how many names are listed otherwise: each look costs as
/// much as there are upstreams, and a generated file may have thousands of both.
const MOST_SUGGESTIONS: usize = 50;
const MOST_LISTED: usize = 20;

pub(super) fn check(context: &mut Context, config: &Config) {
    // An upstream that could not be read is not unknown.
    if context.may_have_missed("upstream") {
        return;
    }
    let known: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let known_set: HashSet<&str> = known.iter().copied().collect();
    let used: HashSet<&str> = config.routes.iter().map(|route| route.upstream.as_str()).collect();
    // Empty where the key is missing or could not be read, which has been reported.
    let is_unknown = |name: &&Located<String>| !name.is_empty() && !known_set.contains(name.as_str());
    for (index, name) in config.routes.iter().map(|route| &route.upstream).filter(is_unknown).enumerate() {
        let candidates = if index < MOST_SUGGESTIONS { known.as_slice() } else { &[] };
        context.report(unknown_upstream(name, &known, candidates));
    }
    // Next to an error, "not used" is more likely its consequence than a finding of its own.
    if context.has_errors() {
        return;
    }
    for upstream in config.upstreams.iter().filter(|upstream| !used.contains(upstream.name.as_str())) {
        let message = format!("no route uses the upstream `{}`", upstream.name);
        context.report(Diagnostic::warning("unused-upstream", &upstream.name.place, message));
    }
}

fn unknown_upstream(name: &Located<String>, known: &[&str], candidates: &[&str]) -> Diagnostic {
    let complaint =
        Diagnostic::error("unknown-upstream", &name.place, format!("there is no upstream `{name}`"));
    if let Some(meant) = closest(name, candidates.iter().copied()) {
        return complaint.label(format!("did you mean \"{meant}\"?")).replacement(format!("\"{meant}\""));
    }
    match known {
        [] => {
            complaint.help(format!("for a start, add:\n\n[upstream.{name}]\nservers = [\"127.0.0.1:8001\"]"))
        }
        known if known.len() > MOST_LISTED => complaint,
        known => complaint.help(format!("the upstreams are {}", crate::reader::quoted_list(known))),
    }
}
