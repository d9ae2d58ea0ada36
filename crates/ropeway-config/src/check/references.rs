//! Routes name upstreams.

use std::collections::HashSet;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::place::Located;
use crate::schema::Config;
use crate::suggest::closest;

pub(super) fn check(context: &mut Context, config: &Config) {
    let known: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let known_set: HashSet<&str> = known.iter().copied().collect();
    let used: HashSet<&str> = config.routes.iter().map(|route| route.upstream.as_str()).collect();
    for route in &config.routes {
        // Empty where the key is missing or could not be read, which has been reported.
        if !route.upstream.is_empty() && !known_set.contains(route.upstream.as_str()) {
            context.report(unknown_upstream(&route.upstream, &known));
        }
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

fn unknown_upstream(name: &Located<String>, known: &[&str]) -> Diagnostic {
    let complaint =
        Diagnostic::error("unknown-upstream", &name.place, format!("there is no upstream `{name}`"));
    if let Some(meant) = closest(name, known.iter().copied()) {
        return complaint.label(format!("did you mean \"{meant}\"?")).replacement(format!("\"{meant}\""));
    }
    match known {
        [] => {
            complaint.help(format!("for a start, add:\n\n[upstream.{name}]\nservers = [\"127.0.0.1:8001\"]"))
        }
        known => complaint.help(format!("the upstreams are {}", crate::reader::quoted_list(known))),
    }
}
